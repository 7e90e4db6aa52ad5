package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/internal/tlsconf/tlstest"
)

// asks connects with a client certificate, nil for none, and returns the reason of the server's refusal, "" for none.
func asks(t *testing.T, s *Server, client *tls.Config, cert *tlstest.Cert) string {
	t.Helper()
	client.InsecureSkipVerify = true
	client.ServerName = "localhost"
	client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if cert == nil {
			return &tls.Certificate{}, nil
		}
		c := cert.TLS()
		return &c, nil
	}
	_, err, serr := handshake(s.Config(), client)
	if (err == nil) != (serr == nil) {
		t.Errorf("client %v, server %v; want both or none", err, serr)
	}
	if refused, ok := errors.AsType[*Refused](serr); ok {
		return refused.Reason
	}
	if serr != nil {
		return serr.Error()
	}
	return ""
}

func TestClientCertificates(t *testing.T) {
	ca, foreign := tlstest.NewCA(t, "root"), tlstest.NewCA(t, "root")
	mid := ca.Issue(tlstest.Want{CN: "mid", CA: true})
	expired := time.Now().Add(-time.Minute)
	clients := map[string]struct {
		cert *tlstest.Cert
		want string
	}{
		"good":                {ca.Issue(tlstest.Want{CN: "good"}), ""},
		"RSA":                 {ca.Issue(tlstest.Want{RSA: 2048}), ""},
		"intermediate":        {mid.Issue(tlstest.Want{CN: "under"}), ""},
		"none":                {nil, "tls: client didn't provide a certificate"},
		"foreign CA":          {foreign.Issue(tlstest.Want{CN: "good"}), "untrusted"},
		"self-signed":         {tlstest.SelfSigned(t, tlstest.Want{CN: "good"}), "untrusted"},
		"expired":             {ca.Issue(tlstest.Want{Until: expired}), "expired"},
		"not yet":             {ca.Issue(tlstest.Want{From: time.Now().Add(time.Minute)}), "expired"},
		"for servers alone":   {ca.Issue(tlstest.Want{Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), "usage"},
		"signed by a client":  {ca.Issue(tlstest.Want{CN: "good"}).Issue(tlstest.Want{CN: "forged"}), "untrusted"},
		"under expired CA":    {ca.Issue(tlstest.Want{CN: "old", CA: true, Until: expired}).Issue(tlstest.Want{}), "expired"},
		"under a foreign mid": {foreign.Issue(tlstest.Want{CN: "mid", CA: true}).Issue(tlstest.Want{}), "untrusted"},
	}
	o := ServerOptions{Certs: []string{ca.Issue(tlstest.Want{}).Files()}, ClientCA: []string{tlstest.Write(t, filepath.Join(t.TempDir(), "ca"), ca.CertPEM())}}
	required := mustServer(t, o)
	o.Optional = true
	optional := mustServer(t, o)
	for name, c := range clients {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			if got := asks(t, required, &tls.Config{MaxVersion: version}, c.cert); got != c.want {
				t.Errorf("%s, version %x: %q; want %q", name, version, got, c.want)
			}
			want := c.want
			if c.cert == nil {
				want = ""
			}
			if got := asks(t, optional, &tls.Config{MaxVersion: version}, c.cert); got != want {
				t.Errorf("%s, optional, version %x: %q; want %q", name, version, got, want)
			}
		}
	}
}

