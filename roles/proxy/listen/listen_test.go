package listen

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/roles/proxy/proxyproto"
	"github.com/sidecar-kit/sidecar/roles/proxy/stream"
)

// serve binds and serves until the test ends, which waits for everything and
// looks for goroutines left behind.
func serve(t *testing.T, c Config, fn Func) *Socket {
	t.Helper()
	before := runtime.NumGoroutine()
	if c.Network == "" {
		c.Network, c.Address = "tcp", "127.0.0.1:0"
	}
	s, err := Bind(t.Context(), c)
	if err != nil {
		t.Fatalf("Bind = %v; want nil", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, fn) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve = %v; want nil", err)
		}
		if open := s.Stats.Open.Load(); open != 0 {
			t.Errorf("open connections after Serve = %d; want 0", open)
		}
		waitFor(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
	})
	return s
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("waited in vain for %s", what)
}

func connect(t *testing.T, s *Socket) net.Conn {
	t.Helper()
	c, err := net.Dial(s.Addr().Network(), s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// hold serves until the client closes or the context ends.
func hold(ctx context.Context, c net.Conn, _ *Info) {
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	_, _ = c.Write([]byte("!"))
	_, _ = io.Copy(io.Discard, c)
}

func greeted(c net.Conn) bool {
	var b [1]byte
	_, err := io.ReadFull(c, b[:])
	return err == nil && b[0] == '!'
}

func tlsConfig(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := x509.ParseCertificate(der)
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		&tls.Config{RootCAs: roots, ServerName: "localhost"}
}

func TestServesPlainAndTLSWithTheRawSocketInReach(t *testing.T) {
	server, client := tlsConfig(t)
	for _, cfg := range []*tls.Config{nil, server} {
		s := serve(t, Config{TLS: cfg}, func(_ context.Context, c net.Conn, info *Info) {
			if (info.TLS != nil) != (cfg != nil) || !info.Remote.IsValid() || info.Local.Port() == 0 {
				t.Errorf("info = %+v; want addresses, and a TLS state with TLS", info)
			}
			raw := c
			if secured, ok := c.(*tls.Conn); ok {
				raw = secured.NetConn().(*stream.Conn).NetConn()
			}
			if _, ok := raw.(*net.TCPConn); !ok {
				t.Errorf("below is a %T; want a *net.TCPConn", raw)
			}
			_, _ = io.Copy(c, c)
			c.Close()
		})
		c := connect(t, s)
		if cfg != nil {
			c = tls.Client(c, client)
		}
		_, _ = c.Write([]byte("hello"))
		b := make([]byte, 5)
		if _, err := io.ReadFull(c, b); err != nil || string(b) != "hello" {
			t.Errorf("echo = %q, %v; want %q", b, err, "hello")
		}
		c.Close()
	}
}

func TestAtMaxConnsTheNextClientWaitsAndIsServed(t *testing.T) {
	s := serve(t, Config{MaxConns: 2}, hold)
	a, b := connect(t, s), connect(t, s)
	if !greeted(a) || !greeted(b) {
		t.Fatal("the first two were not served")
	}
	c := connect(t, s)
	waitFor(t, "the listener to be full", func() bool { return s.Stats.Full.Load() == 1 })
	if n := s.Stats.Accepted.Load(); n != 2 {
		t.Errorf("accepted = %d; want 2", n)
	}
	a.Close()
	if !greeted(c) {
		t.Error("the third was not served when the first had left")
	}
}

func TestOverMaxPerIPTheConnectionIsClosed(t *testing.T) {
	s := serve(t, Config{MaxPerIP: 1}, hold)
	a := connect(t, s)
	if !greeted(a) {
		t.Fatal("the first was not served")
	}
	if greeted(connect(t, s)) || s.Stats.PerIP.Load() != 1 {
		t.Error("the second was served; want it closed and counted")
	}
	a.Close()
	waitFor(t, "the place to be free", func() bool { return greeted(connect(t, s)) })
}

func TestProxyHeaderIsBelievedFromListedPeersAndMandatory(t *testing.T) {
	got := make(chan netip.AddrPort, 10)
	fn := func(ctx context.Context, c net.Conn, info *Info) {
		got <- info.Remote
		hold(ctx, c, info)
	}
	from := netip.MustParseAddrPort("192.0.2.7:1234")
	head := func(version uint8, source netip.AddrPort) string {
		return string(proxyproto.Append(nil, version, source, netip.MustParseAddrPort("192.0.2.8:443")))
	}
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	s := serve(t, Config{ProxyFrom: loopback}, fn)
	for _, h := range []string{head(1, from), head(2, from)} {
		c := connect(t, s)
		_, _ = c.Write([]byte(h))
		if !greeted(c) || <-got != from {
			t.Errorf("with the header %q the client was not the one it names", h)
		}
	}
	c := connect(t, s)
	_, _ = c.Write([]byte(head(2, netip.AddrPort{})))
	if !greeted(c) || (<-got).Addr() != netip.MustParseAddr("127.0.0.1") {
		t.Error("with a LOCAL header the client was not the peer")
	}
	for _, bad := range []string{"GET / HTTP/1.1\r\n\r\n", "PROXY TCP4 1.2.3.4\r\n"} {
		c := connect(t, s)
		_, _ = c.Write([]byte(bad))
		if greeted(c) {
			t.Errorf("%q instead of a header was served", bad)
		}
	}
	if n := s.Stats.BadProxy.Load(); n != 2 {
		t.Errorf("counted %d bad headers; want 2", n)
	}
	s = serve(t, Config{ProxyFrom: loopback, HandshakeTimeout: 50 * time.Millisecond}, fn)
	if greeted(connect(t, s)) || s.Stats.BadProxy.Load() != 1 {
		t.Error("a peer without a header was served; want it closed in time and counted")
	}
	s = serve(t, Config{ProxyFrom: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, fn)
	c = connect(t, s)
	_, _ = c.Write([]byte(head(2, from)))
	if greeted(c) || s.Stats.NotTrusted.Load() != 1 {
		t.Error("a peer that is not listed was served")
	}
}

func TestBytesBehindTheProxyHeaderReachTLS(t *testing.T) {
	server, client := tlsConfig(t)
	s := serve(t, Config{TLS: server, ProxyFrom: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}, hold)
	c := connect(t, s)
	_, _ = c.Write(proxyproto.Append(nil, 2, netip.MustParseAddrPort("192.0.2.7:1"), netip.MustParseAddrPort("192.0.2.8:2")))
	secured := tls.Client(c, client)
	if !greeted(secured) {
		t.Error("no answer by TLS behind a PROXY header")
	}
	secured.Close()
}

func TestHandshakeErrorsAreClassified(t *testing.T) {
	server, client := tlsConfig(t)
	server.MinVersion = tls.VersionTLS13
	tests := []struct {
		want Class
		do   func(c net.Conn)
	}{
		{Timeout, func(net.Conn) {}},
		{Gone, func(c net.Conn) { c.Close() }},
		{NotTLS, func(c net.Conn) { _, _ = c.Write([]byte("SSH-2.0-OpenSSH_9.9\r\n")) }},
		{Version, func(c net.Conn) {
			_ = tls.Client(c, &tls.Config{MaxVersion: tls.VersionTLS12, ServerName: "localhost"}).Handshake()
		}},
		{Refused, func(c net.Conn) { _ = tls.Client(c, &tls.Config{ServerName: "localhost"}).Handshake() }},
		{Certificate, func(c net.Conn) { _ = tls.Client(c, client).Handshake() }},
	}
	for _, tt := range tests {
		cfg := server.Clone()
		if tt.want == Certificate {
			cfg.ClientAuth = tls.RequireAndVerifyClientCert
		}
		limit := time.Duration(0)
		if tt.want == Timeout {
			limit = 50 * time.Millisecond
		}
		s := serve(t, Config{TLS: cfg, HandshakeTimeout: limit}, hold)
		tt.do(connect(t, s))
		waitFor(t, "an error of class "+tt.want.String(), func() bool { return s.Stats.HandshakeErrors[tt.want].Load() == 1 })
	}
}

func TestPlainHTTPOnATLSPortIsTold(t *testing.T) {
	server, _ := tlsConfig(t)
	s := serve(t, Config{TLS: server}, hold)
	c := connect(t, s)
	_, _ = c.Write([]byte("GET /"))
	b, _ := io.ReadAll(c)
	head, body, _ := strings.Cut(string(b), "\r\n\r\n")
	if !strings.HasPrefix(head, "HTTP/1.1 400 ") || len(body) != 44 {
		t.Errorf("answer = %q; want a 400 with 44 bytes", b)
	}
}

func TestUnixSocketHasItsModeAndGoesWithItsOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s := serve(t, Config{Network: "unix", Address: path, Mode: 0o600}, hold)
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("Lstat = %v, %v; want mode 0600", info, err)
	}
	if c := connect(t, s); !greeted(c) {
		t.Error("no answer on the socket")
	}
	if _, err := Bind(t.Context(), Config{Network: "unix", Address: path}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Bind on a socket in use = %v; want EADDRINUSE", err)
	}
	if names, _ := os.ReadDir(filepath.Dir(path)); len(names) != 1 {
		t.Errorf("the folder has %v; want the socket alone", names)
	}
	s.Close()
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket is still there after Close")
	}
}

