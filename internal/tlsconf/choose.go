package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/order"
)

// choices finds the certificate for a name. It does not change.
type choices struct {
	only      *tls.Certificate // set when there is nothing to choose
	exact     map[string]*choice
	wild      map[string]*choice // by what follows the star: ".example.com"
	otherwise *choice            // nil: unknown names are refused
}

// choice is what may be served for one name: usually one certificate, two when there is an RSA and an ECDSA one.
type choice struct {
	first *tls.Certificate
	more  []*tls.Certificate
}

func newChoices(certs []pair, refuse bool, now time.Time) *choices {
	c := &choices{exact: map[string]*choice{}, wild: map[string]*choice{}}
	var ordered []*tls.Certificate
	for i := range certs {
		ordered = append(ordered, &certs[i].cert)
	}
	if len(ordered) == 0 {
		return c
	}
	first := ordered[0].Leaf
	// The cheap keys first, and among equals what is valid now; clients that cannot do ECDSA get the other one.
	order.Sort(ordered, func(a, b *tls.Certificate) int { return cost(a.Leaf, now) - cost(b.Leaf, now) })
	for _, cert := range ordered {
		for _, name := range names(cert.Leaf) {
			c.add(name, cert)
		}
	}
	if refuse {
		return c
	}
	c.otherwise = &choice{}
	for _, cert := range ordered {
		if cert.Leaf == first || slices.Equal(names(cert.Leaf), names(first)) {
			c.otherwise.add(cert)
		}
	}
	if len(ordered) == 1 {
		c.only = ordered[0]
	}
	return c
}

// cost orders certificates of one name.
func cost(cert *x509.Certificate, now time.Time) int {
	n := 0
	if cert.PublicKeyAlgorithm == x509.RSA {
		n = 1
	}
	if now.After(cert.NotAfter) || now.Before(cert.NotBefore) {
		n += 2
	}
	return n
}

// names are the names a certificate is served for. The common name counts where there is no other, for old certificates.
func names(cert *x509.Certificate) []string {
	all := slices.Clone(cert.DNSNames)
	if len(all) == 0 && cert.Subject.CommonName != "" {
		all = []string{cert.Subject.CommonName}
	}
	for i := range all {
		all[i] = strings.ToLower(strings.TrimSuffix(all[i], "."))
	}
	slices.Sort(all)
	return all
}

func (c *choices) add(name string, cert *tls.Certificate) {
	in := c.exact
	if rest, ok := strings.CutPrefix(name, "*"); ok {
		in, name = c.wild, rest
	}
	if in[name] == nil {
		in[name] = &choice{}
	}
	in[name].add(cert)
}

// add keeps one certificate of each kind of key; which came first is the better one.
func (c *choice) add(cert *tls.Certificate) {
	switch {
	case c.first == nil:
		c.first = cert
	case c.first.Leaf.PublicKeyAlgorithm != cert.Leaf.PublicKeyAlgorithm &&
		!slices.ContainsFunc(c.more, func(m *tls.Certificate) bool { return m.Leaf.PublicKeyAlgorithm == cert.Leaf.PublicKeyAlgorithm }):
		c.more = append(c.more, cert)
	}
}

// certificate is called once a full handshake. With one certificate it is an atomic load. None without an error is what makes crypto/tls tell
// the client unrecognized_name, as servers do; for an error it says internal_error.
func (s *Server) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c := s.state.Load().choice
	if c.only != nil {
		return c.only, nil
	}
	found := c.find(hello.ServerName)
	if found == nil {
		return nil, nil //nolint:nilnil // crypto/tls takes this for an unknown name
	}
	if len(found.more) == 0 {
		return found.first, nil
	}
	return found.supported(hello), nil
}

func unknownName(name string) error {
	if name == "" {
		return &Refused{Reason: "sni", text: "the client names no server, and unknown names are refused"}
	}
	return &Refused{Reason: "sni", text: fmt.Sprintf("no certificate is for the server name %s", short(name))}
}

func (c *choices) find(name string) *choice {
	name = strings.ToLower(name)
	if found := c.exact[name]; found != nil {
		return found
	}
	if dot := strings.IndexByte(name, '.'); dot > 0 {
		if found := c.wild[name[dot:]]; found != nil {
			return found
		}
	}
	return c.otherwise
}

// supported asks the standard library, which knows versions, signatures, curves and suites; names were matched already.
func (c *choice) supported(hello *tls.ClientHelloInfo) *tls.Certificate {
	nameless := *hello
	nameless.ServerName = ""
	if nameless.SupportsCertificate(c.first) == nil {
		return c.first
	}
	for _, cert := range c.more {
		if nameless.SupportsCertificate(cert) == nil {
			return cert
		}
	}
	return c.first
}
