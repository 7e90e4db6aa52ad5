package store

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/sidecar-kit/sidecar/roles/gitsync/gitserve"
	"github.com/sidecar-kit/sidecar/roles/gitsync/remote/packout"
)

// names lists the objects of a store.
func names(s *Store) []string {
	out := map[string]bool{}
	for _, p := range s.packs {
		for i := range p.idx.n {
			out[fmt.Sprintf("%x", p.idx.hashAt(i))] = true
		}
	}
	return slices.Sorted(maps.Keys(out))
}

func wantNames(t *testing.T, s *Store, want ...Hash) {
	t.Helper()
	var list []string
	for _, h := range want {
		list = append(list, h.String())
	}
	slices.Sort(list)
	if got := names(s); !slices.Equal(got, list) {
		t.Errorf("the store holds %d objects, want %d:\n%v\n%v", len(got), len(list), got, list)
	}
}

func treeOf(entries ...any) []byte {
	var b bytes.Buffer
	for i := 0; i < len(entries); i += 2 {
		h := entries[i+1].(Hash)
		fmt.Fprintf(&b, "%s\x00%s", entries[i], h[:])
	}
	return b.Bytes()
}

func commitOf(tree Hash, parents ...Hash) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "tree %s\n", tree)
	for _, p := range parents {
		fmt.Fprintf(&b, "parent %s\n", p)
	}
	b.WriteString("author a <a@b> 1 +0000\ncommitter a <a@b> 1 +0000\n\nx\n")
	return b.Bytes()
}

func TestCompactKeepsExactlyWhatIsLive(t *testing.T) {
	s := open(t, t.TempDir())
	old, next, last := blobOf(60), append(blobOf(60), "next"...), append(blobOf(60), "next, last"...)
	dead := []byte("nobody needs this")
	sub := treeOf("100644 in", Sum(blobType, next))
	tree1 := treeOf("100644 f", Sum(blobType, old), "40000 sub", Sum(treeType, sub))
	tree2 := treeOf("100755 exec", Sum(blobType, last), "120000 link", Sum(blobType, next), "160000 module", nameOf(7), "40000 sub", Sum(treeType, sub))
	c1 := commitOf(Sum(treeType, tree1))
	c2 := commitOf(Sum(treeType, tree2), Sum(commitType, c1))

	p := &packer{tb: t} // last -> next -> old, of which old dies: next has to become whole
	p.whole(commitType, c1)
	p.whole(treeType, tree1)
	p.whole(treeType, sub)
	at := p.whole(blobType, old)
	at = p.ofs(at, deltaOf(old, next))
	p.ofs(at, deltaOf(next, last))
	p.whole(blobType, dead)
	mustIngest(t, s, p.bytes())
	p = &packer{tb: t} // a ref delta in a second, thin pack, which brings a base a second time
	p.whole(commitType, c2)
	p.ref(Sum(treeType, tree1), deltaOf(tree1, tree2))
	mustIngest(t, s, p.bytes())
	mustIngest(t, s, p.bytes()) // and once more, as after a crash

	h := func(typ Type, data []byte) Hash { return Sum(typ, data) }
	tip := h(commitType, c2)
	_, before := s.Stats()
	n, err := s.Compact([]Hash{tip}, []Hash{tip})
	if err != nil {
		t.Fatalf("Compact = %v", err)
	}
	wantNames(t, s, tip, h(treeType, tree2), h(treeType, sub), h(blobType, next), h(blobType, last))
	if packs, size := s.Stats(); packs != 1 || size != n || size >= before {
		t.Errorf("Stats = %d packs, %d bytes, Compact said %d, before %d", packs, size, n, before)
	}
	if len(files(t, s.dir)) != 2 {
		t.Errorf("left %v; want one pack and its index", files(t, s.dir))
	}
	for _, st := range []*Store{s, open(t, s.dir)} {
		wantObject(t, st, blobType, next)
		wantObject(t, st, blobType, last)
		wantObject(t, st, treeType, tree2)
		wantObject(t, st, commitType, c2)
		if st.Has(h(blobType, dead)) || st.Has(h(commitType, c1)) {
			t.Error("a dead object is still there")
		}
	}
	if again, err := s.Compact([]Hash{tip}, []Hash{tip}); err != nil || again != n {
		t.Errorf("Compact once more = %d, %v; want the same %d bytes", again, err, n)
	}
	wantObject(t, s, blobType, last)
}

