package gitsync

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing/filemode"

	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/gitsync/gitserve"
)

// script writes a shell script that hooks run.
func script(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "hook.sh")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

func read(name string) string {
	data, _ := os.ReadFile(name)
	return string(data)
}

func TestExecHookRunsOncePerCommitAlsoOverRestarts(t *testing.T) {
	b := newBench(t)
	b.cfg.Period = 10 * time.Millisecond
	log := filepath.Join(t.TempDir(), "log")
	b.cfg.Hooks.Exec = script(t, `echo "$GITSYNC_HASH $(cat f) $(basename $(pwd))" >>`+log)
	one := b.commit(map[string]string{"f": "1"}).String()
	stop := b.run()
	eventually(t, "the hook", func() bool { return read(log) == one+" 1 "+one+"\n" })
	if err := stop(); err != nil {
		t.Errorf("Run = %v", err)
	}
	stop = b.run()
	eventually(t, "a second start", b.ready)
	time.Sleep(50 * time.Millisecond)
	two := b.commit(map[string]string{"f": "2"}).String()
	eventually(t, "the second hook", func() bool { return strings.Contains(read(log), two) })
	_ = stop()
	if got := read(log); got != one+" 1 "+one+"\n"+two+" 2 "+two+"\n" {
		t.Errorf("the hook ran for %q; want each commit once", got)
	}
}

func TestWebhookIsRetriedUntilItSucceeds(t *testing.T) {
	b := newBench(t)
	b.cfg.Period = 10 * time.Millisecond
	b.cfg.Hooks.WebhookBackoff = time.Second
	var calls atomic.Int32
	var hash atomic.Value
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hash.Store(r.Header.Get("Gitsync-Hash"))
		if calls.Add(1) == 1 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer hook.Close()
	b.cfg.Hooks.Webhook = secret.NewURL(hook.URL + "/x?token=" + canary)
	h := b.commit(map[string]string{"f": "1"})
	stop := b.run()
	eventually(t, "the webhook's second call", func() bool { return calls.Load() == 2 })
	time.Sleep(50 * time.Millisecond)
	_ = stop()
	if calls.Load() != 2 || hash.Load() != h.String() {
		t.Errorf("%d calls, hash %v; want 2, %s", calls.Load(), hash.Load(), h)
	}
	if strings.Contains(b.log.String(), canary) {
		t.Errorf("the token is in the log: %s", tailOf(b.log.String()))
	}
}

func TestValidateGatesAndPrePublishDoesNot(t *testing.T) {
	b := newBench(t)
	one := b.commit(map[string]string{"f": "good"})
	b.cfg.Hooks.Validate = script(t, `grep -q good f`)
	b.cfg.Hooks.PrePublish = script(t, `exit 1`)
	b.sync()
	b.wantSeen(one, map[string]string{"f": "good"})
	b.commit(map[string]string{"f": "bad"})
	b.fail("--validate-command refused")
	b.fail("--validate-command refused")
	b.wantSeen(one, map[string]string{"f": "good"})
	three := b.commit(map[string]string{"f": "good again"})
	b.sync()
	b.wantSeen(three, map[string]string{"f": "good again"})
	if left, _ := filepath.Glob(b.path(".worktrees/.stage-*")); len(left) > 1 {
		t.Errorf("refused trees are still there: %v", left)
	}
}

func TestOnceTellsAndFailsWithItsHook(t *testing.T) {
	b := newBench(t)
	h := b.commit(map[string]string{"f": "1"})
	b.cfg.Hooks.Exec = script(t, "exit 1")
	if err := b.start().Once(t.Context()); err == nil {
		t.Error("Once with a failing hook = nil")
	}
	b.s = nil
	b.wantSeen(h, map[string]string{"f": "1"})
	b.cfg.Hooks.Exec = script(t, "exit 0")
	if err := b.start().Once(t.Context()); err != nil {
		t.Errorf("Once = %v", err)
	}
	b.s = nil
	b.cfg.Ref = "nowhere"
	if err := b.start().Once(t.Context()); err == nil {
		t.Error("Once of a missing ref = nil")
	}
	b.s = nil
}

