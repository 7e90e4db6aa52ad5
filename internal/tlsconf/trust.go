package tlsconf

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Refused says why a peer may not come in. The text is for the log; the peer sees an alert alone.
type Refused struct {
	Reason string // "sni", "missing", "untrusted", "expired", "usage", "revoked", "crl", "rule", "pin"
	text   string
	err    error
}

func (r *Refused) Error() string {
	if r.err != nil {
		return r.text + ": " + r.err.Error()
	}
	return r.text
}

func (r *Refused) Unwrap() error { return r.err }

// trust is what client certificates are held against. A nil trust asks nobody.
type trust struct {
	roots    *x509.CertPool
	cas      []authority
	lists    lists
	rules    *matcher
	optional bool
}

type authority struct {
	cert *x509.Certificate
	file string
}

func loadTrust(o ServerOptions, r *reader) (*trust, error) {
	if len(o.ClientCA) == 0 {
		return nil, loneTrust(o)
	}
	t := &trust{optional: o.Optional}
	var errs []error
	rules, err := o.ClientRules.compile()
	if err != nil {
		errs = append(errs, err)
	}
	t.rules = rules
	files, err := r.read(o.ClientCA, caSuffixes()...)
	if err != nil {
		return nil, errors.Join(append(errs, err)...)
	}
	t.cas, err = readCAs(files)
	if err != nil {
		return nil, errors.Join(append(errs, err)...)
	}
	t.roots = pool(t.cas)
	t.lists, err = loadLists(o.CRL, t.cas, r)
	if err != nil {
		errs = append(errs, err)
	}
	return t, errors.Join(errs...)
}

// loneTrust refuses what has no effect without a CA: who writes a rule believes that it guards something.
func loneTrust(o ServerOptions) error {
	switch {
	case len(o.CRL) > 0:
		return errors.New("a revocation list needs the CA of the clients as well")
	case !o.ClientRules.empty():
		return errors.New("rules for client certificates need the CA of the clients as well")
	case o.Optional:
		return errors.New("optional client certificates need the CA of the clients as well")
	}
	return nil
}

// readCAs takes the CA certificates of files. Of a folder like that of a Kubernetes secret, ca.crt alone counts: tls.crt beside it is our own.
func readCAs(files []file) ([]authority, error) {
	var all []authority
	var errs []error
	for _, f := range bundles(files) {
		c, err := parse(f)
		switch {
		case err != nil:
			errs = append(errs, err)
			continue
		case len(c.certs) == 0:
			errs = append(errs, fmt.Errorf("%s: no CA certificate", f.path))
		case len(c.keys) > 0:
			errs = append(errs, fmt.Errorf("%s: a private key in a file of CA certificates\nhint: the key of a CA has no business here", f.path))
		}
		for _, cert := range c.certs {
			if !slices.ContainsFunc(all, func(a authority) bool { return a.cert.Equal(cert) }) {
				all = append(all, authority{cert, f.path})
			}
		}
	}
	return all, errors.Join(errs...)
}

func bundles(files []file) []file {
	folder := func(path string) string { return path[:strings.LastIndexByte(path, '/')+1] }
	var kept []file
	for _, f := range files {
		hasCA := slices.ContainsFunc(files, func(other file) bool { return other.path == folder(f.path)+"ca.crt" })
		if !hasCA || strings.HasSuffix(f.path, "/ca.crt") || f.path == "ca.crt" {
			kept = append(kept, f)
		}
	}
	return kept
}

func pool(cas []authority) *x509.CertPool {
	p := x509.NewCertPool()
	for _, a := range cas {
		p.AddCert(a.cert)
	}
	return p
}

// verify is called at the end of every handshake, full or resumed, when clients are asked for certificates or names are refused.
func (s *Server) verify(c tls.ConnectionState) error {
	state := s.state.Load()
	// A ticket may be presented under another name than it was given for, and no certificate is chosen then.
	if s.opts.RefuseUnknownSNI && state.choice.find(c.ServerName) == nil {
		return unknownName(c.ServerName)
	}
	if state.trust == nil {
		return nil
	}
	return state.trust.check(c.PeerCertificates, time.Now())
}

// check decides about the certificates that a client sent, the client's own first.
func (t *trust) check(certs []*x509.Certificate, now time.Time) error {
	if len(certs) == 0 {
		if t.optional {
			return nil
		}
		return &Refused{Reason: "missing", text: "the client sent no certificate"}
	}
	chains, err := certs[0].Verify(x509.VerifyOptions{
		Roots: t.roots, Intermediates: intermediates(certs), CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return &Refused{reason(err), "client certificate of " + title(certs[0]) + " from " + short(certs[0].Issuer.String()), err}
	}
	if err := t.lists.check(chains, now); err != nil {
		return err
	}
	if !t.rules.match(certs[0]) {
		return &Refused{Reason: "rule", text: "no rule lets the client certificate in: " + claims(certs[0])}
	}
	return nil
}

func intermediates(certs []*x509.Certificate) *x509.CertPool {
	if len(certs) == 1 {
		return nil
	}
	p := x509.NewCertPool()
	for _, c := range certs[1:min(len(certs), 10)] {
		p.AddCert(c)
	}
	return p
}

func reason(err error) string {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		switch invalid.Reason {
		case x509.Expired:
			return "expired"
		case x509.IncompatibleUsage:
			return "usage"
		}
	}
	return "untrusted"
}

// binding is a digest of whom a ticket may be given to. A revocation list is no part of it: it is looked at when a ticket is used.
func (t *trust) binding(o ServerOptions) [32]byte {
	h := sha256.New()
	if t == nil {
		return [32]byte(h.Sum(nil))
	}
	sums := make([]string, 0, len(t.cas))
	for _, a := range t.cas {
		sum := sha256.Sum256(a.cert.Raw)
		sums = append(sums, string(sum[:]))
	}
	slices.Sort(sums) // the order in a bundle means nothing
	_, _ = fmt.Fprintf(h, "%q %v %q", sums, o.Optional, o.ClientRules)
	return [32]byte(h.Sum(nil))
}

func (t *trust) dated(now time.Time) []error {
	if t == nil {
		return nil
	}
	var errs []error
	for _, a := range t.cas {
		if err := dated(a.cert, a.file, now); err != nil {
			errs = append(errs, err)
		}
	}
	return append(errs, t.lists.dated(now)...)
}

func (t *trust) warnings() []string {
	if t == nil {
		return nil
	}
	var all []string
	for _, a := range t.cas {
		if !a.cert.IsCA {
			all = append(all, fmt.Sprintf("%s: %s is not the certificate of a CA; it lets in itself alone", a.file, title(a.cert)))
		}
	}
	return append(all, t.lists.missing(t.cas)...)
}

func (t *trust) infos(now time.Time) []CertInfo {
	if t == nil {
		return nil
	}
	var all []CertInfo
	for _, a := range t.cas {
		all = append(all, describe("client-ca", a.cert, a.file, "", now))
	}
	return all
}
