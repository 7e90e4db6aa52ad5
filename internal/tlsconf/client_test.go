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

func TestClientVerifiesBackends(t *testing.T) {
	ca, other := tlstest.NewCA(t, "root"), tlstest.NewCA(t, "other")
	good := ca.Issue(tlstest.Want{})
	expired := ca.Issue(tlstest.Want{Until: time.Now().Add(-time.Minute)})
	file := func(c *tlstest.Cert) []string {
		return []string{tlstest.Write(t, filepath.Join(t.TempDir(), "ca"), c.CertPEM())}
	}
	tests := map[string]struct {
		server *tlstest.Cert
		o      ClientOptions
		want   string // in the error, "" for none
	}{
		"CA":                    {good, ClientOptions{CA: file(ca), ServerName: "localhost"}, ""},
		"CA, an address":        {good, ClientOptions{CA: file(ca), ServerName: "127.0.0.1"}, ""},
		"system CAs":            {good, ClientOptions{ServerName: "localhost"}, "unknown authority"},
		"another CA":            {good, ClientOptions{CA: file(other), ServerName: "localhost"}, "unknown authority"},
		"another name":          {good, ClientOptions{CA: file(ca), ServerName: "db.example"}, "db.example"},
		"expired":               {expired, ClientOptions{CA: file(ca), ServerName: "localhost"}, "expired"},
		"for clients alone":     {ca.Issue(tlstest.Want{Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}), ClientOptions{CA: file(ca), ServerName: "localhost"}, "usage"},
		"pin":                   {good, ClientOptions{CA: file(ca), ServerName: "localhost", Pins: []string{other.Pin(), good.Pin()}}, ""},
		"pin of the CA":         {good, ClientOptions{CA: file(ca), ServerName: "localhost", Pins: []string{ca.Pin()}}, ""},
		"pin of another":        {good, ClientOptions{CA: file(ca), ServerName: "localhost", Pins: []string{other.Pin()}}, "none of the backend's keys is pinned"},
		"pin, another name":     {good, ClientOptions{CA: file(ca), ServerName: "db.example", Pins: []string{good.Pin()}}, "db.example"},
		"pin alone":             {expired, ClientOptions{PinsOnly: true, Pins: []string{strings.Replace(expired.Pin(), "/", "//", 1)}}, ""},
		"pin alone, of another": {good, ClientOptions{PinsOnly: true, Pins: []string{expired.Pin()}}, "none of the backend's keys is pinned"},
		"pin alone, of the CA":  {good, ClientOptions{PinsOnly: true, Pins: []string{ca.Pin()}}, "none of the backend's keys is pinned"},
		"no name":               {good, ClientOptions{CA: file(ca), SkipName: true, ServerName: "db.example"}, ""},
		"no name, another CA":   {good, ClientOptions{CA: file(other), SkipName: true}, "unknown authority"},
		"no name, expired":      {expired, ClientOptions{CA: file(ca), SkipName: true}, "expired"},
		"no name, pin":          {good, ClientOptions{CA: file(ca), SkipName: true, Pins: []string{ca.Pin()}}, ""},
		"no name, another pin":  {good, ClientOptions{CA: file(ca), SkipName: true, Pins: []string{other.Pin()}}, "none of the backend's keys is pinned"},
		"insecure":              {expired, ClientOptions{Insecure: true}, ""},
	}
	for name, tt := range tests {
		c, err := NewClient(tt.o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for range 2 { // the second one may be resumed
			server := &tls.Config{Certificates: []tls.Certificate{tt.server.TLS()}}
			server.SetSessionTicketKeys([][32]byte{{1}})
			_, err, _ = handshake(server, c.Config())
			if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v; want %q", name, err, tt.want)
			}
		}
	}
}

