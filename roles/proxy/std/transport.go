package std

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync"
	"time"

	"github.com/sidecar-kit/sidecar/roles/proxy/message"
	"github.com/sidecar-kit/sidecar/roles/proxy/stream"
	"github.com/sidecar-kit/sidecar/roles/proxy/web"
	"github.com/sidecar-kit/sidecar/roles/proxy/wire"
)

// transport sends a request to the backend of its exchange.
type transport struct{ s *Server }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	x := of(r.Context())
	if x.backend.H2 != nil {
		return bridge(r, x)
	}
	var c *upstream // the one that the answer comes from
	trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		c, _ = i.Conn.(*upstream)
		if x.record.Reused = i.Reused; !i.Reused {
			x.record.Connect = time.Since(x.record.Start)
		}
	}}
	resp, err := t.s.transport(x.backend).RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	if err == nil && c != nil && resp.ContentLength < 0 && len(resp.TransferEncoding) == 0 && resp.StatusCode != http.StatusSwitchingProtocols {
		resp.Body = &untilClose{resp.Body, c}
	}
	return resp, err
}

// upstream is a connection to a backend. It is counted until it is closed.
type upstream struct {
	net.Conn
	wire  *stream.Conn // below TLS
	stats *web.Stats
	once  sync.Once
}

func newUpstream(c net.Conn, s *web.Stats) *upstream {
	u := &upstream{Conn: c, stats: s}
	if t, ok := c.(*tls.Conn); ok {
		u.wire, _ = t.NetConn().(*stream.Conn)
	}
	s.Open.Add(1)
	return u
}

func (u *upstream) Close() error {
	u.once.Do(func() { u.stats.Open.Add(-1) })
	return u.Conn.Close()
}

// CloseWrite is for upgraded connections.
func (u *upstream) CloseWrite() error {
	if half, ok := u.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// untilClose is a body that ends with its connection: as a whole only when TLS says so.
type untilClose struct {
	io.ReadCloser
	c *upstream
}

func (b *untilClose) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF && b.c.wire != nil && b.c.wire.Torn() {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// tunnel is an upgraded connection: each piece gives the next one its time.
type tunnel struct {
	io.ReadWriteCloser
	x *exchange
}

func (t *tunnel) Read(p []byte) (int, error) {
	t.x.progress()
	n, err := t.ReadWriteCloser.Read(p)
	t.x.out.Add(int64(n))
	return n, err
}

func (t *tunnel) Write(p []byte) (int, error) {
	t.x.progress()
	n, err := t.ReadWriteCloser.Write(p)
	t.x.in.Add(int64(n))
	return n, err
}

// CloseWrite ends one direction.
func (t *tunnel) CloseWrite() error {
	if half, ok := t.ReadWriteCloser.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// dialError says that there is no connection.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// transport returns the pool of a backend that speaks HTTP/1.
func (s *Server) transport(b *web.Backend) http.RoundTripper {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t, ok := s.pool[b]; ok {
		return t
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	idle := b.MaxIdle
	if idle == 0 {
		idle = 64
	}
	t := &http.Transport{
		Protocols: protocols, DisableCompression: true, DisableKeepAlives: b.PerConn, MaxIdleConnsPerHost: idle, MaxIdleConns: idle, IdleConnTimeout: or(b.Idle, 3*time.Second),
		ExpectContinueTimeout: time.Second, MaxResponseHeaderBytes: 64 << 10, WriteBufferSize: 8 << 10, ReadBufferSize: 8 << 10,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, or(b.Connect, 10*time.Second))
			defer cancel()
			// With PROXY out the connection belongs to this request's client: it is never kept.
			who := &web.Client{}
			if x := of(ctx); x != nil {
				who = &x.client
			}
			b.Stats.Dials.Add(1)
			c, err := b.Dial(ctx, who)
			if err != nil {
				b.Stats.DialErrors.Add(1)
				return nil, &dialError{err}
			}
			return newUpstream(c, &b.Stats), nil
		},
	}
	s.pool[b] = t
	return t
}

// bridge sends a request through an upstream of HTTP/2.
func bridge(r *http.Request, x *exchange) (*http.Response, error) {
	var src web.Source
	if r.Body != nil && r.Body != http.NoBody {
		src = &source{ReadCloser: r.Body, r: r}
	}
	a, err := x.backend.H2.RoundTrip(r.Context(), &x.treated, src, nil)
	if err != nil {
		return nil, err
	}
	head := a.Head()
	resp := &http.Response{
		Status: strconv.Itoa(head.Status) + " " + http.StatusText(head.Status), StatusCode: head.Status, Proto: "HTTP/2.0", ProtoMajor: 2,
		Header: make(http.Header, len(head.Fields)), ContentLength: -1, Request: r, Trailer: http.Header{},
	}
	for i := range head.Fields {
		f := &head.Fields[i]
		name := http.CanonicalHeaderKey(string(f.Name))
		resp.Header[name] = append(resp.Header[name], string(f.Value))
	}
	if head.Length >= 0 {
		resp.ContentLength = head.Length
	}
	resp.Body = &answerBody{a, resp.Trailer}
	return resp, nil
}

// source is a request's body for an upstream.
type source struct {
	io.ReadCloser
	r *http.Request
}

// Trailers are known at the end.
func (s *source) Trailers() []wire.Field {
	fields, err := message.Trailers(nil, s.r.Trailer)
	if err != nil {
		return nil
	}
	return fields
}

// answerBody is the body of an upstream's answer; trailers come at its end.
type answerBody struct {
	web.Answer
	trailer http.Header
}

func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.Answer.Read(p)
	if err == io.EOF {
		for _, f := range b.Trailers() {
			b.trailer.Add(string(f.Name), string(f.Value))
		}
	}
	return n, err
}
