package remote_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/roles/gitsync/gitserve"
	"github.com/sidecar-kit/sidecar/roles/gitsync/remote"
)

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// fixture is a served repository with one commit.
type fixture struct {
	repo  *gitserve.Repo
	srv   *gitserve.Server
	url   string
	tip   remote.Hash
	conns *atomic.Int32
	http  *httptest.Server
}

func newFixture(t testing.TB, opts gitserve.Options) *fixture {
	t.Helper()
	f := &fixture{repo: gitserve.NewRepo(), conns: &atomic.Int32{}}
	f.tip = must[remote.Hash](t)(f.repo.Commit("main", map[string]gitserve.File{"index.html": {Data: []byte("hello")}, "big": {Data: noise(300_000)}}))
	f.srv = gitserve.Handler(f.repo, opts)
	f.http = httptest.NewUnstartedServer(f.srv)
	f.http.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			f.conns.Add(1)
		}
	}
	f.http.Start()
	t.Cleanup(f.http.Close)
	f.url = gitserve.URL(f.http.URL)
	return f
}

// noise does not compress, so that packs have a known size.
func noise(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

func connect(t testing.TB, cfg remote.Config) remote.Remote {
	t.Helper()
	r := must[remote.Remote](t)(remote.Open(cfg))
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func text(s string) remote.Secret {
	return func(context.Context) (string, error) { return s, nil }
}

func TestPollIsOneRequestOnOneConnection(t *testing.T) {
	f := newFixture(t, gitserve.Options{})
	r := connect(t, remote.Config{URL: f.url})
	for range 5 {
		refs := must[[]remote.Ref](t)(r.List(t.Context(), []string{"refs/heads/main"}))
		if len(refs) != 1 || refs[0].Hash != f.tip {
			t.Fatalf("List = %v; want main at %s", refs, f.tip)
		}
	}
	if s := f.srv.Stats(); s.InfoRefs != 1 || s.LsRefs != 5 || s.Requests != 6 {
		t.Errorf("requests = %+v; want 1 discovery and 5 polls", s)
	}
	if n := f.conns.Load(); n != 1 {
		t.Errorf("connections = %d; want 1", n)
	}
}

func TestPollSurvivesClosedConnection(t *testing.T) {
	f := newFixture(t, gitserve.Options{})
	r := connect(t, remote.Config{URL: f.url})
	for range 3 {
		must[[]remote.Ref](t)(r.List(t.Context(), nil))
		f.http.CloseClientConnections()
	}
	must[[]remote.Ref](t)(r.List(t.Context(), nil))
	f.srv.DropNext(1) // the server closes the kept connection when the request is already on its way
	if _, err := r.List(t.Context(), nil); err != nil {
		t.Errorf("List on a connection the server closed = %v; want a repeat", err)
	}
}

func TestServerThatChangedIsAskedAgain(t *testing.T) {
	f := newFixture(t, gitserve.Options{})
	r := connect(t, remote.Config{URL: f.url})
	must[[]remote.Ref](t)(r.List(t.Context(), nil))
	f.srv.FailNext(1, http.StatusNotFound, 0)
	must[[]remote.Ref](t)(r.List(t.Context(), nil))
	if n := f.srv.Stats().InfoRefs; n != 2 {
		t.Errorf("discoveries = %d; want 2", n)
	}
	f.srv.FailNext(2, http.StatusNotFound, 0)
	if _, err := r.List(t.Context(), nil); !errors.Is(err, remote.ErrNotFound) || !strings.Contains(err.Error(), "--repo") {
		t.Errorf("List of a repository that is gone = %v; want ErrNotFound naming --repo", err)
	}
}

func TestOldServerIsListedAfresh(t *testing.T) {
	f := newFixture(t, gitserve.Options{V0: true})
	r := connect(t, remote.Config{URL: f.url})
	must[[]remote.Ref](t)(r.List(t.Context(), nil))
	next := must[remote.Hash](t)(f.repo.Commit("main", map[string]gitserve.File{"a": {Data: []byte("b")}}))
	refs := must[[]remote.Ref](t)(r.List(t.Context(), []string{"refs/heads/"}))
	if len(refs) != 1 || refs[0].Hash != next {
		t.Errorf("List after a push = %v; want %s", refs, next)
	}
	f.srv.Set(func(o *gitserve.Options) { o.V0 = false })
	must[[]remote.Ref](t)(r.List(t.Context(), nil))
	must[[]remote.Ref](t)(r.List(t.Context(), nil))
	if s := f.srv.Stats(); s.LsRefs != 2 {
		t.Errorf("polls after the server learned version 2 = %d; want 2", s.LsRefs)
	}
}

func TestStatusBecomesAClearError(t *testing.T) {
	for _, c := range []struct {
		status int
		kind   error
		words  string
	}{
		{401, remote.ErrAuth, "--password-file"},
		{403, remote.ErrAuth, "--password-file"},
		{404, remote.ErrNotFound, "--repo"},
		{429, remote.ErrServer, "429"},
		{503, remote.ErrServer, "503"},
		{400, remote.ErrProtocol, "400"},
	} {
		f := newFixture(t, gitserve.Options{})
		r := connect(t, remote.Config{URL: f.url, Username: "me", Password: text("hunter2")})
		f.srv.FailNext(1, c.status, 7*time.Second)
		_, err := r.List(t.Context(), nil)
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.words) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("status %d = %v; want %v with %q", c.status, err, c.kind, c.words)
		}
		var later *remote.RetryAfterError
		if !errors.As(err, &later) || later.RetryAfter() != 7*time.Second {
			t.Errorf("status %d: retry after = %v; want 7s", c.status, err)
		}
	}
}

