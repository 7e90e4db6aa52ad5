package h2

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/proxy/message"
	"github.com/sidecar-kit/sidecar/roles/proxy/web"
	"github.com/sidecar-kit/sidecar/roles/proxy/wire"
)

// answer is an answer of a backend.
type answer struct {
	resp   *http.Response
	feed   *feed // of the request; nil: none
	head   wire.Response
	fields []wire.Field
	cancel context.CancelFunc
}

// RoundTrip implements web.Upstream. A request that the backend certainly did not begin with, because it refused the stream or was closing the
// connection, is sent once more on another one, with what was read of its body if that was little.
func (u *Upstream) RoundTrip(ctx context.Context, r *wire.Request, src web.Source, interim func(*wire.Response) error) (web.Answer, error) {
	req := u.request(r)
	var f *feed
	if src != nil && (r.Body == wire.Chunked || r.Length > 0) {
		f = newFeed(src, req.ContentLength, req.Trailer)
	}
	for attempt := 0; ; attempt++ {
		l, used, err := u.acquire(ctx)
		if err != nil {
			f.stop()
			return nil, err
		}
		a, err := u.once(ctx, l, req, f, interim)
		if err == nil {
			f.answered()
			return a, nil
		}
		safe := unbegun(err) || used && repeatable(r) && l.conn.Err() != nil
		if attempt == attempts || !safe || !f.again() || ctx.Err() != nil {
			f.stop()
			return nil, err
		}
	}
}

// attempts is how often a request is sent again: a backend that goes away may say so on several connections at once.
const attempts = 3

// repeatable requests may be sent twice.
func repeatable(r *wire.Request) bool {
	switch string(r.Method) {
	case "GET", "HEAD", "OPTIONS":
		return true
	}
	return false
}

// streamError is the form that net/http fills in for errors.As.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e streamError) Error() string { return "stream error" }

const refusedStream = 7

// unbegun tells that the backend said so itself.
func unbegun(err error) bool {
	var stream streamError
	if errors.As(err, &stream) {
		return stream.Code == refusedStream
	}
	// net/http has no name for these; the transport of the library repeats requests after the same two.
	text := err.Error()
	return strings.Contains(text, "client conn not usable") || strings.Contains(text, "graceful shutdown GOAWAY") || strings.Contains(text, "client conn is closed")
}

func (u *Upstream) once(ctx context.Context, l *lane, r *http.Request, f *feed, interim func(*wire.Response) error) (*answer, error) {
	ctx, cancel := context.WithCancel(ctx)
	a := &answer{feed: f, cancel: cancel}
	var failed error
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		failed = early(code, http.Header(h), []byte(r.Method), interim)
		return failed
	}})
	req := r.WithContext(ctx)
	if f != nil {
		req.Body = &body{feed: f}
	}
	resp, err := l.conn.RoundTrip(req)
	if err != nil {
		cancel()
		if failed != nil {
			err = failed
		}
		return nil, err
	}
	a.resp = resp
	if _, err = message.Answer(make([]byte, 0, 1024), &a.head, resp, []byte(r.Method), wire.Limits{Head: u.opts.Head}); err != nil {
		cancel()
		_ = resp.Body.Close()
		return nil, err
	}
	return a, nil
}

// early passes 1xx on. 100 is for the proxy itself.
func early(code int, h http.Header, method []byte, interim func(*wire.Response) error) error {
	if code == http.StatusContinue || interim == nil {
		return nil
	}
	var w wire.Response
	if _, err := message.Answer(nil, &w, &http.Response{StatusCode: code, Header: h, ContentLength: -1, ProtoMajor: 2}, method, wire.Limits{}); err != nil {
		return err
	}
	return interim(&w)
}

// request makes net/http's form of a head that went through a policy.
func (u *Upstream) request(r *wire.Request) *http.Request {
	host, target := string(r.Host), string(r.Target)
	req := &http.Request{
		Method: string(r.Method), Host: host, ProtoMajor: 2, Header: make(http.Header, len(r.Fields)+2), ContentLength: r.Length,
		// net/http takes scheme and host off this again, and leaves the target as it was received.
		URL: &url.URL{Scheme: u.scheme(), Host: host, Opaque: "//" + host + target},
	}
	if target == "*" {
		req.URL.Opaque = target
	}
	switch {
	case r.Body == wire.Chunked:
		req.ContentLength = -1
	case r.Length <= 0:
		req.ContentLength, req.Body = 0, http.NoBody
	}
	for i := range r.Fields {
		f := &r.Fields[i]
		name := http.CanonicalHeaderKey(string(f.Name))
		switch f.ID {
		case wire.Host, wire.Connection, wire.KeepAlive, wire.ProxyConnection, wire.Upgrade, wire.HTTP2Settings, wire.TransferEncoding, wire.ContentLength, wire.TE, wire.Expect:
		case wire.Trailer:
			announce(req, f.Value)
		default:
			req.Header[name] = append(req.Header[name], string(f.Value))
		}
	}
	if bytes.HasPrefix([]byte(req.Header.Get("Content-Type")), []byte("application/grpc")) {
		req.Header["Te"] = []string{"trailers"} // servers of gRPC look for it to find out about proxies that drop trailers
	}
	if req.Header["User-Agent"] == nil {
		req.Header["User-Agent"] = []string{""} // net/http must not make one up
	}
	return req
}

// announce makes trailers known to the transport, which fills them in when the body ended.
func announce(req *http.Request, value []byte) {
	for name := range strings.SplitSeq(string(value), ",") {
		name = http.CanonicalHeaderKey(strings.TrimSpace(name))
		if name == "" || slices.Contains([]string{"Transfer-Encoding", "Trailer", "Content-Length"}, name) {
			continue
		}
		if req.Trailer == nil {
			req.Trailer = http.Header{}
		}
		req.Trailer[name] = nil
	}
}

// Head implements web.Answer.
func (a *answer) Head() *wire.Response { return &a.head }

// Read returns what came as soon as it came.
func (a *answer) Read(p []byte) (int, error) { return a.resp.Body.Read(p) }

// Trailers implements web.Source.
func (a *answer) Trailers() []wire.Field {
	fields, err := message.Trailers(a.fields[:0], a.resp.Trailer)
	if err != nil {
		return nil
	}
	a.fields = fields
	return fields
}

// Close implements web.Answer.
func (a *answer) Close() error {
	a.cancel()
	err := a.resp.Body.Close()
	a.feed.stop()
	return err
}
