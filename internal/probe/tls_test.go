package probe

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

// authority signs certificates; file is its own as PEM.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	der, key := a.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	})
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a.cert, a.key = cert, key
	a.file = write(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return a
}

func (a *authority) sign(t *testing.T, tmpl *x509.Certificate) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

// leaf makes a certificate for a name and 127.0.0.1.
func (a *authority) leaf(t *testing.T, name string, from, left time.Duration) tls.Certificate {
	t.Helper()
	der, key := a.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(left),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// files writes a certificate and its key.
func files(t *testing.T, pair tls.Certificate) (cert, key string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}))),
		write(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

func tlsServer(t *testing.T, conf *tls.Config) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", conf)
	if err != nil {
		t.Fatal(err)
	}
	accept(t, l, func(c net.Conn) {
		_ = c.(*tls.Conn).Handshake()
		c.Close()
	})
	return l.Addr().String()
}

func TestTLS(t *testing.T) {
	a := newAuthority(t)
	good := "tls://" + tlsServer(t, &tls.Config{Certificates: []tls.Certificate{a.leaf(t, "db", -time.Hour, 100*time.Hour)}})
	expired := "tls://" + tlsServer(t, &tls.Config{Certificates: []tls.Certificate{a.leaf(t, "db", -2*time.Hour, -time.Hour)}})
	early := "tls://" + tlsServer(t, &tls.Config{Certificates: []tls.Certificate{a.leaf(t, "db", time.Hour, 2*time.Hour)}})
	old := "tls://" + tlsServer(t, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11, Certificates: []tls.Certificate{a.leaf(t, "db", -time.Hour, time.Hour)}})
	ca := "#ca=" + a.file
	for address, want := range map[string]string{
		good + ca:                                  `^ok .*: TLS 1\.3, certificate valid until 20\S+Z in `,
		good + ca + "&servername=db":               "^ok ",
		good + ca + "&servername=other":            `^failed .*valid for db, not other \(servername=NAME`,
		good:                                       `^failed .*unknown authority \(ca=FILE names one\)$`,
		good + "#insecure":                         "^ok ",
		good + ca + "&min-valid=99h":               "^ok ",
		good + ca + "&min-valid=101h":              `^failed .*: its certificate expires at \S+, in 1?\d\dh\S+, want at least 101h0m0s$`,
		good + "#insecure&min-valid=101h":          `^failed .*: its certificate expires`,
		good + "#ca=/no/such":                      "^failed .*: option ca: open /no/such: no such file",
		good + "#ca=" + write(t, "x"):              "holds no PEM certificate$",
		good + ca + "&cert=/no/such&key=/no/such2": "options cert and key: open /no/such",
		expired + ca:                               `^failed .*: its certificate expired at 20\S+Z$`,
		early + ca:                                 `^failed .*: its certificate is not valid before 20\S+Z$`,
		old + ca:                                   "^failed .*protocol version",
		"tls://" + nobody(t):                       "connection refused$",
	} {
		expect(t, address, want)
	}
}

func TestClientCertificateIsReadAtEachLook(t *testing.T) {
	a := newAuthority(t)
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	s := httptest.NewUnstartedServer(site())
	s.TLS = &tls.Config{
		Certificates: []tls.Certificate{a.leaf(t, "web", -time.Hour, time.Hour)},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: pool,
	}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	cert, key := files(t, newAuthority(t).leaf(t, "me", -time.Hour, time.Hour))
	check, err := Parse(s.URL + "/ok#ca=" + a.file + "&cert=" + cert + "&key=" + key)
	if err != nil {
		t.Fatal(err)
	}
	if r := check.Do(t.Context()); r.OK {
		t.Errorf("Do with a certificate of another authority = %s; want it refused", r)
	}
	newCert, newKey := files(t, a.leaf(t, "me", -time.Hour, time.Hour))
	for from, to := range map[string]string{newCert: cert, newKey: key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	if r := check.Do(t.Context()); !r.OK {
		t.Errorf("Do after the files were replaced = %s; want ok", r)
	}
	expect(t, s.URL+"/ok#ca="+a.file, "^failed .*(certificate required|the server closed the connection|reset by peer)$")
}

func TestHTTPSVerifiesAndTellsTheEnd(t *testing.T) {
	a := newAuthority(t)
	s := httptest.NewUnstartedServer(site())
	s.TLS = &tls.Config{Certificates: []tls.Certificate{a.leaf(t, "web", -time.Hour, time.Hour)}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	expect(t, s.URL+"/ok", "^failed .*unknown authority")
	expect(t, s.URL+"/ok#insecure", "^ok ")
	expect(t, s.URL+"/ok#ca="+a.file, "^ok ")
	expect(t, s.URL+"/ok#servername=web&ca="+a.file, "^ok ")
	expect(t, s.URL+"/ok#servername=other&ca="+a.file, "not other")
	expect(t, s.URL+"/ok#min-valid=2h&ca="+a.file, "its certificate expires at")
	plain := httptest.NewServer(http.RedirectHandler(s.URL+"/ok", http.StatusMovedPermanently))
	t.Cleanup(plain.Close)
	expect(t, plain.URL+"/#redirect=follow&status=200&ca="+a.file, "^ok ")
}
