package place

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// put makes files: "path=content"; a path that ends with a slash is a folder.
func put(tb testing.TB, root string, files ...string) {
	tb.Helper()
	for _, f := range files {
		name, content, _ := strings.Cut(f, "=")
		path := filepath.Join(root, name)
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(path, 0o755); err != nil {
				tb.Fatal(err)
			}
			continue
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			tb.Fatal(err)
		}
	}
}

// show lists what put made, sorted.
func show(tb testing.TB, root string) string {
	tb.Helper()
	var all []string
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		data, err := os.ReadFile(path)
		all = append(all, rel+"="+string(data))
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func stage(tb testing.TB, parent string, files ...string) *Stage {
	tb.Helper()
	s, err := NewStage(parent, false)
	if err != nil {
		tb.Fatal(err)
	}
	put(tb, s.Dir, files...)
	return s
}

func TestLooseFileReplacesWhatHasItsName(t *testing.T) {
	for _, unnamed := range []bool{true, false} {
		dir := t.TempDir()
		for _, content := range []string{"one", "two"} {
			l, err := NewLoose(dir)
			if err != nil {
				t.Fatal(err)
			}
			if !unnamed && l.tmp == "" { // as on a file system without files that have no name
				if err := linkAnonymous(l.File, int(l.dir.Fd()), prefix+"x"); err != nil {
					t.Fatal(err)
				}
				l.tmp = prefix + "x"
			}
			if _, err := l.WriteString(content); err != nil {
				t.Fatal(err)
			}
			before := show(t, dir)
			if unnamed && strings.Contains(before, prefix) {
				t.Errorf("%q before it is published", before)
			}
			if err := errors.Join(l.Publish("f"), l.Discard()); err != nil {
				t.Fatal(err)
			}
			if got := show(t, dir); got != "f="+content {
				t.Errorf("unnamed %v: %q; want f=%s and nothing else", unnamed, got, content)
			}
		}
	}
}

func TestLooseFileThatIsNotPublishedIsGone(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "f/")
	l, err := NewLoose(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Publish("f"); err == nil || !strings.Contains(err.Error(), "a folder has this name") {
		t.Errorf("Publish over a folder = %v", err)
	}
	if err := l.Discard(); err != nil {
		t.Fatal(err)
	}
	if got := show(t, dir); got != "" {
		t.Errorf("left %q", got)
	}
}

func TestTreeTakesThePlaceOfTheOldOne(t *testing.T) {
	for _, noExchange := range []bool{false, true} {
		dir := t.TempDir()
		put(t, dir, "app/old=1", "app/sub/x=1")
		s := stage(t, dir, "new=2", "sub/y=2")
		held, err := os.OpenRoot(filepath.Join(dir, "app"))
		if err != nil {
			t.Fatal(err)
		}
		defer held.Close()
		swap := Swap{Whole: func(string, bool) bool { return true }, NoExchange: noExchange}
		if err := swap.Tree(s.Dir, filepath.Join(dir, "app")); err != nil {
			t.Fatal(err)
		}
		if data, err := held.ReadFile("old"); string(data) != "1" || err != nil {
			t.Errorf("who holds the old tree reads %q, %v", data, err)
		}
		if err := s.Remove(); err != nil {
			t.Fatal(err)
		}
		if got := show(t, dir); got != "app/new=2 app/sub/y=2" || swap.Exchanged != 1 {
			t.Errorf("%q, %+v", got, swap)
		}
	}
}

func TestEntriesAreMergedAroundWhatOthersPutThere(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "app/a=old", "app/sub/theirs=t", "app/sub/ours=old", "app/mine/only=old")
	s := stage(t, dir, "a=new", "sub/ours=new", "mine/other=new", "fresh/f=new")
	swap := Swap{Whole: func(path string, _ bool) bool { return path == "mine" }}
	if err := swap.Entries(s.Dir, filepath.Join(dir, "app")); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(); err != nil {
		t.Fatal(err)
	}
	want := "app/a=new app/fresh/f=new app/mine/other=new app/sub/ours=new app/sub/theirs=t"
	if got := show(t, dir); got != want {
		t.Errorf("%q; want %q", got, want)
	}
}

