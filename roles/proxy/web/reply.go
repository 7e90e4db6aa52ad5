package web

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/sidecar-kit/sidecar/roles/proxy/wire"
)

const (
	lastWords  = 5 * time.Second // for an answer to a connection that is ended
	lingerTime = 2 * time.Second // for a client to read its answer and stop sending
	lingerSize = 512 << 10
)

// reply answers by the proxy itself. It returns whether the connection can take
// another request.
func (k *conn) reply(x *exchange, status int, cause Cause, text string) bool {
	return k.say(x, status, cause, text, nil)
}

func (k *conn) say(x *exchange, status int, cause Cause, text string, fields []byte) bool {
	x.record.Status, x.record.Cause = status, cause
	for !x.body.done { // a body that is here need not cost the connection
		data, err := x.body.next(x.in)
		if err != nil || len(data) == 0 {
			break
		}
		x.record.In += int64(len(data))
	}
	if k.front != nil {
		return k.sayFront(x, status, text, fields)
	}
	closing := x.req.Close || !x.body.done || k.server.lame.Load() || x.req.Upgrade != nil && !x.in.empty()
	if x.out == nil {
		x.out = k.server.Buffers.getSmall()
	}
	b := wire.AppendStatus(x.out.b[:0], status, []byte(http.StatusText(status)))
	b = append(b, "Content-Type: text/plain; charset=utf-8\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(text)), 10)
	b = append(b, "\r\nDate: "...)
	b = time.Now().UTC().AppendFormat(b, http.TimeFormat)
	b = append(append(b, '\r', '\n'), fields...)
	if closing {
		b = append(b, "Connection: close\r\n"...)
	} else if x.req.Minor == 0 {
		b = append(b, "Connection: keep-alive\r\n"...)
	}
	b = append(b, '\r', '\n')
	if string(x.req.Method) != "HEAD" {
		b = append(b, text...)
		x.record.Out = int64(len(text))
	}
	k.main.set(stGive, k.server.watch.until(lastWords))
	if _, err := k.net.Write(b); err != nil {
		return false
	}
	k.linger = closing && (!x.body.done || !x.in.empty())
	return !closing
}

func (k *conn) replyRate(x *exchange, wait time.Duration) bool {
	secs := int64((wait + time.Second - 1) / time.Second)
	f := append(strconv.AppendInt([]byte("Retry-After: "), secs, 10), '\r', '\n')
	return k.say(x, 429, RateLimited, "too many requests\n", f)
}

// redirect answers with another address for the same target.
func (k *conn) redirect(x *exchange) bool {
	r := x.route
	status := r.RedirectCode
	if status == 0 {
		status = http.StatusPermanentRedirect
	}
	f := []byte("Location: ")
	if r.Redirect == "https" {
		if len(x.req.Host) == 0 {
			return k.reply(x, 400, BadRequest, "there is no Host\n")
		}
		f = append(f, "https://"...)
		f = canonical(f, x.req.Host)
	} else {
		f = append(f, r.Redirect...)
	}
	if x.req.Target[0] == '/' {
		f = append(f, x.req.Target...)
	}
	return k.say(x, status, Answered, "", append(f, '\r', '\n'))
}

// refuse answers a head that was refused, and ends the connection.
func (k *conn) refuse(err error) {
	x := k.x
	x.record = Record{Start: time.Now(), Client: &k.client, Major: 1, Err: err, Cause: BadRequest}
	x.req.Close, x.req.Minor, x.req.Method = true, 1, nil
	x.body.start(&wire.Head{})
	k.refuseBody(x, err)
	x.finish()
	x.reset()
}

// refuseBody answers a request whose bytes were refused.
func (k *conn) refuseBody(x *exchange, err error) bool {
	var bad *wire.BadMessage
	status := 400
	if errors.As(err, &bad) {
		status, x.record.Class = bad.Status, bad.Class
	}
	x.record.Err = err
	x.req.Close = true
	x.body.done = true // nobody knows where it ends
	x.in.take(x.in.w - x.in.r)
	k.say(x, status, BadRequest, http.StatusText(status)+"\n", nil)
	k.linger = true
	return false
}

// fail answers when there is no answer of the backend. A connection that was
// ended from outside gets its last words.
func (k *conn) fail(x *exchange, f *failure) bool {
	x.record.Err, x.record.Class = f.err, f.class
	if x.upload != nil {
		k.stopUpload(x)
		x.record.In = k.moved.Load()
	}
	k.dropUpstream(x)
	if f.status == 0 {
		x.record.Cause = f.cause
		k.abort()
		return false
	}
	_, dead := k.main.cause()
	if _, slow := k.body.cause(); k.front == nil && (slow || dead) {
		_ = k.base.SetDeadline(time.Now().Add(lastWords))
		x.req.Close = true
	}
	if x.upload != nil {
		x.req.Close = true
	}
	return k.reply(x, f.status, f.cause, text(f))
}

func text(f *failure) string {
	switch f.cause {
	case ConnectFailed:
		return "the backend cannot be reached\n"
	case BackendLost:
		return "the backend closed the connection\n"
	case BackendSlow:
		return "the backend did not answer in time\n"
	case BadAnswer:
		return "the backend's answer is not valid\n"
	case TooLarge:
		return "the body is too large\n"
	case ClientSlow:
		return "the request came too slowly\n"
	}
	return http.StatusText(f.status) + "\n"
}

// late answers a head that took too long.
func (k *conn) late() {
	_ = k.base.SetDeadline(time.Now().Add(lastWords))
	x := k.x
	x.record = Record{Start: time.Now(), Client: &k.client, Major: 1}
	x.req.Close, x.req.Minor, x.req.Method = true, 1, nil
	x.body.start(&wire.Head{})
	x.in.take(x.in.w - x.in.r)
	k.reply(x, 408, ClientSlow, "the request came too slowly\n")
	x.finish()
	x.reset()
}

// drain lets the client read its answer: closing with unread bytes would make
// the kernel throw away what was sent.
func (k *conn) drain() {
	k.main.set(stLinger, 0)
	_ = k.base.SetDeadline(time.Now().Add(lingerTime))
	half, ok := k.base.(interface{ CloseWrite() error })
	if !ok {
		return
	}
	if k.tls != nil {
		_ = k.tls.CloseWrite()
	}
	if half.CloseWrite() != nil {
		return
	}
	b := k.server.Buffers.getLarge()
	defer b.free()
	for n := 0; n < lingerSize; {
		got, err := k.base.Read(b.b)
		if err != nil {
			return
		}
		n += got
	}
}