func TestPackFaultsAreErrors(t *testing.T) {
	for _, c := range []struct {
		what string
		set  func(*gitserve.Options)
		want error
		word string
	}{
		{"cut", func(o *gitserve.Options) { o.CutAfter = 1000 }, io.ErrUnexpectedEOF, ""},
		{"error band", func(o *gitserve.Options) { o.PackError = "out of\x1b[31m memory topsecret" }, remote.ErrServer, `out of\\u001b[31m memory ***`},
	} {
		f := newFixture(t, gitserve.Options{Progress: "counting"})
		redact := func(s string) string { return strings.ReplaceAll(s, "topsecret", "***") }
		r := connect(t, remote.Config{URL: f.url, Redact: redact})
		f.srv.Set(c.set)
		for _, way := range []func(io.Reader) error{
			func(p io.Reader) error { _, err := io.ReadAll(p); return err },
			func(p io.Reader) error { _, err := io.Copy(io.Discard, p); return err },
		} {
			resp := must[*remote.FetchResponse](t)(r.Fetch(t.Context(), remote.FetchRequest{Wants: []remote.Hash{f.tip}, Depth: 1}))
			err := way(resp.Pack)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.word) {
				t.Errorf("%s: read = %v; want %v %q", c.what, err, c.want, c.word)
			}
			_ = resp.Pack.Close()
		}
	}
}

func TestPackLimitHolds(t *testing.T) {
	f := newFixture(t, gitserve.Options{})
	r := connect(t, remote.Config{URL: f.url, Limits: remote.Limits{PackBytes: 10_000}})
	resp := must[*remote.FetchResponse](t)(r.Fetch(t.Context(), remote.FetchRequest{Wants: []remote.Hash{f.tip}, Depth: 1}))
	defer resp.Pack.Close()
	if _, err := io.Copy(io.Discard, resp.Pack); !errors.Is(err, remote.ErrLimit) {
		t.Errorf("read of a pack over the limit = %v; want ErrLimit", err)
	}
}

func TestRefLimitHolds(t *testing.T) {
	f := newFixture(t, gitserve.Options{})
	r := connect(t, remote.Config{URL: f.url, Limits: remote.Limits{Refs: 1}})
	if _, err := r.List(t.Context(), nil); !errors.Is(err, remote.ErrLimit) {
		t.Errorf("List of 2 refs with a limit of 1 = %v; want ErrLimit", err)
	}
}

