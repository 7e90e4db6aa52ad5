package h2

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"github.com/sidecar-kit/sidecar/roles/proxy/fields"
	"github.com/sidecar-kit/sidecar/roles/proxy/web"
	"github.com/sidecar-kit/sidecar/roles/proxy/wire"
)

// BenchmarkFront is a request of HTTP/2 without TLS, through the engine, to a backend of HTTP/1 that answers 1 KB. Client and backend cost little: they
// write what was made once.
func BenchmarkFront(b *testing.B) {
	answer := append([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n"), make([]byte, 1024)...)
	backend := &web.Backend{Dial: func(context.Context, *web.Client) (net.Conn, error) {
		near, far := pair(b)
		go func() {
			defer far.Close()
			buf := make([]byte, 4096)
			for {
				if _, err := far.Read(buf); err != nil {
					return
				}
				_, _ = far.Write(answer)
			}
		}()
		return near, nil
	}}
	engine := web.New(web.Config{})
	engine.Use(web.NewSites([]web.Site{{Route: &web.Route{Policy: fields.New(fields.Options{X: true}), Pick: func() *web.Backend { return backend }}}}))
	s, err := New(Config{Handler: Handler(engine.Send, wire.Limits{}, nil)})
	if err != nil {
		b.Fatal(err)
	}
	client, server := pair(b)
	done := make(chan struct{})
	go func() {
		s.ServeConn(context.Background(), server, web.Peer{Remote: netip.MustParseAddrPort("192.0.2.1:1")})
		close(done)
	}()
	f := frames{b, client}
	f.must(f.send(typeSettings, 0, 0, nil))
	f.must(f.send(typeWindow, 0, 0, []byte{0x7f, 0, 0, 0}))
	request := block(":method", "GET", ":scheme", "http", ":authority", "a.example", ":path", "/", "user-agent", "x", "accept", "*/*")
	b.ReportAllocs()
	stream := uint32(1)
	for b.Loop() {
		f.must(f.send(typeHeaders, flagEnd|flagHeaders, stream, request))
		for {
			got, err := f.read()
			f.must(err)
			if got.stream == stream && got.flags&flagEnd != 0 {
				break
			}
		}
		stream += 2
	}
	_ = client.Close()
	<-done
	backend.Close()
	_ = engine.Shutdown(context.Background())
}

func pair(b *testing.B) (net.Conn, net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	return near, far
}
