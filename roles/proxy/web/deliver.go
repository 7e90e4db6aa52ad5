package web

import (
	"errors"
	"io"
	"net"
	"time"

	"github.com/sidecar-kit/sidecar/roles/proxy/wire"
)

// lastRoom is how long an answer may be that goes out together with the end of its connection.
const lastRoom = 2 << 10

// deliver passes the answer in x.resp on. It returns whether the client's
// connection can take another request.
func (k *conn) deliver(x *exchange) bool {
	if x.resp.Status == 101 {
		return k.upgrade(x)
	}
	x.answer.start(&x.resp.Head)
	reuse := !x.resp.Close
	closing := x.req.Close || k.server.lame.Load() || !k.read(x) || x.req.Upgrade != nil && !x.in.empty()
	switch {
	case x.resp.Body == wire.Chunked && x.req.Minor == 0:
		x.resp.Body = wire.UntilClose
	case x.resp.Body == wire.UntilClose && x.req.Minor > 0:
		x.resp.Body = wire.Chunked
	}
	closing = closing || x.resp.Body == wire.UntilClose
	x.resp.Upgrade = nil
	chunked := x.resp.Body == wire.Chunked

	if need := x.head + x.back.w + 2*headRoom; len(x.out.b) < need {
		x.out.free()
		x.out = k.server.Buffers.fitting(min(need, largeSize))
	}
	x.record.Status = x.resp.Status
	send := x.route.Policy.AppendResponse(x.out.b[:0], &x.resp, &k.client, closing)
	send, moved, err := x.answer.move(send, x.back, chunked)
	if err != nil {
		return k.fail(x, k.badAnswer(x, err))
	}
	if x.answer.done {
		reuse = reuse && x.back.empty() && k.uploaded(x)
		if !k.release(x, reuse) {
			return k.lost(x)
		}
	} else if !k.main.set(stGive, k.server.watch.until(or(x.route.Limits.Progress, defaultProgress))) {
		return k.lost(x)
	}
	if closing && x.answer.done && k.wire != nil && !k.again && len(send) <= lastRoom {
		k.wire.Join() // with the close_notify: there is room in the socket, nothing was sent before
	}
	if err := k.give(send); err != nil {
		return k.clientLost(x, err)
	}
	x.record.Out = moved
	if !x.answer.done {
		if !k.relay(x, chunked) {
			return false
		}
		reuse = reuse && x.back.empty() && k.uploaded(x)
		if !k.release(x, reuse) {
			return k.lost(x)
		}
	}
	return k.settle(x, closing)
}

// read reports whether the client's request was read to its end.
func (k *conn) read(x *exchange) bool {
	if x.upload == nil {
		return x.whole
	}
	select {
	case <-x.upload.done:
		return x.body.done
	default:
		return x.upload.read.Load()
	}
}

// uploaded reports whether the backend got the whole request. An answer may
// overtake the end of the write it answers.
func (k *conn) uploaded(x *exchange) bool {
	if x.upload == nil {
		return x.whole
	}
	if x.upload.read.Load() {
		const soon = 50 * time.Millisecond
		t := time.NewTimer(soon)
		defer t.Stop()
		select {
		case <-x.upload.done:
		case <-t.C:
			return false
		}
	}
	select {
	case <-x.upload.done:
		return x.body.done && x.upload.err == nil
	default:
		return false
	}
}

// release is called when the answer is complete: the backend's connection is
// free for others before the client has the answer.
func (k *conn) release(x *exchange, reuse bool) bool {
	if reuse {
		return k.keepUpstream(x)
	}
	if x.upload != nil {
		k.stopUpload(x)
	}
	k.dropUpstream(x)
	return k.main.set(stGive, k.server.watch.until(or(x.route.Limits.Progress, defaultProgress)))
}

// settle ends an exchange whose answer is out.
func (k *conn) settle(x *exchange, closing bool) bool {
	if x.upload != nil {
		x.record.In = k.moved.Load()
	}
	k.linger = closing && (!x.body.done || !x.in.empty() || x.rest != nil)
	return !closing
}

// relay moves the rest of the answer's body. Each read is passed on at once.
func (k *conn) relay(x *exchange, chunked bool) bool {
	silence, progress := or(x.route.Limits.Silence, defaultSilence), or(x.route.Limits.Progress, defaultProgress)
	x.out.free()
	x.out = nil
	for !x.answer.done {
		if !chunked && k.tcp != nil && x.up.tcp != nil && x.answer.framing == wire.Sized && x.answer.left >= spliceFrom {
			if err := k.spliceDown(x); err != nil {
				return k.torn(x, err)
			}
			continue
		}
		if !k.main.set(stAnswer, k.server.watch.until(silence)) {
			return k.lost(x)
		}
		if err := k.more(x); err != nil {
			if err != io.EOF || !x.up.ended() || !x.answer.eof() {
				return k.torn(x, noEOF(err))
			}
		}
		if !k.main.set(stGive, k.server.watch.until(progress)) {
			return k.lost(x)
		}
		if err := k.pass(x, chunked); err != nil {
			return k.torn(x, err)
		}
	}
	return true
}

