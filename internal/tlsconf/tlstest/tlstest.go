// Package tlstest is a little certificate authority for tests: certificates of every kind that goes right or wrong, and volumes as a kubelet
// makes them.
package tlstest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// Cert is a certificate with its key, and what can be signed by it.
type Cert struct {
	X509   *x509.Certificate
	Key    crypto.Signer
	Issuer *Cert // nil: self-signed
	t      testing.TB
	serial *atomic.Int64
}

// Want says what a certificate is to be. Zero values: an ECDSA P-256 server and client certificate for localhost and 127.0.0.1, valid for an hour.
type Want struct {
	CN     string
	OU     []string
	Names  []string // DNS names, IP addresses, URIs
	RSA    int      // bits
	Ed     bool
	CA     bool
	Key    crypto.Signer // nil: a new one
	From   time.Time
	Until  time.Time
	Usages []x509.ExtKeyUsage // nil: server and client
}

// NewCA makes a root.
func NewCA(t testing.TB, name string) *Cert {
	root := &Cert{t: t, serial: new(atomic.Int64)}
	return root.sign(Want{CN: name, CA: true}, nil)
}

// Issue signs a certificate.
func (c *Cert) Issue(w Want) *Cert { return c.sign(w, c) }

// SelfSigned makes a certificate that no CA signed.
func SelfSigned(t testing.TB, w Want) *Cert {
	c := &Cert{t: t, serial: new(atomic.Int64)}
	return c.sign(w, nil)
}

func (c *Cert) sign(w Want, issuer *Cert) *Cert {
	c.t.Helper()
	now := time.Now()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(c.serial.Add(1) + 1000),
		Subject:      pkix.Name{CommonName: w.CN, OrganizationalUnit: w.OU},
		NotBefore:    now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: w.Usages, BasicConstraintsValid: true,
	}
	if !w.From.IsZero() {
		tmpl.NotBefore = w.From
	}
	if !w.Until.IsZero() {
		tmpl.NotAfter = w.Until
	}
	if w.CA {
		tmpl.IsCA, tmpl.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	} else if w.Usages == nil {
		tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	names := w.Names
	if names == nil && !w.CA {
		names = []string{"localhost", "127.0.0.1"}
	}
	for _, n := range names {
		addName(tmpl, n)
	}
	made := &Cert{Key: w.key(c.t), Issuer: issuer, t: c.t, serial: c.serial}
	parent, signer := tmpl, made.Key
	if issuer != nil {
		parent, signer = issuer.X509, issuer.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, made.Key.Public(), signer)
	must(c.t, err)
	made.X509, err = x509.ParseCertificate(der)
	must(c.t, err)
	return made
}

func addName(tmpl *x509.Certificate, name string) {
	if ip := net.ParseIP(name); ip != nil {
		tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		return
	}
	if u, err := url.Parse(name); err == nil && u.Scheme != "" {
		tmpl.URIs = append(tmpl.URIs, u)
		return
	}
	tmpl.DNSNames = append(tmpl.DNSNames, name)
}

func (w Want) key(t testing.TB) crypto.Signer {
	var key crypto.Signer
	var err error
	switch {
	case w.Key != nil:
		return w.Key
	case w.RSA > 0:
		key, err = rsa.GenerateKey(rand.Reader, w.RSA)
	case w.Ed:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	must(t, err)
	return key
}

// CertPEM is the certificate, without those above it.
func (c *Cert) CertPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.X509.Raw})
}

// ChainPEM is the certificate and the intermediate ones above it.
func (c *Cert) ChainPEM() []byte {
	out := c.CertPEM()
	for up := c.Issuer; up != nil && up.Issuer != nil; up = up.Issuer {
		out = append(out, up.CertPEM()...)
	}
	return out
}

// KeyPEM is the key in PKCS#8.
func (c *Cert) KeyPEM() []byte {
	der, err := x509.MarshalPKCS8PrivateKey(c.Key)
	must(c.t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// OldKeyPEM is the key in the form of its kind: PKCS#1 or SEC 1.
func (c *Cert) OldKeyPEM() []byte {
	if k, ok := c.Key.(*rsa.PrivateKey); ok {
		return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)})
	}
	der, err := x509.MarshalECPrivateKey(c.Key.(*ecdsa.PrivateKey))
	must(c.t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

// Pin is the digest of the public key, as flags take it.
func (c *Cert) Pin() string {
	sum := sha256.Sum256(c.X509.RawSubjectPublicKeyInfo)
	return "sha256/" + base64.StdEncoding.EncodeToString(sum[:])
}

// TLS is the certificate with its chain and key.
func (c *Cert) TLS() tls.Certificate {
	cert, err := tls.X509KeyPair(c.ChainPEM(), c.KeyPEM())
	must(c.t, err)
	return cert
}

// Pool holds the certificate alone.
func (c *Cert) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(c.X509)
	return p
}

// Revoke makes a list in PEM of what this CA revoked, valid from now for the given time.
func (c *Cert) Revoke(valid time.Duration, revoked ...*Cert) []byte {
	tmpl := &x509.RevocationList{Number: big.NewInt(c.serial.Add(1)), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(valid)}
	for _, r := range revoked {
		tmpl.RevokedCertificateEntries = append(tmpl.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: r.X509.SerialNumber, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, tmpl, c.X509, c.Key)
	must(c.t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

// Files writes a tls.crt and a tls.key into a new folder, and returns the folder.
func (c *Cert) Files() string {
	dir := c.t.TempDir()
	Write(c.t, filepath.Join(dir, "tls.crt"), c.ChainPEM())
	Write(c.t, filepath.Join(dir, "tls.key"), c.KeyPEM())
	return dir
}

// Write writes a file that its owner alone may read.
func Write(t testing.TB, path string, parts ...[]byte) string {
	t.Helper()
	var data []byte
	for _, p := range parts {
		data = append(data, p...)
	}
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, data, 0o600))
	return path
}

// Volume makes a new version of a volume visible as a kubelet does it, and removes the old one.
func Volume(t testing.TB, dir string, files map[string][]byte) {
	t.Helper()
	version := fmt.Sprintf("..%d", time.Now().UnixNano())
	for name, data := range files {
		Write(t, filepath.Join(dir, version, name), data)
	}
	old, _ := os.Readlink(filepath.Join(dir, "..data"))
	must(t, os.Symlink(version, filepath.Join(dir, "..data_tmp")))
	must(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	for name := range files {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			must(t, os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)))
		}
	}
	if old != "" {
		must(t, os.RemoveAll(filepath.Join(dir, old)))
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
