package h2

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/internal/tlsconf/tlstest"
	"github.com/sidecar-kit/sidecar/roles/proxy/web"
	"github.com/sidecar-kit/sidecar/roles/proxy/wire"
)

// backend is a server of the standard library that speaks HTTP/2 with prior knowledge.
type backend struct {
	*http.Server
	addr  string
	conns atomic.Int64 // that were ever made
}

func newBackend(t *testing.T, streams int, h http.HandlerFunc) *backend {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{addr: l.Addr().String()}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	b.Server = &http.Server{Handler: h, Protocols: protocols, DisableGeneralOptionsHandler: true, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: streams}, ConnState: func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			b.conns.Add(1)
		}
	}}
	var work sync.WaitGroup
	work.Go(func() { _ = b.Serve(l) })
	t.Cleanup(func() { _ = b.Server.Close(); work.Wait() })
	return b
}

func (b *backend) upstream(t *testing.T, o Options) *Upstream {
	o.Dial = func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", b.addr)
	}
	u := NewUpstream(o)
	t.Cleanup(u.Close)
	return u
}

// text is a body that comes as it is written.
type text struct {
	*io.PipeReader
	trailers []wire.Field
}

func (s text) Trailers() []wire.Field { return s.trailers }

func request(t *testing.T, lines ...string) *wire.Request {
	t.Helper()
	r := &wire.Request{}
	head := strings.Join(lines, "\r\n") + "\r\n\r\n"
	if n, err := r.Parse([]byte(head), wire.Limits{}); err != nil || n != len(head) {
		t.Fatalf("Parse(%q) = %d, %v", head, n, err)
	}
	return r
}

func field(r *wire.Response, name string) string {
	for _, f := range r.Fields {
		if strings.EqualFold(string(f.Name), name) {
			return string(f.Value)
		}
	}
	return ""
}

func mustTrip(t *testing.T, u *Upstream, r *wire.Request, body web.Source) web.Answer {
	t.Helper()
	a, err := u.RoundTrip(t.Context(), r, body, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestUpstreamSendsWhatItWasGiven(t *testing.T) {
	b := newBackend(t, 100, func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s %s %s %s te=%v ua=%q ae=%q x=%v", r.Proto, r.Method, r.RequestURI, r.Host, r.Header["Te"], r.Header["User-Agent"], r.Header["Accept-Encoding"], r.Header["X-A"])
	})
	u := b.upstream(t, Options{})
	for _, tt := range []struct{ line, field, want string }{
		{"GET /a%2Fb?c=%zz;d HTTP/1.1", "X-A: 1", "GET /a%2Fb?c=%zz;d app.example te=[] ua=[] ae=[] x=[1]"},
		{"GET //evil/x HTTP/1.1", "User-Agent: me", `GET //evil/x app.example te=[] ua=["me"] ae=[] x=[]`},
		{"OPTIONS * HTTP/1.1", "X: y", "OPTIONS * app.example te=[] ua=[] ae=[] x=[]"},
		{"POST /s/m HTTP/1.1", "Content-Type: application/grpc+proto", "POST /s/m app.example te=[trailers] ua=[] ae=[] x=[]"},
		{"GET / HTTP/1.1", "Accept-Encoding: br", `GET / app.example te=[] ua=[] ae=["br"] x=[]`},
	} {
		a := mustTrip(t, u, request(t, tt.line, "Host: app.example", tt.field), nil)
		got, err := io.ReadAll(a)
		if string(got) != "HTTP/2.0 "+tt.want || err != nil || a.Close() != nil {
			t.Errorf("%s: %q, %v; want %q", tt.line, got, err, tt.want)
		}
	}
	if n := b.conns.Load(); n != 1 {
		t.Errorf("%d connections; want 1", n)
	}
}

// TestUpstreamStreamsBothWays sends a piece, reads its echo, and so on, with trailers at both ends.
func TestUpstreamStreamsBothWays(t *testing.T) {
	b := newBackend(t, 100, func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		w.Header().Set("Trailer", "Grpc-Status")
		w.WriteHeader(200)
		_ = c.Flush()
		buf := make([]byte, 100)
		for {
			n, err := r.Body.Read(buf)
			_, _ = w.Write(buf[:n])
			_ = c.Flush()
			if err != nil {
				w.Header().Set("Grpc-Status", "0 after "+r.Trailer.Get("X-Sum"))
				w.Header().Set(http.TrailerPrefix+"X-More", "y")
				return
			}
		}
	})
	pr, pw := io.Pipe()
	src := text{pr, []wire.Field{{Name: []byte("x-sum"), Value: []byte("42")}}}
	a := mustTrip(t, b.upstream(t, Options{}), request(t, "POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "Trailer: X-Sum"), src)
	buf := make([]byte, 100)
	for i := range 10 {
		piece := fmt.Sprint("piece ", i)
		_, _ = io.WriteString(pw, piece)
		if n, err := a.Read(buf); string(buf[:n]) != piece || err != nil {
			t.Fatalf("echo %q, %v; want %q", buf[:n], err, piece)
		}
	}
	_ = pw.Close()
	if rest, err := io.ReadAll(a); len(rest) > 0 || err != nil {
		t.Errorf("the end gave %q, %v", rest, err)
	}
	var got []string
	for _, f := range a.Trailers() {
		got = append(got, string(f.Name)+"="+string(f.Value))
	}
	if all := strings.Join(got, ","); !strings.Contains(all, "Grpc-Status=0 after 42") || !strings.Contains(all, "X-More=y") {
		t.Errorf("trailers %q; want both", all)
	}
	if err := a.Close(); err != nil {
		t.Errorf("Close() = %v", err)
	}
}

func TestUpstreamAnswersWithoutBody(t *testing.T) {
	b := newBackend(t, 100, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" { // gRPC that failed at once
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set("Grpc-Status", "5")
			return
		}
		w.Header().Set("Link", "x")
		w.WriteHeader(103)
		w.WriteHeader(304)
	})
	u := b.upstream(t, Options{})
	a := mustTrip(t, u, request(t, "POST / HTTP/1.1", "Host: a", "Content-Length: 0"), nil)
	if h := a.Head(); h.Body != wire.Sized || h.Length != 0 || field(h, "Grpc-Status") != "5" {
		t.Errorf("head %+v; want one that ends the answer", h)
	}
	_ = a.Close()
	var early string
	a, err := u.RoundTrip(t.Context(), request(t, "GET / HTTP/1.1", "Host: a"), nil, func(r *wire.Response) error {
		early = fmt.Sprint(r.Status, field(r, "Link"))
		return nil
	})
	if err != nil || a.Head().Status != 304 || a.Head().Body != wire.None || early != "103x" {
		t.Fatalf("RoundTrip() = %v after %q; want 304 after 103", err, early)
	}
	_ = a.Close()
	stop := errors.New("the client is gone")
	if _, err := u.RoundTrip(t.Context(), request(t, "GET / HTTP/1.1", "Host: a"), nil, func(*wire.Response) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("RoundTrip() = %v; want the error of interim", err)
	}
}

