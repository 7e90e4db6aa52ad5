package tlsconf

import (
	"crypto"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/order"
)

// pair is a certificate with its key.
type pair struct {
	cert    tls.Certificate
	file    string
	keyFile string
}

// keyed is a key and where it came from.
type keyed struct {
	key  crypto.Signer
	file file
}

// pairs finds the key of every certificate in files. The first file gives the default; within a folder that is tls.crt. Certificates of a CA
// without a key are taken as the upper part of chains. A folder among certs in which there is no certificate (any more) is an error, whatever
// others have: its names would be answered with the certificate of another. Warnings are what can be served and should be looked at.
func pairs(certs []string, files []file) (found []pair, warnings []string, err error) {
	var contents []content
	var keys []keyed
	var errs []error
	for _, f := range ranked(files) {
		c, err := parse(f)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		contents = append(contents, c)
		for _, k := range c.keys {
			keys = append(keys, keyed{k, f})
		}
	}
	for _, k := range keys {
		if mode := k.file.mode.Perm(); mode&0o037 != 0 && !mounted(k.file.path) {
			warnings = append(warnings, fmt.Sprintf("key file %s has mode %04o: more may read it than need to (0640 or less)", k.file.path, mode))
		}
	}
	upper := authorities(contents)
	for _, c := range contents {
		more, warned, err := c.pair(keys, upper)
		warnings = append(warnings, warned...)
		if err != nil {
			errs = append(errs, err)
		}
		found = merge(found, more)
	}
	if len(errs) == 0 {
		errs = append(errs, bare(certs, contents)...)
	}
	if len(found) == 0 && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("%s: no certificate with its key", strings.Join(paths(files), ", ")))
	}
	return found, warnings, errors.Join(errs...)
}

// mounted tells whether a kubelet wrote the file. 0644 is its default for secrets, and nobody but the containers that mount the volume can see
// them: a warning that everybody gets is none.
func mounted(path string) bool {
	info, err := os.Lstat(filepath.Join(filepath.Dir(path), "..data"))
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}

// bare finds folders that have keys and no certificate.
func bare(certs []string, contents []content) (errs []error) {
	for _, folder := range certs {
		keys, some := false, false
		for _, c := range contents {
			if filepath.Dir(c.file.path) == filepath.Clean(folder) {
				keys, some = true, some || len(c.certs) > 0
			}
		}
		if keys && !some {
			errs = append(errs, fmt.Errorf("%s: no certificate in this folder, only keys\nhint: keys that lie apart from their certificates are named as keys, not as certificates", folder))
		}
	}
	return errs
}

// ranked puts tls.crt in front of its folder. What a kubelet or cert-manager calls ca.crt is not served.
func ranked(files []file) []file {
	ordered := slices.DeleteFunc(slices.Clone(files), func(f file) bool { return len(files) > 1 && filepath.Base(f.path) == "ca.crt" })
	order.Sort(ordered, func(a, b file) int {
		if filepath.Dir(a.path) != filepath.Dir(b.path) {
			return 0
		}
		return rank(a.path) - rank(b.path)
	})
	return ordered
}

func rank(path string) int {
	if filepath.Base(path) == "tls.crt" {
		return 0
	}
	return 1
}

func authorities(contents []content) []*x509.Certificate {
	var all []*x509.Certificate
	for _, c := range contents {
		for _, cert := range c.certs {
			if cert.IsCA && string(cert.RawIssuer) != string(cert.RawSubject) {
				all = append(all, cert)
			}
		}
	}
	return all
}

