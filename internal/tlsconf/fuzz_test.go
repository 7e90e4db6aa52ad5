package tlsconf

import (
	"crypto"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/internal/tlsconf/tlstest"
)

// FuzzLoad gives any bytes as every kind of file. What is taken must be servable; nothing may panic.
func FuzzLoad(f *testing.F) {
	ca := tlstest.NewCA(f, "root")
	c, rsa := ca.Issue(tlstest.Want{}), ca.Issue(tlstest.Want{RSA: 2048})
	for _, seed := range [][]byte{
		c.ChainPEM(), c.KeyPEM(), c.OldKeyPEM(), rsa.OldKeyPEM(), append(c.ChainPEM(), c.KeyPEM()...), append(ca.CertPEM(), c.CertPEM()...),
		ca.Revoke(time.Hour, c), []byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), {0x30, 0x82}, nil,
	} {
		f.Add(seed)
	}
	good := c.Files()
	path := filepath.Join(f.TempDir(), "x.pem")
	now := time.Now()
	f.Fuzz(func(t *testing.T, data []byte) {
		tlstest.Write(t, path, data)
		if s, err := (ServerOptions{Certs: []string{path}}).load(now); err == nil {
			for _, p := range s.certs {
				if !owns(p.cert.PrivateKey.(crypto.Signer), p.cert.Leaf) {
					t.Error("a certificate is served with a key that is not its own")
				}
			}
			s.warned(now)
		}
		for _, o := range []ServerOptions{{Certs: []string{good}, ClientCA: []string{path}}, {Certs: []string{good}, ClientCA: []string{good}, CRL: []string{path}}, {Certs: []string{good}, TicketKeys: path}} {
			if s, err := o.load(now); err == nil && s.trust != nil {
				_ = s.trust.check(nil, now)
			}
		}
		_, _ = (ClientOptions{CA: []string{path}, Cert: []string{path}, ServerName: "x"}).load(now)
	})
}

// FuzzRule matches any pattern with any URI: what is matched without a star is equal.
func FuzzRule(f *testing.F) {
	for _, s := range []string{"spiffe://td/ns/*/sa/x", "spiffe://td/**", "spiffe://td/a*b", "x://y/./z", "://"} {
		f.Add(s, "spiffe://td/ns/a/sa/x")
	}
	f.Fuzz(func(t *testing.T, rule, uri string) {
		p, err := pattern(rule)
		segments, ok := cut(uri)
		if err != nil || !ok {
			return
		}
		if matchSegments(p, segments) && !strings.Contains(rule, "*") && len(rule) != len(uri) {
			t.Errorf("rule %q matches %q", rule, uri)
		}
	})
}