func TestStalledServerEndsTheWait(t *testing.T) {
	stop := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodGet {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			_, _ = io.WriteString(w, "000eversion 2\n000cls-refs\n0012fetch=shallow\n0000")
			return
		}
		w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
		_, _ = io.WriteString(w, "000dpackfile\n0009\x01PACK")
		_ = http.NewResponseController(w).Flush()
		<-stop
	}))
	defer slow.Close()
	defer close(stop)
	r := connect(t, remote.Config{URL: slow.URL, Timeouts: remote.Timeouts{Stall: 30 * time.Millisecond}})
	resp, err := r.Fetch(t.Context(), remote.FetchRequest{Wants: []remote.Hash{{1}}, Depth: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Pack.Close()
	if b, err := io.ReadAll(resp.Pack); !errors.Is(err, remote.ErrUnreachable) || string(b) != "PACK" {
		t.Errorf("read from a server that stalls = %q, %v; want PACK and ErrUnreachable", b, err)
	}
}

func TestContextEndsACall(t *testing.T) {
	f := newFixture(t, gitserve.Options{Delay: time.Minute})
	r := connect(t, remote.Config{URL: f.url})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := r.List(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("List = %v; want the context's error", err)
	}
}

func TestUnsupportedRequestsNameTheFlag(t *testing.T) {
	f := newFixture(t, gitserve.Options{NoFilter: true})
	r := connect(t, remote.Config{URL: f.url})
	_, err := r.Fetch(t.Context(), remote.FetchRequest{Wants: []remote.Hash{f.tip}, Filter: "blob:none"})
	if !errors.Is(err, remote.ErrUnsupported) || !strings.Contains(err.Error(), "--filter") {
		t.Errorf("Fetch with a filter = %v; want ErrUnsupported naming --filter", err)
	}
	sha256 := newFixture(t, gitserve.Options{ObjectFormat: "sha256"})
	if _, err := connect(t, remote.Config{URL: sha256.url}).List(t.Context(), nil); !errors.Is(err, remote.ErrUnsupported) {
		t.Errorf("List of a sha256 repository = %v; want ErrUnsupported", err)
	}
	if _, err := r.Fetch(t.Context(), remote.FetchRequest{Wants: []remote.Hash{{9}}, Depth: 1}); !errors.Is(err, remote.ErrWant) {
		t.Errorf("Fetch of an unknown object = %v; want ErrWant", err)
	}
}

func TestWebPageIsNotARepository(t *testing.T) {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }))
	defer page.Close()
	if _, err := connect(t, remote.Config{URL: page.URL}).List(t.Context(), nil); !errors.Is(err, remote.ErrProtocol) || !strings.Contains(err.Error(), "--repo") {
		t.Errorf("List of a web page = %v; want ErrProtocol naming --repo", err)
	}
}

func TestUnreachableServer(t *testing.T) {
	l := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	addr := l.Addr().String()
	l.Close()
	for _, url := range []string{"http://" + addr + "/x", "git://" + addr + "/x"} {
		if _, err := connect(t, remote.Config{URL: url}).List(t.Context(), nil); !errors.Is(err, remote.ErrUnreachable) {
			t.Errorf("List of %s = %v; want ErrUnreachable", url, err)
		}
	}
}

func TestLocalRepositoryIsReadDirectly(t *testing.T) {
	dir := t.TempDir()
	repo := must[*gitserve.Repo](t)(gitserve.NewRepoDir(dir))
	c1 := must[remote.Hash](t)(repo.Commit("main", map[string]gitserve.File{"a/b": {Data: []byte("x")}}))
	c2 := must[remote.Hash](t)(repo.Commit("main", map[string]gitserve.File{"a/c": {Data: noise(5 << 20)}}))
	tag := must[remote.Hash](t)(repo.Tag("v1", c1, "first"))
	r := connect(t, remote.Config{URL: "file://" + dir})
	refs := must[[]remote.Ref](t)(r.List(t.Context(), []string{"HEAD", "refs/"}))
	want := []remote.Ref{
		{Name: "HEAD", Hash: c2, Target: "refs/heads/main"}, {Name: "refs/heads/main", Hash: c2},
		{Name: "refs/tags/v1", Hash: tag, Peeled: c1},
	}
	if !slices.Equal(refs, want) {
		t.Errorf("List = %v; want %v", refs, want)
	}
	resp := must[*remote.FetchResponse](t)(r.Fetch(t.Context(), remote.FetchRequest{Wants: []remote.Hash{c2}, Depth: 1}))
	n := must[int64](t)(io.Copy(io.Discard, resp.Pack))
	if n < 5<<20 || !slices.Equal(resp.Shallow, []remote.Hash{c2}) {
		t.Errorf("Fetch = %d bytes, shallow %v; want more than 5 MiB, %s", n, resp.Shallow, c2)
	}
	_ = resp.Pack.Close()
	resp = must[*remote.FetchResponse](t)(r.Fetch(t.Context(), remote.FetchRequest{Wants: []remote.Hash{c2}, Depth: 1}))
	if err := resp.Pack.Close(); err != nil {
		t.Errorf("Close before the end = %v", err)
	}
	for _, bad := range []string{dir + "/none", t.TempDir()} {
		if _, err := connect(t, remote.Config{URL: bad}).List(t.Context(), nil); !errors.Is(err, remote.ErrNotFound) || !strings.Contains(err.Error(), "--repo") {
			t.Errorf("List of %s = %v; want ErrNotFound naming --repo", bad, err)
		}
	}
}

func BenchmarkPoll(b *testing.B) {
	f := newFixture(b, gitserve.Options{})
	r := connect(b, remote.Config{URL: f.url})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.List(b.Context(), []string{"HEAD", "refs/heads/main"}); err != nil {
			b.Fatal(err)
		}
	}
}
