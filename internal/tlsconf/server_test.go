package tlsconf

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/internal/tlsconf/tlstest"
)

// connected returns both ends of a connection.
func connected() (net.Conn, net.Conn, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	b, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	a, err := l.Accept()
	return a, b, err
}

// handshake connects. The byte at the end brings TLS 1.3's verdict about the client, and its ticket.
func handshake(server, client *tls.Config) (tls.ConnectionState, error, error) {
	a, b, err := connected()
	if err != nil {
		return tls.ConnectionState{}, err, err
	}
	defer a.Close()
	defer b.Close()
	deadline := time.Now().Add(time.Minute)
	_, _ = a.SetDeadline(deadline), b.SetDeadline(deadline)
	served := make(chan error, 1)
	go func() {
		conn := tls.Server(a, server)
		err := conn.Handshake()
		if err == nil {
			_, err = conn.Write([]byte{1})
		}
		if err != nil {
			_ = a.Close()
		}
		served <- err
	}()
	conn := tls.Client(b, client)
	err = conn.Handshake()
	if err == nil {
		_, err = io.ReadFull(conn, make([]byte, 1))
	}
	state := conn.ConnectionState()
	_ = b.Close()
	return state, err, <-served
}

func mustServer(t testing.TB, o ServerOptions) *Server {
	t.Helper()
	s, err := NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// served returns the serial number of the certificate that a client of a name gets.
func served(t *testing.T, s *Server, client *tls.Config) string {
	t.Helper()
	client.InsecureSkipVerify = true
	state, err, serr := handshake(s.Config(), client)
	if err != nil || serr != nil {
		t.Fatalf("handshake for %q: client %v, server %v", client.ServerName, err, serr)
	}
	return state.PeerCertificates[0].SerialNumber.String()
}

func serial(c *tlstest.Cert) string { return c.X509.SerialNumber.String() }

func TestCertificateIsFoundInEveryLayout(t *testing.T) {
	ca := tlstest.NewCA(t, "root")
	mid := ca.Issue(tlstest.Want{CN: "mid", CA: true})
	ec, rsa, ed := mid.Issue(tlstest.Want{}), mid.Issue(tlstest.Want{RSA: 2048}), mid.Issue(tlstest.Want{Ed: true})
	other := mid.Issue(tlstest.Want{Names: []string{"other.example"}})
	layouts := map[string]func(in func(string) string) ServerOptions{
		"a kubernetes secret": func(in func(string) string) ServerOptions {
			tlstest.Volume(t, in(""), map[string][]byte{"tls.crt": ec.ChainPEM(), "tls.key": ec.KeyPEM(), "ca.crt": ca.CertPEM()})
			return ServerOptions{Certs: []string{in("")}}
		},
		"one file": func(in func(string) string) ServerOptions {
			return ServerOptions{Certs: []string{tlstest.Write(t, in("all.pem"), ec.KeyPEM(), ec.ChainPEM())}}
		},
		"two files": func(in func(string) string) ServerOptions {
			return ServerOptions{Certs: []string{tlstest.Write(t, in("c"), ec.ChainPEM())}, Keys: []string{tlstest.Write(t, in("k"), ec.OldKeyPEM())}}
		},
		"RSA in PKCS#1": func(in func(string) string) ServerOptions {
			return ServerOptions{Certs: []string{tlstest.Write(t, in("c"), rsa.ChainPEM())}, Keys: []string{tlstest.Write(t, in("k"), rsa.OldKeyPEM())}}
		},
		"Ed25519": func(in func(string) string) ServerOptions {
			return ServerOptions{Certs: []string{tlstest.Write(t, in("c"), ed.ChainPEM(), ed.KeyPEM())}}
		},
		"pairs by name, the default by name": func(in func(string) string) ServerOptions {
			tlstest.Write(t, in("b.crt"), other.ChainPEM())
			tlstest.Write(t, in("z.key"), other.KeyPEM())
			tlstest.Write(t, in("tls.crt"), ec.ChainPEM())
			tlstest.Write(t, in("a.key"), ec.KeyPEM())
			return ServerOptions{Certs: []string{in("")}}
		},
		"certbot": func(in func(string) string) ServerOptions {
			tlstest.Write(t, in("cert.pem"), ec.CertPEM())
			tlstest.Write(t, in("chain.pem"), mid.CertPEM())
			tlstest.Write(t, in("fullchain.pem"), ec.ChainPEM())
			tlstest.Write(t, in("privkey.pem"), ec.KeyPEM())
			return ServerOptions{Certs: []string{in("")}}
		},
		"order upside down": func(in func(string) string) ServerOptions {
			return ServerOptions{Certs: []string{tlstest.Write(t, in("c"), mid.CertPEM(), ec.CertPEM(), ec.KeyPEM())}}
		},
		"explanations around": func(in func(string) string) ServerOptions {
			return ServerOptions{Certs: []string{tlstest.Write(t, in("c"), []byte("Bag Attributes\n  name: x\n"), ec.ChainPEM(), []byte("\nsubject=x\n"), ec.KeyPEM())}}
		},
	}
	for name, layout := range layouts {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := mustServer(t, layout(func(name string) string { return filepath.Join(dir, name) }))
			_, err, serr := handshake(s.Config(), &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"})
			if err != nil || serr != nil {
				t.Errorf("handshake: client %v, server %v", err, serr)
			}
		})
	}
}

