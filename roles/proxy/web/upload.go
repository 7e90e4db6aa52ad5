package web

import (
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/sidecar-kit/sidecar/roles/proxy/wire"
)

// spliceFrom is what is left of a body when it pays to let the kernel move it,
// and splicePiece how much it moves before progress is noted.
const (
	spliceFrom  = 64 << 10
	splicePiece = 256 << 10
)

var errTooLarge = errors.New("the body is too large")

// upload moves the rest of a request's body to the backend, on a goroutine of
// its own, because the answer may come before the body is over.
type upload struct {
	done chan struct{}
	read atomic.Bool // the body was read to its end; the last piece is being written
	stop atomic.Bool // somebody wants it to end, and takes care of the connection
	err  error       // why it ended, if not because the body is over
}

// startUpload begins to move what is not there yet. The goroutine ends when the
// body is over, either side failed, or stopUpload is called.
func (k *conn) startUpload(x *exchange) {
	x.upload = &upload{done: make(chan struct{})}
	k.startBody(x)
	go k.pump(x, x.up, x.upload)
}

// startBody tells the watcher that a body comes.
func (k *conn) startBody(x *exchange) {
	k.moved.Store(x.record.In)
	rate := x.route.Limits.BodyRate
	if rate == 0 {
		rate = defaultRate
		if k.stream(x) {
			rate = -1
		}
	}
	k.rate.Store(rate)
	k.body.word.Store(0)
	k.body.mine = 0
	k.bodyProgress(x)
}

func (k *conn) bodyProgress(x *exchange) bool {
	pause := or(x.route.Limits.Progress, defaultProgress)
	if k.stream(x) {
		pause = or(x.route.Limits.Silence, defaultSilence)
	}
	return k.body.set(stBody, k.server.watch.until(pause))
}

// stream reports a body of unknown length of a front that is not HTTP/1: one
// direction of a call that may say nothing for long, as an answer may.
func (k *conn) stream(x *exchange) bool {
	return k.front != nil && x.body.framing == wire.Chunked
}

// bodyGiven tells the watcher that it is the backend that is waited for.
func (k *conn) bodyGiven(x *exchange) bool {
	return k.body.set(stGive, k.server.watch.until(or(x.route.Limits.Response, defaultResponse)))
}

// stopUpload ends the upload and waits for it. The client's connection can be
// written to afterwards, and read; whole says whether the body was over.
func (k *conn) stopUpload(x *exchange) (whole bool) {
	u := x.upload
	select {
	case <-u.done:
		return x.body.done
	default:
	}
	u.stop.Store(true)
	k.stopReading()
	if x.up != nil {
		_ = x.up.SetWriteDeadline(time.Unix(1, 0))
	}
	<-u.done
	k.readAgain()
	return x.body.done
}

// stopReading makes a read of the request's body return.
func (k *conn) stopReading() {
	if k.front != nil {
		_ = k.front.Body.Close()
		return
	}
	_ = k.base.SetReadDeadline(time.Unix(1, 0))
}

// readAgain undoes stopReading for a connection that goes on.
func (k *conn) readAgain() {
	if k.front == nil {
		_ = k.base.SetReadDeadline(time.Time{})
	}
}

// pump is the goroutine. What the client did wrong ends the connection.
func (k *conn) pump(x *exchange, up *upstream, u *upload) {
	defer close(u.done)
	in := k.server.Buffers.getLarge()
	in.w = copy(in.b, x.in.bytes())
	x.in.take(in.w)
	if k.front != nil {
		u.err = k.pumpFront(x, up, u, in)
	} else {
		u.err = k.pumpAll(x, up, u, in)
	}
	failed := blame(u.err)
	if !in.empty() && x.body.done {
		x.rest = in
	} else {
		in.free()
	}
	if _, dead := k.body.cause(); dead || u.stop.Load() {
		return
	}
	k.body.set(stWait, k.server.watch.until(or(x.route.Limits.Response, defaultResponse)))
	if failed != Done {
		k.end(failed)
	}
}

// blame tells what a client did wrong with a body; Done: nothing.
func blame(err error) Cause {
	var bad *wire.BadMessage
	switch {
	case errors.As(err, &bad):
		return BadRequest
	case errors.Is(err, errTooLarge):
		return TooLarge
	case errors.Is(err, errClient):
		return ClientGone
	}
	return Done
}

var errClient = errors.New("the client closed within the body")

func (k *conn) pumpAll(x *exchange, up *upstream, u *upload, in *buffer) error {
	out := k.server.Buffers.getLarge()
	defer out.free()
	chunked := x.req.Body == wire.Chunked
	for !x.body.done {
		if !k.bodyProgress(x) {
			return errClient
		}
		if !chunked && in.empty() && x.body.left >= spliceFrom && k.tcp != nil && up.tcp != nil {
			if err := k.spliceUp(x, up); err != nil {
				return err
			}
			u.read.Store(x.body.done)
			continue
		}
		if err := in.fill(k.net); err != nil {
			return errors.Join(errClient, err)
		}
		send, moved, err := x.body.move(out.b[:0], in, chunked)
		if err != nil {
			return err
		}
		if total := k.moved.Add(moved); x.route.Limits.MaxBody > 0 && total > x.route.Limits.MaxBody {
			return errTooLarge
		}
		u.read.Store(x.body.done)
		if len(send) == 0 {
			continue
		}
		if !k.bodyGiven(x) {
			return errClient
		}
		if _, err := up.Write(send); err != nil {
			return err
		}
	}
	return nil
}

// spliceUp lets the kernel move a piece of a sized body.
func (k *conn) spliceUp(x *exchange, up *upstream) error {
	l := io.LimitedReader{R: k.tcp, N: min(x.body.left, splicePiece)}
	n, err := up.tcp.ReadFrom(&l)
	x.body.left -= n
	x.body.done = x.body.left == 0
	k.moved.Add(n)
	if n == 0 || err != nil && k.gone() {
		return errors.Join(errClient, err)
	}
	return err
}

// gone asks the socket whether the client closed.
func (k *conn) gone() bool {
	lost := false
	err := k.raw.Control(func(fd uintptr) { lost = gone(int(fd)) })
	return lost || err != nil
}
