package web

import (
	"io"
	"net/http"
	"strconv"

	"github.com/sidecar-kit/sidecar/roles/proxy/wire"
)

// sinkHead gives a head that a policy wrote to the front.
func (k *conn) sinkHead(x *exchange, head []byte) error {
	var treated wire.Response
	if _, err := treated.Parse(head, x.req.Method, wire.Limits{Head: 2 * largeSize, Fields: 1000}); err != nil {
		return err
	}
	k.headed = true
	return k.front.Sink.Head(&treated)
}

// sayFront is say for a front.
func (k *conn) sayFront(x *exchange, status int, text string, fields []byte) bool {
	if x.out == nil {
		x.out = k.server.Buffers.getSmall()
	}
	b := wire.AppendStatus(x.out.b[:0], status, []byte(http.StatusText(status)))
	b = append(b, "Content-Type: text/plain; charset=utf-8\r\nContent-Length: "...)
	b = append(strconv.AppendInt(b, int64(len(text)), 10), '\r', '\n')
	b = append(append(b, fields...), '\r', '\n')
	err := k.sinkHead(x, b)
	if err == nil && string(x.req.Method) != "HEAD" && text != "" {
		x.record.Out = int64(len(text))
		_, err = k.front.Sink.Write([]byte(text))
	}
	if err == nil {
		err = k.front.Sink.End(nil)
	}
	k.frontErr = err
	return false
}

// deliverFront passes the answer of an HTTP/1 backend in x.resp to a front.
func (k *conn) deliverFront(x *exchange) bool {
	if x.resp.Status == 101 {
		return k.fail(x, k.badAnswer(x, &wire.BadMessage{Class: wire.BadUpgrade, Reason: "101 without a request for it"}))
	}
	x.answer.start(&x.resp.Head)
	reuse := !x.resp.Close
	x.resp.Upgrade = nil
	x.record.Status = x.resp.Status
	head := x.route.Policy.AppendResponse(x.out.b[:0], &x.resp, &k.client, false)
	if !k.main.set(stGive, k.server.watch.until(or(x.route.Limits.Progress, defaultProgress))) {
		return k.lost(x)
	}
	if err := k.sinkHead(x, head); err != nil {
		return k.clientLost(x, err)
	}
	if !k.sinkBody(x) {
		return false
	}
	reuse = reuse && x.back.empty() && k.uploaded(x)
	trailers := x.answer.dec.Trailers // they lie in x.back, which stays
	if !k.release(x, reuse) {
		return k.lost(x)
	}
	if x.answer.framing != wire.Chunked {
		trailers = nil
	}
	if x.upload != nil {
		x.record.In = k.moved.Load()
	}
	if err := k.front.Sink.End(trailers); err != nil {
		return k.clientLost(x, err)
	}
	return false
}

// sinkBody passes the body of an HTTP/1 backend's answer on.
func (k *conn) sinkBody(x *exchange) bool {
	silence, progress := or(x.route.Limits.Silence, defaultSilence), or(x.route.Limits.Progress, defaultProgress)
	for !x.answer.done {
		data, err := x.answer.next(x.back)
		if err != nil {
			x.record.Class = k.badAnswer(x, err).class
			return k.torn(x, err)
		}
		if len(data) > 0 {
			if !k.main.set(stGive, k.server.watch.until(progress)) {
				return k.lost(x)
			}
			n, err := k.front.Sink.Write(data)
			x.record.Out += int64(n)
			if err != nil {
				return k.clientLost(x, err)
			}
			continue
		}
		if x.answer.done {
			return true
		}
		if !k.main.set(stAnswer, k.server.watch.until(silence)) {
			return k.lost(x)
		}
		if err := k.more(x); err != nil && (err != io.EOF || !x.up.ended() || !x.answer.eof()) {
			return k.torn(x, noEOF(err))
		}
	}
	return true
}
