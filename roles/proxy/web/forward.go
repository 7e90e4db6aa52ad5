package web

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/sidecar-kit/sidecar/roles/proxy/wire"
)

const (
	// continueWait is how long a backend has to say 100 Continue before the
	// proxy says it, for backends that do not know it.
	continueWait = time.Second
	// maxInterim bounds the 1xx answers to one request.
	maxInterim = 16
	// headRoom is what a policy may add to a head before memory is allocated.
	headRoom = 1 << 10
)

// failure is why there is no answer from the backend.
type failure struct {
	status int
	cause  Cause
	class  wire.Class
	err    error
}

// forward sends the request to an HTTP/1 backend and its answer to the client.
func (k *conn) forward(x *exchange, b *Backend) bool {
	if x.req.Expect && !x.in.empty() {
		x.req.Expect = false // the client did not wait
	}
	x.out = k.server.Buffers.fitting(min(x.head+len(x.in.bytes())+headRoom, largeSize))
	send := x.route.Policy.AppendRequest(x.out.b[:0], &x.req, &k.client)
	send, moved, err := x.body.move(send, x.in, x.req.Body == wire.Chunked)
	if err != nil {
		return k.refuseBody(x, err)
	}
	x.record.In, x.whole = moved, x.body.done
	if most := x.route.Limits.MaxBody; most > 0 && moved > most {
		return k.reply(x, 413, TooLarge, "the body is too large\n")
	}
	if f := k.roundTrip(x, b, send); f != nil {
		return k.fail(x, f)
	}
	if k.front != nil {
		return k.deliverFront(x)
	}
	return k.deliver(x)
}

// roundTrip sends the request and reads until the head of the final answer is
// in x.resp, or the backend switched protocols.
func (k *conn) roundTrip(x *exchange, b *Backend, send []byte) *failure {
	for try := 0; ; {
		u, f := k.connect(x, b, try > 0)
		if f != nil {
			return f
		}
		wrote, err := k.send(x, u, send)
		if err == nil {
			return k.head(x)
		}
		stale := err == errStale
		reused := u.reused
		k.dropUpstream(x)
		if f := k.killed(x); f != nil {
			return f
		}
		switch {
		case stale:
			b.Stats.Stale.Add(1)
		case reused && try == 0 && (wrote == 0 || (x.whole || x.upload == nil) && repeatable(x.req.Method)):
			b.Stats.Retries.Add(1)
			x.record.Retried = true
			try++
		default:
			return &failure{status: 502, cause: BackendLost, err: err}
		}
	}
}

// repeatable reports the methods that RFC 9110 calls idempotent.
func repeatable(method []byte) bool {
	switch string(method) {
	case "GET", "HEAD", "OPTIONS", "PUT", "DELETE":
		return true
	}
	return false
}

// connect takes an idle connection or makes one, and puts it where the watcher
// sees it.
func (k *conn) connect(x *exchange, b *Backend, fresh bool) (*upstream, *failure) {
	var u *upstream
	if !fresh {
		u = b.pool.get()
	}
	if u == nil {
		var f *failure
		if u, f = k.dial(x, b); f != nil {
			return nil, f
		}
		x.record.Connect = time.Since(x.record.Start)
	}
	x.up = u
	x.record.Reused = u.reused
	k.up.Store(u)
	until := int64(0) // while the body comes, the time has not begun
	if x.whole {
		until = k.server.watch.until(or(x.route.Limits.Response, defaultResponse))
	}
	if !k.main.set(stWait, until) {
		k.dropUpstream(x)
		return nil, k.killed(x)
	}
	return u, nil
}

func (k *conn) dial(x *exchange, b *Backend) (*upstream, *failure) {
	ctx, cancel := context.WithCancel(k.ctx)
	defer cancel()
	k.dialing.Store(&cancel)
	defer k.dialing.Store(nil)
	if !k.main.set(stDial, 0) {
		return nil, k.killed(x)
	}
	u, err := b.dial(ctx, &k.client)
	if err == nil {
		return u, nil
	}
	if f := k.killed(x); f != nil {
		return nil, f
	}
	status := 502
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		status = 504
	}
	return nil, &failure{status: status, cause: ConnectFailed, err: err}
}

// dropUpstream closes the connection to the backend.
func (k *conn) dropUpstream(x *exchange) {
	if x.up != nil {
		k.up.Store(nil)
		x.up.close()
		x.up = nil
	}
}

// keepUpstream gives the connection back for others, unless the watcher ended
// this exchange. It returns false then.
func (k *conn) keepUpstream(x *exchange) bool {
	u := x.up
	k.up.Store(nil)
	x.up = nil
	if !k.main.set(stGive, k.server.watch.until(or(x.route.Limits.Progress, defaultProgress))) {
		u.close()
		return false
	}
	u.backend.put(u)
	return true
}

