package source

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

func parse(t *testing.T, text string) (Options, error) {
	t.Helper()
	v, err := draft.Parse("s.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return Parse("app", v)
}

func options(t *testing.T, text string) Options {
	t.Helper()
	o, err := parse(t, text)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"{}":                           "want one of url, file, command, redis and listen",
		"{url: 'http://a/', file: /b}": "want one of url, file, command, redis and listen",
		"{url: 'ftp://a/'}":            "want http://",
		"{url: 'http://u:hunter2@a/'}": "no user and password in an address",
		"{url: 'http+unix://run/x'}":   "%2F for its slashes",
		"{url: 'http://'}":             "names no host",
		"{file: a}":                    "want an absolute path",
		"{url: 'http://a/', headers: {Authorization: x}}":              "holds a secret",
		"{url: 'http://a/', method: DELETE}":                           "method",
		"{url: 'http://a/', timeout: 0s}":                              "timeout",
		"{url: 'https://a/', tls: {cert: x}}":                          "want both cert and key",
		"{url: 'http://a/', token-file: x, basic: {password-file: y}}": "want one of token-file, basic and oauth2",
		"{url: 'http://a/', ulr: x}":                                   "did you mean url?",
	} {
		_, err := parse(t, text)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "s.yaml:1:") {
			t.Errorf("Parse(%s) = %v; want s.yaml:1: and %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Parse(%s) shows a password: %v", text, err)
		}
	}
}

// getter is a source in the process.
type getter func(ctx context.Context) (Body, error)

func (g getter) Get(ctx context.Context) (Body, error) { return g(ctx) }

func pageOf(b Body) (model.Page, model.Drops, error) {
	if string(b.Data) == "bad" {
		return model.Page{}, model.Drops{}, errors.New("cannot read that")
	}
	return model.Page{Families: []model.Family{{Name: string(b.Data)}}}, model.Drops{model.Repeated: 2}, nil
}

func TestManyAskOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fetches atomic.Int64
		s := New(Options{Timeout: time.Minute}, getter(func(context.Context) (Body, error) {
			fetches.Add(1)
			time.Sleep(time.Second)
			return Body{Data: []byte("a")}, nil
		}), pageOf)
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if r := s.Fetch(t.Context()); r.Page == nil || r.Page.Families[0].Name != "a" {
					t.Errorf("Fetch = %+v", r)
				}
			})
		}
		all.Wait()
		if got := fetches.Load(); got != 1 {
			t.Errorf("%d fetches for 100 who asked at once; want 1", got)
		}
		if st := s.Stats(); st.Asked != 100 || st.Joined != 99 || st.Fetched != 1 || st.Drops[model.Repeated] != 2 {
			t.Errorf("stats = %+v", st)
		}
		s.Fetch(t.Context())
		if got := fetches.Load(); got != 2 {
			t.Errorf("%d fetches after another request; want 2: nothing is cached that nobody wants cached", got)
		}
	})
}

func TestWhoGoesAwayTakesTheAnswerFromNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Timeout: time.Minute}, getter(func(ctx context.Context) (Body, error) {
			select {
			case <-time.After(5 * time.Second):
				return Body{Data: []byte("a")}, nil
			case <-ctx.Done():
				return Body{}, ctx.Err()
			}
		}), pageOf)
		hasty, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		done := make(chan Result)
		go func() { done <- s.Fetch(t.Context()) }()
		if r := s.Fetch(hasty); r.Page != nil || r.Err == nil {
			t.Errorf("the hasty one got %+v; want an error after a second", r)
		}
		if r := <-done; r.Page == nil {
			t.Errorf("the patient one got %v", r.Err)
		}
	})
}

func TestCacheAndStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer, fetches := "a", 0
		s := New(Options{Timeout: time.Minute, TTL: 10 * time.Second, StaleIfError: time.Minute}, getter(func(context.Context) (Body, error) {
			fetches++
			return Body{Data: []byte(answer)}, nil
		}), pageOf)
		for _, step := range []struct {
			wait    time.Duration
			answer  string
			fetches int
			page    string
			failed  bool
		}{
			{0, "a", 1, "a", false}, {9 * time.Second, "b", 1, "a", false}, {2 * time.Second, "b", 2, "b", false}, {11 * time.Second, "bad", 3, "b", true}, {time.Second, "bad", 4, "b", true},
			{time.Minute, "bad", 5, "", true}, {0, "c", 6, "c", false},
		} {
			time.Sleep(step.wait)
			answer = step.answer
			r := s.Fetch(t.Context())
			got := ""
			if r.Page != nil {
				got = r.Page.Families[0].Name
			}
			if fetches != step.fetches || got != step.page || (r.Err != nil) != step.failed || r.Stale != (step.failed && got != "") {
				t.Errorf("%+v: %d fetches, page %q, err %v, stale %v", step, fetches, got, r.Err, r.Stale)
			}
		}
	})
}

func TestADecoderThatPanics(t *testing.T) {
	s := New(Options{Timeout: time.Minute}, getter(func(context.Context) (Body, error) { return Body{}, nil }), func(Body) (model.Page, model.Drops, error) { panic("oh") })
	if r := s.Fetch(t.Context()); r.Err == nil || !strings.Contains(r.Err.Error(), "panicked: oh") {
		t.Errorf("Fetch = %+v", r)
	}
}

// web asks a handler.
func web(t *testing.T, more string, h http.HandlerFunc) (Body, error) {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	w, err := NewWeb(options(t, fmt.Sprintf("{url: '%s/x'%s}", server.URL, more)))
	if err != nil {
		t.Fatal(err)
	}
	defer w.client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	return w.Get(ctx)
}

func zipped(data []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(data)
	_ = z.Close()
	return b.Bytes()
}

func TestWebBounds(t *testing.T) {
	bomb := zipped(make([]byte, 1<<20))
	for _, tt := range []struct {
		name, more, want string
		h                http.HandlerFunc
	}{
		{"ok", "", "", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hi")) }},
		{"gzip", "", "", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(zipped([]byte("hi")))
		}},
		{"status", "", "status 500", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "hi", 500) }},
		{"accepted status", ", status: [500]", "", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); _, _ = w.Write([]byte("hi")) }},
		{"length", ", max-body: 10", "more than 10 bytes", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 11)) }},
		{"no length", ", max-body: 10", "more than 10 bytes", func(w http.ResponseWriter, _ *http.Request) {
			for range 11 {
				_, _ = w.Write([]byte("x"))
				_ = http.NewResponseController(w).Flush()
			}
		}},
		{"bomb", ", max-size: 64K", "more than 65536 bytes", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb)
		}},
		{"coding", "", "was not asked for", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Encoding", "br") }},
		{"no gzip", "", "gzip", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write([]byte("hi"))
		}},
		{"breaks off", "", "EOF", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("hi"))
		}},
		{"redirect", "", "status 302 to http://elsewhere/, which is not followed", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://elsewhere/", http.StatusFound)
		}},
		{"redirect elsewhere", ", redirects: true", "which is not followed", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		}},
		{"redirect here", ", redirects: true", "", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/x" {
				http.Redirect(w, r, "/y", http.StatusFound)
				return
			}
			_, _ = w.Write([]byte("hi"))
		}},
	} {
		b, err := web(t, tt.more, tt.h)
		if tt.want == "" && (err != nil || string(b.Data) != "hi") {
			t.Errorf("%s: %q, %v; want hi", tt.name, b.Data, err)
		}
		if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v; want %q", tt.name, err, tt.want)
		}
	}
}

