package gitsync

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/sidecar-kit/sidecar/internal/health"
	"github.com/sidecar-kit/sidecar/internal/meter"
	"github.com/sidecar-kit/sidecar/internal/role"
	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/internal/status"
	"github.com/sidecar-kit/sidecar/roles/gitsync/gitserve"
)

// bench is a server, a root and, one after another, the roles that work in it.
type bench struct {
	t      *testing.T
	repo   *gitserve.Repo
	server *gitserve.Server
	url    string
	root   string
	cfg    Config
	log    *buffer
	health *health.Set
	board  *status.Board
	reg    *meter.Registry
	s      *Sync
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newBench(t *testing.T) *bench {
	t.Helper()
	repo := gitserve.NewRepo()
	server := gitserve.Handler(repo, gitserve.Options{})
	web := httptest.NewServer(server)
	t.Cleanup(web.Close)
	b := &bench{t: t, repo: repo, server: server, url: web.URL + "/site.git", root: t.TempDir(), log: &buffer{}}
	b.cfg = Default()
	b.cfg.Repo = secret.NewURL(b.url)
	b.cfg.Root, b.cfg.Link = b.root, "link"
	b.cfg.StaleAfter, b.cfg.VerifyEvery = 0, time.Nanosecond
	return b
}

// start makes a role, as a restart of the process does.
func (b *bench) start() *Sync {
	b.t.Helper()
	b.stop()
	cfg := b.cfg
	if err := cfg.Validate(); err != nil {
		b.t.Fatalf("Validate = %v", err)
	}
	b.health, b.board, b.reg = new(health.Set), new(status.Board), new(meter.Registry)
	b.health.Started()
	s, err := New(cfg, role.Env{
		Log: zerolog.New(b.log), Metrics: b.reg, Health: b.health, Status: b.board, Stdout: &bytes.Buffer{}, Drain: time.Second,
		Handle: func(string, http.Handler) {}, Hangup: make(chan struct{}),
	})
	if err != nil {
		b.t.Fatalf("New = %v", err)
	}
	b.s = s
	b.t.Cleanup(b.stop)
	return s
}

func (b *bench) stop() {
	if b.s != nil {
		b.s.close()
		b.s = nil
	}
}

func (b *bench) ready() bool { return b.health.Ready().OK }

// sync does one pass that has to succeed.
func (b *bench) sync() {
	b.t.Helper()
	if b.s == nil {
		b.start()
	}
	if err := b.s.attempt(b.t.Context()); err != nil {
		b.t.Fatalf("sync = %v\n%s", err, tailOf(b.log.String()))
	}
}

// fail does one pass that has to fail, and returns its error.
func (b *bench) fail(part string) error {
	b.t.Helper()
	if b.s == nil {
		b.start()
	}
	err := b.s.attempt(b.t.Context())
	if err == nil || !strings.Contains(err.Error(), part) {
		b.t.Fatalf("sync = %v; want an error with %q", err, part)
	}
	return err
}

func tailOf(s string) string { return s[max(0, len(s)-1500):] }

func (b *bench) commit(files map[string]string) plumbing.Hash {
	b.t.Helper()
	h, err := b.repo.Commit("main", filesOf(files))
	if err != nil {
		b.t.Fatal(err)
	}
	return h
}

// filesOf makes files of texts; "-" removes.
func filesOf(texts map[string]string) map[string]gitserve.File {
	out := map[string]gitserve.File{}
	for name, text := range texts {
		if text == "-" {
			out[name] = gitserve.File{}
			continue
		}
		out[name] = gitserve.File{Data: []byte(text)}
	}
	return out
}

func (b *bench) path(name string) string { return filepath.Join(b.root, name) }

func (b *bench) seen(name string) string {
	data, err := os.ReadFile(filepath.Join(b.root, "link", name))
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(data)
}

// wantSeen checks what readers see.
func (b *bench) wantSeen(h plumbing.Hash, files map[string]string) {
	b.t.Helper()
	target, err := os.Readlink(b.path("link"))
	if err != nil || filepath.Base(target) != h.String() {
		b.t.Errorf("link leads to %q, %v; want the commit %s", target, err, h)
	}
	for name, text := range files {
		if text == "-" {
			if _, err := os.Lstat(filepath.Join(b.root, "link", name)); err == nil {
				b.t.Errorf("link/%s is still there", name)
			}
			continue
		}
		if got := b.seen(name); got != text {
			b.t.Errorf("link/%s = %q; want %q", name, got, text)
		}
	}
}

// passes reads a counter by its label.
func (b *bench) counter(name, label string) float64 {
	b.t.Helper()
	for line := range strings.Lines(string(b.reg.Append(nil))) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		metric, labels, _ := strings.Cut(series, "{")
		if metric == name && (label == "" || strings.Contains(labels, `="`+label+`"`)) {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				b.t.Fatalf("%s: %v", line, err)
			}
			return v
		}
	}
	return 0
}

// run lets the role run until the test or stop ends it.
func (b *bench) run() (stop func() error) {
	b.t.Helper()
	s := b.start()
	b.s = nil
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() error { cancel(); return <-done }
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 500 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("not within 5s: %s", what)
}
