package web

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestNothingFailsWhileTheBackendCloses: the backend closes after any answer,
// at once or a little later, so that connections end while they are idle and
// while the next request is on its way.
func TestNothingFailsWhileTheBackendCloses(t *testing.T) {
	addr := listen(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		for range 1 + rand.IntN(6) {
			if _, err := readMessage(r); err != nil {
				return
			}
			if _, err := io.WriteString(c, ok); err != nil {
				return
			}
		}
		time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
	})
	var retries *Stats
	f := serve(t, to(Config{}, addr, func(_ *Route, b *Backend) { retries = &b.Stats }), false)
	var all sync.WaitGroup
	for range 8 {
		c := f.dial(t)
		all.Go(func() {
			r := bufio.NewReader(c)
			for i := range 500 {
				if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
					t.Error(err)
					return
				}
				if msg, err := readMessage(r); err != nil || msg != ok {
					t.Errorf("request %d: %q, %v", i, msg, err)
					return
				}
			}
		})
	}
	all.Wait()
	if retries.Stale.Load()+retries.Retries.Load() == 0 {
		t.Error("the backend closed and no connection was found stale: the test shows nothing")
	}
}

func TestRequestsThatMayHaveHadAnEffectAreNotRepeated(t *testing.T) {
	for _, method := range []string{"POST", "GET"} {
		var seen atomic.Int64
		addr := listen(t, func(c net.Conn) {
			r := bufio.NewReader(c)
			if _, err := readMessage(r); err != nil {
				return
			}
			_, _ = io.WriteString(c, ok)
			if _, err := readMessage(r); err == nil {
				seen.Add(1) // and no answer
			}
		})
		f := serve(t, to(Config{}, addr, nil), false)
		c := f.dial(t)
		r := bufio.NewReader(c)
		var msg string
		for range 2 {
			write(t, c, method+" / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
			msg, _ = readMessage(r)
		}
		switch {
		case method == "GET" && msg != ok:
			t.Errorf("GET = %q; want a second try", msg)
		case method == "POST" && (!strings.HasPrefix(msg, "HTTP/1.1 502 ") || seen.Load() != 1):
			t.Errorf("POST = %q after %d tries; want 502 after one", msg, seen.Load())
		}
	}
}

func TestTornAnswersAreTorn(t *testing.T) {
	tests := map[string]string{
		"length":      "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart",
		"large":       "HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n" + strings.Repeat("a", 500000),
		"chunks":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
		"chunk":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n9\r\npa",
		"last chunk":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n0\r\n",
		"broken":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n|x\r\n",
		"broken late": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n|0x1\r\na\r\n0\r\n\r\n",
	}
	for name, answer := range tests {
		for _, withTLS := range []bool{false, true} {
			for _, head := range []string{"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"} {
				addr := listen(t, func(c net.Conn) {
					if _, err := readMessage(bufio.NewReader(c)); err != nil {
						return
					}
					first, rest, _ := strings.Cut(answer, "|")
					_, _ = io.WriteString(c, first)
					if rest != "" {
						time.Sleep(20 * time.Millisecond)
						_, _ = io.WriteString(c, rest)
					}
				})
				l := newLog()
				f := serve(t, to(Config{Observer: l}, addr, nil), withTLS)
				c := f.dial(t)
				write(t, c, head)
				got, err := io.ReadAll(c)
				resp, herr := http.ReadResponse(bufio.NewReader(bytes.NewReader(got)), nil)
				if herr == nil {
					_, herr = io.Copy(io.Discard, resp.Body)
				}
				if err == nil && herr == nil {
					t.Errorf("%s: the client takes %d bytes for a whole answer", name, len(got))
				}
				if r := l.wait(t); r.Cause != BackendTorn && r.Cause != BadAnswer {
					t.Errorf("%s: cause = %v; want backend-torn", name, r.Cause)
				}
			}
		}
	}
}

func TestClientThatIsGoneEndsItsRequest(t *testing.T) {
	over := make(chan struct{}, 1)
	addr := listen(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		if _, err := readMessage(r); err == nil {
			_, _ = r.ReadByte()
			over <- struct{}{}
		}
	})
	for _, withTLS := range []bool{false, true} {
		l := newLog()
		f := serve(t, to(Config{Observer: l}, addr, nil), withTLS)
		c := f.dial(t)
		write(t, c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		time.Sleep(20 * time.Millisecond)
		_ = c.Close()
		select {
		case <-over:
		case <-time.After(patience):
			t.Fatal("the client is gone and the backend goes on")
		}
		if r := l.wait(t); r.Cause != ClientGone || r.Status != 0 {
			t.Errorf("record = %v %d; want client-gone 0", r.Cause, r.Status)
		}
	}
}

func TestSlowOnesAreCut(t *testing.T) {
	hang := listen(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		line, _ := r.ReadString('\n')
		if strings.Contains(line, "/body") {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart")
		}
		_, _ = io.Copy(io.Discard, r)
	})
	const soon = 100 * time.Millisecond
	l := newLog()
	f := serve(t, to(Config{Observer: l, Header: soon, Idle: soon}, hang, func(r *Route, _ *Backend) {
		r.Limits.Response, r.Limits.Silence, r.Limits.Progress = soon, soon, soon
	}), false)
	tests := []struct {
		name, in, want string
		cause          Cause
	}{
		{"half a head", "GET / HTTP/1.1\r\nHos", "HTTP/1.1 408 ", ClientSlow},
		{"half a body", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab", "HTTP/1.1 408 ", ClientSlow},
		{"half a chunk", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "HTTP/1.1 408 ", ClientSlow},
		{"no answer", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 504 ", BackendSlow},
		{"no answer to a body", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6000\r\n\r\n" + strings.Repeat("a", 6000), "HTTP/1.1 504 ", BackendSlow},
		{"half an answer", "GET /body HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 ", BackendSlow},
	}
	for _, tt := range tests {
		if got := f.all(t, tt.in); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: answer = %q; want %s", tt.name, got, tt.want)
		}
		if r := l.wait(t); r.Cause != tt.cause {
			t.Errorf("%s: cause = %v; want %v", tt.name, r.Cause, tt.cause)
		}
	}
	if got := f.all(t, ""); got != "" {
		t.Errorf("a connection without a request gets %q; want nothing", got)
	}
}

func TestClientThatTakesNothingIsCut(t *testing.T) {
	addr := listen(t, func(c net.Conn) {
		if _, err := readMessage(bufio.NewReader(c)); err == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			for {
				if _, err := c.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}
	})
	l := newLog()
	f := serve(t, to(Config{Observer: l}, addr, func(r *Route, _ *Backend) { r.Limits.Progress = 100 * time.Millisecond }), false)
	write(t, f.dial(t), "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if r := l.wait(t); r.Cause != ClientSlow {
		t.Errorf("cause = %v; want client-slow", r.Cause)
	}
}

func TestAnswersOfTheProxyItself(t *testing.T) {
	rec := record(t, always(ok))
	down := &Backend{Dial: func(context.Context, *Client) (net.Conn, error) { return nil, errors.New("no") }}
	f := serve(t, to(Config{}, rec.addr, nil), false)
	up := f.sites.Load().single
	p := up.Policy
	f.Use(NewSites([]Site{
		{Host: "a", Path: "/x", Route: up},
		{Host: "*.w", Route: up},
		{Host: "a", Path: "/https", Route: &Route{Policy: p, Redirect: "https"}},
		{Host: "a", Path: "/other", Route: &Route{Policy: p, Redirect: "http://o:1", RedirectCode: 302}},
		{Host: "a", Path: "/down", Route: &Route{Policy: p, Pick: func() *Backend { return down }}},
		{Host: "a", Path: "/none", Route: &Route{Policy: p, Pick: func() *Backend { return nil }}},
		{Host: "a", Path: "/small", Route: &Route{Policy: p, Pick: up.Pick, Limits: Limits{MaxBody: 4}}},
		{Host: "a", Path: "/rate", Route: &Route{Policy: p, Pick: up.Pick, Rate: NewRate(0.1, 1)}},
	}))
	defer f.Use(NewSites([]Site{{Route: up}}))
	tests := []struct{ in, want string }{
		{"GET /x/y HTTP/1.1\r\nHost: A:80\r\n\r\n", "HTTP/1.1 200 "},
		{"GET /x?y HTTP/1.1\r\nHost: a.\r\n\r\n", "HTTP/1.1 200 "},
		{"GET /xy HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404 "},
		{"GET /x/../https HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400 "},
		{"GET /x/%2E%2e/https HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400 "},
		{"GET /x/..%2fhttps HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400 "},
		{"GET / HTTP/1.1\r\nHost: b\r\n\r\n", "HTTP/1.1 404 "},
		{"GET / HTTP/1.1\r\nHost: w\r\n\r\n", "HTTP/1.1 404 "},
		{"GET / HTTP/1.1\r\nHost: x.y.W\r\n\r\n", "HTTP/1.1 200 "},
		{"GET /https?q HTTP/1.1\r\nHost: a:80\r\n\r\n", "HTTP/1.1 308 Permanent Redirect\r\n"},
		{"HEAD /other HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 302 "},
		{"GET /down HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 502 "},
		{"GET /none HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 503 "},
		{"POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 413 "},
		{"POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "HTTP/1.1 413 "},
		{"GET /rate HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 "},
		{"GET /rate HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 429 "},
	}
	for _, tt := range tests {
		in := strings.Replace(tt.in, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1)
		got := f.all(t, in)
		if !strings.HasPrefix(got, tt.want) || !strings.Contains(got, "\r\nConnection: close\r\n") {
			t.Errorf("answer to %q = %q; want %q", tt.in, got, tt.want)
		}
		switch {
		case strings.Contains(in, "/https?q"):
			contains(t, got, "Location: https://a/https?q\r\n")
		case strings.Contains(in, "/other"):
			contains(t, got, "Location: http://o:1/other\r\n")
		case strings.Contains(tt.want, "429"):
			contains(t, got, "Retry-After: 10\r\n")
		}
	}
}

func TestChunkedBodyOverTheLimit(t *testing.T) {
	rec := record(t, always(ok))
	f := serve(t, to(Config{}, rec.addr, func(r *Route, _ *Backend) { r.Limits.MaxBody = 20000 }), false)
	c := f.dial(t)
	write(t, c, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
	go func() {
		for range 100 {
			if _, err := io.WriteString(c, "400\r\n"+strings.Repeat("a", 1024)+"\r\n"); err != nil {
				return
			}
		}
	}()
	msg, err := readMessage(bufio.NewReader(c))
	if !strings.HasPrefix(msg, "HTTP/1.1 413 ") {
		t.Errorf("answer = %q, %v; want 413", msg, err)
	}
}

func TestTooManyAtOnce(t *testing.T) {
	wait := make(chan struct{})
	in := make(chan struct{})
	rec := record(t, func(int, string) (string, bool) {
		in <- struct{}{}
		<-wait
		return ok, true
	})
	f := serve(t, to(Config{}, rec.addr, func(r *Route, _ *Backend) { r.Limits.MaxRequests = 1 }), false)
	c := f.dial(t)
	write(t, c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	<-in
	if got := f.all(t, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 503 ") {
		t.Errorf("answer = %q; want 503", got)
	}
	close(wait)
	if msg, err := readMessage(bufio.NewReader(c)); msg != ok {
		t.Errorf("answer = %q, %v; want %q", msg, err, ok)
	}
}

func TestRateForgetsTheOldestClient(t *testing.T) {
	r := NewRate(1, 2)
	at := time.Now()
	a := netip.MustParseAddr("2001:db8::1")
	for i, want := range []bool{true, true, false} {
		if got := r.take(a, at) == 0; got != want {
			t.Errorf("take %d = %v; want %v", i, got, want)
		}
	}
	if r.take(netip.MustParseAddr("2001:db8::2"), at) == 0 {
		t.Error("another address of the same /64 has tokens of its own")
	}
	if r.take(netip.MustParseAddr("::ffff:192.0.2.1"), at) != 0 || r.take(netip.MustParseAddr("192.0.2.1"), at) != 0 || r.take(netip.MustParseAddr("192.0.2.1"), at) == 0 {
		t.Error("an IPv4 address in IPv6 is another client")
	}
	if wait := r.take(a, at.Add(500*time.Millisecond)); wait <= 0 || wait > time.Second {
		t.Errorf("wait = %v; want at most a second", wait)
	}
	if r.take(a, at.Add(time.Second)) != 0 {
		t.Error("no token after a second")
	}
	for i := range 100000 {
		r.take(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), at)
	}
}

func TestBackendThatTakesNoBodyIsToBlame(t *testing.T) {
	over := make(chan struct{})
	defer close(over)
	addr := listen(t, func(c net.Conn) {
		_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
		<-over
	})
	for _, withTLS := range []bool{false, true} {
		l := newLog()
		f := serve(t, to(Config{Observer: l}, addr, func(r *Route, _ *Backend) {
			r.Limits.Progress, r.Limits.Response = 200*time.Millisecond, 200*time.Millisecond
		}), withTLS)
		c := f.dial(t)
		go func() {
			_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 30000000\r\n\r\n"+strings.Repeat("a", 30000000))
		}()
		if msg, err := readMessage(bufio.NewReader(c)); !strings.HasPrefix(msg, "HTTP/1.1 504 ") {
			t.Errorf("answer = %q, %v; want 504", msg, err)
		}
		if r := l.wait(t); r.Cause != BackendSlow {
			t.Errorf("cause = %v; want backend-slow", r.Cause)
		}
	}
}
