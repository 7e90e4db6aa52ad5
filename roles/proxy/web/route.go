package web

import (
	"context"
	"net"
	"sync/atomic"
	"time"
)

// Route is what happens to the requests of one match. It is compiled once and
// not changed while it is in use.
type Route struct {
	Name         string
	Policy       Policy
	Pick         func() *Backend // nil: no backend; the function may return nil when none is up
	Redirect     string          // "https", or a base that the target is appended to; empty: none
	RedirectCode int             // default 308
	Limits       Limits
	Rate         *Rate // nil: no limit
	Data         any   // the owner's: metrics of this route

	active atomic.Int64
}

// Limits bound one exchange. Zero means the default.
type Limits struct {
	MaxBody     int64         // bytes of a request's body; 0: no limit
	MaxRequests int64         // exchanges at once; 0: no limit
	Response    time.Duration // until the head of the answer came; default 60 s
	Silence     time.Duration // between two pieces of an answer's body, or of an upgraded connection; default 15 min
	Progress    time.Duration // between two pieces of a request's body, and until the client took a piece of the answer; default 60 s
	BodyRate    int64         // least bytes per second of a request's body; default 100; negative: none
}

const (
	defaultResponse = time.Minute
	defaultSilence  = 15 * time.Minute
	defaultProgress = time.Minute
	defaultRate     = 100
)

func or(d, other time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return other
}

// Backend is one address that requests are sent to. Keep it as long as its
// settings stay equal: its idle connections belong to it.
type Backend struct {
	Name string
	// Dial connects. It is called on the goroutine of the request, with a
	// context that ends when the client is gone or the time is up.
	Dial    func(ctx context.Context, c *Client) (net.Conn, error)
	H2      Upstream      // nil: HTTP/1
	PerConn bool          // connections belong to one client (PROXY out): no pool
	MaxIdle int           // idle connections; default 64
	Idle    time.Duration // how long one is kept; default 3 s, below what servers use
	MaxAge  time.Duration // of a connection that is used again; 0: any
	Connect time.Duration // until Dial must be done; default 10 s
	Data    any           // the owner's
	Stats   Stats

	pool pool
}

// Stats count what only the engine knows. They move when connections are made
// and lost, not with requests.
type Stats struct {
	Dials, DialErrors atomic.Int64
	Stale             atomic.Int64 // idle connections found closed or with bytes
	Retries           atomic.Int64 // requests sent again on another connection
	Open              atomic.Int64 // connections now
}

// Close closes the idle connections and keeps none from now on. Exchanges under
// way go on.
func (b *Backend) Close() { b.pool.close() }
