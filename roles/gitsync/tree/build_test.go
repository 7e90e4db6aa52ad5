package tree

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// TestApplyOfADiffIsABuild is what makes the spare tree right: from any tree to any other.
func TestApplyOfADiffIsABuild(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for round := range 120 {
		m := memory{}
		a := Node{m, m.write(randomTree(rnd))}
		b := Node{m, m.write(randomTree(rnd))}
		_, want, wantRecords := built(t, b, nil)
		spare, got, records := built(t, a, nil)
		c, err := Diff(a, b, Rules{})
		if err != nil {
			t.Fatalf("round %d: Diff = %v", round, err)
		}
		fresh, err := Apply(t.Context(), spare, c, Options{Links: KeepLinks, Sync: round%10 == 0})
		if err != nil {
			t.Fatalf("round %d: Apply = %v", round, err)
		}
		if g, w := look(t, got), look(t, want); g != w {
			t.Fatalf("round %d: Apply made\n%s; Build\n%s", round, g, w)
		}
		merged := byPath(Merge(records, c, fresh))
		if len(merged) != len(wantRecords) {
			t.Fatalf("round %d: %d records; want %d", round, len(merged), len(wantRecords))
		}
		for p, r := range byPath(wantRecords) {
			if g := merged[p]; g.Hash != r.Hash || g.Mode != r.Mode {
				t.Fatalf("round %d: record of %q = %+v; want %+v", round, p, g, r)
			}
		}
		if bad := Verify(spare, Merge(records, c, fresh)); len(bad) > 0 {
			t.Fatalf("round %d: Verify after Apply = %v", round, bad)
		}
	}
}

func TestDiffLooksIntoChangedFoldersOnly(t *testing.T) {
	m := memory{}
	a := m.write(map[string]leaf{"same/x": {File, "x"}, "d/e/f": {File, "1"}, "d/g": {File, "g"}})
	b := m.write(map[string]leaf{"same/x": {File, "x"}, "d/e/f": {File, "2"}, "d/g": {File, "g"}})
	same := m.write(map[string]leaf{"x": {File, "x"}})
	delete(m, same)
	c, err := Diff(Node{m, a}, Node{m, b}, Rules{})
	if err != nil || len(c.Remove) != 1 || c.Remove[0] != "d/e/f" || len(c.Write) != 1 || c.Write[0].Path != "d/e/f" {
		t.Errorf("Diff = %+v, %v; want d/e/f alone", c, err)
	}
	if _, err := Diff(Node{m, a}, Node{m, b}, Rules{Module: func(string, Hash) (Node, bool, error) { return Node{}, false, nil }}); err == nil {
		t.Error("Diff took rules with submodules")
	}
}

