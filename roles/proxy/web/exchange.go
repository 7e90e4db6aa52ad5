package web

import (
	"errors"
	"io"
	"time"

	"github.com/sidecar-kit/sidecar/roles/proxy/wire"
)

var (
	errDots  = errors.New("the path has dot segments")
	errOther = errors.New("the path may be read as that of another route")
)

// exchange is a request and its answer, and the memory both need. It is used
// again for the next one, of whichever connection.
type exchange struct {
	server *Server
	in     *buffer // from the client: the head, then what came behind it
	head   int     // bytes of the head in in
	began  bool
	req    wire.Request
	out    *buffer // what is sent: to the backend, then to the client
	back   *buffer // from the backend
	resp   wire.Response

	body   inbound // the request's body
	answer inbound // the answer's body
	whole  bool    // the request is in out as a whole
	upload *upload // moves the rest of the body; nil: there is none
	full   bool    // the last piece of the answer filled its buffer
	rest   *buffer // what came behind the body, when in did not hold it
	limit  io.LimitedReader
	record Record
	route  *Route
	up     *upstream
}

func (s *Server) newExchange() *exchange {
	if x, ok := s.shelf.pool.Get().(*exchange); ok {
		return x
	}
	return &exchange{server: s}
}

// reset gives back all memory but what came behind the request.
func (x *exchange) reset() {
	x.out.free()
	x.back.free()
	x.out, x.back = nil, nil
	if x.rest != nil { // not before: the record points into the old one
		x.in.free()
		x.in, x.rest = x.rest, nil
	}
	x.upload = nil
	x.full = false
	x.route, x.up = nil, nil
	x.whole = false
	x.record = Record{}
}

// release gives back everything.
func (x *exchange) release() {
	x.reset()
	x.in.free()
	x.in = nil
	x.req.Reset()
	x.resp.Reset()
	x.head = 0 // the next user may be a front that parses no head
	x.server.shelf.pool.Put(x)
}

// exchange serves the request in k.x. It returns whether the connection can
// take another one.
func (k *conn) exchange() bool {
	x := k.x
	x.begin(k)
	more := k.answer(x)
	k.again = true
	x.finish()
	x.reset()
	if x.in.empty() {
		x.release()
		k.x = nil
	}
	return more
}

// begin fills in what is known from the head.
func (x *exchange) begin(k *conn) {
	r := &x.record
	r.Start = time.Now()
	r.Client = &k.client
	r.Method, r.Host, r.Target = x.req.Method, x.req.Host, x.req.Target
	r.Major, r.Minor = 1, x.req.Minor
	k.client.Minor, k.client.ID = x.req.Minor, k.client.ID[:0]
	x.body.start(&x.req.Head)
	x.in.r += x.head // not take: the head must stay where it is
}

// finish tells the observer.
func (x *exchange) finish() {
	o := x.server.Observer
	if o == nil {
		return
	}
	r := &x.record
	r.Total = time.Since(r.Start)
	o.Request(r)
}

// answer finds the route and gives the request to its backend.
func (k *conn) answer(x *exchange) bool {
	sites := k.server.sites.Load()
	if err := sites.Ambiguous(x.req.Host, x.req.Target); err != nil {
		x.record.Class, x.record.Err = wire.BadTarget, err
		return k.reply(x, 400, BadRequest, err.Error()+"\n")
	}
	x.route = sites.Find(x.req.Host, x.req.Target)
	rt := x.route
	if rt == nil {
		return k.reply(x, 404, Answered, "no route matches\n")
	}
	x.record.Route = rt
	if rt.Rate != nil {
		if wait := rt.Rate.take(rt.Policy.ClientAddr(&x.req, k.client.Addr.Addr()), x.record.Start); wait > 0 {
			return k.replyRate(x, wait)
		}
	}
	if rt.Redirect != "" {
		return k.redirect(x)
	}
	if most := rt.Limits.MaxBody; most > 0 && x.req.Length > most {
		return k.reply(x, 413, TooLarge, "the body is too large\n")
	}
	if most := rt.Limits.MaxRequests; most > 0 {
		defer rt.active.Add(-1)
		if rt.active.Add(1) > most {
			return k.reply(x, 503, Overloaded, "too many requests at once\n")
		}
	}
	var b *Backend
	if rt.Pick != nil {
		b = rt.Pick()
	}
	if b == nil {
		return k.reply(x, 503, NoBackend, "no backend is available\n")
	}
	x.record.Backend = b
	if b.H2 != nil {
		return k.forwardH2(x, b)
	}
	return k.forward(x, b)
}
