package web

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/roles/proxy/stream"
)

// TestTrailersBelongToOneAnswer: a buffer that was used before must not tell the next client what the one before was told.
func TestTrailersBelongToOneAnswer(t *testing.T) {
	addr := listen(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		for n := 0; ; n++ {
			if _, err := readMessage(r); err != nil {
				return
			}
			if n > 0 {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\nuntil the end")
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Secret: of-the-first\r\n\r\n")
		}
	})
	f := serve(t, to(Config{}, addr, nil), false)
	const ask = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
	got := f.all(t, ask+strings.Replace(ask, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
	if n := strings.Count(got, "of-the-first"); n != 1 || !strings.HasSuffix(got, "until the end\r\n0\r\n\r\n") {
		t.Errorf("answers = %q; want the trailer behind the first alone", got)
	}
}

// TestTLSBackendThatIsCutOff: an answer that lasts until the connection ends is whole only when TLS says so.
func TestTLSBackendThatIsCutOff(t *testing.T) {
	conf := &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	addr := listen(t, func(c net.Conn) {
		s := tls.Server(c, conf)
		r := bufio.NewReader(s)
		msg, err := readMessage(r)
		if err != nil {
			return
		}
		_, _ = io.WriteString(s, "HTTP/1.1 200 OK\r\n\r\nall of it, or not")
		if strings.Contains(msg, "/clean") {
			_ = s.Close()
			return
		}
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, c)
	})
	l := newLog()
	f := serve(t, to(Config{Observer: l}, addr, func(_ *Route, b *Backend) {
		b.Dial = func(ctx context.Context, _ *Client) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
			if err != nil {
				return nil, err
			}
			return tls.Client(stream.Coalesce(c, nil), &tls.Config{InsecureSkipVerify: true}), nil
		}
	}), false)
	for _, tt := range []struct {
		path, version string
		cause         Cause
	}{{"/clean", "1.1", Done}, {"/clean", "1.0", Done}, {"/torn", "1.1", BackendTorn}, {"/torn", "1.0", BackendTorn}} {
		c := f.dial(t)
		write(t, c, "GET "+tt.path+" HTTP/"+tt.version+"\r\nHost: h\r\nConnection: close\r\n\r\n")
		got, err := io.ReadAll(c)
		if cause := l.wait(t).Cause; cause != tt.cause {
			t.Errorf("%s for HTTP/%s: cause %v; want %v", tt.path, tt.version, cause, tt.cause)
		}
		whole := err == nil && (tt.version == "1.0" || strings.HasSuffix(string(got), "\r\n0\r\n\r\n"))
		if whole != (tt.cause == Done) {
			t.Errorf("%s for HTTP/%s: %q, %v; want it to look whole: %v", tt.path, tt.version, got, err, tt.cause == Done)
		}
	}
}

// TestSilentUpgradedConnectionIsCut: by the limit of the route for silence.
func TestSilentUpgradedConnectionIsCut(t *testing.T) {
	addr := listen(t, func(c net.Conn) {
		if _, err := readMessage(bufio.NewReader(c)); err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(io.Discard, c)
	})
	l := newLog()
	f := serve(t, to(Config{Observer: l}, addr, func(r *Route, _ *Backend) { r.Limits.Silence = 50 * time.Millisecond }), false)
	got := f.all(t, "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	contains(t, got, " 101 ")
	if rec := l.wait(t); rec.Cause != IdleEnd {
		t.Errorf("cause %v; want %v", rec.Cause, IdleEnd)
	}
}

// TestRateOfHardlyEver: durations end at 292 years, and a limit must not turn into none there.
func TestRateOfHardlyEver(t *testing.T) {
	for _, perSecond := range []float64{1e-3, 1e-9, 1e-12, 1e-300} {
		for _, burst := range []int{0, 1, 1 << 20} {
			r := NewRate(perSecond, burst)
			at, took := time.Now(), 0
			for took < 1<<20+1 && r.take(netip.MustParseAddr("192.0.2.1"), at) == 0 {
				took++
			}
			if took < 1 || took > max(burst, 1) {
				t.Errorf("NewRate(%g, %d) let %d at once; want 1 to %d", perSecond, burst, took, max(burst, 1))
			}
		}
	}
}