func TestDiffObeysWant(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	rules := Rules{Want: func(p string, dir bool) bool { return dir || !strings.HasSuffix(p, "a") }}
	for range 40 {
		m := memory{}
		a, b := Node{m, m.write(randomTree(rnd))}, Node{m, m.write(randomTree(rnd))}
		got, gotDir := folder(t)
		want, wantDir := folder(t)
		if _, _, err := Build(t.Context(), got, items(t, a, rules), nil, Options{}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Build(t.Context(), want, items(t, b, rules), nil, Options{}); err != nil {
			t.Fatal(err)
		}
		c, err := Diff(a, b, rules)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Apply(t.Context(), got, c, Options{}); err != nil {
			t.Fatal(err)
		}
		if g, w := look(t, gotDir), look(t, wantDir); g != w {
			t.Fatalf("Apply made\n%s; Build\n%s", g, w)
		}
	}
}

func TestBuildLinksUnchangedFiles(t *testing.T) {
	m := memory{}
	was := map[string]leaf{"same": {File, "s"}, "d/same": {Exec, "x"}, "mode": {File, "m"}, "text": {File, "1"}, "touched": {File, "t"},
		"longer": {File, "l"}, "gone": {File, "g"}, "link": {Symlink, "same"}, "replaced": {File, "r"}}
	is := maps.Clone(was)
	is["mode"], is["text"], is["new/er"] = leaf{Exec, "m"}, leaf{File, "2"}, leaf{File, "n"}
	delete(is, "gone")
	old, oldDir, records := built(t, Node{m, m.write(was)}, nil)
	past := time.Now().Add(-time.Hour)
	if err := os.WriteFile(filepath.Join(oldDir, "longer"), []byte("edited"), 0o644); err != nil {
		t.Fatal(err)
	}
	os.Chtimes(filepath.Join(oldDir, "touched"), past, past)
	os.Remove(filepath.Join(oldDir, "replaced"))
	os.WriteFile(filepath.Join(oldDir, "replaced"), []byte("R"), 0o644)

	f, dir := folder(t)
	n := Node{m, m.write(is)}
	got, linked, err := Build(t.Context(), f, items(t, n, Rules{}), &Reuse{old, records}, Options{})
	if err != nil || linked != 2 {
		t.Fatalf("Build linked %d, %v; want the two unchanged files", linked, err)
	}
	_, fresh, _ := built(t, n, nil)
	if g, w := look(t, dir), look(t, fresh); g != w {
		t.Errorf("Build with links made\n%s; without\n%s", g, w)
	}
	before, after := byPath(records), byPath(got)
	for name := range is {
		linkable := name == "same" || name == "d/same"
		if (before[name].Stat == after[name].Stat) != linkable {
			t.Errorf("%s: same inode and time %v; want %v", name, !linkable, linkable)
		}
	}
	if bad := Verify(f, got); len(bad) != 0 {
		t.Errorf("Verify = %v", bad)
	}
}

func TestVerifyNamesWhatWasTouched(t *testing.T) {
	m := memory{}
	f, dir, records := built(t, Node{m, m.write(map[string]leaf{
		"a": {File, "a"}, "b": {File, "b"}, "c/d": {File, "d"}, "l": {Symlink, "a"}, "m": {Submodule, "x"}, "ok": {File, "k"}, "ok2/x": {Exec, ""},
	})}, nil)
	if bad := Verify(f, records); len(bad) != 0 {
		t.Fatalf("Verify of an untouched tree = %v", bad)
	}
	at := func(p string) string { return filepath.Join(dir, p) }
	os.WriteFile(at("m-file"), nil, 0o644) // foreign files are nobody's business
	os.WriteFile(at("m")+"/inside", nil, 0o644)
	if bad := Verify(f, records); len(bad) != 0 {
		t.Errorf("Verify with foreign files = %v", bad)
	}
	os.WriteFile(at("a"), []byte("A!"), 0o644)
	os.Remove(at("b"))
	os.Symlink("ok", at("b"))
	os.RemoveAll(at("c"))
	os.Symlink("ok2", at("c"))
	os.Remove(at("l"))
	os.Symlink("b", at("l"))
	os.RemoveAll(at("m"))
	if got := strings.Join(Verify(f, records), " "); got != "a b c/d l m" {
		t.Errorf("Verify = %q; want a b c/d l m", got)
	}
}

func TestSymlinkPolicies(t *testing.T) {
	m := memory{}
	n := Node{m, m.write(map[string]leaf{"f": {File, "f"}, "d/in": {Symlink, "../f"}, "out": {Symlink, "/etc/passwd"}})}
	for policy, want := range map[Links]bool{KeepLinks: true, LinksInside: false, NoLinks: false} {
		f, dir := folder(t)
		_, _, err := Build(t.Context(), f, items(t, n, Rules{}), nil, Options{Links: policy})
		if (err == nil) != want || err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("%s: Build = %v; want success %v", policy, err, want)
		}
		if target, err := os.Readlink(filepath.Join(dir, "out")); (err == nil) != want {
			t.Errorf("%s: link out = %q, %v", policy, target, err)
		}
	}
	for name, content := range map[string]string{"empty": "", "too long": strings.Repeat("x/", 2100), "with a zero": "a\x00b"} {
		f, _ := folder(t)
		n := Node{m, m.write(map[string]leaf{"l": {Symlink, content}})}
		if _, _, err := Build(t.Context(), f, items(t, n, Rules{}), nil, Options{Links: KeepLinks}); !errors.Is(err, ErrRefused) {
			t.Errorf("a link that is %s: %v; want ErrRefused", name, err)
		}
	}
}