func TestWebRequest(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{"token": "hunter2\n", "key": "k1"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var got *http.Request
	var sent bytes.Buffer
	_, err := web(t, `, method: POST, headers: {X-A: b}, header-files: {X-Key: `+folder+`/key}, token-file: `+folder+`/token, host: app.internal, body: '{"at": {{ "2026" | json }} }', body-type: application/json`, func(_ http.ResponseWriter, r *http.Request) {
		got = r
		_, _ = sent.ReadFrom(r.Body)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.Method != "POST" || got.Host != "app.internal" || got.Header.Get("X-A") != "b" || got.Header.Get("X-Key") != "k1" || got.Header.Get("Authorization") != "Bearer hunter2" || sent.String() != `{"at": "2026" }` {
		t.Errorf("request = %s %s %v %s", got.Method, got.Host, got.Header, sent.String())
	}
	if got.Header.Get("X-Prometheus-Scrape-Timeout-Seconds") == "" || got.Header.Get("Accept-Encoding") != "gzip" {
		t.Errorf("headers = %v", got.Header)
	}
}

func TestWebErrorsHoldNoAddress(t *testing.T) {
	u, _ := url.Parse("http://127.0.0.1:1/?token=hunter2")
	w, err := NewWeb(Options{Name: "a", URL: u, Method: "GET", Timeout: time.Second, MaxBody: 10, MaxSize: 10})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = w.Get(t.Context()); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "refused") {
		t.Errorf("Get = %v; want refused, without the address", err)
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.URL.Path)) })}
	go func() { _ = server.Serve(l) }()
	defer func() { _ = server.Close() }()
	w, err := NewWeb(options(t, "{url: 'http+unix://"+strings.ReplaceAll(path, "/", "%2F")+"/metrics'}"))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if b, err := w.Get(t.Context()); err != nil || string(b.Data) != "/metrics" {
		t.Errorf("Get = %q, %v", b.Data, err)
	}
}

func TestFileAndCommand(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	for _, tt := range []struct {
		text, want, err string
		prepare         func()
	}{
		{"{file: " + path + "}", "hello", "", nil},
		{"{file: " + path + ", max-size: 4}", "", "more than 4 bytes", nil},
		{"{file: " + path + "x}", "", "no such file", nil},
		{"{file: " + filepath.Dir(path) + "}", "", "is no file", nil},
		{"{file: " + path + ", max-age: 1m}", "", "max-age is 1m", func() { _ = os.Chtimes(path, old, old) }},
		{"{command: [sh, -c, 'echo hi']}", "hi\n", "", nil},
		{"{command: [sh, -c, 'echo no >&2; exit 3']}", "", "no", nil},
		{"{command: [sh, -c, 'echo $A$HOME'], env: {A: b}}", "b\n", "", nil},
		{"{command: [sh, -c, 'yes'], max-size: 1000}", "", "more than 1000 bytes", nil},
		{"{command: [/nonexistent]}", "", "no such file", nil},
	} {
		if tt.prepare != nil {
			tt.prepare()
		}
		o := options(t, tt.text)
		g := NewFile(o)
		if o.File == "" {
			g = NewCommand(o)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		b, err := g.Get(ctx)
		cancel()
		if tt.err == "" && (err != nil || string(b.Data) != tt.want) || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s = %q, %v; want %q, %q", tt.text, b.Data, err, tt.want, tt.err)
		}
	}
}

func TestACommandThatDoesNotEnd(t *testing.T) {
	g := NewCommand(options(t, "{command: [sh, -c, 'sleep 600 & wait']}"))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := g.Get(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Get = %v; want the end of the context", err)
	}
}

func FuzzParseURL(f *testing.F) {
	for _, s := range []string{"http://a/", "https://a:1/x?y", "http+unix://%2Fa/b", "http://u:p@h/", "http://[::1]:1/", "://", "http://a/#f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := ParseURL(text)
		if err == nil && (u.User != nil || u.Host == "" || u.Fragment != "") {
			t.Errorf("ParseURL(%q) = %v", text, u)
		}
	})
}

func TestBoundsFollowTheMemoryLimit(t *testing.T) {
	for _, tt := range []struct{ limit, body, size int64 }{
		{1 << 62, 16 << 20, 64 << 20}, {64 << 20, 4 << 20, 8 << 20}, {8 << 20, 1 << 20, 2 << 20}, {512 << 20, 16 << 20, 64 << 20},
	} {
		if body, size := bounds(tt.limit); body != tt.body || size != tt.size {
			t.Errorf("bounds(%d) = %d, %d; want %d, %d", tt.limit, body, size, tt.body, tt.size)
		}
	}
}
