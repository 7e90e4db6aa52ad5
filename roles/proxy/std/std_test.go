package std

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/internal/tlsconf/tlstest"
	"github.com/sidecar-kit/sidecar/roles/proxy/fields"
	"github.com/sidecar-kit/sidecar/roles/proxy/h2"
	"github.com/sidecar-kit/sidecar/roles/proxy/web"
)

// engine is a server with the routes of a test.
type engine struct {
	*Server
	t    *testing.T
	addr string

	mu      sync.Mutex
	records []web.Record
}

func (e *engine) Request(r *web.Record) {
	e.mu.Lock()
	defer e.mu.Unlock()
	copied := *r
	e.records = append(e.records, copied)
}

func (e *engine) causes() []web.Cause {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []web.Cause
	for _, r := range e.records {
		all = append(all, r.Cause)
	}
	return all
}

func start(t *testing.T, sites ...web.Site) *engine {
	t.Helper()
	e := &engine{t: t}
	e.Server = New(Config{Observer: e, Peer: func(ctx context.Context) (web.Peer, bool) { return h2.From(ctx), true }})
	for _, s := range sites {
		if s.Route.Policy == nil {
			s.Route.Policy = fields.New(fields.Options{X: true})
		}
	}
	e.Use(web.NewSites(sites))
	e.addr = listen(t, func(c net.Conn) {
		e.ServeConn(context.Background(), c, web.Peer{Remote: netip.MustParseAddrPort(c.RemoteAddr().String())})
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		_ = e.Shutdown(ctx)
	})
	return e
}

func listen(t *testing.T, fn func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				work.Go(func() { fn(c) })
			}
		}
	})
	t.Cleanup(work.Wait)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

func backend(t *testing.T, h http.HandlerFunc) *web.Backend {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return &web.Backend{Name: s.Listener.Addr().String(), Dial: func(ctx context.Context, _ *web.Client) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", s.Listener.Addr().String())
	}}
}

// second makes the same backend one of HTTP/2.
func second(t *testing.T, b *web.Backend) *web.Backend {
	u := h2.NewUpstream(h2.Options{Dial: func(ctx context.Context) (net.Conn, error) { return b.Dial(ctx, nil) }})
	t.Cleanup(u.Close)
	return &web.Backend{Name: b.Name, H2: u}
}

func to(b *web.Backend) web.Site {
	return web.Site{Route: &web.Route{Pick: func() *web.Backend { return b }}}
}

// say sends text and returns the answer to it as it came.
func (e *engine) say(method, text string) (*http.Response, string) {
	e.t.Helper()
	c, err := net.Dial("tcp", e.addr)
	if err != nil {
		e.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	_, _ = io.WriteString(c, text)
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		e.t.Fatalf("answer to %q: %v", text, err)
	}
	body, _ := io.ReadAll(resp.Body)
	return resp, string(body)
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header()["Set-Cookie"] = []string{"a", "b"}
	w.Header().Set("Keep-Alive", "timeout=1")
	_, _ = fmt.Fprintf(w, "%s %s %s xff=%v ua=%v c=%v x=%v %s", r.Method, r.RequestURI, r.Host, r.Header["X-Forwarded-For"], r.Header["User-Agent"], r.Header["Connection"], r.Header["X-Hop"], body)
}