func TestNothingIsWrittenThroughALink(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "outside/", "app/")
	if err := os.Symlink("../outside", filepath.Join(dir, "app/sub")); err != nil {
		t.Fatal(err)
	}
	s := stage(t, dir, "sub/planted=x")
	swap := Swap{Whole: func(string, bool) bool { return false }}
	err := swap.Entries(s.Dir, filepath.Join(dir, "app"))
	if !errors.Is(err, ErrForeign) {
		t.Errorf("Entries through a link = %v; want ErrForeign", err)
	}
	if err := s.Remove(); err != nil {
		t.Fatal(err)
	}
	if got := show(t, filepath.Join(dir, "outside")); got != "" {
		t.Errorf("outside holds %q", got)
	}
}

func TestSweepRemovesStagesAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, ".initcopy-a/tree/x=1", ".initcopy-b=1", "META-INF/.initcopy-c/x=1", ".app.initcopy=m", "initcopy-d=1")
	if n, err := Sweep(dir, time.Hour); n != 0 || err != nil {
		t.Errorf("Sweep of what is older than an hour = %d, %v; want 0", n, err)
	}
	if n, err := Sweep(dir, 0); n != 3 || err != nil {
		t.Errorf("Sweep = %d, %v; want 3", n, err)
	}
	if got := show(t, dir); got != ".app.initcopy=m initcopy-d=1" {
		t.Errorf("left %q", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "META-INF")); err == nil {
		t.Error("the empty META-INF is left")
	}
	put(t, dir, "META-INF/theirs=1", "META-INF/.initcopy-c/x=1")
	if _, err := Sweep(dir, 0); err != nil {
		t.Fatal(err)
	}
	if got := show(t, filepath.Join(dir, "META-INF")); got != "theirs=1" {
		t.Errorf("META-INF holds %q; want what others put there", got)
	}
}

func TestShelteredStageLiesWhereTomcatDoesNotLook(t *testing.T) {
	dir := t.TempDir()
	s, err := NewStage(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	if rel, _ := filepath.Rel(dir, s.Dir); !strings.HasPrefix(rel, "META-INF/.initcopy-") {
		t.Errorf("the stage is %s", rel)
	}
	if err := s.Remove(); err != nil {
		t.Fatal(err)
	}
	if names, _ := os.ReadDir(dir); len(names) != 0 {
		t.Errorf("left %v", names)
	}
}

func TestLockWaitsForTheOther(t *testing.T) {
	dir := t.TempDir()
	release, held, err := Lock(t.Context(), dir, func() { t.Error("waited for nobody") })
	if err != nil || !held {
		t.Fatalf("Lock = %v, %v", held, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, _, err := Lock(ctx, dir, cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("the second Lock = %v; want to wait until it is cancelled", err)
	}
	release()
	release, held, err = Lock(t.Context(), dir, func() {})
	if err != nil || !held {
		t.Fatalf("Lock after the release = %v, %v", held, err)
	}
	release()
}

func TestMountPoint(t *testing.T) {
	if is, err := MountPoint(t.TempDir()); is || err != nil {
		t.Errorf("a plain folder: %v, %v", is, err)
	}
	if is, err := MountPoint("/proc"); !is || err != nil {
		t.Errorf("/proc: %v, %v; want true", is, err)
	}
}

func TestAnchor(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a/", "f=1")
	if got, err := Anchor(filepath.Join(dir, "a/b/c")); got != filepath.Join(dir, "a") || err != nil {
		t.Errorf("Anchor = %q, %v", got, err)
	}
	if got, err := Anchor(filepath.Join(dir, "f/b")); err == nil {
		t.Errorf("Anchor below a file = %q; want an error", got)
	}
}

func TestRemoveKeepsFoldersWithContent(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a/x=1", "a/theirs=1", "b/")
	n, err := Remove(dir, []string{"b", "a/x", "a", "missing"})
	if n != 2 || err != nil {
		t.Errorf("Remove = %d, %v; want 2", n, err)
	}
	if got := show(t, dir); got != "a/theirs=1" {
		t.Errorf("left %q", got)
	}
}

// TestSheltersOfKilledRunsGo: a kill just after the shelter was made, or just before it goes, leaves it empty.
func TestSheltersOfKilledRunsGo(t *testing.T) {
	dir := t.TempDir()
	s, err := NewStage(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(s.wrapper); err != nil {
		t.Fatal(err)
	}
	if _, err := Sweep(dir, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(dir, Shelter)); err == nil {
		t.Error("the empty shelter of a stage is left")
	}
	put(t, dir, "META-INF/")
	if _, err := Sweep(dir, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(dir, Shelter)); err != nil {
		t.Error("an empty folder that others made is gone")
	}
}
