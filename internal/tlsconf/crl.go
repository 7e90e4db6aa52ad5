package tlsconf

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/order"
)

// lists are revocation lists by the key of the CA that signed them.
type lists map[string]*list

type list struct {
	crl     *x509.RevocationList
	issuer  *x509.Certificate
	file    string
	revoked map[string]bool // serial numbers, big endian
}

// skew is how far clocks may differ.
const skew = 5 * time.Minute

// loadLists reads revocation lists and checks that a CA we know signed them. A list that covers only a part of what its CA issued (delta lists,
// distribution points) is refused: what is not in it would count as good.
func loadLists(paths []string, cas []authority, r *reader) (lists, error) {
	if len(paths) == 0 {
		return nil, nil
	}
	files, err := r.read(paths, listSuffixes()...)
	if err != nil {
		return nil, err
	}
	all := lists{}
	var errs []error
	for _, f := range files {
		c, err := parseList(f)
		if err == nil && len(c.lists) == 0 {
			err = fmt.Errorf("%s: no revocation list", f.path)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, crl := range c.lists {
			if err := all.add(crl, f.path, cas); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return all, errors.Join(errs...)
}

// parseList takes DER as well: that is what a CA's web server hands out.
func parseList(f file) (content, error) {
	if len(f.data) > 0 && f.data[0] == 0x30 {
		crl, err := x509.ParseRevocationList(f.data)
		if err != nil {
			return content{}, fmt.Errorf("%s: parse revocation list: %w", f.path, err)
		}
		return content{file: f, lists: []*x509.RevocationList{crl}}, nil
	}
	return parse(f)
}

func (l lists) add(crl *x509.RevocationList, file string, cas []authority) error {
	for _, ext := range crl.Extensions {
		if ext.Critical {
			return fmt.Errorf("%s: the revocation list of %s has the critical extension %s, so it is not a complete one\nhint: have the CA write one full list", file, short(crl.Issuer.String()), ext.Id)
		}
	}
	var cause error
	for _, ca := range cas {
		if string(ca.cert.RawSubject) != string(crl.RawIssuer) {
			continue
		}
		if cause = crl.CheckSignatureFrom(ca.cert); cause == nil {
			l.put(&list{crl: crl, issuer: ca.cert, file: file})
			return nil
		}
	}
	if cause != nil {
		return fmt.Errorf("%s: signature of the revocation list of %s: %w", file, short(crl.Issuer.String()), cause)
	}
	return fmt.Errorf("%s: no CA certificate for the revocation list of %s\nhint: add the certificate of this CA, also when it is an intermediate one, to the client CA", file, short(crl.Issuer.String()))
}

// put keeps the newer of two lists of one CA.
func (l lists) put(one *list) {
	key := string(one.issuer.RawSubjectPublicKeyInfo)
	if old := l[key]; old != nil && !old.crl.ThisUpdate.Before(one.crl.ThisUpdate) {
		return
	}
	one.revoked = make(map[string]bool, len(one.crl.RevokedCertificateEntries))
	for _, e := range one.crl.RevokedCertificateEntries {
		one.revoked[string(e.SerialNumber.Bytes())] = true
	}
	l[key] = one
}

// check refuses a certificate when every way to a CA leads over a revoked one, or over a CA whose list is not of today.
func (l lists) check(chains [][]*x509.Certificate, now time.Time) error {
	if len(l) == 0 {
		return nil
	}
	var cause error
	for _, chain := range chains {
		if cause = l.checkChain(chain, now); cause == nil {
			return nil
		}
	}
	return cause
}

func (l lists) checkChain(chain []*x509.Certificate, now time.Time) error {
	for i, cert := range chain[:len(chain)-1] {
		one := l[string(chain[i+1].RawSubjectPublicKeyInfo)]
		if one == nil {
			continue
		}
		if err := one.fresh(now); err != nil {
			return &Refused{Reason: "crl", text: err.Error()}
		}
		if one.revoked[string(cert.SerialNumber.Bytes())] {
			return &Refused{Reason: "revoked", text: fmt.Sprintf("the certificate of %s with serial number %x is revoked", title(cert), cert.SerialNumber)}
		}
	}
	return nil
}

func (l *list) fresh(now time.Time) error {
	switch {
	case !l.crl.NextUpdate.IsZero() && now.After(l.crl.NextUpdate.Add(skew)):
		return fmt.Errorf("%s: the revocation list of %s was to be renewed by %s", l.file, short(l.crl.Issuer.String()), l.crl.NextUpdate.UTC().Format(time.RFC3339))
	case now.Before(l.crl.ThisUpdate.Add(-skew)):
		return fmt.Errorf("%s: the revocation list of %s is from the future: %s", l.file, short(l.crl.Issuer.String()), l.crl.ThisUpdate.UTC().Format(time.RFC3339))
	}
	return nil
}

func (l lists) dated(now time.Time) []error {
	var errs []error
	for _, one := range l {
		if err := one.fresh(now); err != nil {
			errs = append(errs, err)
		}
	}
	order.Sort(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errs
}

// missing tells of CAs without a list, when there are lists.
func (l lists) missing(cas []authority) []string {
	var all []string
	for _, ca := range cas {
		if len(l) > 0 && ca.cert.IsCA && l[string(ca.cert.RawSubjectPublicKeyInfo)] == nil {
			all = append(all, fmt.Sprintf("%s: no revocation list is of %s: what it signed is not looked up", ca.file, title(ca.cert)))
		}
	}
	return all
}