func TestTouchAndErrorFiles(t *testing.T) {
	b := newBench(t)
	b.cfg.TouchFile, b.cfg.ErrorFile = "state/touched", "state/error.json"
	b.server.FailNext(50, 500, 0)
	b.commit(map[string]string{"f": "1"})
	b.fail("500")
	if got := read(b.path("state/error.json")); !strings.Contains(got, `"Err":`) || !strings.Contains(got, "500") {
		t.Errorf("error file = %q", got)
	}
	if _, err := os.Stat(b.path("state/touched")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("touched before the first publish: %v", err)
	}
	b.server.FailNext(0, 0, 0)
	b.sync()
	if _, err := os.Stat(b.path("state/error.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the error file outlived the error: %v", err)
	}
	past := time.Now().Add(-time.Hour)
	os.Chtimes(b.path("state/touched"), past, past)
	b.sync()
	if fi, err := os.Stat(b.path("state/touched")); err != nil || !fi.ModTime().Equal(past) {
		t.Errorf("touched without a change: %v", err)
	}
	b.commit(map[string]string{"f": "2"})
	b.sync()
	if fi, err := os.Stat(b.path("state/touched")); err != nil || time.Since(fi.ModTime()) > time.Minute {
		t.Errorf("not touched by a change: %v", err)
	}
}

func TestStaleTreesGoInTimeAlsoAfterARestart(t *testing.T) {
	b := newBench(t)
	b.cfg.StaleAfter = 300 * time.Millisecond
	one := b.commit(map[string]string{"f": "1"}).String()
	b.sync()
	b.commit(map[string]string{"f": "2"})
	b.sync()
	b.start()
	b.sync()
	if _, err := os.Stat(b.path(".worktrees/" + one)); err != nil {
		t.Errorf("the replaced tree went too early: %v", err)
	}
	time.Sleep(350 * time.Millisecond)
	b.sync()
	if _, err := os.Stat(b.path(".worktrees/" + one)); err == nil {
		t.Error("the replaced tree is still there after its time")
	}
}

func TestSparseKeepsWhatThePatternsMatch(t *testing.T) {
	b := newBench(t)
	b.cfg.Sparse = filepath.Join(t.TempDir(), "sparse")
	os.WriteFile(b.cfg.Sparse, []byte("*.html\n!secret/*\n"), 0o644)
	b.commit(map[string]string{"a.html": "a", "d/b.html": "b", "c.txt": "c", "secret/x.html": "x"})
	b.sync()
	for range 2 {
		if got := snapshot(t, b.path("link")); strings.Contains(got, "txt") || strings.Contains(got, "secret") || !strings.Contains(got, "d/b.html") {
			t.Errorf("published\n%s", got)
		}
		b.commit(map[string]string{"c.txt": "changed", "secret/y.html": "y", "a.html": "more"})
		b.sync()
	}
}

func TestSubmodules(t *testing.T) {
	b := newBench(t)
	inner, deep := gitserve.NewRepo(), gitserve.NewRepo()
	mux := http.NewServeMux()
	mux.Handle("/top.git/", b.server)
	mux.Handle("/inner.git/", gitserve.Handler(inner, gitserve.Options{}))
	mux.Handle("/deep.git/", gitserve.Handler(deep, gitserve.Options{}))
	web := httptest.NewServer(mux)
	defer web.Close()
	b.cfg.Repo = secret.NewURL(web.URL + "/top.git")
	module := func(path, url string) gitserve.File {
		return gitserve.File{Data: []byte("[submodule \"x\"]\n\tpath = " + path + "\n\turl = " + url + "\n")}
	}
	at := func(r *gitserve.Repo) gitserve.File {
		return gitserve.File{Data: []byte(r.Ref("refs/heads/main").String()), Mode: filemode.Submodule}
	}
	deep.Commit("main", filesOf(map[string]string{"bottom": "b"}))
	inner.Commit("main", map[string]gitserve.File{"i": {Data: []byte("i1")}, "deep": at(deep), ".gitmodules": module("deep", web.URL+"/deep.git")})
	b.repo.Commit("main", map[string]gitserve.File{"f": {Data: []byte("1")}, "sub/inner": at(inner), ".gitmodules": module("sub/inner", "../inner.git")})
	for mode, want := range map[string][2]bool{"recursive": {true, true}, "shallow": {true, false}, "off": {false, false}} {
		b.cfg.Submodules = mode
		b.start()
		b.sync()
		if i, d := b.seen("sub/inner/i") == "i1", b.seen("sub/inner/deep/bottom") == "b"; i != want[0] || d != want[1] {
			t.Errorf("%s: inner %v, deep %v; want %v", mode, i, d, want)
		}
	}
	b.cfg.Submodules = "recursive"
	b.start()
	b.sync()
	inner.Commit("main", filesOf(map[string]string{"i": "i2"}))
	b.repo.Commit("main", map[string]gitserve.File{"sub/inner": at(inner)})
	b.sync()
	if got := b.seen("sub/inner/i"); got != "i2" {
		t.Errorf("after a move of the submodule: %q", got)
	}
	b.repo.Commit("main", map[string]gitserve.File{".gitmodules": module("sub/inner", "file:///etc")})
	b.fail("none of https, http and ssh") // also where the commit is here already
	b.repo.Commit("main", map[string]gitserve.File{"other": {Data: []byte(strings.Repeat("12", 20)), Mode: filemode.Submodule}, ".gitmodules": module("other", "file:///etc")})
	b.fail("none of https, http and ssh")
	b.repo.Commit("main", map[string]gitserve.File{"other": {}, "sub": {}, ".gitmodules": {}})
	b.sync()
	if got := snapshot(t, b.path("link")); strings.Contains(got, "sub") {
		t.Errorf("after all submodules went:\n%s", got)
	}
}

