package admin

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/health"
	"github.com/sidecar-kit/sidecar/internal/meter"
	"github.com/sidecar-kit/sidecar/internal/status"
)

func serve(t *testing.T, opts Options) (*Server, func(method, path string) (int, http.Header, string)) {
	t.Helper()
	if opts.Addr == "" {
		opts.Addr = "127.0.0.1:0"
	}
	opts.Log = zerolog.Nop()
	if opts.Health == nil {
		opts.Health = &health.Set{}
	}
	if opts.Metrics == nil {
		opts.Metrics = new(meter.Registry)
	}
	s, err := Listen(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run() = %v; want nil", err)
		}
	})
	return s, func(method, path string) (int, http.Header, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.Addr()+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, resp.Header, string(body)
	}
}

func TestProbesFollowTheHealth(t *testing.T) {
	var set health.Set
	check := set.Check("first sync")
	_, ask := serve(t, Options{Health: &set})
	expect := func(path string, code int, body string) {
		t.Helper()
		if gotCode, _, got := ask("GET", path); gotCode != code || got != body {
			t.Errorf("GET %s = %d %q; want %d %q", path, gotCode, got, code, body)
		}
	}
	expect("/livez", 200, "ok\n")
	expect("/startupz", 503, "not ok\n")
	set.Started()
	expect("/startupz?verbose", 200, "[+] started\nok\n")
	expect("/readyz?verbose", 503, "[+] started\n[-] first sync: not yet\nnot ok\n")
	check.Fail(errors.New("no space"))
	expect("/readyz?verbose=1", 503, "[+] started\n[-] first sync: no space\nnot ok\n")
	check.OK()
	expect("/readyz", 200, "ok\n")
	set.Draining()
	expect("/readyz", 503, "not ok\n")
	if code, _, _ := ask("POST", "/readyz"); code != http.StatusMethodNotAllowed {
		t.Errorf("POST /readyz = %d; want 405", code)
	}
	if code, _, _ := ask("GET", "/nonsense"); code != http.StatusNotFound {
		t.Errorf("GET /nonsense = %d; want 404", code)
	}
}

func TestQuitOnlyWhereAllowed(t *testing.T) {
	_, ask := serve(t, Options{})
	if code, _, body := ask("POST", "/quit"); code != 403 || !strings.Contains(body, "--allow-quit") {
		t.Errorf("POST /quit = %d %q; want 403 and the remedy", code, body)
	}
	asked := make(chan struct{}, 1)
	_, ask = serve(t, Options{Quit: func() { asked <- struct{}{} }})
	if code, _, _ := ask("GET", "/quit"); code != http.StatusMethodNotAllowed {
		t.Errorf("GET /quit = %d; want 405", code)
	}
	if code, _, _ := ask("POST", "/quit"); code != 200 || len(asked) != 1 {
		t.Errorf("POST /quit = %d, asked %d times; want 200, once", code, len(asked))
	}
}

func TestMetricsAndHandlersOfTheRole(t *testing.T) {
	registry := new(meter.Registry)
	counter := meter.NewCounter("sidecar_x_total", "x")
	registry.MustRegister(counter)
	counter.Inc()
	s, ask := serve(t, Options{Metrics: registry})
	s.Handle("POST /trigger", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(202) }))
	if code, _, body := ask("GET", "/metrics"); code != 200 || !strings.Contains(body, "\nsidecar_x_total 1\n") {
		t.Errorf("GET /metrics = %d %q; want the counter", code, body)
	}
	if code, _, _ := ask("POST", "/trigger"); code != 202 {
		t.Errorf("POST /trigger = %d; want 202", code)
	}
}