func TestCompactFollowsParentsUpToTheBoundary(t *testing.T) {
	repo := gitserve.NewRepo()
	var commits []Hash
	for i := range 5 {
		commits = append(commits, commitTo(t, repo, map[string]gitserve.File{"f": text(fmt.Sprint("content ", i)), "same": text("same")}))
	}
	for depth := 1; depth <= 5; depth++ {
		s := open(t, t.TempDir())
		mustIngest(t, s, serverPack(t, repo, packout.Request{Wants: commits[4:]}))
		if _, err := s.Compact(commits[4:], []Hash{commits[5-depth]}); err != nil {
			t.Fatal(err)
		}
		if got := len(names(s)); got != 3*depth+1 {
			t.Errorf("depth %d: %d objects; want %d", depth, got, 3*depth+1)
		}
	}
}

func TestCompactFailureKeepsEverything(t *testing.T) {
	repo := gitserve.NewRepo()
	a := commitTo(t, repo, map[string]gitserve.File{"f": text("one")})
	b := commitTo(t, repo, map[string]gitserve.File{"f": text("two")})
	s := open(t, t.TempDir())
	mustIngest(t, s, serverPack(t, repo, packout.Request{Wants: []Hash{b}, Depth: 1}))
	before := names(s)
	// b's parent a is not here, and nobody says that it need not be.
	if _, err := s.Compact([]Hash{b}, nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("Compact across the boundary = %v; want ErrNotFound", err)
	}
	if _, err := s.Compact([]Hash{a}, nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("Compact of a stranger = %v; want ErrNotFound", err)
	}
	if _, err := s.Compact([]Hash{Sum(blobType, []byte("two"))}, nil); err == nil {
		t.Error("Compact took a blob for a commit")
	}
	if !slices.Equal(names(s), before) || len(files(t, s.dir)) != 2 {
		t.Errorf("a failure left %v", files(t, s.dir))
	}
	if _, err := s.Compact([]Hash{b}, []Hash{b}); err != nil {
		t.Error(err)
	}
}

func TestCompactFollowsTreesWithPaddedModes(t *testing.T) {
	s := open(t, t.TempDir())
	p := &packer{tb: t}
	sub := treeOf("100644 in", Sum(blobType, []byte("deep")))
	tree := treeOf("040000 sub", Sum(treeType, sub), "0160000 module", nameOf(1))
	c := commitOf(Sum(treeType, tree))
	for _, o := range []struct {
		typ  Type
		data []byte
	}{{blobType, []byte("deep")}, {treeType, sub}, {treeType, tree}, {commitType, c}} {
		p.whole(o.typ, o.data)
	}
	mustIngest(t, s, p.bytes())
	if _, err := s.Compact([]Hash{Sum(commitType, c)}, nil); err != nil {
		t.Fatal(err)
	}
	wantObject(t, s, blobType, []byte("deep"))
}

func TestCompactRefusesBrokenTrees(t *testing.T) {
	for name, tree := range map[string][]byte{
		"cut": []byte("100644 f\x00short"), "no end": []byte("100644 f"), "a mode that leads to nothing": append([]byte("\x00"), make([]byte, 20)...),
	} {
		s := open(t, t.TempDir())
		p := &packer{tb: t}
		p.whole(treeType, tree)
		c := commitOf(Sum(treeType, tree))
		p.whole(commitType, c)
		mustIngest(t, s, p.bytes())
		if _, err := s.Compact([]Hash{Sum(commitType, c)}, nil); err == nil {
			t.Errorf("%s: Compact took a broken tree", name)
		}
	}
}
