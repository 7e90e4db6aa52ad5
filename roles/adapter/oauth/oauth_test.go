package oauth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/secret"
)

// tokens is a server that gives numbered tokens.
type tokens struct {
	mu     sync.Mutex
	asked  []url.Values
	basic  []string
	answer func(n int, w http.ResponseWriter, r *http.Request)
}

func (s *tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	s.mu.Lock()
	s.asked = append(s.asked, r.PostForm)
	user, word, _ := r.BasicAuth()
	s.basic = append(s.basic, user+":"+word)
	n := len(s.asked)
	s.mu.Unlock()
	s.answer(n, w, r)
}

func give(n int, more string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		_, _ = w.Write([]byte(`{"access_token":"t` + string(rune('0'+n)) + `"` + more + `}`))
	}
}

func start(t *testing.T, s *tokens, o Options) *Client {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	o.TokenURL, _ = url.Parse(server.URL + "/token")
	if o.ClientID == "" {
		o.ClientID, o.Secret = "ann & co", secret.New("hunter2:%")
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func header(t *testing.T, c *Client) string {
	t.Helper()
	h, err := c.Header(t.Context())
	if err != nil {
		t.Fatalf("Header: %v", err)
	}
	return h
}

func TestATokenIsKeptUntilShortlyBeforeItsEnd(t *testing.T) {
	s := &tokens{answer: func(n int, w http.ResponseWriter, _ *http.Request) {
		give(n, `,"token_type":"bearer","expires_in":60`)(w)
	}}
	c := start(t, s, Options{Scopes: []string{"read", "write"}, Params: map[string]string{"audience": "app"}})
	now := time.Unix(1_000_000, 0)
	c.now = func() time.Time { return now }
	for range 3 {
		if h := header(t, c); h != "Bearer t1" {
			t.Fatalf("Header = %q; want Bearer t1", h)
		}
	}
	now = now.Add(49 * time.Second)
	if h := header(t, c); h != "Bearer t1" {
		t.Errorf("Header 11 s before the end = %q; want Bearer t1", h)
	}
	now = now.Add(2 * time.Second)
	if h := header(t, c); h != "Bearer t2" {
		t.Errorf("Header 9 s before the end = %q; want Bearer t2", h)
	}
	form := s.asked[0]
	if form.Get("grant_type") != "client_credentials" || form.Get("scope") != "read write" || form.Get("audience") != "app" || form.Has("client_secret") {
		t.Errorf("the form was %v", form)
	}
	if s.basic[0] != "ann+%26+co:hunter2%3A%25" { // RFC 6749, 2.3.1: form-encoded within Basic
		t.Errorf("Basic was %q", s.basic[0])
	}
}

func TestARefusedTokenIsForgotten(t *testing.T) {
	s := &tokens{answer: func(n int, w http.ResponseWriter, _ *http.Request) {
		give(n, `,"token_type":"DPoP","expires_in":"3600"`)(w)
	}}
	c := start(t, s, Options{})
	first := header(t, c)
	c.Refused("Bearer other")
	if h := header(t, c); h != first || h != "DPoP t1" {
		t.Errorf("Header = %q; want %q", h, first)
	}
	c.Refused(first)
	if h := header(t, c); h != "DPoP t2" {
		t.Errorf("Header after a refusal = %q; want DPoP t2", h)
	}
}

func TestServersThatReadTheBody(t *testing.T) {
	s := &tokens{answer: func(n int, w http.ResponseWriter, r *http.Request) {
		if r.PostForm.Get("client_secret") != "hunter2:%" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error":"invalid_client"}`))
			return
		}
		give(n, ``)(w)
	}}
	c := start(t, s, Options{})
	h := header(t, c)
	c.Refused(h)
	if again := header(t, c); h != "Bearer t2" || again != "Bearer t3" || len(s.asked) != 3 {
		t.Errorf("Header = %q, then %q after %d requests; want t2 and t3, the way that worked is kept", h, again, len(s.asked))
	}
	if s.basic[1] != ":" {
		t.Errorf("the second request had Basic, too: %q", s.basic[1])
	}
}

func TestOneRequestForAll(t *testing.T) {
	s := &tokens{answer: func(n int, w http.ResponseWriter, _ *http.Request) {
		time.Sleep(20 * time.Millisecond)
		give(n, `,"expires_in":3600`)(w)
	}}
	c := start(t, s, Options{})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { _, _ = c.Header(t.Context()) })
	}
	all.Wait()
	if len(s.asked) != 1 {
		t.Errorf("%d requests for 20; want 1", len(s.asked))
	}
}