func TestRequestsFollowThePolicy(t *testing.T) {
	b := backend(t, echo)
	for name, b := range map[string]*web.Backend{"1.1": b, "2": second(t, b)} {
		e := start(t, to(b))
		for _, tt := range []struct{ text, want string }{
			{"GET /a%2Fb?c=d;e=%zz HTTP/1.1\r\nHost: a\r\nConnection: X-Hop\r\nX-Hop: 1\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n", "GET /a%2Fb?c=d;e=%zz a xff=[127.0.0.1] ua=[] c=[] x=[] "},
			{"GET //evil/x HTTP/1.1\r\nHost: a\r\nUser-Agent: me\r\n\r\n", "GET //evil/x a xff=[127.0.0.1] ua=[me] c=[] x=[] "},
			{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "POST / a xff=[127.0.0.1] ua=[] c=[] x=[] hello"},
			{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello", "POST / a xff=[127.0.0.1] ua=[] c=[] x=[] hello"},
		} {
			resp, got := e.say("GET", tt.text)
			if resp.StatusCode == 100 {
				continue // the answer behind it is another one
			}
			if got != tt.want || resp.StatusCode != 200 || !slices.Equal(resp.Header["Set-Cookie"], []string{"a", "b"}) || resp.Header["Keep-Alive"] != nil {
				t.Errorf("backend %s: %q: %d %q %v; want %q", name, tt.text, resp.StatusCode, got, resp.Header, tt.want)
			}
		}
	}
}

func TestWhatTheEngineAnswersItself(t *testing.T) {
	b := backend(t, echo)
	refused := &web.Backend{Dial: func(context.Context, *web.Client) (net.Conn, error) { return nil, errors.New("refused") }}
	sites := []web.Site{
		{Host: "ok", Route: to(b).Route},
		{Host: "limited", Route: &web.Route{Pick: to(b).Route.Pick, Limits: web.Limits{MaxBody: 3}, Rate: nil}},
		{Host: "tls", Route: &web.Route{Redirect: "https"}},
		{Host: "none", Route: &web.Route{}},
		{Host: "down", Route: to(refused).Route},
		{Host: "paths", Path: "/a", Route: to(b).Route},
	}
	e := start(t, sites...)
	for _, tt := range []struct {
		text     string
		status   int
		cause    web.Cause
		location string
	}{
		{"GET / HTTP/1.1\r\nHost: other\r\n\r\n", 404, web.Answered, ""},
		{"GET /a/../b HTTP/1.1\r\nHost: ok\r\n\r\n", 400, web.BadRequest, ""},
		{"GET /x?y HTTP/1.1\r\nHost: tls\r\n\r\n", 308, web.Answered, "https://tls/x?y"},
		{"POST / HTTP/1.1\r\nHost: limited\r\nContent-Length: 5\r\n\r\nhello", 413, web.TooLarge, ""},
		{"POST / HTTP/1.1\r\nHost: limited\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 413, web.TooLarge, ""},
		{"GET / HTTP/1.1\r\nHost: none\r\n\r\n", 503, web.NoBackend, ""},
		{"GET / HTTP/1.1\r\nHost: down\r\n\r\n", 502, web.ConnectFailed, ""},
		{"GET http://u@ok/ HTTP/1.1\r\nHost: ok\r\n\r\n", 400, web.BadRequest, ""},
		{"GET / HTTP/1.1\r\nHost: ok\r\nX: y\r\nUpgrade: x\r\nConnection: upgrade, upgrade\r\n\r\n", 200, web.Done, ""},
	} {
		resp, _ := e.say("GET", tt.text)
		if resp.StatusCode != tt.status || resp.Header.Get("Location") != tt.location {
			t.Errorf("%q: %d, location %q; want %d, %q", tt.text, resp.StatusCode, resp.Header.Get("Location"), tt.status, tt.location)
		}
		for len(e.causes()) == 0 {
			time.Sleep(time.Millisecond)
		}
		if got := e.causes(); got[len(got)-1] != tt.cause {
			t.Errorf("%q: cause %v; want %v", tt.text, got[len(got)-1], tt.cause)
		}
		e.mu.Lock()
		e.records = nil
		e.mu.Unlock()
	}
}

func TestUpgrade(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil || r.Header.Get("Upgrade") != "websocket" {
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(c, rw)
	})
	e := start(t, to(b))
	c, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	br := bufio.NewReader(c)
	resp, err := http.ReadResponse(br, nil)
	if err != nil || resp.StatusCode != 101 || resp.Header.Get("Upgrade") != "websocket" {
		t.Fatalf("answer %+v, %v; want 101", resp, err)
	}
	_, _ = io.WriteString(c, "ping")
	got := make([]byte, 4)
	if _, err := io.ReadFull(br, got); string(got) != "ping" || err != nil {
		t.Errorf("echo %q, %v", got, err)
	}
	if active, _ := e.Busy(); active != 1 {
		t.Errorf("Busy() = %d; want the upgraded connection", active)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := e.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown() = %v; want the deadline's error", err)
	}
	if _, err := br.ReadByte(); err == nil {
		t.Error("the upgraded connection is open after Shutdown")
	}
}

func TestInterimAnswersLoseFieldsOfTheHop(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "x")
		w.Header().Set("Proxy-Authenticate", "secret")
		w.Header().Set("Keep-Alive", "timeout=1")
		w.WriteHeader(103)
		clear(w.Header())
		w.WriteHeader(204)
	})
	e := start(t, to(b))
	resp, _ := e.say("GET", "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if resp.StatusCode != 103 || resp.Header.Get("Link") != "x" || resp.Header["Proxy-Authenticate"] != nil || resp.Header["Keep-Alive"] != nil {
		t.Errorf("first answer %d %v; want 103 with Link alone", resp.StatusCode, resp.Header)
	}
}

