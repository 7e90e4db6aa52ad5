package web

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/tlsconf/tlstest"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// secretHash is bcrypt of "secret".
const secretHash = "$2y$04$3u5Nx1tXIaLWXCCo98fZ/ObZZZOlWGgbDW.X15gooA8dNp7nf/VEC"

func serve(t *testing.T, conf *Config, h http.Handler) (*Server, string) {
	t.Helper()
	s := New(zerolog.Nop(), 8)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); s.Close(context.Background()) })
	if conf != nil {
		if err := s.Use(ctx, conf); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Listen(ctx, map[string]http.Handler{"127.0.0.1:0": h}); err != nil {
		t.Fatal(err)
	}
	return s, s.Addr("127.0.0.1:0")
}

func hello(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
}

func TestConfigComplaints(t *testing.T) {
	for text, want := range map[string]string{
		"tls_server_confg: {}":             `unknown key "tls_server_confg", did you mean tls_server_config?`,
		"basic_auth_users:\n  ann: secret": "web.yml:2:8: ann: no bcrypt hash",
		"allowed_ips: [10.0.0.0/33]":       "web.yml:1:15: allowed_ips: \"10.0.0.0/33\": want an address or a network",
		"tls_server_config: {client_auth_type: RequireAndVerifyClientCert, cert_file: a}":      "want client_ca_file",
		"tls_server_config: {client_auth_type: RequireAnyClientCert, cert_file: a}":            `client_auth_type: "RequireAnyClientCert" is none of`,
		"tls_server_config: {client_ca_file: a, client_auth_type: NoClientCert, cert_file: a}": "nobody would be asked",
		"tls_server_config: {min_version: TLS12}":                                              "want cert_file and key_file",
		"http_server_config: {headers: {X-Evil: a}}":                                           "X-Evil is none of",
		"tls_server_config: {cert_file: a, key_file: b, min_version: TLS10}":                   "min_version",
		"- a": "want keys and values",
	} {
		_, err := Load(write(t, "web.yml", text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Load(%q) = %v; want %q", text, err, want)
		}
	}
}

func TestWhoMayComeIn(t *testing.T) {
	token := write(t, "token", "abc\n")
	tests := []struct {
		name, conf, remote, header string
		want                       int
	}{
		{"nothing configured", "", "10.1.2.3:4", "", 200},
		{"allowed address", "allowed_ips: [10.0.0.0/8]", "10.1.2.3:4", "", 200},
		{"mapped address", "allowed_ips: [10.0.0.0/8]", "[::ffff:10.1.2.3]:4", "", 200},
		{"other address", "allowed_ips: [10.0.0.0/8]", "11.1.2.3:4", "", 403},
		{"right token", "bearer_token_files: [" + token + "]", "", "Bearer abc", 200},
		{"small scheme", "bearer_token_files: [" + token + "]", "", "bearer abc", 200},
		{"wrong token", "bearer_token_files: [" + token + "]", "", "Bearer abd", 401},
		{"no token", "bearer_token_files: [" + token + "]", "", "", 401},
		{"empty token", "bearer_token_files: [" + write(t, "empty", "") + "]", "", "Bearer ", 401},
		{"right password", "basic_auth_users: {ann: " + secretHash + "}", "", "Basic YW5uOnNlY3JldA==", 200},
		{"wrong password", "basic_auth_users: {ann: " + secretHash + "}", "", "Basic YW5uOnNlY3JlcA==", 401},
		{"unknown user", "basic_auth_users: {ann: " + secretHash + "}", "", "Basic Ym9iOnNlY3JldA==", 401},
	}
	for _, tt := range tests {
		c, err := Load(write(t, "web.yml", tt.conf))
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		for range 2 { // what was compared is remembered
			w := newRecorder()
			r, _ := http.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = tt.remote
			if tt.header != "" {
				r.Header.Set("Authorization", tt.header)
			}
			if c.admit(w, r) != nil {
				w.code = 200
			}
			if w.code != tt.want {
				t.Errorf("%s: status = %d; want %d", tt.name, w.code, tt.want)
			}
		}
	}
}

type recorder struct {
	header http.Header
	code   int
}

func newRecorder() *recorder                    { return &recorder{header: http.Header{}} }
func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) Write(p []byte) (int, error) { return len(p), nil }
func (r *recorder) WriteHeader(code int)        { r.code = code }

