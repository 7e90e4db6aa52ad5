package h2

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/roles/proxy/fields"
	"github.com/sidecar-kit/sidecar/roles/proxy/web"
	"github.com/sidecar-kit/sidecar/roles/proxy/wire"
)

// through starts a server whose requests go through an engine to one backend.
func through(t *testing.T, b *web.Backend, l web.Limits) *front {
	t.Helper()
	engine := web.New(web.Config{})
	engine.Use(web.NewSites([]web.Site{{Route: &web.Route{Policy: fields.New(fields.Options{X: true}), Pick: func() *web.Backend { return b }, Limits: l}}}))
	f := serve(t, Config{Handler: Handler(engine.Send, wire.Limits{}, nil)})
	t.Cleanup(func() { _ = engine.Shutdown(context.Background()); b.Close() })
	return f
}

// one is a backend that speaks HTTP/1.
func one(t *testing.T, h http.HandlerFunc) *web.Backend {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return &web.Backend{Dial: func(ctx context.Context, _ *web.Client) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", s.Listener.Addr().String())
	}}
}

// both runs a test against a backend of each version.
func both(t *testing.T, h http.HandlerFunc, test func(t *testing.T, f *front)) {
	t.Helper()
	t.Run("backend 1.1", func(t *testing.T) { test(t, through(t, one(t, h), web.Limits{})) })
	t.Run("backend 2", func(t *testing.T) {
		u := newBackend(t, 100, h).upstream(t, Options{})
		test(t, through(t, &web.Backend{H2: u}, web.Limits{}))
	})
}

func TestFrontPassesRequestsOn(t *testing.T) {
	both(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header()["Set-Cookie"] = []string{"a=1", "b=2"}
		w.Header().Set("Connection", "keep-alive")
		_, _ = fmt.Fprintf(w, "%s %s %s %s %s %s %q", r.Method, r.RequestURI, r.Host, r.Header.Get("Cookie"), r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Forwarded-For"), body)
	}, func(t *testing.T, f *front) {
		for _, tt := range []struct{ method, target, body, want string }{
			{"GET", "/a%2Fb?c=d", "", `GET /a%2Fb?c=d a.example a=b; c=d https 127.0.0.1 ""`},
			{"POST", "/", "hello", `POST / a.example a=b; c=d https 127.0.0.1 "hello"`},
			{"POST", "/", strings.Repeat("x", 300_000), ""},
			{"HEAD", "/", "", ""},
		} {
			req, _ := http.NewRequest(tt.method, f.url(tt.target), strings.NewReader(tt.body))
			req.Host = "a.example"
			req.Header["Cookie"] = []string{"a=b; c=d"}
			resp, err := f.client().Do(req)
			if err != nil {
				t.Errorf("%s: %v", tt.method, err)
				continue
			}
			got, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if tt.want != "" && string(got) != tt.want || err != nil || resp.StatusCode != 200 || !slices.Equal(resp.Header["Set-Cookie"], []string{"a=1", "b=2"}) || resp.Header["Connection"] != nil {
				t.Errorf("%s %s: %d %q, %v, %v; want %q", tt.method, tt.target, resp.StatusCode, got, resp.Header, err, tt.want)
			}
			if tt.method == "HEAD" && resp.ContentLength <= 0 {
				t.Errorf("HEAD: length %d; want that of the answer", resp.ContentLength)
			}
		}
	})
}

// TestFrontStreamsBothWays is a call of gRPC with a stream in each direction, and trailers.
func TestFrontStreamsBothWays(t *testing.T) {
	both(t, func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		_ = c.EnableFullDuplex()
		w.WriteHeader(200)
		_ = c.Flush()
		buf := make([]byte, 100)
		for {
			n, err := r.Body.Read(buf)
			_, _ = w.Write(buf[:n])
			_ = c.Flush()
			if err != nil {
				w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
				w.Header().Set(http.TrailerPrefix+"X-Sum", r.Trailer.Get("X-Sum"))
				return
			}
		}
	}, func(t *testing.T, f *front) {
		pr, pw := io.Pipe()
		req, _ := http.NewRequest("POST", f.url("/"), pr)
		req.Trailer = http.Header{"X-Sum": nil}
		req.Header.Set("Te", "trailers")
		resp, err := f.client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		for i := range 10 {
			piece := fmt.Sprint("piece ", i)
			_, _ = io.WriteString(pw, piece)
			if n, err := resp.Body.Read(buf); string(buf[:n]) != piece || err != nil {
				t.Fatalf("echo %q, %v; want %q", buf[:n], err, piece)
			}
		}
		req.Trailer["X-Sum"] = []string{"42"}
		_ = pw.Close()
		if rest, err := io.ReadAll(resp.Body); len(rest) > 0 || err != nil {
			t.Errorf("the end gave %q, %v", rest, err)
		}
		if resp.Trailer.Get("Grpc-Status") != "0" || resp.Trailer.Get("X-Sum") != "42" {
			t.Errorf("trailers %v; want both", resp.Trailer)
		}
	})
}