func TestClientRules(t *testing.T) {
	ca := tlstest.NewCA(t, "root")
	cert := ca.Issue(tlstest.Want{CN: "Billing", OU: []string{"ops", "dev"}, Names: []string{"a.team.example", "spiffe://td.example/ns/prod/sa/web-1"}}).X509
	wildcard := ca.Issue(tlstest.Want{Names: []string{"*.team.example"}}).X509
	nothing := ca.Issue(tlstest.Want{Names: []string{}}).X509
	dots := ca.Issue(tlstest.Want{Names: []string{"spiffe://td.example/ns/../sa/web-1"}}).X509
	escaped := ca.Issue(tlstest.Want{Names: []string{"spiffe://td.example/ns/a%2Fb/sa/web-1"}}).X509
	tests := []struct {
		rules Rules
		cert  *x509.Certificate
		want  bool
	}{
		{Rules{}, nothing, true},
		{Rules{CN: []string{"Billing"}}, cert, true}, {Rules{CN: []string{"billing"}}, cert, false}, {Rules{CN: []string{"Bill"}}, cert, false},
		{Rules{OU: []string{"dev"}}, cert, true}, {Rules{OU: []string{"de"}}, cert, false},
		{Rules{CN: []string{"x"}, OU: []string{"y"}, SAN: []string{"a.team.example"}}, cert, true},
		{Rules{SAN: []string{"A.Team.Example"}}, cert, true}, {Rules{SAN: []string{"*.team.example"}}, cert, true}, {Rules{SAN: []string{"*.example"}}, cert, false}, {Rules{SAN: []string{"team.example"}}, cert, false},
		{Rules{SAN: []string{"*.team.example"}}, wildcard, true}, {Rules{SAN: []string{"a.team.example"}}, wildcard, false},
		{Rules{SAN: []string{"Billing"}}, cert, false}, // a common name is no SAN
		{Rules{URI: []string{"spiffe://td.example/ns/prod/sa/web-1"}}, cert, true},
		{Rules{URI: []string{"spiffe://td.example/ns/*/sa/web-*"}}, cert, true}, {Rules{URI: []string{"spiffe://td.example/ns/*/sa/api-*"}}, cert, false},
		{Rules{URI: []string{"spiffe://td.example/ns/*"}}, cert, false}, {Rules{URI: []string{"spiffe://td.example/ns/**"}}, cert, true},
		{Rules{URI: []string{"spiffe://td.example/ns/prod/sa/web-1/**"}}, cert, false},
		{Rules{URI: []string{"spiffe://TD.example/ns/prod/sa/*"}}, cert, true}, {Rules{URI: []string{"spiffe://td.example.evil/ns/prod/sa/*"}}, cert, false},
		{Rules{URI: []string{"spiffe://td.example/ns/*/sa/*"}}, dots, false}, {Rules{URI: []string{"spiffe://td.example/**"}}, dots, false}, {Rules{URI: []string{"spiffe://td.example/**"}}, escaped, false},
		{Rules{CN: []string{"x"}}, nothing, false},
	}
	for _, tt := range tests {
		m, err := tt.rules.compile()
		if err != nil {
			t.Errorf("compile(%+v) = %v", tt.rules, err)
			continue
		}
		if got := m.match(tt.cert); got != tt.want {
			t.Errorf("match(%+v, %s) = %v; want %v", tt.rules, claims(tt.cert), got, tt.want)
		}
	}
	for _, bad := range []Rules{
		{CN: []string{""}}, {SAN: []string{"a*.example"}}, {SAN: []string{"*"}}, {SAN: []string{"*.*.example"}}, {URI: []string{"spiffe://*/x"}}, {URI: []string{"/x"}},
		{URI: []string{"spiffe://td/**/x"}}, {URI: []string{"spiffe://td/a**"}}, {URI: []string{"spiffe://td/*a*"}}, {URI: []string{"spiffe://td/../x"}}, {URI: []string{"spiffe://td/x?y"}},
	} {
		if _, err := bad.compile(); err == nil {
			t.Errorf("compile(%+v) took it; want an error", bad)
		}
	}
}

