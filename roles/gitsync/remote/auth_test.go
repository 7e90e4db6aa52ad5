package remote_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/roles/gitsync/gitserve"
	"github.com/sidecar-kit/sidecar/roles/gitsync/remote"
)

func TestRotatedPasswordCountsOnTheKeptConnection(t *testing.T) {
	f := newFixture(t, gitserve.Options{Username: "me", Password: "new"})
	current := "old"
	r := connect(t, remote.Config{URL: f.url, Username: "me", Password: func(context.Context) (string, error) { return current, nil }})
	if _, err := r.List(t.Context(), nil); !errors.Is(err, remote.ErrAuth) {
		t.Errorf("List with the old password = %v; want ErrAuth", err)
	}
	current = "new"
	must[[]remote.Ref](t)(r.List(t.Context(), nil))
	current = "newer"
	f.srv.Set(func(o *gitserve.Options) { o.Password = "newer" })
	must[[]remote.Ref](t)(r.List(t.Context(), nil))
	if n := f.conns.Load(); n != 1 {
		t.Errorf("connections = %d; want 1", n)
	}
}

func TestCredentialsInTheURLNeverShow(t *testing.T) {
	f := newFixture(t, gitserve.Options{Username: "me", Password: "pa55"})
	with := strings.Replace(f.url, "http://", "http://me:pa55@", 1)
	must[[]remote.Ref](t)(connect(t, remote.Config{URL: with}).List(t.Context(), nil))
	f.srv.FailNext(1, 500, 0)
	_, err := connect(t, remote.Config{URL: with}).List(t.Context(), nil)
	if err == nil || strings.Contains(err.Error(), "pa55") {
		t.Errorf("error = %v; want one without the password", err)
	}
}

func TestBearerTokenAndExtraHeader(t *testing.T) {
	f := newFixture(t, gitserve.Options{Bearer: "tok"})
	must[[]remote.Ref](t)(connect(t, remote.Config{URL: f.url, BearerToken: text("tok")}).List(t.Context(), nil))
	must[[]remote.Ref](t)(connect(t, remote.Config{URL: f.url, Headers: []string{"Authorization: Bearer tok"}}).List(t.Context(), nil))
	if _, err := remote.Open(remote.Config{URL: f.url, Headers: []string{"nonsense-secret"}}); !errors.Is(err, remote.ErrConfig) || strings.Contains(err.Error(), "secret") {
		t.Errorf("Open with a bad header = %v; want ErrConfig without the value", err)
	}
}

// recorder is a server that notes the headers of what it is asked.
type recorder struct {
	mu   sync.Mutex
	seen []http.Header
	next http.Handler
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.seen = append(r.seen, req.Header.Clone())
	r.mu.Unlock()
	r.next.ServeHTTP(w, req)
}

func TestRedirectMovesPollsButNotCredentials(t *testing.T) {
	target := newFixture(t, gitserve.Options{})
	rec := &recorder{next: target.srv}
	second := httptest.NewServer(rec)
	defer second.Close()
	first := newFixture(t, gitserve.Options{Redirect: second.URL + "/moved.git"})
	cookies := filepath.Join(t.TempDir(), "cookies")
	if err := os.WriteFile(cookies, []byte("127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tc00kie\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := connect(t, remote.Config{
		URL: first.url, Username: "me", Password: text("pw"), CookieFile: cookies, Headers: []string{"X-Token: t0ken"},
	})
	for range 3 {
		refs := must[[]remote.Ref](t)(r.List(t.Context(), []string{"refs/heads/main"}))
		if len(refs) != 1 || refs[0].Hash != target.tip {
			t.Fatalf("List = %v; want %s", refs, target.tip)
		}
	}
	if n := first.srv.Stats().Requests; n != 1 {
		t.Errorf("requests to the old address = %d; want 1", n)
	}
	for _, h := range rec.seen {
		if h.Get("Authorization")+h.Get("Cookie")+h.Get("X-Token") != "" {
			t.Errorf("headers at the other host = %v; want no credentials", h)
		}
	}
	target.srv.Set(func(o *gitserve.Options) { o.Username, o.Password = "me", "pw" })
	if _, err := r.List(t.Context(), nil); !errors.Is(err, remote.ErrAuth) || !strings.Contains(err.Error(), "--repo") {
		t.Errorf("List at the other host = %v; want ErrAuth naming --repo", err)
	}
}

