package web

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/sidecar-kit/sidecar/roles/proxy/wire"
)

// forwardH2 sends the request to a backend behind an Upstream, and its answer
// to the front.
func (k *conn) forwardH2(x *exchange, b *Backend) bool {
	x.req.Upgrade = nil // HTTP/2 has none
	x.out = k.server.Buffers.fitting(min(x.head+2*headRoom, largeSize))
	if x.req.Expect && k.front == nil {
		x.req.Expect = false
		if _, err := k.net.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n")); err != nil {
			return k.clientLost(x, err)
		}
	}
	if len(x.req.Host) == 0 { // HTTP/1.0 may, HTTP/2 cannot do without
		x.req.Host = []byte("localhost")
	}
	var treated wire.Request
	head := x.route.Policy.AppendRequest(x.out.b[:0], &x.req, &k.client)
	if _, err := treated.Parse(head, wire.Limits{Head: 2 * largeSize, Line: 2 * largeSize, Fields: 1000}); err != nil {
		return k.refuseBody(x, err)
	}
	ctx, cancel := context.WithCancel(k.ctx)
	defer cancel()
	k.dialing.Store(&cancel)
	defer k.dialing.Store(nil)
	body := k.intake(x)
	until := int64(0)
	if body == nil {
		until = k.server.watch.until(or(x.route.Limits.Response, defaultResponse))
	}
	if !k.main.set(stWait, until) {
		return k.fail(x, k.killed(x))
	}
	var src Source
	if body != nil {
		src = body
	}
	a, err := b.H2.RoundTrip(ctx, &treated, src, func(r *wire.Response) error { return k.passInterim(x, r) })
	if err != nil {
		k.intakeDone(x, body)
		return k.fail(x, k.failH2(x, body, err))
	}
	more := k.deliverH2(x, a, body)
	return more
}

// intake returns the body of the request; nil: there is none.
func (k *conn) intake(x *exchange) *intake {
	if x.body.done {
		return nil
	}
	i := &intake{k: k, x: x}
	if k.front == nil {
		i.in = k.server.Buffers.getLarge()
		i.in.w = copy(i.in.b, x.in.bytes())
		x.in.take(i.in.w)
	}
	k.startBody(x)
	return i
}

// intakeDone is called when the body is no longer read.
func (k *conn) intakeDone(x *exchange, i *intake) {
	if i == nil {
		return
	}
	x.record.In = k.moved.Load()
	if k.front == nil {
		k.readAgain()
		if x.body.done && len(i.rest) == 0 && !i.in.empty() {
			x.rest = i.in
			return
		}
		i.in.free()
	}
}

func (k *conn) failH2(x *exchange, i *intake, err error) *failure {
	if f := k.killed(x); f != nil {
		if f.err == nil {
			f.err = err
		}
		if i != nil && i.err != nil {
			f.err = i.err
			var bad *wire.BadMessage
			if f.cause == BadRequest && errors.As(i.err, &bad) {
				f.status, f.class = bad.Status, bad.Class
			}
		}
		return f
	}
	f := k.badAnswer(x, err)
	var bad *wire.BadMessage
	switch {
	case errors.As(err, &bad):
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded):
		f.status, f.cause = 504, ConnectFailed
	default:
		f.cause = BackendLost
	}
	return f
}

// deliverH2 passes the answer of an Upstream on.
func (k *conn) deliverH2(x *exchange, a Answer, body *intake) bool {
	x.record.First = time.Since(x.record.Start)
	resp := *a.Head()
	resp.Upgrade = nil
	x.record.Status = resp.Status
	closing := x.req.Close || k.server.lame.Load() || body != nil && !body.over.Load()
	if resp.Body == wire.Chunked && x.req.Minor == 0 && k.front == nil {
		resp.Body = wire.UntilClose
		closing = true
	}
	head := x.route.Policy.AppendResponse(x.out.b[:0], &resp, &k.client, closing && k.front == nil)
	err := k.giveHead(x, head)
	if err == nil {
		err = k.moveAnswer(x, a, &resp)
	}
	_ = a.Close()
	k.intakeDone(x, body)
	var taker takerError
	switch {
	case errors.As(err, &taker):
		return k.clientLost(x, err)
	case err != nil:
		return k.torn(x, err)
	case k.front != nil:
		return false
	}
	return k.settle(x, closing)
}

func (k *conn) giveHead(x *exchange, head []byte) error {
	if !k.main.set(stGive, k.server.watch.until(or(x.route.Limits.Progress, defaultProgress))) {
		return os.ErrDeadlineExceeded
	}
	if k.front == nil {
		return k.give(head)
	}
	if err := k.sinkHead(x, head); err != nil {
		return takerError{err}
	}
	return nil
}

// moveAnswer moves a body from an Upstream to either front.
func (k *conn) moveAnswer(x *exchange, a Answer, r *wire.Response) error {
	silence, progress := or(x.route.Limits.Silence, defaultSilence), or(x.route.Limits.Progress, defaultProgress)
	buf := k.server.Buffers.getLarge()
	defer buf.free()
	left, done := r.Length, r.Body == wire.None
	for !done {
		if !k.main.set(stAnswer, k.server.watch.until(silence)) {
			return os.ErrDeadlineExceeded
		}
		const room = wire.ChunkRoom
		n, err := a.Read(buf.b[room : len(buf.b)-2-len(wire.LastChunk)])
		if err != nil && err != io.EOF {
			return err
		}
		done = err == io.EOF
		if left -= int64(n); r.Body == wire.Sized && (left < 0 || left > 0 && done) {
			return io.ErrUnexpectedEOF
		}
		if !k.main.set(stGive, k.server.watch.until(progress)) {
			return os.ErrDeadlineExceeded
		}
		if err := k.givePiece(buf.b, n, done, r.Body == wire.Chunked, a); err != nil {
			return err
		}
		x.record.Out += int64(n)
	}
	if k.front == nil {
		return nil
	}
	var trailers []wire.Field
	if r.Body != wire.None {
		trailers = a.Trailers()
	}
	if err := k.front.Sink.End(trailers); err != nil {
		return takerError{err}
	}
	return nil
}

// givePiece gives the n bytes behind ChunkRoom in b to the front.
func (k *conn) givePiece(b []byte, n int, last, chunked bool, a Answer) error {
	send := b[wire.ChunkRoom : wire.ChunkRoom+n]
	if k.front == nil {
		if chunked {
			send = inChunk(b, n, last, a)
		}
		return k.give(send)
	}
	if n == 0 {
		return nil
	}
	if _, err := k.front.Sink.Write(send); err != nil {
		return takerError{err}
	}
	return nil
}