// pair looks for the certificates of a file that have a key.
func (c content) pair(keys []keyed, upper []*x509.Certificate) ([]pair, []string, error) {
	if len(c.certs) == 0 {
		return nil, nil, nil
	}
	var found []pair
	var warnings []string
	for i, cert := range c.certs {
		k := slices.IndexFunc(keys, func(k keyed) bool { return owns(k.key, cert) })
		if k < 0 {
			continue
		}
		certs, changed := chain(cert, c.certs[i:])
		if i > 0 {
			certs, changed = chain(cert, c.certs)
		}
		if changed {
			warnings = append(warnings, fmt.Sprintf("%s: the certificates are not in order, or some are of another chain: served is %s", c.file.path, path(certs)))
		}
		if len(certs) == 1 {
			certs, _ = chain(cert, upper)
		}
		p := pair{tls.Certificate{PrivateKey: keys[k].key, Leaf: cert}, c.file.path, keys[k].file.path}
		for _, one := range certs {
			p.cert.Certificate = append(p.cert.Certificate, one.Raw)
		}
		found = append(found, p)
		warnings = append(warnings, weak(cert, c.file.path)...)
	}
	if len(found) == 0 && !c.certs[0].IsCA {
		return nil, warnings, c.unpaired(keys)
	}
	return found, warnings, nil
}

// unpaired names both files, for a certificate that has no key.
func (c content) unpaired(keys []keyed) error {
	var tried []string
	for _, k := range keys {
		if !slices.Contains(tried, k.file.path) {
			tried = append(tried, k.file.path)
		}
	}
	if len(tried) == 0 {
		return fmt.Errorf("%s: no key for the certificate of %s\nhint: put the key into the same file or folder, or name its file", c.file.path, title(c.certs[0]))
	}
	return fmt.Errorf("%s: the certificate of %s does not belong to the key in %s\nhint: compare openssl x509 -noout -pubkey -in CERT with openssl pkey -pubout -in KEY",
		c.file.path, title(c.certs[0]), strings.Join(tried, ", "))
}

func weak(cert *x509.Certificate, file string) []string {
	var warnings []string
	if k, ok := cert.PublicKey.(*rsa.PublicKey); ok {
		if bits := k.N.BitLen(); bits < 2048 {
			warnings = append(warnings, fmt.Sprintf("%s: an RSA key of %d bits is too short; clients refuse it", file, bits))
		}
	}
	if len(cert.DNSNames)+len(cert.IPAddresses)+len(cert.URIs) == 0 {
		warnings = append(warnings, fmt.Sprintf("%s: the certificate names nothing in its subjectAltName; clients do not look at the common name", file))
	}
	return warnings
}

// merge adds pairs. One certificate in two files is one, with the longer chain: certbot writes cert.pem and fullchain.pem.
func merge(found, more []pair) []pair {
	for _, p := range more {
		same := slices.IndexFunc(found, func(f pair) bool { return f.cert.Leaf.Equal(p.cert.Leaf) })
		switch {
		case same < 0:
			found = append(found, p)
		case len(p.cert.Certificate) > len(found[same].cert.Certificate):
			found[same] = p
		}
	}
	return found
}

// dated says what time has to say about a certificate.
func dated(cert *x509.Certificate, file string, now time.Time) error {
	switch {
	case now.After(cert.NotAfter):
		return fmt.Errorf("%s: the certificate of %s expired at %s", file, title(cert), cert.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(cert.NotBefore):
		return fmt.Errorf("%s: the certificate of %s is not valid before %s (this machine's time is %s)", file, title(cert), cert.NotBefore.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return nil
}

// title names a certificate for people, whatever is in it.
func title(cert *x509.Certificate) string {
	name := cert.Subject.CommonName
	switch {
	case len(cert.DNSNames) > 0:
		name = cert.DNSNames[0]
	case len(cert.URIs) > 0:
		name = cert.URIs[0].String()
	case name == "":
		name = cert.Subject.String()
	}
	return short(name)
}

// short quotes foreign text for a log line.
func short(s string) string {
	if len(s) > 100 {
		s = s[:100] + "..."
	}
	return fmt.Sprintf("%q", s)
}

func path(certs []*x509.Certificate) string {
	var names []string
	for _, c := range certs {
		names = append(names, title(c))
	}
	return strings.Join(names, " <- ")
}

func paths(files []file) []string {
	var all []string
	for _, f := range files {
		all = append(all, f.path)
	}
	return all
}
