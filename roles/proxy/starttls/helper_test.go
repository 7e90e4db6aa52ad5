package starttls

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
	"testing"
	"time"
)

// pair returns two ends of a TCP connection with a deadline.
func pair(t testing.TB) (net.Conn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	until := time.Now().Add(10 * time.Second)
	_ = a.SetDeadline(until)
	_ = b.SetDeadline(until)
	return a, b
}

func certificate(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

func secure(ctx context.Context, c net.Conn) (net.Conn, error) {
	s := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	return s, s.HandshakeContext(ctx)
}

// legs is an upgrade under way between a client and a server of the test.
type legs struct {
	t              *testing.T
	client, server net.Conn
	upgraded       net.Conn
	err            error
	done           chan struct{}
}

func upgrade(t *testing.T, protocol string) *legs {
	t.Helper()
	client, inner := pair(t)
	outer, server := pair(t)
	l := &legs{t: t, client: client, server: server, done: make(chan struct{})}
	u := &Upgrader{Protocol: protocol, Secure: secure}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	go func() {
		defer close(l.done)
		defer cancel()
		l.upgraded, l.err = u.Upgrade(ctx, inner, outer)
		if l.err != nil {
			inner.Close()
			outer.Close()
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-l.done
	})
	return l
}

// secureServer does the handshake of the server.
func (l *legs) secureServer() {
	l.t.Helper()
	s := tls.Server(l.server, certificate(l.t))
	if err := s.Handshake(); err != nil {
		l.t.Fatalf("the proxy does not begin TLS: %v", err)
	}
	l.server = s
}

func (l *legs) send(c net.Conn, b string) {
	l.t.Helper()
	if _, err := c.Write([]byte(b)); err != nil {
		l.t.Fatal(err)
	}
}

func (l *legs) expect(c net.Conn, want string) {
	l.t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != want {
		l.t.Fatalf("read %q, %v; want %q", got[:n], err, want)
	}
}

// rest waits for the end of the upgrade, which must not succeed, and returns
// what the client was told.
func (l *legs) rest() string {
	l.t.Helper()
	<-l.done
	if l.err == nil {
		l.t.Fatal("Upgrade = nil; want an error")
	}
	b, _ := io.ReadAll(l.client)
	return string(b)
}

// open checks that the upgrade is done and bytes pass.
func (l *legs) open() {
	l.t.Helper()
	<-l.done
	if l.err != nil {
		l.t.Fatalf("Upgrade = %v; want nil", l.err)
	}
	if _, ok := l.upgraded.(*tls.Conn); !ok {
		l.t.Fatalf("Upgrade returned a %T; want a *tls.Conn", l.upgraded)
	}
	l.send(l.upgraded, "query")
	l.expect(l.server, "query")
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error = %v; want %v", err, want)
	}
}
