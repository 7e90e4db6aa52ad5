package dial

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/roles/proxy/proxyproto"
	"github.com/sidecar-kit/sidecar/roles/proxy/starttls"
	"github.com/sidecar-kit/sidecar/roles/proxy/stream"
)

// listen serves each connection by fn until the test ends.
func listen(t *testing.T, network, address string, fn func(c net.Conn)) string {
	t.Helper()
	before := runtime.NumGoroutine()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			fn(c)
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		for range 500 {
			if runtime.NumGoroutine() <= before {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Errorf("goroutines = %d; want %d as before", runtime.NumGoroutine(), before)
	})
	return l.Addr().String()
}

func certificate(t *testing.T, names ...string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: names, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := x509.ParseCertificate(der)
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

func always(c *tls.Config) func() *tls.Config { return func() *tls.Config { return c } }

func echo(c net.Conn) { _, _ = io.Copy(c, c) }

func talk(t *testing.T, c net.Conn) {
	t.Helper()
	defer c.Close()
	_, _ = c.Write([]byte("hello"))
	b := make([]byte, 5)
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "hello" {
		t.Errorf("echo = %q, %v; want hello", b, err)
	}
}

func TestDialReachesTCPAndUnixSockets(t *testing.T) {
	for _, at := range [][2]string{{"tcp", "127.0.0.1:0"}, {"unix", filepath.Join(t.TempDir(), "s")}} {
		target := &Target{Network: at[0], Address: listen(t, at[0], at[1], echo)}
		c, err := target.Dial(t.Context(), Client{})
		if err != nil {
			t.Fatalf("Dial = %v; want nil", err)
		}
		talk(t, c)
		if err := target.Probe(t.Context()); err != nil {
			t.Errorf("Probe = %v; want nil", err)
		}
	}
}

func TestTLSVerifiesTheNameOfTheAddressAndResumes(t *testing.T) {
	cert, roots := certificate(t, "localhost")
	resumed := make(chan bool, 2)
	address := listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
		config := &tls.Config{Certificates: []tls.Certificate{cert}}
		config.SetSessionTicketKeys([][32]byte{{1}})
		s := tls.Server(c, config)
		if s.Handshake() == nil {
			resumed <- s.ConnectionState().DidResume
			echo(s)
		}
	})
	_, port, _ := net.SplitHostPort(address)
	cfg := &tls.Config{RootCAs: roots, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	target := &Target{Network: "tcp", Address: "localhost:" + port, TLS: always(cfg)}
	for _, want := range []bool{false, true} {
		c, err := target.Dial(t.Context(), Client{})
		if err != nil {
			t.Fatalf("Dial = %v; want nil", err)
		}
		if _, ok := c.(*tls.Conn).NetConn().(*stream.Conn); !ok {
			t.Error("below TLS is no *stream.Conn")
		}
		talk(t, c)
		if got := <-resumed; got != want {
			t.Errorf("resumed = %v; want %v", got, want)
		}
	}
	if cfg.ServerName != "" {
		t.Error("the config was changed")
	}
}

func TestTheBackendIsToldWhoTheClientIs(t *testing.T) {
	cert, roots := certificate(t, "localhost")
	heads := make(chan proxyproto.Header, 1)
	address := listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
		h, err := proxyproto.Read(c)
		if err != nil {
			t.Errorf("header: %v", err)
		}
		heads <- h
		echo(tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}}))
	})
	who := Client{Source: netip.MustParseAddrPort("192.0.2.1:1234"), Local: netip.MustParseAddrPort("192.0.2.2:443")}
	for _, version := range []uint8{1, 2} {
		target := &Target{Network: "tcp", Address: address, SendProxy: version, TLS: always(&tls.Config{RootCAs: roots, ServerName: "localhost"})}
		c, err := target.Dial(t.Context(), who)
		if err != nil {
			t.Fatalf("Dial = %v; want nil", err)
		}
		if h := <-heads; h.Source != who.Source || h.Dest != who.Local || h.Version != version {
			t.Errorf("the header says %+v; want %+v, version %d", h, who, version)
		}
		talk(t, c)
	}
}