func TestStaleSocketIsReplacedAndAForeignOneStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	s := serve(t, Config{Network: "unix", Address: path}, hold)
	if c := connect(t, s); !greeted(c) {
		t.Error("no answer on a socket that replaced a stale one")
	}
	os.Remove(path)
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("after Close a foreign file is gone: %v", err)
	}
	if _, err := Bind(t.Context(), Config{Network: "unix", Address: path}); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("Bind over a file = %v; want a refusal", err)
	}
}

func TestBindNamesAddressAndRemedy(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	long := "/tmp/" + strings.Repeat("x", 120)
	for _, tt := range []struct{ network, address, want string }{
		{"tcp", l.Addr().String(), "\nhint: another process or another route"},
		{"tcp", "192.0.2.1:80", "\nhint: no interface"},
		{"unix", long, "\nhint: the path of a unix socket may have 107 bytes"},
	} {
		_, err := Bind(t.Context(), Config{Network: tt.network, Address: tt.address})
		if err == nil || !strings.HasPrefix(err.Error(), "listen on "+tt.address+": ") || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Bind(%s) = %v; want the address and %q", tt.address, err, tt.want)
		}
	}
}

func TestClosedSocketServesOn(t *testing.T) {
	s := serve(t, Config{}, hold)
	c := connect(t, s)
	if !greeted(c) {
		t.Fatal("not served")
	}
	s.Close()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Errorf("write after Close = %v; want nil", err)
	}
	if _, err := net.Dial("tcp", s.Addr().String()); err == nil {
		t.Error("Dial after Close = nil; want an error")
	}
	if n := s.Stats.Open.Load(); n != 1 {
		t.Errorf("open = %d; want 1", n)
	}
}