// TestPinsAreCheckedOnResumption gives a session of before to a client that has another pin.
func TestPinsAreCheckedOnResumption(t *testing.T) {
	cert := tlstest.SelfSigned(t, tlstest.Want{})
	other := tlstest.SelfSigned(t, tlstest.Want{})
	server := &tls.Config{Certificates: []tls.Certificate{cert.TLS()}}
	var configs []*tls.Config
	for _, p := range []*tlstest.Cert{cert, cert, other} {
		c, err := NewClient(ClientOptions{PinsOnly: true, Pins: []string{p.Pin()}, ServerName: "localhost"})
		if err != nil {
			t.Fatal(err)
		}
		configs = append(configs, c.Config())
		c.Config().ClientSessionCache = configs[0].ClientSessionCache
	}
	for i, c := range configs {
		state, err, _ := handshake(server, c)
		refused, ok := errors.AsType[*Refused](err)
		if i < 2 && (err != nil || state.DidResume != (i == 1)) || i == 2 && (!ok || refused.Reason != "pin") {
			t.Errorf("client %d: resumed %v, %v", i, state.DidResume, err)
		}
	}
}

func TestClientShowsItsCertificate(t *testing.T) {
	ca := tlstest.NewCA(t, "root")
	mid := ca.Issue(tlstest.Want{CN: "mid", CA: true})
	cert := mid.Issue(tlstest.Want{CN: "me"})
	caFile := tlstest.Write(t, filepath.Join(t.TempDir(), "ca"), ca.CertPEM())
	s := mustServer(t, ServerOptions{Certs: []string{ca.Issue(tlstest.Want{}).Files()}, ClientCA: []string{caFile}, ClientRules: Rules{CN: []string{"me"}}})
	c, err := NewClient(ClientOptions{CA: []string{caFile}, Cert: []string{cert.Files()}, ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		state, err, serr := handshake(s.Config(), c.Config())
		if err != nil || serr != nil || state.DidResume != (i == 1) {
			t.Errorf("handshake %d: resumed %v, client %v, server %v", i, state.DidResume, err, serr)
		}
	}
	if infos := c.Certificates(); len(infos) != 2 || infos[0].Use != "client" || infos[1].Use != "ca" {
		t.Errorf("Certificates() = %+v; want our own and the CA", infos)
	}
}

func TestClientErrors(t *testing.T) {
	ca := tlstest.NewCA(t, "root")
	path := tlstest.Write(t, filepath.Join(t.TempDir(), "ca"), ca.CertPEM())
	for name, tt := range map[string]struct {
		o    ClientOptions
		want string
	}{
		"no name":         {ClientOptions{}, "no server name"},
		"CA missing":      {ClientOptions{ServerName: "x", CA: []string{path + "x"}}, path + "x"},
		"cert of none":    {ClientOptions{ServerName: "x", Cert: []string{path}}, path},
		"key alone":       {ClientOptions{ServerName: "x", Key: []string{path}}, "no certificate"},
		"pin":             {ClientOptions{ServerName: "x", Pins: []string{"abc"}}, `pin "abc"`},
		"pins of none":    {ClientOptions{PinsOnly: true}, "no pin is given"},
		"insecure and CA": {ClientOptions{Insecure: true, CA: []string{path}}, "no effect"},
		"pins only, CA":   {ClientOptions{PinsOnly: true, Pins: []string{ca.Pin()}, CA: []string{path}}, "no effect"},
	} {
		if _, err := NewClient(tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v; want %q in it", name, err, tt.want)
		}
	}
	c, err := NewClient(ClientOptions{Insecure: true, ServerName: "db.example"})
	if err != nil || len(c.Warnings()) != 1 || !strings.Contains(c.Warnings()[0], "not checked") {
		t.Errorf("insecure: %v, warnings %q; want one that says so", err, c.Warnings())
	}
	old := ca.Issue(tlstest.Want{Until: time.Now().Add(-time.Minute)}).Files()
	errs, _ := CheckClient(ClientOptions{ServerName: "x", Cert: []string{old}}, time.Now())
	if len(errs) != 1 || !strings.Contains(errs[0].Error(), "expired") {
		t.Errorf("CheckClient() = %v; want an expired certificate", errs)
	}
}

func TestPinsThatBeginWithASlash(t *testing.T) {
	const hash = "/6c5/H5mMcP2Eo/SYLLX658oM7eA7IbD5XpUnSPUue4="
	for _, text := range []string{hash, "sha256/" + hash, "sha256//" + hash} {
		pins, errs := ClientOptions{Pins: []string{text}}.pins()
		if len(errs) > 0 || len(pins) != 1 || pins[0][0] != 0xff {
			t.Errorf("pins() of %q = %x, %v; want the hash that begins with ff", text, pins, errs)
		}
	}
}
