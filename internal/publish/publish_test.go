package publish

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func tree(tb testing.TB) (t *Tree, root string) {
	tb.Helper()
	root = tb.TempDir()
	t, err := Open(filepath.Join(root, "versions"), filepath.Join(root, "link"))
	if err != nil {
		tb.Fatal(err)
	}
	return t, root
}

// commit publishes a tree whose files all hold the text.
func commit(tb testing.TB, t *Tree, version, text string) string {
	tb.Helper()
	place, err := tryCommit(t, version, text)
	if err != nil {
		tb.Fatalf("Commit(%s) = %v", version, err)
	}
	return place
}

func tryCommit(t *Tree, version, text string) (string, error) {
	stage, err := t.Stage()
	if err != nil {
		return "", err
	}
	for _, name := range []string{"a", "b", "c"} {
		if err := os.WriteFile(filepath.Join(stage, name), []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	return t.Commit(stage, version)
}

func wantSeen(tb testing.TB, root, version, text string) {
	tb.Helper()
	target, err := os.Readlink(filepath.Join(root, "link"))
	if err != nil || filepath.IsAbs(target) || filepath.Base(target) != version {
		tb.Errorf("link leads to %q, %v; want a relative path to %s", target, err, version)
	}
	for _, name := range []string{"a", "b", "c"} {
		if data, err := os.ReadFile(filepath.Join(root, "link", name)); string(data) != text || err != nil {
			tb.Errorf("link/%s = %q, %v; want %q", name, data, err, text)
		}
	}
}

func list(tb testing.TB, dir string) string {
	tb.Helper()
	names, err := os.ReadDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	var out []string
	for _, e := range names {
		out = append(out, e.Name())
	}
	return strings.Join(out, " ")
}

func TestCommitSwapsTheLink(t *testing.T) {
	tr, root := tree(t)
	if place, version := tr.Current(); place != "" || version != "" {
		t.Errorf("Current at first = %q, %q", place, version)
	}
	one := commit(t, tr, "v1", "one")
	wantSeen(t, root, "v1", "one")
	commit(t, tr, "v2", "two")
	wantSeen(t, root, "v2", "two")
	if data, err := os.ReadFile(filepath.Join(one, "a")); string(data) != "one" || err != nil {
		t.Errorf("the old tree holds %q, %v; want it to stay", data, err)
	}
	held, err := os.OpenRoot(one)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	commit(t, tr, "v1", "one again") // back: the old tree of that name makes room, for a reader that holds it
	wantSeen(t, root, "v1", "one again")
	if got := list(t, root+"/versions"); got != ".2 v1 v2" {
		t.Errorf("versions holds %q", got)
	}
	if data, err := held.ReadFile("a"); string(data) != "one" || err != nil {
		t.Errorf("a reader of the first v1 sees %q, %v; want it undisturbed", data, err)
	}
	if got := tr.Versions(); !slices.Equal(got, []string{"v1", "v1", "v2"}) {
		t.Errorf("Versions = %v", got)
	}
}

func TestCommitOfTheSameVersionLiesBeside(t *testing.T) {
	tr, root := tree(t)
	seen := map[string]bool{}
	for i := range 5 {
		text := fmt.Sprint("build ", i)
		before, _ := tr.Current()
		want := tr.Place("v1")
		place := commit(t, tr, "v1", text)
		wantSeen(t, root, "v1", text)
		if place != want || place == before {
			t.Errorf("build %d lies at %s; Place said %s, readers saw %s", i, place, want, before)
		}
		if before != "" {
			if _, err := os.Stat(filepath.Join(before, "a")); err != nil {
				t.Errorf("build %d took the tree away that readers saw: %v", i, err)
			}
		}
		seen[place] = true
	}
	if len(seen) != 2 {
		t.Errorf("%d places are used in turn; want 2", len(seen))
	}
	commit(t, tr, "v2", "next")
	if _, _, err := tr.Prune(0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := tr.Prune(0); err != nil || list(t, root+"/versions") != "v2" {
		t.Errorf("after two prunes: %q, %v; want v2 alone", list(t, root+"/versions"), err)
	}
}

func TestCommitRefusesNamesThatAreNone(t *testing.T) {
	tr, _ := tree(t)
	for _, version := range []string{"", ".", "..", "a/b", "../x", ".hidden", "/abs"} {
		stage, err := tr.Stage()
		if err != nil {
			t.Fatal(err)
		}
		if place, err := tr.Commit(stage, version); err == nil {
			t.Errorf("Commit(%q) = %q", version, place)
		}
	}
}

func TestOpenRemovesWhatAKillLeft(t *testing.T) {
	tr, root := tree(t)
	commit(t, tr, "v1", "one")
	for _, name := range []string{"versions/.stage-x/a", "versions/.trash-y/b"} {
		os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755)
		os.WriteFile(filepath.Join(root, name), nil, 0o644)
	}
	os.MkdirAll(filepath.Join(root, "versions/.stage-locked/d"), 0o755)
	os.Chmod(filepath.Join(root, "versions/.stage-locked"), 0o500)
	os.Symlink("versions/v0", filepath.Join(root, linkPrefix+"z"))
	os.WriteFile(filepath.Join(root, "foreign"), nil, 0o644)
	if _, err := Open(root+"/versions", root+"/link"); err != nil {
		t.Fatal(err)
	}
	if got := list(t, root) + ", " + list(t, root+"/versions"); got != "foreign link versions, v1" {
		t.Errorf("left %q", got)
	}
	wantSeen(t, root, "v1", "one")
}

func TestOpenRefusesWhatIsNoLink(t *testing.T) {
	root := t.TempDir()
	os.WriteFile(root+"/file", []byte("mine"), 0o644)
	os.MkdirAll(root+"/dir/x", 0o755)
	for _, name := range []string{"file", "dir"} {
		if _, err := Open(root+"/versions", filepath.Join(root, name)); err == nil || !strings.Contains(err.Error(), "not a symbolic link") {
			t.Errorf("Open with a %s at the link = %v", name, err)
		}
	}
	if data, _ := os.ReadFile(root + "/file"); string(data) != "mine" {
		t.Error("the file is gone")
	}
}

func TestLinkElsewhereAndThroughLinks(t *testing.T) {
	root := t.TempDir()
	os.MkdirAll(root+"/real/deep", 0o755)
	os.Symlink("real", root+"/alias")
	tr, err := Open(root+"/alias/deep/versions", root+"/other/sub/link")
	if err != nil {
		t.Fatal(err)
	}
	place := commit(t, tr, "v1", "one")
	got, version := tr.Current()
	if got != place || version != "v1" {
		t.Errorf("Current = %q, %q; want %q, v1", got, version, place)
	}
	if data, err := os.ReadFile(root + "/other/sub/link/a"); string(data) != "one" || err != nil {
		t.Errorf("through the link: %q, %v", data, err)
	}
}

func TestCurrentBelievesOnlyItsOwn(t *testing.T) {
	tr, root := tree(t)
	place := commit(t, tr, "v1", "one")
	os.MkdirAll(root+"/outside", 0o755)
	os.WriteFile(root+"/versions/file", nil, 0o644)
	for target, want := range map[string]string{
		"versions/v1": "v1", place: "v1", "outside": "", "versions/none": "", "versions": "", "versions/../outside": "", "versions/file": "", "/": "", "versions/v1/..": "",
	} {
		os.Remove(root + "/link")
		os.Symlink(target, root+"/link")
		if got, version := tr.Current(); version != want || (got != "") != (want != "") {
			t.Errorf("link to %s: Current = %q, %q; want version %q", target, got, version, want)
		}
	}
}

func TestLinkRemovedOrReplacedByOthers(t *testing.T) {
	tr, root := tree(t)
	place := commit(t, tr, "v1", "one")
	os.Remove(root + "/link")
	if err := tr.Restore(place); err != nil {
		t.Fatal(err)
	}
	wantSeen(t, root, "v1", "one")
	os.Remove(root + "/link")
	os.Symlink("/nowhere", root+"/link")
	commit(t, tr, "v2", "two")
	wantSeen(t, root, "v2", "two")
	os.Remove(root + "/link")
	os.Mkdir(root+"/link", 0o755)
	if _, err := tryCommit(tr, "v3", "three"); err == nil {
		t.Error("a folder at the link was replaced; want an error")
	}
	if fi, err := os.Lstat(root + "/link"); err != nil || !fi.IsDir() {
		t.Errorf("the foreign folder is gone: %v", err)
	}
	if got := list(t, root); got != "link versions" {
		t.Errorf("the failed swap left %q", got)
	}
}

func TestCommitAfterTheFolderWasRemoved(t *testing.T) {
	tr, root := tree(t)
	commit(t, tr, "v1", "one")
	os.RemoveAll(root + "/versions")
	commit(t, tr, "v2", "two")
	wantSeen(t, root, "v2", "two")
}

func TestPruneByAge(t *testing.T) {
	tr, root := tree(t)
	for i := range 4 {
		commit(t, tr, fmt.Sprint("v", i), "x")
	}
	stage, err := tr.Stage()
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	os.Chtimes(root+"/versions/v0", old, old)
	os.Chtimes(root+"/versions/v3", old, old) // seen: never removed
	os.WriteFile(root+"/versions/garbage", nil, 0o644)
	os.Chtimes(root+"/versions/garbage", old, old)
	removed, next, err := tr.Prune(30*time.Minute, stage)
	if err != nil || removed != 2 || next <= 29*time.Minute || next > 30*time.Minute {
		t.Errorf("Prune = %d removed, next %s, %v; want 2, 30 minutes", removed, next, err)
	}
	if got := list(t, root+"/versions"); got != filepath.Base(stage)+" v1 v2 v3" {
		t.Errorf("left %q", got)
	}
	if removed, next, err = tr.Prune(0); removed != 3 || next != 0 || err != nil || list(t, root+"/versions") != "v3" {
		t.Errorf("Prune(0) = %d, %s, %v, left %q; want v3 alone", removed, next, err, list(t, root+"/versions"))
	}
}

func TestPruneRemovesNothingWhileTheLinkIsUnknown(t *testing.T) {
	tr, root := tree(t)
	commit(t, tr, "v1", "one")
	commit(t, tr, "v2", "two")
	os.Symlink("versions", root+"/alias")
	for _, target := range []string{"", "alias/v2", "/nowhere"} {
		os.Remove(root + "/link")
		if target != "" {
			os.Symlink(target, root+"/link")
		}
		if removed, _, err := tr.Prune(0); removed != 0 || err != nil || list(t, root+"/versions") != "v1 v2" {
			t.Errorf("link to %q: Prune removed %d, %v", target, removed, err)
		}
	}
}

func TestFileIsWholeOrOld(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	write := func(text string, err error) error {
		return File(name, 0o640, func(w io.Writer) error { return errors.Join(err, second(io.WriteString(w, text))) })
	}
	if err := write("one", nil); err != nil {
		t.Fatal(err)
	}
	full := errors.New("disk full")
	if err := write("two", full); !errors.Is(err, full) {
		t.Errorf("File = %v; want the writer's error", err)
	}
	if data, _ := os.ReadFile(name); string(data) != "one" || list(t, dir) != "f" {
		t.Errorf("after a failure: %q, left %q; want the old content alone", data, list(t, dir))
	}
	if err := write("three", nil); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(name)
	if data, _ := os.ReadFile(name); string(data) != "three" || err != nil || fi.Mode().Perm() != 0o640 {
		t.Errorf("File wrote %q, mode %v, %v", data, fi.Mode(), err)
	}
	if err := File(filepath.Join(dir, "no", "f"), 0o640, func(io.Writer) error { return nil }); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("File in a missing folder = %v", err)
	}
	os.Mkdir(dir+"/d", 0o755)
	if err := File(dir+"/d", 0o640, func(io.Writer) error { return nil }); err == nil || list(t, dir) != "d f" {
		t.Errorf("File over a folder = %v, left %q", err, list(t, dir))
	}
}

func second[T any](_ T, err error) error { return err }