func TestRefusalByRuleSaysWhatTheCertificateClaims(t *testing.T) {
	ca := tlstest.NewCA(t, "root")
	o := ServerOptions{
		Certs: []string{ca.Issue(tlstest.Want{}).Files()}, ClientCA: []string{tlstest.Write(t, filepath.Join(t.TempDir(), "ca"), ca.CertPEM())},
		ClientRules: Rules{URI: []string{"spiffe://td/ns/prod/*"}},
	}
	s := mustServer(t, o)
	if got := asks(t, s, &tls.Config{}, ca.Issue(tlstest.Want{Names: []string{"spiffe://td/ns/prod/web"}})); got != "" {
		t.Errorf("allowed URI: refused for %q", got)
	}
	evil := ca.Issue(tlstest.Want{CN: "x\nlevel=error", OU: []string{"ops"}, Names: []string{"spiffe://td/ns/dev/web"}})
	err := s.state.Load().trust.check([]*x509.Certificate{evil.X509}, time.Now())
	for _, want := range []string{`CN "x\nlevel=error"`, `OU "ops"`, `URI "spiffe://td/ns/dev/web"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("refusal %v; want %s in it", err, want)
		}
	}
}

func TestRevocationLists(t *testing.T) {
	ca := tlstest.NewCA(t, "root")
	mid, cutMid := ca.Issue(tlstest.Want{CN: "mid", CA: true}), ca.Issue(tlstest.Want{CN: "cut", CA: true})
	good, bad := ca.Issue(tlstest.Want{CN: "good"}), ca.Issue(tlstest.Want{CN: "bad"})
	underMid, underCut := mid.Issue(tlstest.Want{}), cutMid.Issue(tlstest.Want{})
	dir := t.TempDir()
	write := func(name string, parts ...[]byte) []string {
		return []string{tlstest.Write(t, filepath.Join(dir, name), parts...)}
	}
	o := ServerOptions{Certs: []string{ca.Issue(tlstest.Want{}).Files()}, ClientCA: write("ca", ca.CertPEM(), mid.CertPEM())}
	check := func(name string, lists []string, want map[*tlstest.Cert]string) {
		t.Helper()
		o.CRL = lists
		s := mustServer(t, o)
		for cert, reason := range want {
			if got := asks(t, s, &tls.Config{}, cert); got != reason {
				t.Errorf("%s: %s: %q; want %q", name, cert.X509.Subject, got, reason)
			}
		}
	}
	check("one list", write("one", ca.Revoke(time.Hour, bad, cutMid)), map[*tlstest.Cert]string{good: "", bad: "revoked", underMid: "", underCut: "revoked"})
	check("the newer of two", write("two", ca.Revoke(time.Hour), mid.Revoke(time.Hour, underMid)), map[*tlstest.Cert]string{bad: "", underMid: "revoked"})
	check("too old", write("old", ca.Revoke(-10*time.Minute)), map[*tlstest.Cert]string{good: "crl", underCut: "crl", underMid: ""})
	foreign := tlstest.NewCA(t, "root")
	for name, data := range map[string][]byte{"forged": foreign.Revoke(time.Hour, good), "of another CA": tlstest.NewCA(t, "other").Revoke(time.Hour), "no list": ca.CertPEM()} {
		o.CRL = write("bad", data)
		if _, err := NewServer(o); err == nil || !strings.Contains(err.Error(), o.CRL[0]) {
			t.Errorf("%s: error %v; want one that names %s", name, err, o.CRL[0])
		}
	}
	o.CRL = write("stale", ca.Revoke(-10*time.Minute))
	errs, warnings := CheckServer(o, time.Now())
	if len(errs) != 1 || !strings.Contains(errs[0].Error(), "was to be renewed by") || !strings.Contains(strings.Join(warnings, "\n"), "no revocation list is of \"mid\"") {
		t.Errorf("CheckServer() = %v, %q; want the stale list, and a warning that mid has none", errs, warnings)
	}
}

// TestResumptionIsCheckedAgain lets a client in, and resumes after each change of what clients are held against.
func TestResumptionIsCheckedAgain(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		ca, other := tlstest.NewCA(t, "root"), tlstest.NewCA(t, "other")
		client := ca.Issue(tlstest.Want{CN: "client"})
		dir := t.TempDir()
		o := ServerOptions{
			Certs:    []string{ca.Issue(tlstest.Want{}).Files()},
			ClientCA: []string{tlstest.Write(t, filepath.Join(dir, "ca"), ca.CertPEM())},
			CRL:      []string{tlstest.Write(t, filepath.Join(dir, "crl"), ca.Revoke(time.Hour))},
		}
		s := mustServer(t, o)
		config := &tls.Config{MaxVersion: version, InsecureSkipVerify: true, ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(1), Certificates: []tls.Certificate{client.TLS()}}
		resumed := func(what string, want bool, refused string) {
			t.Helper()
			state, err, serr := handshake(s.Config(), config)
			reason := ""
			if r, ok := errors.AsType[*Refused](serr); ok {
				reason = r.Reason
			}
			if (err != nil || serr != nil) && refused == "" || reason != refused || err == nil && state.DidResume != want {
				t.Errorf("version %x: %s: resumed %v, client %v, server %v; want %v, refusal %q", version, what, state.DidResume, err, serr, want, refused)
			}
		}
		reload := func() {
			t.Helper()
			if _, err := s.reload(); err != nil {
				t.Fatal(err)
			}
		}
		resumed("first", false, "")
		resumed("again", true, "")
		tlstest.Write(t, o.CRL[0], ca.Revoke(2*time.Hour))
		reload()
		resumed("another list", true, "")
		s.rotate()
		resumed("keys rotated", true, "")
		tlstest.Write(t, o.ClientCA[0], ca.CertPEM(), other.CertPEM())
		reload()
		resumed("a CA more", false, "")
		resumed("and again", true, "")
		tlstest.Write(t, o.CRL[0], ca.Revoke(3*time.Hour, client))
		reload()
		resumed("revoked", true, "revoked")
		tlstest.Write(t, o.CRL[0], other.Revoke(3*time.Hour, client))
		tlstest.Write(t, o.ClientCA[0], other.CertPEM())
		reload()
		resumed("another CA", false, "untrusted")
	}
}

func TestReplicasShareTickets(t *testing.T) {
	ca := tlstest.NewCA(t, "root")
	server := ca.Issue(tlstest.Want{}).Files()
	keys := tlstest.Write(t, filepath.Join(t.TempDir(), "keys"), []byte("# made by openssl\nq83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=\n"))
	o := ServerOptions{Certs: []string{server}, TicketKeys: keys}
	one, two := mustServer(t, o), mustServer(t, o)
	o.ClientCA, o.Optional = []string{tlstest.Write(t, filepath.Join(t.TempDir(), "ca"), ca.CertPEM())}, true
	strict := mustServer(t, o)
	config := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	for i, s := range []*Server{one, two, strict} {
		state, err, serr := handshake(s.Config(), config)
		if err != nil || serr != nil || state.DidResume != (i == 1) {
			t.Errorf("server %d: resumed %v, client %v, server %v; want resumption by the replica alone", i, state.DidResume, err, serr)
		}
	}
}

func TestNoTickets(t *testing.T) {
	ca := tlstest.NewCA(t, "root")
	s := mustServer(t, ServerOptions{Certs: []string{ca.Issue(tlstest.Want{}).Files()}, NoTickets: true})
	config := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	for range 2 {
		if state, err, _ := handshake(s.Config(), config); err != nil || state.DidResume {
			t.Errorf("resumed %v, %v; want a full handshake", state.DidResume, err)
		}
	}
}
