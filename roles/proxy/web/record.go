package web

import (
	"time"

	"github.com/sidecar-kit/sidecar/roles/proxy/wire"
)

// Cause says why an exchange ended. A bounded set, good for a label.
type Cause uint8

// The causes. Done is an answer that was passed on as a whole.
const (
	Done          Cause = iota
	Answered            // by the proxy itself: redirect, no route
	BadRequest          // the request was refused; Record.Class says why
	TooLarge            // the body passed the limit
	RateLimited         // the client asked too often
	Overloaded          // too many exchanges at once
	ClientGone          // the client closed before the answer was whole
	ClientSlow          // the client stopped sending or taking
	NoBackend           // none to pick
	ConnectFailed       // no connection to the backend
	BackendLost         // the backend closed before it answered
	BackendSlow         // no answer in time
	BadAnswer           // the answer was refused; Record.Class says why
	BackendTorn         // the backend closed within its answer
	ShuttingDown        // the proxy ended
	IdleEnd             // not an exchange: the connection was idle for too long
	Causes              // how many there are
)

// String returns the cause as a label.
func (c Cause) String() string {
	if c >= Causes {
		return "unknown"
	}
	return [...]string{
		"done", "answered", "bad-request", "too-large", "rate-limited", "overloaded", "client-gone", "client-slow",
		"no-backend", "connect-failed", "backend-lost", "backend-slow", "bad-answer", "backend-torn", "shutting-down", "idle",
	}[c]
}

// Record is one exchange, for the access log and metrics. It and its slices
// belong to the engine again when Request returns.
type Record struct {
	Route   *Route   // nil: none matched or the request was refused
	Backend *Backend // nil: none was asked
	Client  *Client
	Method  []byte // nil when the request could not be read
	Host    []byte
	Target  []byte
	Status  int // what the client was answered; 0: nothing
	Cause   Cause
	Class   wire.Class // of BadRequest and BadAnswer
	Err     error      // what is behind Cause, if there is an error
	In, Out int64      // bytes of the bodies: from the client, to the client
	Major   uint8      // version of HTTP in front: 1 or 2
	Minor   uint8
	Reused  bool // the connection to the backend was used before
	Retried bool

	Start   time.Time
	Connect time.Duration // until there was a connection, from Start
	First   time.Duration // until the answer began, from Start; 0: it did not
	Total   time.Duration
	Upgrade bool // the connection spoke another protocol afterwards; In and Out count it
}

// Observer is told of each exchange when it is over.
type Observer interface {
	Request(r *Record)
}