func TestRedirectsThatAreRefused(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	var location string
	tlsServer := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, location, http.StatusFound)
	}))
	defer tlsServer.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tlsServer.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ to, words string }{
		{plain.URL + "/r/info/refs?service=git-upload-pack", "https to http"},
		{tlsServer.URL + "/login", "not a git repository"},
		{"ftp://x/info/refs", "not http"},
		{tlsServer.URL + "/r/info/refs", "more than"},
	} {
		location = c.to
		_, err := connect(t, remote.Config{URL: tlsServer.URL + "/r", CAFile: ca}).List(t.Context(), nil)
		if !errors.Is(err, remote.ErrProtocol) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("redirect to %s = %v; want ErrProtocol with %q", c.to, err, c.words)
		}
	}
	if _, err := connect(t, remote.Config{URL: tlsServer.URL + "/r"}).List(t.Context(), nil); !errors.Is(err, remote.ErrUnreachable) {
		t.Errorf("List without the authority = %v; want ErrUnreachable", err)
	}
}

func TestPostIsNeverRedirected(t *testing.T) {
	f := newFixture(t, gitserve.Options{})
	r := connect(t, remote.Config{URL: f.url})
	must[[]remote.Ref](t)(r.List(t.Context(), nil))
	f.srv.FailNext(1, http.StatusTemporaryRedirect, 0)
	if _, err := r.List(t.Context(), nil); !errors.Is(err, remote.ErrProtocol) || !strings.Contains(err.Error(), "--repo") {
		t.Errorf("List = %v; want ErrProtocol naming --repo", err)
	}
}

func TestAskpassIsAskedAgainAfterARefusal(t *testing.T) {
	asked := 0
	password := "wrong"
	helper := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		fmt.Fprintf(w, "username=me\npassword=%s\n", password)
	}))
	defer helper.Close()
	f := newFixture(t, gitserve.Options{Username: "me", Password: "right"})
	r := connect(t, remote.Config{URL: f.url, AskpassURL: helper.URL + "?token=t0ken"})
	if _, err := r.List(t.Context(), nil); !errors.Is(err, remote.ErrAuth) || !strings.Contains(err.Error(), "--askpass-url") {
		t.Errorf("List with a wrong answer = %v; want ErrAuth naming --askpass-url", err)
	}
	password = "right"
	for range 3 {
		must[[]remote.Ref](t)(r.List(t.Context(), nil))
	}
	if asked != 3 {
		t.Errorf("askpass asked %d times; want 3: two refused answers, then one that is kept", asked)
	}
	helper.Close()
	_, err := connect(t, remote.Config{URL: f.url, AskpassURL: helper.URL + "?token=t0ken"}).List(t.Context(), nil)
	if err == nil || strings.Contains(err.Error(), "t0ken") {
		t.Errorf("List with askpass away = %v; want an error without its query", err)
	}
	if _, err := remote.Open(remote.Config{URL: f.url, AskpassURL: "http://192.0.2.1/"}); !errors.Is(err, remote.ErrConfig) {
		t.Errorf("Open with askpass over plain http elsewhere = %v; want ErrConfig", err)
	}
}

func TestGitHubAppTokenIsKeptUntilItExpires(t *testing.T) {
	key := must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 2048))
	keyPEM := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	issued := 0
	life := time.Hour
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/app/installations/42/access_tokens" || strings.Count(req.Header.Get("Authorization"), ".") != 2 {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		issued++
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"token":"ghs_abc","expires_at":%q}`, time.Now().Add(life).Format(time.RFC3339))
	}))
	defer api.Close()
	f := newFixture(t, gitserve.Options{Username: "x-access-token", Password: "ghs_abc"})
	app := &remote.GitHubApp{BaseURL: api.URL, ID: "7", InstallationID: "42", PrivateKey: text(keyPEM)}
	r := connect(t, remote.Config{URL: f.url, GitHub: app})
	for range 3 {
		must[[]remote.Ref](t)(r.List(t.Context(), nil))
	}
	if issued != 1 {
		t.Errorf("tokens issued = %d; want 1", issued)
	}
	life = time.Minute // within the spare time: used once, never kept
	r = connect(t, remote.Config{URL: f.url, GitHub: app})
	must[[]remote.Ref](t)(r.List(t.Context(), nil))
	if issued != 3 {
		t.Errorf("tokens issued = %d; want one for each of two requests more", issued)
	}
}
