package tlsconf

import (
	"crypto/tls"
	"testing"

	"github.com/sidecar-kit/sidecar/internal/tlsconf/tlstest"
)

// BenchmarkHandshake compares ours with a bare configuration: what a handshake costs on both sides, over a connection that is made for it.
func BenchmarkHandshake(b *testing.B) {
	ca := tlstest.NewCA(b, "root")
	cert := ca.Issue(tlstest.Want{})
	s := mustServer(b, ServerOptions{Certs: []string{cert.Files()}, ALPN: []string{"h2", "http/1.1"}})
	bare := &tls.Config{Certificates: []tls.Certificate{cert.TLS()}, NextProtos: []string{"h2", "http/1.1"}}
	bare.SetSessionTicketKeys([][32]byte{{1}})
	for _, kind := range []string{"full", "resumed"} {
		for name, config := range map[string]*tls.Config{"bare": bare, "ours": s.Config()} {
			b.Run(kind+"/"+name, func(b *testing.B) {
				client := &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", CurvePreferences: []tls.CurveID{tls.X25519}}
				if kind == "resumed" {
					client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
				}
				b.ReportAllocs()
				for b.Loop() {
					if _, err, serr := handshake(config, client); err != nil || serr != nil {
						b.Fatal(err, serr)
					}
				}
			})
		}
	}
}

// BenchmarkCertificate is what we add to a handshake.
func BenchmarkCertificate(b *testing.B) {
	ca := tlstest.NewCA(b, "root")
	one := mustServer(b, ServerOptions{Certs: []string{ca.Issue(tlstest.Want{}).Files()}})
	two := mustServer(b, ServerOptions{Certs: []string{ca.Issue(tlstest.Want{}).Files(), ca.Issue(tlstest.Want{Names: []string{"*.example.com"}}).Files()}})
	hello := &tls.ClientHelloInfo{ServerName: "www.example.com"}
	for name, s := range map[string]*Server{"one": one, "wildcard": two} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.certificate(hello); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