// TestSecondVersionInFront serves HTTP/2 by package h2 with this engine behind.
func TestSecondVersionInFront(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.Header().Set("X-Proto", r.Header.Get("X-Forwarded-Proto"))
		buf := make([]byte, 100)
		for err := error(nil); err == nil; {
			_ = http.NewResponseController(w).Flush()
			var n int
			n, err = r.Body.Read(buf)
			_, _ = w.Write(buf[:n])
		}
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	})
	for name, b := range map[string]*web.Backend{"1.1": b, "2": second(t, b)} {
		e := start(t, to(b))
		front, err := h2.New(h2.Config{Handler: e.Server})
		if err != nil {
			t.Fatal(err)
		}
		ca := tlstest.NewCA(t, "root")
		conf := &tls.Config{Certificates: []tls.Certificate{ca.Issue(tlstest.Want{}).TLS()}, NextProtos: []string{"h2"}}
		addr := listen(t, func(c net.Conn) {
			secure := tls.Server(c, conf)
			if secure.Handshake() != nil {
				return
			}
			state := secure.ConnectionState()
			front.ServeConn(t.Context(), secure, web.Peer{Remote: netip.MustParseAddrPort(c.RemoteAddr().String()), TLS: &state})
		})
		protocols := new(http.Protocols)
		protocols.SetHTTP2(true)
		tr := &http.Transport{Protocols: protocols, TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}}
		pr, pw := io.Pipe()
		resp, err := (&http.Client{Transport: tr}).Post("https://"+strings.Replace(addr, "127.0.0.1", "localhost", 1)+"/", "application/grpc", pr)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 10)
		for range 3 {
			_, _ = io.WriteString(pw, "piece")
			if n, err := resp.Body.Read(buf); string(buf[:n]) != "piece" || err != nil {
				t.Fatalf("backend %s: echo %q, %v", name, buf[:n], err)
			}
		}
		_ = pw.Close()
		rest, err := io.ReadAll(resp.Body)
		if len(rest) > 0 || err != nil || resp.Trailer.Get("Grpc-Status") != "0" || resp.Header.Get("X-Proto") != "https" {
			t.Errorf("backend %s: %q, %v, trailers %v, fields %v", name, rest, err, resp.Trailer, resp.Header)
		}
		tr.CloseIdleConnections()
		if err := front.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestAnswersThatBreakOffDoNotLookWhole(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "part")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	e := start(t, to(b))
	c, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	all, _ := io.ReadAll(c)
	if bytes.HasSuffix(all, []byte("0\r\n\r\n")) || !bytes.Contains(all, []byte("part")) {
		t.Errorf("answer %q; want a part without an end", all)
	}
	if got := e.causes(); len(got) != 1 || got[0] != web.BackendTorn {
		t.Errorf("causes %v; want backend-torn", got)
	}
}

func TestLateAnswers(t *testing.T) {
	b := backend(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	site := to(b)
	site.Route.Limits.Response = 20 * time.Millisecond
	e := start(t, site)
	if resp, _ := e.say("GET", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); resp.StatusCode != 504 {
		t.Errorf("answer %d; want 504", resp.StatusCode)
	}
}

func TestLameAndShutdown(t *testing.T) {
	e := start(t, to(backend(t, echo)))
	e.Lame()
	if resp, _ := e.say("GET", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); !resp.Close || resp.StatusCode != 200 {
		t.Errorf("answer %d, close %v; want 200 and close", resp.StatusCode, resp.Close)
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown() = %v", err)
	}
}
