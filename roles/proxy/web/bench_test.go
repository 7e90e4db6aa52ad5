package web

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"github.com/sidecar-kit/sidecar/roles/proxy/fields"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/roles/proxy/stream"
)

// certificate is a key pair for localhost, made for one test.
func certificate(tb testing.TB) tls.Certificate {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	tpl := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// front is a listener in front of a server.
type front struct {
	*Server
	Addr string
	conf *tls.Config
}

// serve starts s on a listener of its own, with TLS if asked, and ends it with
// the test.
func serve(tb testing.TB, s *Server, withTLS bool) *front {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	f := &front{Server: s, Addr: l.Addr().String()}
	if withTLS {
		f.conf = &tls.Config{Certificates: []tls.Certificate{certificate(tb)}, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}, DynamicRecordSizingDisabled: true}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { f.take(ctx, c) })
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		cancel()
		all.Wait()
		_ = s.Shutdown(context.Background())
		if sites := s.sites.Load(); sites != nil && sites.single != nil && sites.single.Pick != nil {
			sites.single.Pick().Close()
		}
	})
	return f
}

func (f *front) take(ctx context.Context, c net.Conn) {
	p := Peer{Remote: addr(c.RemoteAddr()), Local: addr(c.LocalAddr())}
	if f.conf == nil {
		f.ServeConn(ctx, c, p)
		return
	}
	t := tls.Server(stream.Coalesce(c, nil), f.conf)
	if t.HandshakeContext(ctx) != nil {
		_ = c.Close()
		return
	}
	state := t.ConnectionState()
	p.TLS = &state
	f.ServeConn(ctx, t, p)
}

func addr(a net.Addr) netip.AddrPort {
	p, _ := netip.ParseAddrPort(a.String())
	return p
}

// to is a server whose every request goes to addr.
func to(c Config, addr string, change func(*Route, *Backend)) *Server {
	b := &Backend{Name: addr, Dial: func(ctx context.Context, _ *Client) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	}}
	r := &Route{Name: "r", Policy: fields.New(fields.Options{X: true}), Pick: func() *Backend { return b }}
	if change != nil {
		change(r, b)
	}
	if c.Tick == 0 {
		c.Tick = 20 * time.Millisecond
	}
	s := New(c)
	s.Use(NewSites([]Site{{Route: r}}))
	return s
}

// fixed is a backend that answers each head with the same bytes.
func fixed(tb testing.TB, answer []byte) string {
	tb.Helper()
	return listen(tb, func(c net.Conn) {
		buf := make([]byte, 8<<10)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
	})
}

// listen runs fn for each connection until the test ends.
func listen(tb testing.TB, fn func(c net.Conn)) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			all.Go(func() {
				fn(c)
				_ = c.Close()
				mu.Lock()
				delete(open, c)
				mu.Unlock()
			})
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return l.Addr().String()
}

func benchmark(b *testing.B, withTLS bool, size int) {
	answer := append([]byte("HTTP/1.1 200 OK\r\nServer: x\r\nDate: Sat, 21 Nov 2026 00:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: "+strconv.Itoa(size)+"\r\n\r\n"), make([]byte, size)...)
	f := serve(b, to(Config{Tick: 250 * time.Millisecond}, fixed(b, answer), nil), withTLS)
	const conns = 32
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ReportAllocs()
	b.ResetTimer()
	var all sync.WaitGroup
	for range conns {
		all.Go(func() {
			var c net.Conn
			var err error
			if withTLS {
				c, err = tls.Dial("tcp", f.Addr, &tls.Config{InsecureSkipVerify: true})
			} else {
				c, err = net.Dial("tcp", f.Addr)
			}
			if err != nil {
				b.Error(err)
				return
			}
			defer func() { _ = c.Close() }()
			r := bufio.NewReaderSize(c, 32<<10)
			req := []byte("GET /index.html HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")
			for left.Add(-1) >= 0 {
				if _, err := c.Write(req); err != nil {
					b.Error(err)
					return
				}
				for {
					line, err := r.ReadSlice('\n')
					if err != nil {
						b.Error(err)
						return
					}
					if len(line) == 2 {
						break
					}
				}
				if _, err := io.CopyN(io.Discard, r, int64(size)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

func BenchmarkProxy1K(b *testing.B)     { benchmark(b, false, 1024) }
func BenchmarkProxyTLS1K(b *testing.B)  { benchmark(b, true, 1024) }
func BenchmarkProxy64K(b *testing.B)    { benchmark(b, false, 64<<10) }
func BenchmarkProxyTLS64K(b *testing.B) { benchmark(b, true, 64<<10) }