func TestCancellationGoesBothWays(t *testing.T) {
	gone := make(chan error, 1)
	b := newBackend(t, 100, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		if r.URL.Path == "/abort" {
			panic(http.ErrAbortHandler)
		}
		_, err := io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		gone <- err
	})
	u := b.upstream(t, Options{})
	pr, _ := io.Pipe()
	a := mustTrip(t, u, request(t, "POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"), text{PipeReader: pr})
	_ = a.Close()
	if err := <-gone; err == nil {
		t.Error("the backend read a whole body; want it cut")
	}
	a = mustTrip(t, u, request(t, "GET /abort HTTP/1.1", "Host: a"), nil)
	if _, err := io.ReadAll(a); err == nil {
		t.Error("the answer that the backend broke off looks whole")
	}
	_ = a.Close()
}

// TestMoreConnectionsWhenStreamsAreUsedUp, as many as allowed; then requests wait.
func TestMoreConnectionsWhenStreamsAreUsedUp(t *testing.T) {
	release := make(chan struct{})
	arrived := make(chan struct{}, 100)
	b := newBackend(t, 2, func(http.ResponseWriter, *http.Request) { arrived <- struct{}{}; <-release })
	u := b.upstream(t, Options{Conns: 3})
	// The first one learns how many streams there may be.
	var work sync.WaitGroup
	defer work.Wait()
	get := func() {
		a, err := u.RoundTrip(t.Context(), request(t, "GET / HTTP/1.1", "Host: a"), nil, nil)
		if err != nil {
			t.Errorf("RoundTrip() = %v", err)
			return
		}
		_ = a.Close()
	}
	for range 6 {
		work.Go(get)
		<-arrived
	}
	if n := u.Conns(); n != 3 {
		t.Errorf("%d connections for 6 requests at 2 each; want 3", n)
	}
	work.Go(get)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := u.RoundTrip(ctx, request(t, "GET / HTTP/1.1", "Host: a"), nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("RoundTrip() = %v; want to wait until the deadline", err)
	}
	close(release)
}