// pass gives what is at hand of the answer to the client.
func (k *conn) pass(x *exchange, chunked bool) error {
	if !chunked && x.answer.framing != wire.Chunked {
		data, err := x.answer.next(x.back)
		if err == nil {
			err = k.give(data)
		}
		x.record.Out += int64(len(data))
		return err
	}
	out := k.server.Buffers.fitting(min(x.back.w+headRoom, largeSize))
	defer out.free()
	send, moved, err := x.answer.move(out.b[:0], x.back, chunked)
	x.record.Out += moved
	if err != nil {
		x.record.Class = k.badAnswer(x, err).class
		return err
	}
	return k.give(send)
}

// more reads the next piece of the answer. Without anything at hand it waits
// holding no buffer.
func (k *conn) more(x *exchange) error {
	bufs := k.server.Buffers
	if !x.back.empty() {
		if x.back.makeRoom(); x.back.full() {
			x.back = bufs.grown(x.back)
		}
		return x.back.fill(x.up.Conn)
	}
	x.back.free()
	x.back = nil
	if x.up.raw == nil {
		x.back = bufs.getLarge()
		return x.back.fill(x.up.Conn)
	}
	err := x.up.swap.read(x.up, bufs, x.full)
	if x.back = x.up.swap.got; x.back == nil {
		x.back = bufs.getSmall()
	}
	x.full = x.back.w == len(x.back.b)
	return err
}

// takerError marks an error of the client's side.
type takerError struct{ error }

func (e takerError) Unwrap() error { return e.error }

// give writes to the client; more than one TLS record by one system call.
func (k *conn) give(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if k.wire == nil || len(b) <= 16<<10 {
		if _, err := k.net.Write(b); err != nil {
			return takerError{err}
		}
		return nil
	}
	k.wire.Cork()
	_, err := k.net.Write(b)
	if e := k.wire.Flush(); err == nil {
		err = e
	}
	if err != nil {
		return takerError{err}
	}
	return nil
}

// spliceDown lets the kernel move a piece of a sized body.
func (k *conn) spliceDown(x *exchange) error {
	progress := max(or(x.route.Limits.Progress, defaultProgress), or(x.route.Limits.Silence, defaultSilence))
	if !k.main.set(stAnswer, k.server.watch.until(progress)) {
		return io.ErrUnexpectedEOF
	}
	x.limit = io.LimitedReader{R: x.up.tcp, N: min(x.answer.left, splicePiece)}
	n, err := k.tcp.ReadFrom(&x.limit)
	x.limit.R = nil
	x.answer.left -= n
	x.answer.done = x.answer.left == 0
	x.record.Out += n
	switch {
	case err != nil && k.gone():
		return takerError{err}
	case err != nil:
		return err
	case n == 0:
		return io.ErrUnexpectedEOF
	}
	return nil
}

// torn ends an exchange whose answer cannot be completed. The client must not
// take what it has for the whole: the connection is broken, not closed.
func (k *conn) torn(x *exchange, err error) bool {
	var taker takerError
	if errors.As(err, &taker) {
		return k.clientLost(x, err)
	}
	if _, dead := k.main.cause(); dead {
		return k.lost(x)
	}
	x.record.Cause, x.record.Err = BackendTorn, err
	k.giveUp(x)
	k.abort()
	return false
}

// lost ends an exchange that was ended from outside, with a part of the answer
// at the client.
func (k *conn) lost(x *exchange) bool {
	if f := k.killed(x); f != nil {
		x.record.Cause, x.record.Err = f.cause, f.err
	}
	k.giveUp(x)
	k.abort()
	return false
}

// clientLost ends an exchange whose client does not take the answer.
func (k *conn) clientLost(x *exchange, err error) bool {
	x.record.Cause, x.record.Err = ClientGone, err
	if cause, dead := k.main.cause(); dead {
		x.record.Cause = cause
	}
	k.giveUp(x)
	k.abort()
	return false
}

// giveUp drops the backend's side.
func (k *conn) giveUp(x *exchange) {
	if x.upload != nil {
		k.stopUpload(x)
		x.record.In = k.moved.Load()
	}
	k.dropUpstream(x)
}

// abort breaks the client's connection: RST, and no close_notify.
func (k *conn) abort() {
	base := k.base
	if k.front != nil {
		k.frontErr = ErrTorn
		return
	}
	if tcp, ok := base.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = base.Close()
	k.linger = false
	k.end(ClientGone) // close sees that there is nothing left to say
}