func TestCertificateIsChosenByName(t *testing.T) {
	ca := tlstest.NewCA(t, "root")
	first := ca.Issue(tlstest.Want{Names: []string{"first.example"}})
	exact := ca.Issue(tlstest.Want{Names: []string{"www.example.com"}})
	wild := ca.Issue(tlstest.Want{Names: []string{"*.example.com"}})
	both, bothRSA := ca.Issue(tlstest.Want{Names: []string{"both.example"}}), ca.Issue(tlstest.Want{Names: []string{"both.example"}, RSA: 2048})
	old := ca.Issue(tlstest.Want{Names: []string{"renewed.example"}, Until: time.Now().Add(-time.Minute)})
	renewed := ca.Issue(tlstest.Want{Names: []string{"renewed.example"}})
	o := ServerOptions{}
	for _, c := range []*tlstest.Cert{first, wild, exact, bothRSA, both, old, renewed} {
		o.Certs = append(o.Certs, c.Files())
	}
	s := mustServer(t, o)
	onlyRSA := []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	for _, tt := range []struct {
		name   string
		suites []uint16
		want   *tlstest.Cert
	}{
		{"", nil, first}, {"unknown.example", nil, first}, {"a.b.example.com", nil, first}, {"example.com", nil, first},
		{"www.example.com", nil, exact}, {"WWW.Example.COM", nil, exact}, {"a.example.com", nil, wild},
		{"both.example", nil, both}, {"both.example", onlyRSA, bothRSA}, {"renewed.example", nil, renewed},
	} {
		client := &tls.Config{ServerName: tt.name}
		if tt.suites != nil {
			client.CipherSuites, client.MaxVersion = tt.suites, tls.VersionTLS12
		}
		if got := served(t, s, client); got != serial(tt.want) {
			t.Errorf("name %q, suites %v: serial %s; want %s", tt.name, tt.suites, got, serial(tt.want))
		}
	}
	o.RefuseUnknownSNI = true
	s = mustServer(t, o)
	for _, name := range []string{"", "unknown.example"} {
		_, err, serr := handshake(s.Config(), &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err == nil || !strings.Contains(err.Error(), "unrecognized name") || serr == nil {
			t.Errorf("name %q with unknown names refused: client %v, server %v; want the alert for that", name, err, serr)
		}
	}
	if got := served(t, s, &tls.Config{ServerName: "a.example.com"}); got != serial(wild) {
		t.Errorf("a.example.com: serial %s; want %s", got, serial(wild))
	}
}

func TestUnknownNameCannotResume(t *testing.T) {
	ca := tlstest.NewCA(t, "root")
	s := mustServer(t, ServerOptions{Certs: []string{ca.Issue(tlstest.Want{}).Files()}, RefuseUnknownSNI: true})
	cache := &oneSession{}
	client := &tls.Config{ServerName: "localhost", InsecureSkipVerify: true, ClientSessionCache: cache}
	for range 2 {
		if _, err, _ := handshake(s.Config(), client); err != nil {
			t.Fatal(err)
		}
	}
	client = &tls.Config{ServerName: "unknown", InsecureSkipVerify: true, ClientSessionCache: cache}
	if _, err, serr := handshake(s.Config(), client); err == nil || serr == nil {
		t.Errorf("resumed under another name: client %v, server %v; want a refusal", err, serr)
	}
}

// oneSession gives the same session to every name.
type oneSession struct{ state *tls.ClientSessionState }

func (o *oneSession) Get(string) (*tls.ClientSessionState, bool)    { return o.state, o.state != nil }
func (o *oneSession) Put(_ string, session *tls.ClientSessionState) { o.state = session }

func TestErrorsNameTheFileAndTheRemedy(t *testing.T) {
	ca := tlstest.NewCA(t, "root")
	good, other := ca.Issue(tlstest.Want{}), ca.Issue(tlstest.Want{})
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	write := func(name string, parts ...[]byte) string { return tlstest.Write(t, in(name), parts...) }
	chain := write("chain.pem", good.ChainPEM())
	broken := bytes.Replace(good.KeyPEM(), []byte("M"), []byte("N"), 3)
	tests := map[string]struct {
		o    ServerOptions
		want []string
	}{
		"none":             {ServerOptions{}, []string{"no certificate is given"}},
		"missing":          {ServerOptions{Certs: []string{in("none")}}, []string{in("none"), "no such file"}},
		"empty":            {ServerOptions{Certs: []string{write("empty")}}, []string{in("empty"), "no PEM block", "hint: "}},
		"no key":           {ServerOptions{Certs: []string{chain}}, []string{chain, "no key", "hint: "}},
		"not its key":      {ServerOptions{Certs: []string{chain}, Keys: []string{write("k", other.KeyPEM())}}, []string{chain, in("k"), "does not belong", "hint: "}},
		"encrypted":        {ServerOptions{Certs: []string{chain}, Keys: []string{write("e", []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"))}}, []string{in("e"), "encrypted", "openssl pkey"}},
		"encrypted, old":   {ServerOptions{Certs: []string{chain}, Keys: []string{write("e2", []byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"))}}, []string{in("e2"), "encrypted"}},
		"broken key":       {ServerOptions{Certs: []string{chain}, Keys: []string{write("b", broken)}}, []string{in("b"), "cannot be parsed"}},
		"folder of none":   {ServerOptions{Certs: []string{filepath.Dir(write("folder/readme.txt"))}}, []string{in("folder"), "*.crt"}},
		"folder of keys":   {ServerOptions{Certs: []string{good.Files(), filepath.Dir(write("keys/tls.key", other.KeyPEM()))}}, []string{in("keys"), "only keys", "hint: "}},
		"CA missing":       {ServerOptions{Certs: []string{good.Files()}, ClientCA: []string{in("ca")}}, []string{in("ca"), "no such file"}},
		"CA with a key":    {ServerOptions{Certs: []string{good.Files()}, ClientCA: []string{write("ca+k", ca.CertPEM(), ca.KeyPEM())}}, []string{in("ca+k"), "private key"}},
		"CA without certs": {ServerOptions{Certs: []string{good.Files()}, ClientCA: []string{write("crl", ca.Revoke(time.Hour))}}, []string{in("crl"), "no CA certificate"}},
		"rules alone":      {ServerOptions{Certs: []string{good.Files()}, ClientRules: Rules{CN: []string{"x"}}}, []string{"rules", "CA"}},
		"tickets":          {ServerOptions{Certs: []string{good.Files()}, TicketKeys: write("t", []byte("secret-that-is-short\n"))}, []string{in("t") + ":1", "openssl rand"}},
	}
	for name, tt := range tests {
		_, err := NewServer(tt.o)
		for _, want := range tt.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v; want %q in it", name, err, want)
			}
		}
	}
	_, err := NewServer(ServerOptions{Certs: []string{in("x"), in("y")}, ClientCA: []string{in("z")}})
	for _, name := range []string{in("x"), in("y"), in("z")} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v; want all complaints, %s too", err, name)
		}
	}
}

// TestKeysNeverOccurInErrors cuts, breaks and misplaces keys, and looks for parts of them in all that is said.
func TestKeysNeverOccurInErrors(t *testing.T) {
	ca := tlstest.NewCA(t, "root")
	dir := t.TempDir()
	for i, c := range []*tlstest.Cert{ca.Issue(tlstest.Want{}), ca.Issue(tlstest.Want{RSA: 2048}), ca.Issue(tlstest.Want{Ed: true})} {
		pems := [][]byte{c.KeyPEM()}
		if i < 2 {
			pems = append(pems, c.OldKeyPEM())
		}
		for _, key := range pems {
			relabelled := bytes.ReplaceAll(key, []byte("PRIVATE KEY"), []byte("CERTIFICATE"))
			for _, data := range [][]byte{key, key[:len(key)/2], key[30:], relabelled, bytes.ReplaceAll(key, []byte("A"), []byte("B")), bytes.ReplaceAll(key, []byte("-----BEGIN"), []byte("----- BEGIN"))} {
				path := tlstest.Write(t, filepath.Join(dir, "k"), data)
				var said []string
				_, err := NewServer(ServerOptions{Certs: []string{c.Files(), path}, Keys: []string{path}, ClientCA: []string{path}, TicketKeys: path})
				said = append(said, err.Error())
				errs, warnings := CheckServer(ServerOptions{Certs: []string{path}, CRL: []string{path}, ClientCA: []string{path}}, time.Now())
				said = append(append(said, errors.Join(errs...).Error()), warnings...)
				_, err = NewClient(ClientOptions{Cert: []string{path}, CA: []string{path}, ServerName: "x"})
				said = append(said, err.Error())
				leaks(t, key, strings.Join(said, "\n"))
			}
		}
	}
}

func leaks(t *testing.T, key []byte, said string) {
	t.Helper()
	for line := range strings.Lines(string(key)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "-") || len(line) < 12 {
			continue
		}
		for at := 0; at+12 <= len(line); at += 4 {
			if strings.Contains(said, line[at:at+12]) {
				t.Fatalf("a part of a key was said in %q", said)
			}
		}
	}
}

func TestUnreadableFileTellsOwnerAndMode(t *testing.T) {
	path := tlstest.Write(t, filepath.Join(t.TempDir(), "k"), []byte("x"))
	if err := os.Chmod(path, 0o200); err != nil {
		t.Fatal(err)
	}
	err := unreadable(path, os.ErrPermission)
	for _, want := range []string{path, "owner ", "mode 0200", "this process is", "fsGroup"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("unreadable() = %v; want %q in it", err, want)
		}
	}
}

func TestCheckTellsWhatIsServedAllTheSame(t *testing.T) {
	ca := tlstest.NewCA(t, "root")
	expired := ca.Issue(tlstest.Want{Until: time.Now().Add(-time.Minute)})
	future := ca.Issue(tlstest.Want{From: time.Now().Add(time.Minute), Names: []string{"future.example"}})
	bare := ca.Issue(tlstest.Want{CN: "bare", Names: []string{}})
	dir := expired.Files()
	if err := os.Chmod(filepath.Join(dir, "tls.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	o := ServerOptions{Certs: []string{dir, future.Files(), bare.Files()}}
	errs, warnings := CheckServer(o, time.Now())
	said := errors.Join(errs...).Error()
	if len(errs) != 2 || !strings.Contains(said, "expired at") || !strings.Contains(said, "not valid before") {
		t.Errorf("CheckServer() = %v; want one expired and one of the future", errs)
	}
	all := strings.Join(warnings, "\n")
	if !strings.Contains(all, "mode 0644") || !strings.Contains(all, "subjectAltName") {
		t.Errorf("warnings %q; want the mode and the missing names", all)
	}
	s := mustServer(t, o)
	if got := served(t, s, &tls.Config{}); got != serial(expired) {
		t.Errorf("served %s; want the expired one, %s", got, serial(expired))
	}
	if got := strings.Join(s.Warnings(), "\n"); !strings.Contains(got, "expired at") || !strings.Contains(got, "mode 0644") {
		t.Errorf("Warnings() = %q; want both", got)
	}
}

func TestWhatIsNegotiated(t *testing.T) {
	ca := tlstest.NewCA(t, "root")
	dir := ca.Issue(tlstest.Want{}).Files()
	s := mustServer(t, ServerOptions{Certs: []string{dir}, ALPN: []string{"h2", "http/1.1"}})
	try := func(s *Server, c *tls.Config) (tls.ConnectionState, error) {
		c.RootCAs, c.ServerName = ca.Pool(), "localhost"
		state, err, _ := handshake(s.Config(), c)
		return state, err
	}
	if state, err := try(s, &tls.Config{NextProtos: []string{"http/1.1", "h2"}}); err != nil || state.NegotiatedProtocol != "h2" || state.Version != tls.VersionTLS13 {
		t.Errorf("default client: %q, version %x, %v; want h2 over TLS 1.3", state.NegotiatedProtocol, state.Version, err)
	}
	if _, err := try(s, &tls.Config{NextProtos: []string{"spdy/3"}}); err == nil {
		t.Error("a client that speaks none of the protocols was let in")
	}
	if _, err := try(s, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 was let in")
	}
	for _, suite := range slices.Concat(tls.InsecureCipherSuites(), tls.CipherSuites()) {
		aead := strings.Contains(suite.Name, "GCM") && strings.Contains(suite.Name, "ECDHE") || strings.Contains(suite.Name, "CHACHA20")
		if !slices.Contains(suite.SupportedVersions, tls.VersionTLS12) || strings.Contains(suite.Name, "ECDHE_RSA") || aead {
			continue
		}
		if _, err := try(s, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID}}); err == nil {
			t.Errorf("suite %s was let in", suite.Name)
		}
	}
	s = mustServer(t, ServerOptions{Certs: []string{dir}, Only13: true})
	if _, err := try(s, &tls.Config{MaxVersion: tls.VersionTLS12}); err == nil {
		t.Error("TLS 1.2 was let in where 1.3 is demanded")
	}
	if state, err := try(s, &tls.Config{NextProtos: []string{"anything"}}); err != nil || state.NegotiatedProtocol != "" {
		t.Errorf("no ALPN: %q, %v; want what the client says to be ignored", state.NegotiatedProtocol, err)
	}
}

func TestCertificatesAreDescribed(t *testing.T) {
	ca := tlstest.NewCA(t, "root")
	c := ca.Issue(tlstest.Want{CN: "me", Names: []string{"a.example", "10.0.0.1", "spiffe://td/x"}})
	dir := c.Files()
	caFile := tlstest.Write(t, filepath.Join(t.TempDir(), "ca.crt"), ca.CertPEM())
	s := mustServer(t, ServerOptions{Certs: []string{dir}, ClientCA: []string{caFile}})
	infos := s.Certificates()
	if len(infos) != 2 {
		t.Fatalf("Certificates() has %d; want 2", len(infos))
	}
	got := infos[0]
	if got.Use != "server" || got.Subject != "CN=me" || got.Issuer != "CN=root" || !slices.Equal(got.Names, []string{"a.example", "10.0.0.1", "spiffe://td/x"}) ||
		got.KeyType != "ECDSA P-256" || got.File != filepath.Join(dir, "tls.crt") || got.KeyFile != filepath.Join(dir, "tls.key") || !got.NotAfter.Equal(c.X509.NotAfter) || len(got.Fingerprint) != 64 || got.Loaded.IsZero() {
		t.Errorf("Certificates()[0] = %+v", got)
	}
	if infos[1].Use != "client-ca" || infos[1].File != caFile {
		t.Errorf("Certificates()[1] = %+v; want the CA", infos[1])
	}
}