func TestPageShowsTheBoardAndEscapesIt(t *testing.T) {
	var set health.Set
	set.Started()
	set.Beat("poll", time.Minute)
	var board status.Board
	board.Fact("commit", "<script>alert(1)</script>")
	board.Series("poll", "ms").Add(3, false)
	board.Series("poll", "ms").Add(5, true)
	board.Event("error", "fetch: <b>")
	_, ask := serve(t, Options{Role: "sync", Version: "v1.2.3", Health: &set, Status: &board})
	code, header, body := ask("GET", "/")
	for _, want := range []string{
		"<h1>sidecar sync</h1>", "version v1.2.3", `<span class="state good">ready</span>`,
		"&lt;script&gt;alert(1)", "1 of 2 failed", "last 5 ms, median 4 ms, min 3 ms, max 5 ms",
		`<polyline points="0.0,16.4 240.0,2.0"/>`, `<line class="fail" x1="240.0"`,
		"fetch: &lt;b&gt;", "prefers-color-scheme:dark", "width=device-width",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("page has no %q", want)
		}
	}
	for _, bad := range []string{"<script", "style=", "http://", "https://", "@import", "url("} {
		if strings.Contains(body, bad) {
			t.Errorf("page has %q; want no script and nothing from elsewhere", bad)
		}
	}
	policy := header.Get("Content-Security-Policy")
	if code != 200 || !strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-") || strings.Contains(policy, "unsafe") {
		t.Errorf("GET / = %d with policy %q; want 200 and a strict one", code, policy)
	}
	if t.Failed() {
		t.Log(body)
	}
}

// TestEveryValueOfThePageIsEscaped gives hostile text to everything that is text.
func TestEveryValueOfThePageIsEscaped(t *testing.T) {
	const evil = `"><img src=x>'&`
	var set health.Set
	set.Check(evil).Fail(errors.New(evil))
	set.Beat(evil, time.Minute)
	board := &status.Board{}
	board.Fact(evil, evil)
	board.Series(evil, evil).Add(1, true)
	board.Event(evil, evil)
	s := &Server{opts: Options{Role: evil, Version: evil, Health: &set, Status: board}, page: sync.OnceValues(newPage), begin: time.Now()}
	w := httptest.NewRecorder()
	s.serveStatus(w, httptest.NewRequest(http.MethodGet, "/", nil))
	body := w.Body.String()
	if strings.Contains(body, "<img") || strings.Contains(body, evil) {
		t.Errorf("the page has a value as it was given:\n%s", body)
	}
	if n := strings.Count(body, "&#34;&gt;&lt;img src=x&gt;&#39;&amp;"); n < 12 {
		t.Errorf("the page has the escaped value %d times; want all 12 places or more\n%s", n, body)
	}
}

func TestDrawCopesWithOddNumbers(t *testing.T) {
	points := func(values ...float64) (h status.History) {
		for _, v := range values {
			h.Points = append(h.Points, status.Point{Value: v})
		}
		return h
	}
	tests := []struct {
		name string
		in   status.History
		want string
	}{
		{"one", points(7), "0.0,2.0 240.0,2.0"},
		{"zero", points(0, 0), "0.0,38.0 240.0,38.0"},
		{"negative", points(-1, 1), "0.0,38.0 240.0,2.0"},
		{"not a number", points(math.NaN(), 1, math.Inf(1)), "120.0,2.0"},
		{"nothing but NaN", points(math.NaN()), ""},
	}
	for _, tt := range tests {
		if got := draw(tt.in).Line; got != tt.want {
			t.Errorf("%s: draw().Line = %q; want %q", tt.name, got, tt.want)
		}
	}
}

func TestListenOnIPv6AndTakenAddress(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 here: %v", err)
	}
	l.Close()
	s, ask := serve(t, Options{Addr: "[::1]:0"})
	if code, _, _ := ask("GET", "/livez"); code != 200 {
		t.Errorf("GET /livez over IPv6 = %d; want 200", code)
	}
	if _, err := Listen(t.Context(), Options{Addr: s.Addr(), Health: &health.Set{}}); err == nil {
		t.Error("Listen on a taken address = nil; want an error")
	}
}

// TestQuitIsForThePodAlone: probes reach the pod's address, and so does everybody else.
func TestQuitIsForThePodAlone(t *testing.T) {
	asked := 0
	s := &Server{opts: Options{Quit: func() { asked++ }}}
	for from, want := range map[string]int{"10.1.2.3:999": 403, "[fd00::9]:999": 403, "@": 403, "127.0.0.1:999": 200, "[::1]:9": 200, "[::ffff:127.0.0.1]:9": 200} {
		r, w := httptest.NewRequest("POST", "/quit", nil), httptest.NewRecorder()
		r.RemoteAddr = from
		s.serveQuit(w, r)
		if w.Code != want {
			t.Errorf("POST /quit from %s = %d; want %d", from, w.Code, want)
		}
	}
	if asked != 3 {
		t.Errorf("quit was asked %d times; want 3", asked)
	}
}