// TestCallThatFailsAtOnceIsHeadersAlone: clients of gRPC take a status from HEADERS only when they end the stream.
func TestCallThatFailsAtOnceIsHeadersAlone(t *testing.T) {
	both(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Grpc-Status", "5") }, func(t *testing.T, f *front) {
		fr := f.frames()
		fr.must(fr.send(typeHeaders, flagEnd|flagHeaders, 1, get()))
		if got, err := fr.until(typeHeaders, 1); err != nil || got.flags&flagEnd == 0 {
			t.Errorf("HEADERS with flags %x, %v; want the end of the stream", got.flags, err)
		}
	})
}

// TestSilentCallGoesOn: one direction of a call may say nothing for longer than a body of known length may.
func TestSilentCallGoesOn(t *testing.T) {
	b := one(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		_ = http.NewResponseController(w).Flush()
		_, _ = io.Copy(w, r.Body)
	})
	f := through(t, b, web.Limits{Progress: 50 * time.Millisecond})
	pr, pw := io.Pipe()
	resp, err := f.client().Post(f.url("/"), "application/grpc", pr)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(700 * time.Millisecond) // more than the limit and the pace of who watches it
	_, _ = io.WriteString(pw, "late")
	_ = pw.Close()
	if got, err := io.ReadAll(resp.Body); string(got) != "late" || err != nil {
		t.Errorf("answer %q, %v; want what was said late", got, err)
	}
}

