package web

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/internal/tlsconf/tlstest"
	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/out/link"
)

func client(t testing.TB, address string, change func(*Config)) *Client {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	o := Config{Targets: []*url.URL{u}, UserAgent: "sidecar/1"}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func mustTLS(cert *tlstest.Cert) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{cert.TLS()}, MinVersion: tls.VersionTLS12}
}

func drain(resp *http.Response) error {
	_, err := io.Copy(io.Discard, resp.Body)
	return err
}

// TestBodyMayBeUsedAgain writes into the body as soon as Do has returned, whatever the server did: the race detector sees a transport
// that still reads, and the server what does not belong into a request.
func TestBodyMayBeUsedAgain(t *testing.T) {
	n := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		switch n % 4 {
		case 0:
			w.WriteHeader(http.StatusServiceUnavailable) // without reading
			return
		case 1:
			panic(http.ErrAbortHandler)
		}
		data, err := io.ReadAll(r.Body)
		if err == nil && (len(data) != 4<<20 || bytes.Trim(data, string(data[:1])) != nil) {
			t.Errorf("a body of %d bytes that are not the same", len(data))
		}
	}))
	defer srv.Close()
	c := client(t, srv.URL, nil)
	data := make([]byte, 4<<20)
	ok := 0
	for i := range 24 {
		for k := range data {
			data[k] = byte('a' + i)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if i%5 == 4 {
			cancel()
		}
		if c.Do(ctx, Request{Path: "/x", Body: data}, drain) == nil {
			ok++
		}
		cancel()
	}
	if ok < 8 {
		t.Errorf("%d requests succeeded; want 8 at least", ok)
	}
}

// TestBodyIsWrittenInOneCall proves that the shortcut around the transport's buffer works with this version of net/http.
func TestBodyIsWrittenInOneCall(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer srv.Close()
	c := client(t, srv.URL, nil)
	most := 0
	c.transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return straight{counted{conn, &most}}, err
	}
	if err := c.Do(t.Context(), Request{Body: make([]byte, 1<<20)}, drain); err != nil || most != 1<<20 {
		t.Errorf("Do = %v with %d bytes in the largest write; want all of them", err, most)
	}
}

type counted struct {
	net.Conn
	most *int
}

func (c counted) Write(p []byte) (int, error) {
	*c.most = max(*c.most, len(p))
	return c.Conn.Write(p)
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect is followed") }))
	defer other.Close()
	srv := httptest.NewServer(http.RedirectHandler(other.URL+"/elsewhere", http.StatusTemporaryRedirect))
	defer srv.Close()
	c := client(t, srv.URL, func(o *Config) { o.Auth.Bearer = &link.Secret{Fixed: secret.New("geheim")} })
	err := c.Do(t.Context(), Request{Body: []byte("x")}, drain)
	if err == nil || out.AsFailure(err).How != out.Pause || !strings.Contains(err.Error(), other.URL+"/elsewhere") {
		t.Errorf("Do = %v; want Pause and where it points to", err)
	}
}

// TestServerCannotMakeUsTellSecrets: what a server repeats of a request comes into errors, and our credentials do not.
func TestServerCannotMakeUsTellSecrets(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, "bad \x1b[31m header "+r.Header.Get("Authorization"))
	}))
	defer srv.Close()
	for name, auth := range map[string]Auth{
		"bearer": {Bearer: &link.Secret{Fixed: secret.New("geheim")}}, "basic": {User: "u", Password: &link.Secret{Fixed: secret.New("geheim")}},
	} {
		c := client(t, srv.URL, func(o *Config) { o.Auth = auth })
		err := c.Do(t.Context(), Request{Body: []byte("x")}, drain)
		if err == nil || strings.Contains(err.Error(), "geheim") || strings.Contains(err.Error(), "\x1b") || !strings.Contains(err.Error(), "bad") {
			t.Errorf("%s: Do = %v; want the reason without the secret", name, err)
		}
		if name == "basic" && strings.Contains(err.Error(), "dTpnZWhlaW0=") {
			t.Errorf("%s: Do = %v; want no encoded secret", name, err)
		}
	}
}

func TestTLSFollowsItsCA(t *testing.T) {
	ca := tlstest.NewCA(t, "root")
	cert := ca.Issue(tlstest.Want{})
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	srv.TLS = mustTLS(cert)
	srv.StartTLS()
	defer srv.Close()
	file := tlstest.Write(t, t.TempDir()+"/ca.crt", ca.CertPEM())
	address := strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)
	c := client(t, address, func(o *Config) { o.TLS.CA = []string{file} })
	if err := c.Do(t.Context(), Request{Body: []byte("x")}, drain); err != nil {
		t.Errorf("Do = %v; want nil", err)
	}
	other := tlstest.Write(t, t.TempDir()+"/ca.crt", tlstest.NewCA(t, "other").CertPEM())
	c = client(t, address, func(o *Config) { o.TLS.CA = []string{other} })
	if err := c.Do(t.Context(), Request{Body: []byte("x")}, drain); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("Do with another CA = %v; want an error about the certificate", err)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-1": 0, "99999999999": 10 * time.Minute, "x": 0, "99999999999999999999": 0,
		"Fri, 02 Jan 2026 03:04:15 GMT": 10 * time.Second, "Fri, 02 Jan 2025 03:04:15 GMT": 0,
	} {
		if got := RetryAfter(value, now); got != want {
			t.Errorf("RetryAfter(%q) = %s; want %s", value, got, want)
		}
	}
}

func TestUnreadableSecretIsAPause(t *testing.T) {
	c := client(t, "https://localhost:1", func(o *Config) { o.Auth.Bearer = &link.Secret{File: t.TempDir() + "/none"} })
	err := c.Do(t.Context(), Request{Body: []byte("x")}, drain)
	var status *Status
	if err == nil || out.AsFailure(err).How != out.Pause || errors.As(err, &status) || !strings.Contains(err.Error(), "/none") {
		t.Errorf("Do = %v; want Pause and the name of the file", err)
	}
}

func BenchmarkDo(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer srv.Close()
	data := bytes.Repeat([]byte(`{"@timestamp":"2026-01-02T03:04:05.678Z","message":"hello"}`+"\n"), 30_000)
	for _, pack := range []bool{false, true} {
		b.Run(map[bool]string{false: "plain", true: "gzip"}[pack], func(b *testing.B) {
			c := client(b, srv.URL, func(o *Config) { o.Gzip = pack })
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Do(b.Context(), Request{Body: data}, drain); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