func TestGuessesTakeNoPasswordFromTheCache(t *testing.T) {
	v := newVerified()
	if !v.check(secretHash, "ann", "secret") {
		t.Fatal("the password is not taken")
	}
	for i := range mostVerified {
		v.known[[32]byte{byte(i), 1}] = false
	}
	v.check(secretHash, "ann", "guess")
	if len(v.known) != 2 {
		t.Errorf("%d answers are remembered; want the right one and the last", len(v.known))
	}
	if ok, is := v.look(sha256.Sum256([]byte(secretHash + "\x00ann\x00secret"))); !ok || !is {
		t.Error("the right password was forgotten")
	}
}

func TestTLSCanBeTurnedOnWhileItRuns(t *testing.T) {
	s, addr := serve(t, nil, hello("hi"))
	if got := get(t, &http.Client{Timeout: 20 * time.Second}, "http://"+addr); got != "hi" {
		t.Fatalf("plain = %q", got)
	}
	ca := tlstest.NewCA(t, "ca")
	leaf := ca.Issue(tlstest.Want{Names: []string{"127.0.0.1"}})
	folder := t.TempDir()
	for name, text := range map[string][]byte{"tls.crt": leaf.CertPEM(), "tls.key": leaf.KeyPEM(), "web.yml": []byte("tls_server_config: {cert_file: tls.crt, key_file: tls.key}\nhttp_server_config: {http2: true, headers: {X-Frame-Options: deny}}\n")} {
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Load(filepath.Join(folder, "web.yml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Use(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // the handshake is what is tested
	defer client.CloseIdleConnections()
	answer, err := client.Get("https://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.Proto != "HTTP/2.0" || answer.Header.Get("X-Frame-Options") != "deny" {
		t.Errorf("answer = %s %v; want HTTP/2.0 with the header", answer.Proto, answer.Header)
	}
}

func get(t *testing.T, c *http.Client, url string) string {
	t.Helper()
	answer, err := c.Get(url)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = answer.Body.Close() }()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestListenReplacesHandlersAndAddresses(t *testing.T) {
	s, addr := serve(t, nil, hello("one"))
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	if err := s.Listen(t.Context(), map[string]http.Handler{"127.0.0.1:0": hello("two")}); err != nil {
		t.Fatal(err)
	}
	if got := get(t, client, "http://"+addr); got != "two" {
		t.Errorf("after Listen = %q; want two", got)
	}
	if err := s.Listen(t.Context(), map[string]http.Handler{"127.0.0.1:0": hello("three"), addr: hello("taken")}); err == nil {
		t.Error("Listen took an address that is taken")
	}
	if got := get(t, client, "http://"+addr); got != "two" {
		t.Errorf("after a Listen that failed = %q; want two", got)
	}
	socket := "unix://" + filepath.Join(t.TempDir(), "s")
	if err := s.Listen(t.Context(), map[string]http.Handler{socket: hello("socket")}); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if got := get(t, client, "http://"+addr); strings.Contains(got, "refused") {
			break
		} else if time.Now().After(end) {
			t.Fatalf("the old address answers %q", got)
		}
	}
}

func TestTooManyRequestsAtOnce(t *testing.T) {
	hold, held := make(chan struct{}), make(chan struct{}, 8)
	var slow atomic.Pointer[http.Handler]
	s, addr := serve(t, nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			(*slow.Load()).ServeHTTP(w, r)
		}
	}))
	limited := s.Limited(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { held <- struct{}{}; <-hold }))
	slow.Store(&limited)
	defer close(hold)
	client := &http.Client{Timeout: 60 * time.Second}
	for range 8 {
		go func() {
			if answer, err := client.Get("http://" + addr); err == nil {
				_ = answer.Body.Close()
			}
		}()
	}
	for range 8 {
		<-held
	}
	answer, err := client.Get("http://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") != "1" {
		t.Errorf("status = %d; want 503 with Retry-After", answer.StatusCode)
	}
	if got := get(t, client, "http://"+addr+"/readyz"); got != "" {
		t.Errorf("what is not limited gets %q; want an answer", got)
	}
}

func FuzzParsePrefix(f *testing.F) {
	for _, s := range []string{"10.0.0.0/8", "::1", "::ffff:1.2.3.4", "1.2.3.4/40", "fe80::1%eth0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePrefix(text)
		if err == nil && (!p.IsValid() || p != p.Masked()) {
			t.Errorf("ParsePrefix(%q) = %v", text, p)
		}
	})
}
