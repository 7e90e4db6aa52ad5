package stream

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// kinds of legs that every test of behaviour runs over.
var kinds = []string{"tcp", "unix", "tls"}

// bench is a relay between two connections whose outer ends the test holds.
type bench struct {
	client, backend net.Conn // what the test speaks on
	result          chan Result
	cancel          context.CancelCauseFunc
}

// relay starts a relay and checks at the end that nothing of it is left.
func start(t *testing.T, clientKind, backendKind string, o Options) *bench {
	t.Helper()
	goroutines := runtime.NumGoroutine()
	client, inner := connect(t, clientKind)
	backend, outer := connect(t, backendKind)
	ctx, cancel := context.WithCancelCause(t.Context())
	b := &bench{client: client, backend: backend, result: make(chan Result, 1), cancel: cancel}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.result <- Relay(ctx, inner, outer, o)
	}()
	t.Cleanup(func() {
		cancel(nil)
		<-done
		client.Close()
		backend.Close()
		for range 1000 {
			if runtime.NumGoroutine() <= goroutines {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		t.Errorf("goroutines = %d; want %d as before", runtime.NumGoroutine(), goroutines)
	})
	return b
}

// end waits for the result.
func (b *bench) end(t *testing.T) Result {
	t.Helper()
	select {
	case r := <-b.result:
		return r
	case <-time.After(20 * time.Second):
		t.Fatal("the relay did not end")
		return Result{}
	}
}

// connect returns two ends; the second one is built like a listener or a dialer
// builds it.
func connect(t *testing.T, kind string) (outer, inner net.Conn) {
	t.Helper()
	network, address := "tcp", "127.0.0.1:0"
	if kind == "unix" {
		network, address = "unix", filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	outer, err = net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	inner, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = outer.SetDeadline(time.Now().Add(20 * time.Second))
	if kind != "tls" {
		return outer, inner
	}
	wire := Coalesce(inner, nil)
	server := tls.Server(wire, certificate(t))
	client := tls.Client(outer, &tls.Config{InsecureSkipVerify: true})
	done := make(chan error, 1)
	go func() { done <- client.Handshake() }()
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	wire.Reclaim(server)
	return client, server
}

func certificate(t *testing.T) *tls.Config {
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
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, DynamicRecordSizingDisabled: true}
}

// socket is the TCP connection below c.
func socket(c net.Conn) *net.TCPConn {
	if secured, ok := c.(*tls.Conn); ok {
		c = secured.NetConn()
	}
	return c.(*net.TCPConn)
}

func closeWrite(c net.Conn) { _ = c.(interface{ CloseWrite() error }).CloseWrite() }

// reset closes c with an RST.
func reset(c net.Conn) {
	_ = socket(c).SetLinger(0)
	_ = socket(c).Close()
}