func TestBuildEndsWithItsContext(t *testing.T) {
	m := memory{}
	files := map[string]leaf{}
	for i := range 100 {
		files[string(rune('0'+i/10))+"/"+string(rune('0'+i%10))] = leaf{File, "x"}
	}
	n := Node{m, m.write(files)}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f, _ := folder(t)
	if _, _, err := Build(ctx, f, items(t, n, Rules{}), nil, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Build = %v; want context.Canceled", err)
	}
	delete(m, plumbing.ComputeHash(plumbing.BlobObject, []byte("x")))
	if _, _, err := Build(t.Context(), f, items(t, n, Rules{}), nil, Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Build without blobs = %v; want the store's error", err)
	}
}

func TestLimits(t *testing.T) {
	m := memory{}
	n := Node{m, m.write(map[string]leaf{"a": {File, "1"}, "b/c": {File, "2"}, "d": {Symlink, "a"}})}
	none := func(Item) error { return nil }
	if err := Files(n, Rules{MaxFiles: 3}, none); err != nil {
		t.Errorf("three files of three: %v", err)
	}
	if err := Files(n, Rules{MaxFiles: 2}, none); !errors.Is(err, ErrRefused) {
		t.Errorf("three files of two = %v; want ErrRefused", err)
	}
	deep := m.write(map[string]leaf{"f": {File, "f"}})
	for range 300 {
		deep = m.tree(Entry{"d", Dir, deep})
	}
	if err := Files(Node{m, deep}, Rules{}, none); !errors.Is(err, ErrRefused) {
		t.Errorf("300 folders deep = %v; want ErrRefused", err)
	}
	if _, err := Diff(n, Node{m, deep}, Rules{}); !errors.Is(err, ErrRefused) {
		t.Errorf("Diff to 300 folders deep = %v; want ErrRefused", err)
	}
	long := m.write(map[string]leaf{"f": {File, "f"}})
	for range 20 {
		long = m.tree(Entry{strings.Repeat("d", 250), Dir, long})
	}
	if err := Files(Node{m, long}, Rules{}, none); !errors.Is(err, ErrRefused) {
		t.Errorf("a path of 5000 bytes = %v; want ErrRefused", err)
	}
}

// bomb is a tree of a few objects that unfolds into 10^n folders.
func (m memory) bomb(n int, leaf Hash) Hash {
	for range n {
		var list []Entry
		for i := range 10 {
			list = append(list, Entry{string(rune('a' + i)), Dir, leaf})
		}
		leaf = m.tree(list...)
	}
	return leaf
}

func TestTreeBombsAreRefused(t *testing.T) {
	for name, leaf := range map[string]map[string]leaf{"files": {"f": {File, "x"}}, "nothing": {}} {
		m := memory{}
		bomb := m.bomb(9, m.write(leaf))
		rules := Rules{MaxFiles: 1000}
		if err := Files(Node{m, bomb}, rules, func(Item) error { return nil }); !errors.Is(err, ErrRefused) {
			t.Errorf("bomb of %s: Files = %v; want ErrRefused", name, err)
		}
		f, _ := folder(t)
		co := NewCheckout(f, m.commit(bomb), rules, Options{})
		err := feed(co, m, m.commit(bomb))
		if err == nil {
			_, err = co.Finish(t.Context(), m)
		}
		if !errors.Is(err, ErrRefused) {
			t.Errorf("bomb of %s: Checkout = %v; want ErrRefused", name, err)
		}
	}
}
