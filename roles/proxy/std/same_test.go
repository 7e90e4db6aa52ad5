package std

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/internal/tlsconf/tlstest"
	"github.com/sidecar-kit/sidecar/roles/proxy/fields"
	"github.com/sidecar-kit/sidecar/roles/proxy/stream"
	"github.com/sidecar-kit/sidecar/roles/proxy/web"
)

func TestTrailersOfRequestsReachTheBackend(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, r.Trailer.Get("X-Sum"))
	})
	e := start(t, to(b))
	_, body := e.say("POST", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 7\r\n\r\n")
	if body != "7" {
		t.Errorf("the backend got the trailer %q; want 7", body)
	}
}

func TestOldClientsWithoutHost(t *testing.T) {
	e := start(t, to(backend(t, echo)))
	resp, body := e.say("GET", "GET /old HTTP/1.0\r\n\r\n")
	if resp.StatusCode != 200 || !strings.HasPrefix(body, "GET /old localhost ") {
		t.Errorf("answer %d %q; want 200 and a Host that is not empty", resp.StatusCode, body)
	}
}

// TestRateIsOfTheClient: behind a trusted proxy not all clients are one.
func TestRateIsOfTheClient(t *testing.T) {
	site := to(backend(t, echo))
	site.Route.Policy = fields.New(fields.Options{X: true, Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	site.Route.Rate = web.NewRate(0.001, 1)
	e := start(t, site)
	for _, tt := range []struct {
		client string
		status int
	}{{"192.0.2.1", 200}, {"192.0.2.2", 200}, {"192.0.2.1", 429}} {
		if resp, _ := e.say("GET", "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: "+tt.client+"\r\n\r\n"); resp.StatusCode != tt.status {
			t.Errorf("%s: status %d; want %d", tt.client, resp.StatusCode, tt.status)
		}
	}
}

func TestSilentUpgradedConnectionIsCut(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(io.Discard, c)
	})
	site := to(b)
	site.Route.Limits.Silence = 50 * time.Millisecond
	e := start(t, site)
	c, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	if got, err := io.ReadAll(c); err != nil || !strings.Contains(string(got), " 101 ") {
		t.Errorf("got %q, %v; want 101 and the end", got, err)
	}
	for len(e.causes()) == 0 {
		time.Sleep(time.Millisecond)
	}
	if got := e.causes(); got[0] != web.IdleEnd {
		t.Errorf("causes %v; want idle", got)
	}
}

// TestTLSBackendThatIsCutOff: an answer that lasts until the connection ends is whole only when TLS says so.
func TestTLSBackendThatIsCutOff(t *testing.T) {
	ca := tlstest.NewCA(t, "root")
	conf := &tls.Config{Certificates: []tls.Certificate{ca.Issue(tlstest.Want{}).TLS()}}
	addr := listen(t, func(c net.Conn) {
		defer c.Close()
		s := tls.Server(c, conf)
		req, err := http.ReadRequest(bufio.NewReader(s))
		if err != nil {
			return
		}
		_, _ = io.WriteString(s, "HTTP/1.1 200 OK\r\n\r\nall of it, or not")
		if req.URL.Path == "/clean" {
			_ = s.Close()
		}
	})
	b := &web.Backend{Name: addr, Dial: func(ctx context.Context, _ *web.Client) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		return tls.Client(stream.Coalesce(c, nil), &tls.Config{InsecureSkipVerify: true}), nil
	}}
	e := start(t, to(b))
	for i, want := range []web.Cause{web.Done, web.BackendTorn} {
		c, err := net.Dial("tcp", e.addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "GET "+[]string{"/clean", "/torn"}[i]+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		got, _ := io.ReadAll(c)
		_ = c.Close()
		if whole := strings.HasSuffix(string(got), "0\r\n\r\n"); whole != (want == web.Done) {
			t.Errorf("answer %q; want it to look whole: %v", got, want == web.Done)
		}
		for len(e.causes()) == i {
			time.Sleep(time.Millisecond)
		}
		if got := e.causes()[i]; got != want {
			t.Errorf("cause %v; want %v", got, want)
		}
	}
	if n := b.Stats.Open.Load(); n != 0 {
		t.Errorf("%d connections are counted as open; want 0", n)
	}
}

// gone is what net/http's HTTP/2 is when its handler has returned.
type gone struct {
	http.ResponseWriter
	over bool
}

func (g *gone) SetReadDeadline(time.Time) error {
	if g.over {
		panic("a deadline after the end")
	}
	return nil
}

// TestBodyIsReadAfterTheEnd: an early answer ends the exchange while the transport still reads.
func TestBodyIsReadAfterTheEnd(t *testing.T) {
	g := &gone{}
	in := &input{x: &exchange{route: &web.Route{}}, body: io.NopCloser(strings.NewReader("body")), control: http.NewResponseController(g)}
	if n, err := in.Read(make([]byte, 2)); n != 2 || err != nil {
		t.Errorf("Read() = %d, %v", n, err)
	}
	in.end()
	g.over = true
	if all, err := io.ReadAll(in); string(all) != "dy" || err != nil {
		t.Errorf("ReadAll() = %q, %v", all, err)
	}
}

// TestAnswersOvertakeBodies: over HTTP/1 an answer may begin, and go on, while the body still comes.
func TestAnswersOvertakeBodies(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		buf := make([]byte, 100)
		for {
			n, err := r.Body.Read(buf)
			_, _ = w.Write(buf[:n])
			_ = http.NewResponseController(w).Flush()
			if err != nil {
				return
			}
		}
	})
	e := start(t, to(b))
	c, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\npiece\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	for i := range 3 {
		if _, err := io.ReadFull(resp.Body, got); string(got) != "piece" || err != nil {
			t.Fatalf("piece %d: %q, %v", i, got, err)
		}
		if i < 2 {
			_, _ = io.WriteString(c, "5\r\npiece\r\n")
		}
	}
	_, _ = io.WriteString(c, "0\r\n\r\n")
	if rest, err := io.ReadAll(resp.Body); len(rest) > 0 || err != nil {
		t.Errorf("the end: %q, %v", rest, err)
	}
}