func TestErrorsNameStepAddressAndRemedy(t *testing.T) {
	cert, roots := certificate(t, "db.example", "other.example")
	secure := listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
		_ = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}}).Handshake()
	})
	plain := listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) { _, _ = c.Write([]byte("220 mail ready\r\n")); _, _ = io.ReadAll(c) })
	shut := listen(t, "tcp", "127.0.0.1:0", func(net.Conn) {})
	silent := listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) { _, _ = io.ReadAll(c) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	known := always(&tls.Config{RootCAs: roots})
	for _, tt := range []struct {
		target *Target
		step   Step
		want   string
	}{
		{&Target{Network: "tcp", Address: l.Addr().String()}, StepConnect, "connection refused\nhint: nothing listens there"},
		{&Target{Network: "unix", Address: "/nowhere/s"}, StepConnect, "hint: the socket does not exist"},
		{&Target{Network: "tcp", Address: "no.such.host.invalid:1", ConnectTimeout: 5 * time.Second}, StepResolve, "find no.such.host.invalid:1: "},
		{&Target{Network: "tcp", Address: secure, TLS: known}, StepTLS, ""},
		{&Target{Network: "tcp", Address: secure, TLS: always(&tls.Config{RootCAs: roots, ServerName: "db2.example"})}, StepTLS, "the certificate is not for db2.example but for db.example, other.example\nhint: "},
		{&Target{Network: "tcp", Address: secure, TLS: always(&tls.Config{ServerName: "db.example"})}, StepTLS, "\nhint: give the authority"},
		{&Target{Network: "tcp", Address: plain, TLS: known}, StepTLS, "\nhint: the server does not speak TLS from the first byte"},
		{&Target{Network: "tcp", Address: shut, TLS: known}, StepTLS, "\nhint: the server closed during the handshake"},
		{&Target{Network: "tcp", Address: silent, TLS: known, HandshakeTimeout: 100 * time.Millisecond}, StepTLS, "TLS with " + silent + ": no answer in time"},
		{&Target{Network: "tcp", Address: silent, TLS: known, StartTLS: starttls.Postgres}, StepStartTLS, "no client to speak for"},
	} {
		_, err := tt.target.Dial(t.Context(), Client{})
		var failed *Error
		if !errors.As(err, &failed) || failed.Step != tt.step || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.target.Address) {
			t.Errorf("Dial(%s) = %v; want step %s, the address and %q", tt.target.Address, err, tt.step, tt.want)
		}
	}
}

func TestADatabaseThatRefusesTLSIsNamedToItsClient(t *testing.T) {
	address := listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
		_, _ = io.ReadFull(c, make([]byte, 8))
		_, _ = c.Write([]byte("N"))
	})
	target := &Target{Network: "tcp", Address: address, StartTLS: starttls.Postgres, TLS: always(&tls.Config{ServerName: "x"})}
	client, inner := net.Pipe()
	told := make(chan string, 1)
	go func() {
		_, _ = client.Write([]byte("\x00\x00\x00\x08\x00\x03\x00\x00"))
		b := make([]byte, 500)
		n, _ := client.Read(b)
		told <- string(b[:n])
	}()
	_, err := target.Dial(t.Context(), Client{Conn: inner})
	if !errors.Is(err, starttls.ErrNoTLS) || !strings.HasSuffix(err.Error(), "\nhint: set ssl=on in postgresql.conf") {
		t.Errorf("Dial = %v; want %v with one hint", err, starttls.ErrNoTLS)
	}
	if got := <-told; !strings.Contains(got, "does not offer TLS") {
		t.Errorf("the client was told %q", got)
	}
	if err := target.Probe(t.Context()); !errors.Is(err, starttls.ErrNoTLS) {
		t.Errorf("Probe = %v; want %v", err, starttls.ErrNoTLS)
	}
}

// TestADatabaseThatIsAwayIsNamedToItsClient: a client that would be shown the end of a connection is told why.
func TestADatabaseThatIsAwayIsNamedToItsClient(t *testing.T) {
	for protocol, begin := range map[string]string{starttls.Postgres: "\x00\x00\x00\x08\x00\x03\x00\x00", starttls.MySQL: ""} {
		target := &Target{Network: "tcp", Address: "127.0.0.1:1", StartTLS: protocol, TLS: always(&tls.Config{ServerName: "x"})}
		client, inner := net.Pipe()
		told := make(chan string, 1)
		go func() {
			if begin != "" { // a pipe waits for a reader of nothing, too
				_, _ = io.WriteString(client, begin)
			}
			b := make([]byte, 500)
			n, _ := client.Read(b)
			told <- string(b[:n])
		}()
		_, err := target.Dial(t.Context(), Client{Conn: inner})
		var failed *Error
		if !errors.As(err, &failed) || failed.Step != StepConnect {
			t.Errorf("%s: Dial = %v; want step %s", protocol, err, StepConnect)
		}
		if got := <-told; !strings.Contains(got, "cannot reach the server") || !strings.Contains(got, "127.0.0.1:1") {
			t.Errorf("%s: the client was told %q", protocol, got)
		}
		_ = client.Close()
		_ = inner.Close()
	}
}

func TestTheEndOfTheContextEndsADial(t *testing.T) {
	silent := listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) { _, _ = io.ReadAll(c) })
	_, roots := certificate(t, "x")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	target := &Target{Network: "tcp", Address: silent, TLS: always(&tls.Config{RootCAs: roots})}
	if _, err := target.Dial(ctx, Client{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Dial = %v; want %v", err, context.DeadlineExceeded)
	}
}
