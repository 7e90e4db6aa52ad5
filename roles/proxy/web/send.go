package web

import (
	"context"
	"errors"
	"io"

	"github.com/sidecar-kit/sidecar/roles/proxy/wire"
)

// Source is the body of a message that does not come from an HTTP/1
// connection. Read blocks; what it returns is passed on at once.
type Source interface {
	io.Reader
	// Trailers returns what came behind the body, valid after io.EOF.
	Trailers() []wire.Field
	// Close makes a Read return, at once and from another goroutine too.
	Close() error
}

// Sink takes an answer for a front that is not HTTP/1. Its methods are called
// in order by one goroutine, and what they are given is valid during the call.
type Sink interface {
	Interim(r *wire.Response) error // 1xx but 101, any number
	Head(r *wire.Response) error    // once; Body None means that nothing follows but End
	Write(p []byte) (int, error)    // must not hold bytes back
	End(trailers []wire.Field) error
}

// Canceller is a Sink whose calls may wait for the client. Cancel makes them
// return an error, at once and from another goroutine; it may come when all is
// over.
type Canceller interface{ Cancel() }

// Front is a request that does not come from an HTTP/1 connection, with where
// its answer goes.
type Front struct {
	Request *wire.Request // Body: None, Sized or, for an unknown length, Chunked
	Client  *Client
	Body    Source // nil: none
	Sink    Sink
	Major   uint8 // for the record
}

// Upstream sends requests to a backend that does not speak HTTP/1. The head has
// gone through the policy. RoundTrip returns when the head of the final answer
// is there; interim is called for 1xx, by RoundTrip's goroutine. body is nil, or
// is read on another goroutine until it ends, RoundTrip fails or the answer is
// closed. It retries what is safe by itself.
type Upstream interface {
	RoundTrip(ctx context.Context, r *wire.Request, body Source, interim func(*wire.Response) error) (Answer, error)
}

// Answer is an answer of an Upstream. Head is valid until Close. Close cancels
// what is not over, and returns when the request's body is no longer read.
type Answer interface {
	Source
	Head() *wire.Response
}

// ErrTorn is returned by Send when the answer broke off: the front must reset
// its stream, so that the client does not take a part for the whole.
var ErrTorn = errors.New("the answer is not complete")

// Send serves one request of a front that is not HTTP/1, by the routes and
// limits of s. It returns when the answer is out; the body is not read any more
// then. The error is ErrTorn, or that of the Sink.
func (s *Server) Send(ctx context.Context, f *Front) error {
	k := &conn{server: s, ctx: ctx, front: f, client: *f.Client}
	k.watched.stop = k.stopFront
	k.main.set(stHead, 0)
	s.watch.add(&k.watched)
	defer s.watch.remove(&k.watched)
	stop := context.AfterFunc(ctx, func() { k.end(ClientGone) })
	defer stop()
	x := s.newExchange()
	k.x = x
	own := x.req
	x.req = *f.Request
	x.req.Expect, x.req.Upgrade = false, nil // the front's protocol has its own
	x.in, x.head = s.Buffers.getSmall(), 0   // the head is not in a buffer, as that of the exchange before may have been
	x.began = false
	x.begin(k)
	x.record.Major, x.record.Minor = f.Major, 0
	k.client.Minor = 1
	if f.Body == nil {
		x.body.done = true
	}
	k.answer(x)
	x.finish()
	f.Client.ID = k.client.ID
	x.req = own
	x.release()
	return k.frontErr
}

// stopFront wakes whoever reads the front's body.
func (k *conn) stopFront() {
	if k.front.Body != nil {
		_ = k.front.Body.Close()
	}
	if c, ok := k.front.Sink.(Canceller); ok {
		c.Cancel()
	}
}