// send writes the request and returns when the first bytes of the answer are
// in x.back. wrote is what went out before an error.
func (k *conn) send(x *exchange, u *upstream, send []byte) (wrote int, err error) {
	bufs := k.server.Buffers
	x.back.free()
	x.back = nil
	if u.raw != nil && x.whole {
		err := u.swap.run(u, bufs, send)
		x.back = u.swap.got
		if x.back != nil {
			x.full = x.back.w == len(x.back.b)
		}
		if err != nil || x.back != nil {
			return u.swap.wrote, err
		}
		wrote, send = u.swap.wrote, send[u.swap.wrote:]
	} else if u.reused && !u.alive() {
		return 0, errStale
	}
	n, err := u.Write(send)
	if wrote += n; err != nil {
		return wrote, err
	}
	if !x.whole && !x.req.Expect {
		k.startUpload(x)
	}
	x.back = bufs.getMedium()
	if x.req.Expect {
		return wrote, k.awaitContinue(x)
	}
	if err := x.back.fill(u.Conn); err != nil {
		if x.upload != nil {
			k.stopUpload(x)
		}
		return wrote, err
	}
	return wrote, nil
}

// awaitContinue waits for the first bytes of the answer, for some time. Then
// the client is asked for the body without the backend's word.
func (k *conn) awaitContinue(x *exchange) error {
	_ = x.up.SetReadDeadline(time.Now().Add(continueWait))
	err := x.back.fill(x.up.Conn)
	_ = x.up.SetReadDeadline(time.Time{})
	if _, dead := k.main.cause(); dead {
		return os.ErrDeadlineExceeded
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	if err := k.goOn(x); err != nil {
		return err
	}
	return x.back.fill(x.up.Conn)
}

// goOn tells the client to send the body, and starts to move it.
func (k *conn) goOn(x *exchange) error {
	x.req.Expect = false
	if _, err := k.net.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n")); err != nil {
		k.end(ClientGone)
		return err
	}
	k.startUpload(x)
	return nil
}

// head reads heads until the final one.
func (k *conn) head(x *exchange) *failure {
	for interim := 0; ; {
		n, err := x.resp.Parse(x.back.bytes(), x.req.Method, k.server.Answer)
		if err != nil {
			return k.badAnswer(x, err)
		}
		if n == 0 {
			if x.back.makeRoom(); x.back.full() {
				x.back = k.server.Buffers.grown(x.back)
			}
			if err := x.back.fill(x.up.Conn); err != nil {
				if f := k.killed(x); f != nil {
					return f
				}
				return &failure{status: 502, cause: BackendLost, err: noEOF(err)}
			}
			continue
		}
		x.back.take(n)
		if x.resp.Status >= 200 {
			x.record.First = time.Since(x.record.Start)
			return nil
		}
		if x.resp.Status == 101 {
			if x.req.Upgrade == nil || x.resp.Upgrade == nil {
				return k.badAnswer(x, &wire.BadMessage{Class: wire.BadUpgrade, Reason: "101 without a request for it"})
			}
			return nil
		}
		if interim++; interim > maxInterim {
			return k.badAnswer(x, &wire.BadMessage{Class: wire.BadStatus, Reason: "too many answers of 1xx"})
		}
		if err := k.interim(x); err != nil {
			return &failure{cause: ClientGone, err: err}
		}
	}
}

// interim passes an answer of 1xx on.
func (k *conn) interim(x *exchange) error {
	if x.resp.Status == 100 {
		if x.req.Expect {
			return k.goOn(x)
		}
		return nil
	}
	return k.passInterim(x, &x.resp)
}

func (k *conn) passInterim(x *exchange, r *wire.Response) error {
	if x.req.Minor == 0 {
		return nil
	}
	r.Upgrade = nil
	head := x.route.Policy.AppendResponse(nil, r, &k.client, false)
	if k.front != nil {
		var treated wire.Response
		if _, err := treated.Parse(head, nil, k.server.Answer); err != nil {
			return err
		}
		return k.front.Sink.Interim(&treated)
	}
	_, err := k.net.Write(head)
	return err
}

func (k *conn) badAnswer(x *exchange, err error) *failure {
	f := &failure{status: 502, cause: BadAnswer, err: err}
	var bad *wire.BadMessage
	if errors.As(err, &bad) {
		f.class = bad.Class
	}
	return f
}

// killed returns the failure if the connection was ended from outside.
func (k *conn) killed(x *exchange) *failure {
	cause, dead := k.main.cause()
	if !dead {
		cause, dead = k.body.cause()
	}
	if !dead {
		return nil
	}
	f := &failure{cause: cause}
	switch cause {
	case BackendSlow:
		f.status = 504
	case ClientSlow:
		f.status = 408
	case TooLarge:
		f.status = 413
	case BadRequest:
		f.status = 400
	case ShuttingDown:
		f.status = 503
	}
	if x.upload != nil {
		<-x.upload.done
		if f.err = x.upload.err; cause == BadRequest {
			var bad *wire.BadMessage
			if errors.As(f.err, &bad) {
				f.class, f.status = bad.Class, bad.Status
			}
		}
	}
	return f
}

// noEOF turns an end within a message into an error that says so.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
