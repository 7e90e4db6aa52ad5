package h2

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/sidecar-kit/sidecar/roles/proxy/message"
	"github.com/sidecar-kit/sidecar/roles/proxy/web"
	"github.com/sidecar-kit/sidecar/roles/proxy/wire"
)

// Send is how an engine takes an exchange, as web.Server has it. It returns when neither the request's body nor the sink is used any more. With an
// error the answer is one that the client must not take for whole.
type Send func(ctx context.Context, f *web.Front) error

// Handler gives requests of HTTP/2 to an engine, when they mean the same in HTTP/1. Others are answered here; refused, which may be nil, is told.
func Handler(send Send, lim wire.Limits, refused func(*wire.BadMessage, web.Peer)) http.Handler {
	var pool sync.Pool
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x, ok := pool.Get().(*exchange)
		if !ok {
			x = &exchange{}
		}
		whole := x.serve(w, r, send, lim, refused)
		x.reset()
		pool.Put(x)
		if !whole {
			panic(http.ErrAbortHandler) // RST_STREAM
		}
	})
}

// exchange is a request of HTTP/2 on its way through an engine: the memory that the next one takes over.
type exchange struct {
	buf    []byte
	req    wire.Request
	client web.Client
}

func (x *exchange) reset() {
	x.req.Reset()
	x.client = web.Client{ID: x.client.ID[:0]}
	if x.buf = x.buf[:0]; cap(x.buf) > 64<<10 {
		x.buf = nil
	}
}

func (x *exchange) serve(w http.ResponseWriter, r *http.Request, send Send, lim wire.Limits, refused func(*wire.BadMessage, web.Peer)) bool {
	peer := From(r.Context())
	var err error
	if x.buf, err = message.Request(x.buf[:0], &x.req, r, lim); err != nil {
		bad, ok := errors.AsType[*wire.BadMessage](err)
		if !ok {
			bad = &wire.BadMessage{Status: http.StatusBadRequest, Class: wire.BadField, Reason: err.Error()}
		}
		if refused != nil {
			refused(bad, peer)
		}
		http.Error(w, "the request cannot be passed on: "+bad.Class.String(), bad.Status)
		return true
	}
	x.client.Addr, x.client.Local, x.client.TLS, x.client.Minor = peer.Remote, peer.Local, peer.TLS, 1
	// Who watches over the exchange may cancel these a moment after its end, so nobody else gets them.
	out := &sink{w: w, flush: http.NewResponseController(w)}
	front := &web.Front{Request: &x.req, Client: &x.client, Sink: out, Major: 2}
	switch {
	case x.req.Body == wire.Chunked || x.req.Length > 0:
		front.Body = &source{body: r.Body, trailer: r.Trailer}
	case r.Header["Content-Length"] != nil && !empty(out.flush, r.Body):
		return false // DATA behind a length of 0
	}
	err = send(r.Context(), front)
	out.close()
	return err == nil && out.ended
}

// empty waits for the end of a body that was declared to have no byte.
func empty(c *http.ResponseController, body io.Reader) bool {
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, err := body.Read(make([]byte, 1))
	return n == 0 && err == io.EOF
}

// source is the body of a request.
type source struct {
	body    io.ReadCloser
	trailer http.Header
	fields  []wire.Field
}

func (s *source) Read(p []byte) (int, error) { return s.body.Read(p) }

// Close makes a Read that waits return.
func (s *source) Close() error { return s.body.Close() }

// Trailers returns those that the client announced; net/http drops others.
func (s *source) Trailers() []wire.Field {
	fields, err := message.Trailers(s.fields[:0], s.trailer)
	if err != nil {
		return nil
	}
	s.fields = fields
	return fields
}

// sink writes an answer to a stream.
type sink struct {
	w     http.ResponseWriter
	flush *http.ResponseController
	left  int64 // bytes that the head promised and that were not written yet; -1: unknown
	ended bool

	mu   sync.Mutex
	over bool // w must not be used any more
}

// Cancel resets the stream, if its handler is still there.
func (s *sink) Cancel() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.over = true
		_ = s.flush.SetWriteDeadline(time.Now().Add(-time.Second))
	}
}

func (s *sink) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}

// Interim sends 1xx.
func (s *sink) Interim(r *wire.Response) error {
	h := s.w.Header()
	put(h, r)
	s.w.WriteHeader(r.Status)
	clear(h)
	return nil
}

func put(h http.Header, r *wire.Response) {
	for i := range r.Fields {
		f := &r.Fields[i]
		switch f.ID {
		case wire.Connection, wire.KeepAlive, wire.ProxyConnection, wire.TransferEncoding, wire.Upgrade, wire.ContentLength, wire.Trailer:
			continue
		}
		name := http.CanonicalHeaderKey(string(f.Name))
		h[name] = append(h[name], string(f.Value))
	}
}

// Head sends the head, together with the body when that is about to come or there is none: an answer of HEADERS alone is what gRPC expects when a
// call failed at once.
func (s *sink) Head(r *wire.Response) error {
	h := s.w.Header()
	put(h, r)
	for _, name := range []string{"Content-Type", "Date"} {
		if _, ok := h[name]; !ok {
			h[name] = nil // net/http must not make one up
		}
	}
	if r.Length >= 0 && r.Body != wire.Chunked && r.Body != wire.UntilClose {
		h["Content-Length"] = []string{strconv.FormatInt(r.Length, 10)}
	}
	s.w.WriteHeader(r.Status)
	switch {
	case r.Body == wire.None:
		s.ended = true
	case r.Body == wire.Sized:
		s.left = r.Length
	default:
		s.left = -1
		return s.flush.Flush()
	}
	return nil
}

// Write passes bytes on at once. The last ones of a known length wait for End, which is about to come, to travel in the same frame with it.
func (s *sink) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	if s.left >= 0 {
		s.left -= int64(n)
	}
	if err == nil && s.left != 0 {
		err = s.flush.Flush()
	}
	return n, err
}

// End says that the answer is whole.
func (s *sink) End(trailers []wire.Field) error {
	h := s.w.Header()
	for i := range trailers {
		h.Add(http.TrailerPrefix+string(trailers[i].Name), string(trailers[i].Value))
	}
	s.ended = true
	return nil
}