// TestSecretsAreNowhere gives a secret in every way there is and looks for it everywhere.
func TestSecretsAreNowhere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	os.WriteFile(file, []byte(canary+"\n"), 0o600)
	for name, set := range map[string]func(b *bench){
		"address":       func(b *bench) { b.cfg.Repo = secret.NewURL(strings.Replace(b.url, "://", "://u:"+canary+"@", 1)) },
		"token address": func(b *bench) { b.cfg.Repo = secret.NewURL(strings.Replace(b.url, "://", "://"+canary+"@", 1)) },
		"password":      func(b *bench) { b.cfg.Access.Username, b.cfg.Access.Password = "u", secret.New(canary) },
		"file":          func(b *bench) { b.cfg.Access.Username, b.cfg.Access.PasswordFile = "u", file },
		"credential": func(b *bench) {
			b.cfg.Access.Credentials = []string{`{"url":"` + b.url + `","username":"u","password":"` + canary + `"}`}
		},
		"header": func(b *bench) {
			b.cfg.Access.GitConfig = []string{`http.extraHeader:"Authorization: Basic ` + canary + `"`}
		},
	} {
		b := newBench(t)
		set(b)
		b.cfg.ErrorFile = "error.json"
		b.commit(map[string]string{"f": "1"})
		b.start()
		for _, o := range []gitserve.Options{
			{}, {Username: "u", Password: "other"}, {PackError: "your password is " + canary}, {Username: "u", Password: canary},
		} {
			b.server.Set(func(have *gitserve.Options) { *have = o })
			err := b.s.attempt(t.Context())
			if err != nil && strings.Contains(err.Error(), canary) {
				t.Errorf("%s: error %v", name, err)
			}
			b.commit(map[string]string{"f": o.PackError + o.Password + "x"})
			b.repo.Commit("main", filesOf(map[string]string{"f": "clean" + o.Password[:min(1, len(o.Password))]}))
			if strings.Contains(read(b.path("error.json")), canary) {
				t.Errorf("%s: error file %s", name, read(b.path("error.json")))
			}
		}
		if strings.Contains(b.log.String(), canary) {
			t.Errorf("%s: log %s", name, tailOf(b.log.String()))
		}
		_ = filepath.WalkDir(b.path(".git"), func(p string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && strings.Contains(read(p), canary) {
				t.Errorf("%s: file %s", name, p)
			}
			return nil
		})
		if text := string(b.reg.Append(nil)); strings.Contains(text, canary) || !strings.Contains(text, "sidecar_sync_") {
			t.Errorf("%s: metrics %s", name, text)
		}
		snap := b.board.Snapshot()
		for _, f := range snap.Facts {
			if strings.Contains(f.Value, canary) {
				t.Errorf("%s: fact %s", name, f.Name)
			}
		}
		for _, e := range snap.Events {
			if strings.Contains(e.Text, canary) {
				t.Errorf("%s: event %s", name, e.Text)
			}
		}
	}
}
