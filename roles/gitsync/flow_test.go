package gitsync

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"

	"github.com/sidecar-kit/sidecar/roles/gitsync/gitserve"
)

func TestPublishesFirstAndUpdates(t *testing.T) {
	b := newBench(t)
	one := b.commit(map[string]string{"index.html": "one", "d/same": "same", "gone": "x"})
	b.start()
	if b.ready() {
		t.Error("ready before the first publish")
	}
	b.sync()
	b.wantSeen(one, map[string]string{"index.html": "one", "d/same": "same", ".git": "gitdir: ../../.git/worktrees/" + one.String() + "\n"})
	if !b.ready() {
		t.Error("not ready after the first publish")
	}
	same, err := os.Stat(b.path("link/d/same"))
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range []string{"two", "three", "four"} { // the first update builds by links, later ones change the spare
		next := b.commit(map[string]string{"index.html": text, "gone": "-", "n/" + text: text})
		b.sync()
		b.wantSeen(next, map[string]string{"index.html": text, "d/same": "same", "gone": "-", "n/" + text: text})
		if now, err := os.Stat(b.path("link/d/same")); err != nil || !os.SameFile(same, now) || !now.ModTime().Equal(same.ModTime()) {
			t.Errorf("update %d: an unchanged file has another inode or time", i)
		}
		requests := b.server.Stats().Requests
		b.sync()
		if got := b.server.Stats().Requests - requests; got != 1 {
			t.Errorf("an idle poll made %d requests; want 1", got)
		}
	}
	if p, u := b.counter("sidecar_sync_passes_total", "published"), b.counter("sidecar_sync_passes_total", "unchanged"); p != 4 || u != 3 {
		t.Errorf("passes: %v published, %v unchanged; want 4, 3", p, u)
	}
}

func TestFollowsEveryKindOfRef(t *testing.T) {
	b := newBench(t)
	one := b.commit(map[string]string{"f": "1"})
	two := b.commit(map[string]string{"f": "2"})
	light, _ := b.repo.Tag("light", one, "")
	b.repo.Tag("v1", one, "annotated")
	b.repo.Tag("v2", two, "annotated")
	b.repo.SetRef("refs/heads/feature/x", one)
	if light != one {
		t.Fatal("a light tag is no object")
	}
	for _, tt := range []struct {
		ref  string
		want plumbing.Hash
		text string
	}{
		{"HEAD", two, "2"}, {"main", two, "2"}, {"refs/heads/main", two, "2"}, {"heads/main", two, "2"}, {"light", one, "1"},
		{"v1", one, "1"}, {"refs/tags/v2", two, "2"}, {"tags/v1", one, "1"}, {"feature/x", one, "1"}, {one.String(), one, "1"}, {two.String(), two, "2"},
	} {
		b.cfg.Ref = tt.ref
		b.start()
		b.sync()
		b.wantSeen(tt.want, map[string]string{"f": tt.text})
	}
	b.cfg.Ref = "nowhere"
	b.start()
	b.fail("--ref nowhere: couldn't find remote ref")
	b.wantSeen(two, map[string]string{"f": "2"})
	b.cfg.Ref = one.String()[:10]
	b.start()
	b.fail("full 40 characters")
}

func TestFollowsMovesOfRefs(t *testing.T) {
	b := newBench(t)
	one := b.commit(map[string]string{"f": "1"})
	b.sync()
	two := b.commit(map[string]string{"f": "2"})
	b.sync()
	forced, err := b.repo.ForceCommit("main", filesOf(map[string]string{"f": "forced", "new": "n"}))
	if err != nil {
		t.Fatal(err)
	}
	b.sync()
	b.wantSeen(forced, map[string]string{"f": "forced", "new": "n"})
	for _, back := range []plumbing.Hash{one, two, forced, one} { // reset, which git-sync's tests do all the time
		b.repo.SetRef("refs/heads/main", back)
		b.sync()
		b.wantSeen(back, map[string]string{"f": map[plumbing.Hash]string{one: "1", two: "2", forced: "forced"}[back]})
	}
	b.repo.DeleteRef("refs/heads/main")
	b.fail("couldn't find remote ref")
	b.wantSeen(one, map[string]string{"f": "1"})
	if !b.ready() {
		t.Error("a deleted ref made it unready")
	}
	b.repo.SetRef("refs/heads/main", two)
	b.sync()
	b.wantSeen(two, map[string]string{"f": "2"})
	other, _ := b.repo.Commit("other", filesOf(map[string]string{"f": "other"}))
	b.repo.SetHead("refs/heads/other")
	b.sync()
	b.wantSeen(other, map[string]string{"f": "other"})
}