func TestFrontCancellation(t *testing.T) {
	gone := make(chan struct{}, 10)
	both(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		if r.URL.Path == "/abort" {
			_, _ = io.WriteString(w, "part")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		_ = http.NewResponseController(w).Flush()
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		gone <- struct{}{}
	}, func(t *testing.T, f *front) {
		client := f.client()
		for _, body := range []bool{false, true} {
			ctx, cancel := context.WithCancel(t.Context())
			req, _ := http.NewRequestWithContext(ctx, "GET", f.url("/"), nil)
			pr, pw := io.Pipe()
			if body {
				req, _ = http.NewRequestWithContext(ctx, "POST", f.url("/"), pr)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			_ = resp.Body.Close() // net/http sends the reset now when a body is under way
			<-gone
			_ = pw.Close()
		}
		resp, err := client.Get(f.url("/abort"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(resp.Body); err == nil {
			t.Errorf("the answer that broke off reads as the whole %q", got)
		}
		_ = resp.Body.Close()
	})
}

// TestNothingBadReachesTheBackend sends by frames what HTTP/1 would take for something else, to a backend that looks at every byte.
func TestNothingBadReachesTheBackend(t *testing.T) {
	var bad atomic.Int64
	addr := listen(t, func(c net.Conn) {
		defer c.Close()
		br := bufio.NewReader(c)
		for {
			r, err := http.ReadRequest(br)
			if err != nil {
				if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "reset") {
					bad.Add(1)
					t.Errorf("the backend read: %v", err)
				}
				return
			}
			_, err = io.Copy(io.Discard, r.Body)
			if r.RequestURI != "/good" || r.Header.Get("X-Bad") != "" || len(r.TransferEncoding) > 1 {
				bad.Add(1)
				t.Errorf("the backend got %s %s %v", r.Method, r.RequestURI, r.Header)
			}
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	b := &web.Backend{Dial: func(ctx context.Context, _ *web.Client) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	}}
	f := through(t, b, web.Limits{})
	request := func(fields ...string) []byte { return block(fields...) }
	good := []string{":method", "GET", ":scheme", "https", ":authority", "a.example", ":path", "/good"}
	with := func(fields ...string) []byte { return block(slices.Concat(good, fields)...) }
	post := func(fields ...string) []byte {
		return block(slices.Concat([]string{":method", "POST", ":scheme", "https", ":authority", "a.example", ":path", "/good"}, fields)...)
	}
	tests := map[string]struct {
		head []byte
		data string // "": the head ends the stream
	}{
		"CR LF in a value":        {with("x", "a\r\nx-bad: b"), ""},
		"LF in a value":           {with("x", "a\nx-bad: b"), ""},
		"NUL in a value":          {with("x", "a\x00b"), ""},
		"CR LF in a name":         {with("x\r\nx-bad", "b"), ""},
		"colon in a name":         {with("x-bad: b", "c"), ""},
		"upper case":              {with("X-Bad", "b"), ""},
		"connection":              {with("connection", "close"), ""},
		"keep-alive":              {with("keep-alive", "1"), ""},
		"proxy-connection":        {with("proxy-connection", "close"), ""},
		"upgrade":                 {with("upgrade", "h2c"), ""},
		"http2-settings":          {with("http2-settings", "AAAA"), ""},
		"te":                      {with("te", "gzip"), ""},
		"chunked":                 {post("transfer-encoding", "chunked"), "0\r\n\r\nGET /x HTTP/1.1\r\n\r\n"},
		"length too small":        {post("content-length", "1"), "GET /x HTTP/1.1\r\n\r\n"},
		"length 0":                {post("content-length", "0"), "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"},
		"length too large":        {post("content-length", "1000"), "x"},
		"length of no body":       {with("content-length", "10"), ""},
		"two lengths":             {post("content-length", "5", "content-length", "6"), "hello"},
		"length no number":        {post("content-length", "x"), "hello"},
		"blank in :path":          {request(":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/bad HTTP/1.1"), ""},
		"CR LF in :path":          {request(":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/bad HTTP/1.1\r\nX: y\r\n\r\n"), ""},
		"absolute :path":          {request(":method", "GET", ":scheme", "https", ":authority", "a", ":path", "http://b/bad"), ""},
		"empty :path":             {request(":method", "GET", ":scheme", "https", ":authority", "a", ":path", ""), ""},
		"CR LF in :method":        {request(":method", "GET /bad HTTP/1.1\r\nX: y\r\n\r\nGET", ":scheme", "https", ":authority", "a", ":path", "/bad"), ""},
		"CR LF in :authority":     {request(":method", "GET", ":scheme", "https", ":authority", "a\r\nX-Bad: y", ":path", "/good"), ""},
		"no :authority":           {request(":method", "GET", ":scheme", "https", ":path", "/good"), ""},
		"another host":            {with("host", "b.example"), ""},
		"two hosts":               {with("host", "a.example", "host", "a.example"), ""},
		"two :path":               {request(":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/good", ":path", "/bad"), ""},
		"two :method":             {request(":method", "GET", ":method", "PUT", ":scheme", "https", ":authority", "a", ":path", "/good"), ""},
		"no :scheme":              {request(":method", "GET", ":authority", "a", ":path", "/good"), ""},
		":status":                 {with(":status", "200"), ""},
		"pseudo field at the end": {request(":method", "GET", ":scheme", "https", ":authority", "a", "x", "y", ":path", "/good"), ""},
		"CONNECT":                 {request(":method", "CONNECT", ":authority", "a:443"), ""},
		"CR LF in a cookie":       {with("cookie", "a\r\nx-bad: b"), ""},
	}
	for name, tt := range tests {
		fr := f.frames()
		flags := byte(flagHeaders)
		if tt.data == "" {
			flags |= flagEnd
		}
		_ = fr.send(typeHeaders, flags, 1, tt.head)
		if tt.data != "" {
			_ = fr.send(typeData, flagEnd, 1, []byte(tt.data))
		}
		for {
			got, err := fr.read()
			if err != nil || got.stream == 1 && (got.kind == typeReset || got.kind == typeHeaders) || got.kind == typeGoAway {
				if err == nil && got.kind == typeHeaders && got.payload[0] == 0x88 { // :status 200
					t.Errorf("%s was answered with 200", name)
				}
				break
			}
		}
		_ = fr.conn.Close()
	}
	fr := f.frames()
	fr.must(fr.send(typeHeaders, flagEnd|flagHeaders, 1, with()))
	if got, err := fr.until(typeHeaders, 1); err != nil || got.payload[0] != 0x88 {
		t.Errorf("a good request gave %+v, %v; want 200", got, err)
	}
	if n := bad.Load(); n > 0 {
		t.Errorf("%d messages reached the backend that must not", n)
	}
}

// TestClientThatTakesNothing: a window of zero holds no more than a window of the answer, and is cut in the end.
func TestClientThatTakesNothing(t *testing.T) {
	var sent atomic.Int64
	b := one(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			n, err := w.Write(make([]byte, 32<<10))
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	})
	f := through(t, b, web.Limits{Progress: 300 * time.Millisecond})
	fr := f.frames()
	fr.must(fr.send(typeHeaders, flagEnd|flagHeaders, 1, get()))
	got, err := fr.until(typeReset, 1)
	if err != nil || binary.BigEndian.Uint32(got.payload) == 0 {
		t.Errorf("got %+v, %v; want the stream reset", got, err)
	}
	if n := sent.Load(); n > 32<<20 {
		t.Errorf("%d bytes were taken from the backend", n)
	}
}