func TestOldConnectionsAreReplaced(t *testing.T) {
	release := make(chan struct{})
	b := newBackend(t, 100, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			_ = http.NewResponseController(w).Flush()
			<-release
			_, _ = io.WriteString(w, "whole")
		}
	})
	u := b.upstream(t, Options{MaxAge: time.Nanosecond})
	slow := mustTrip(t, u, request(t, "GET /slow HTTP/1.1", "Host: a"), nil)
	for range 3 {
		_ = mustTrip(t, u, request(t, "GET / HTTP/1.1", "Host: a"), nil).Close()
	}
	if n := b.conns.Load(); n != 4 {
		t.Errorf("%d connections were made for 4 requests; want one each", n)
	}
	close(release)
	if got, err := io.ReadAll(slow); string(got) != "whole" || err != nil {
		t.Errorf("the request on the old connection gave %q, %v", got, err)
	}
	_ = slow.Close()
	u.Close()
	for u.Conns() > 0 {
		runtime.Gosched()
	}
	if _, err := u.RoundTrip(t.Context(), request(t, "GET / HTTP/1.1", "Host: a"), nil, nil); !errors.Is(err, errClosed) {
		t.Errorf("RoundTrip() = %v; want an error of the closed upstream", err)
	}
}

// TestNoRequestIsLostWhenTheBackendGoesAway sends while the backend ends its connections by GOAWAY again and again.
func TestNoRequestIsLostWhenTheBackendGoesAway(t *testing.T) {
	var served atomic.Int64
	b := newBackend(t, 100, func(w http.ResponseWriter, r *http.Request) {
		if served.Add(1)%10 == 0 {
			w.Header().Set("Connection", "close") // GOAWAY
		}
		_, _ = io.Copy(w, r.Body)
	})
	u := b.upstream(t, Options{})
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for range 100 {
				pr, pw := io.Pipe()
				go func() { _, _ = io.WriteString(pw, "x"); _ = pw.Close() }()
				a, err := u.RoundTrip(t.Context(), request(t, "POST / HTTP/1.1", "Host: a", "Content-Length: 1"), text{PipeReader: pr}, nil)
				if err != nil {
					t.Errorf("RoundTrip() = %v", err)
					_ = pr.Close()
					continue
				}
				if got, err := io.ReadAll(a); string(got) != "x" || err != nil {
					t.Errorf("answer %q, %v", got, err)
				}
				_ = a.Close()
			}
		})
	}
	work.Wait()
	if b.conns.Load() < 5 {
		t.Errorf("%d connections; want the backend to have ended some", b.conns.Load())
	}
}

func TestUpstreamOverTLS(t *testing.T) {
	f := serve(t, Config{Handler: echo()})
	dial := func(protos ...string) func(context.Context) (net.Conn, error) {
		return func(ctx context.Context) (net.Conn, error) {
			d := tls.Dialer{Config: &tls.Config{RootCAs: f.roots.Pool(), ServerName: "localhost", NextProtos: protos}}
			return d.DialContext(ctx, "tcp", f.addr)
		}
	}
	u := NewUpstream(Options{Dial: dial("h2"), TLS: true})
	defer u.Close()
	a := mustTrip(t, u, request(t, "GET /x HTTP/1.1", "Host: a"), nil)
	if got, _ := io.ReadAll(a); !strings.HasPrefix(string(got), "HTTP/2.0 GET /x") {
		t.Errorf("answer %q", got)
	}
	_ = a.Close()
	old := tlsServer(t, f.roots)
	u = NewUpstream(Options{TLS: true, Dial: func(ctx context.Context) (net.Conn, error) {
		d := tls.Dialer{Config: &tls.Config{RootCAs: f.roots.Pool(), ServerName: "localhost", NextProtos: []string{"h2"}}}
		return d.DialContext(ctx, "tcp", old)
	}})
	defer u.Close()
	if _, err := u.RoundTrip(t.Context(), request(t, "GET / HTTP/1.1", "Host: a"), nil, nil); err == nil || !strings.Contains(err.Error(), "does not speak HTTP/2") {
		t.Errorf("RoundTrip() to a server without h2 = %v; want an error that says so", err)
	}
}

// tlsServer is one without HTTP/2.
func tlsServer(t *testing.T, ca *tlstest.Cert) string {
	conf := &tls.Config{Certificates: []tls.Certificate{ca.Issue(tlstest.Want{}).TLS()}}
	return listen(t, func(c net.Conn) {
		secure := tls.Server(c, conf)
		_ = secure.Handshake()
		_, _ = io.Copy(io.Discard, secure)
		_ = c.Close()
	})
}