func TestDepthChangesOnOneRoot(t *testing.T) {
	b := newBench(t)
	var commits []plumbing.Hash
	for _, text := range []string{"1", "2", "3", "4"} {
		commits = append(commits, b.commit(map[string]string{"f": text}))
	}
	for _, depth := range []int{1, 2, 1, 0, 1, 3} {
		b.cfg.Depth = depth
		b.start()
		b.sync()
		b.wantSeen(commits[3], map[string]string{"f": "4"})
		want := depth
		if depth == 0 {
			want = 4
		}
		if got := b.reachable(commits[3]); got != want {
			t.Errorf("depth %d: %d commits can be walked; want %d", depth, got, want)
		}
	}
	next := b.commit(map[string]string{"f": "5"})
	b.sync()
	b.wantSeen(next, map[string]string{"f": "5"})
}

// reachable walks commits as git does: until one that the shallow file names.
func (b *bench) reachable(h plumbing.Hash) int {
	b.t.Helper()
	data, _ := os.ReadFile(b.path(".git/shallow"))
	n := 0
	for !h.IsZero() {
		_, text, err := b.s.repo.store.Get(h)
		if err != nil {
			b.t.Errorf("commit %d of the history: %v", n+1, err)
			return n
		}
		n++
		if strings.Contains(string(data), h.String()) {
			return n
		}
		_, after, ok := strings.Cut(string(text), "\nparent ")
		if !ok {
			return n
		}
		h = plumbing.NewHash(after[:40])
	}
	return n
}

// snapshot describes a tree without the .git file.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	err = filepath.Walk(dir, func(p string, fi os.FileInfo, err error) error {
		if err != nil || fi.Name() == ".git" {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		out.WriteString(rel + " " + fi.Mode().String())
		switch {
		case fi.Mode().IsRegular():
			data, _ := os.ReadFile(p)
			out.WriteString(" " + string(data))
		case fi.Mode()&os.ModeSymlink != 0:
			target, _ := os.Readlink(p)
			out.WriteString(" " + target)
		}
		out.WriteString("\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestSpareAndFreshTreesAreEqual follows a history by the spare, and builds each of its commits afresh elsewhere.
func TestSpareAndFreshTreesAreEqual(t *testing.T) {
	b, fresh := newBench(t), newBench(t)
	fresh.url, fresh.cfg.Repo = b.url, b.cfg.Repo
	link := gitserve.File{Data: []byte("f"), Mode: filemode.Symlink}
	exec := gitserve.File{Data: []byte("1"), Mode: filemode.Executable}
	for i, change := range []map[string]gitserve.File{
		filesOf(map[string]string{"f": "1", "d/a": "a", "d/e/b": "b", "x": "x"}),
		{"f": exec, "x": link},
		{"d": {}, "x": {Data: []byte("file again")}},
		{"d": {Data: []byte("a file now")}, "l": link},
		{"l": {}, "n/o/p/q": {Data: []byte("deep")}},
		{"d": {}, "d/a": {Data: []byte("a folder again")}},
		{"n": {}, "f": {Data: []byte("1")}},
	} {
		h, err := b.repo.Commit("main", change)
		if err != nil {
			t.Fatal(err)
		}
		b.sync()
		fresh.stop()
		fresh.root = t.TempDir()
		fresh.cfg.Root = fresh.root
		fresh.sync()
		b.wantSeen(h, nil)
		if got, want := snapshot(t, b.path("link")), snapshot(t, fresh.path("link")); got != want {
			t.Errorf("commit %d: by the spare\n%s; afresh\n%s", i, got, want)
		}
	}
	if strings.Contains(b.log.String(), "tidying up") {
		t.Errorf("log: %s", tailOf(b.log.String()))
	}
}