func TestErrorsOfTokenServersHaveNoSecrets(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(w http.ResponseWriter)
		want   string
	}{
		"refused":   {func(w http.ResponseWriter) { w.WriteHeader(401); _, _ = w.Write([]byte(`{"error":"invalid_client"}`)) }, "status 401 (invalid_client)"},
		"broken":    {func(w http.ResponseWriter) { w.WriteHeader(500); _, _ = w.Write([]byte(`hunter2`)) }, "status 500"},
		"no token":  {func(w http.ResponseWriter) { _, _ = w.Write([]byte(`{"expires_in":5}`)) }, "gives no token"},
		"no JSON":   {func(w http.ResponseWriter) { _, _ = w.Write([]byte(`<html>`)) }, "gives no token"},
		"two lines": {func(w http.ResponseWriter) { _, _ = w.Write([]byte(`{"access_token":"a\r\nX: y"}`)) }, "gives no token"},
		"redirect":  {func(w http.ResponseWriter) { w.Header().Set("Location", "http://127.0.0.1:1/"); w.WriteHeader(302) }, "status 302"},
	} {
		s := &tokens{answer: func(_ int, w http.ResponseWriter, _ *http.Request) { test.answer(w) }}
		c := start(t, s, Options{})
		_, err := c.Header(t.Context())
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v; want %q and no secret", name, err, test.want)
		}
	}
	c := start(t, &tokens{answer: func(int, http.ResponseWriter, *http.Request) {}}, Options{ClientID: "a", SecretFile: filepath.Join(t.TempDir(), "none")})
	if _, err := c.Header(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without the file: %v; want that it does not exist", err)
	}
}

// otherCA is the certificate of an authority that signed nothing.
func otherCA(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestCertificatesAreReadAnew: a CA that is replaced is the one that counts for the next token.
func TestCertificatesAreReadAnew(t *testing.T) {
	s := &tokens{answer: func(n int, w http.ResponseWriter, _ *http.Request) { give(n, "")(w) }}
	server := httptest.NewUnstartedServer(s)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it is told of the handshake that fails
	server.StartTLS()
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	write := func(der []byte) {
		if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(otherCA(t))
	u, _ := url.Parse(server.URL)
	c, err := New(Options{TokenURL: u, ClientID: "a", Secret: secret.New("hunter2"), CA: ca})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Header(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate") || len(s.asked) > 0 {
		t.Fatalf("with another CA: %v after %d requests; want an error about the certificate, and no secret sent", err, len(s.asked))
	}
	write(server.Certificate().Raw)
	if h := header(t, c); h != "Bearer t1" {
		t.Errorf("Header = %q; want Bearer t1", h)
	}
}

func TestWaitingEnds(t *testing.T) {
	held := make(chan struct{})
	s := &tokens{answer: func(int, http.ResponseWriter, *http.Request) { <-held }}
	c := start(t, s, Options{})
	defer close(held)
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, errors.New("too slow"))
	defer cancel()
	var all sync.WaitGroup
	for range 2 { // who asks, and who waits for that
		all.Go(func() {
			if _, err := c.Header(ctx); err == nil || !strings.Contains(err.Error(), "too slow") {
				t.Errorf("Header = %v; want too slow", err)
			}
		})
	}
	all.Wait()
}

func TestParse(t *testing.T) {
	v, err := draft.Parse("f", []byte(`{client-id: ann, client-secret-file: /s, token-url: "https://id.example/token", scopes: [a, b], params: {audience: x}, tls: {ca: /ca, insecure: true}}`))
	if err != nil {
		t.Fatal(err)
	}
	o, err := Parse(v)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(o)
	if o.ClientID != "ann" || o.SecretFile != "/s" || o.TokenURL.String() != "https://id.example/token" || len(o.Scopes) != 2 || o.Params["audience"] != "x" || o.CA != "/ca" || !o.Insecure {
		t.Errorf("Parse = %s", text)
	}
	for text, want := range map[string]string{
		"{}":                                  "id is missing",
		"{client-id: a}":                      "address of the token server is missing",
		"{token-url: 'ftp://x'}":              "want the address",
		"{token-url: 'https://u:hunter2@x/'}": "want the address",
		"{client_secret: hunter2}":            "unknown key \"client_secret\"",
		"{client-id: a, token-url: 'https://x', tls: {cert: /a}}": "both cert and key",
	} {
		v, err := draft.Parse("f", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(v); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Parse(%s) = %v; want %q", text, err, want)
		}
	}
}
