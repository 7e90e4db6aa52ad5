package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/sidecar-kit/sidecar/roles/gitsync/gitserve"
	"github.com/sidecar-kit/sidecar/roles/gitsync/remote/packout"
)

// alone opens the newest of a store's packs as the only one.
func alone(t *testing.T, s *Store) *Store {
	t.Helper()
	p, err := openPack(s.packs[len(s.packs)-1].path)
	if err != nil {
		t.Fatal(err)
	}
	one := &Store{dir: s.dir, packs: []*pack{p}}
	t.Cleanup(func() { one.Close() })
	return one
}

func TestThinPackIsCompleted(t *testing.T) {
	s := open(t, t.TempDir())
	mustIngest(t, s, manyBlobs(t, 5))
	p := &packer{tb: t}
	var want [][]byte
	for i := range 5 { // each stands upon an object of the first pack
		next := append(bytes.Clone(blobOf(i)), "changed"...)
		at := p.ref(Sum(blobType, blobOf(i)), deltaOf(blobOf(i), next))
		last := append(bytes.Clone(next), "again"...)
		p.ofs(at, deltaOf(next, last))
		want = append(want, blobOf(i), next, last)
	}
	mustIngest(t, s, p.bytes())
	one := alone(t, s)
	if one.packs[0].idx.n != 15 {
		t.Errorf("the completed pack holds %d objects; want 15", one.packs[0].idx.n)
	}
	for _, b := range want {
		wantObject(t, one, blobType, b)
	}
	for _, b := range want {
		wantObject(t, open(t, s.dir), blobType, b)
	}
}

func TestThinPackThatBringsItsBaseToo(t *testing.T) {
	s := open(t, t.TempDir())
	mustIngest(t, s, manyBlobs(t, 3))
	p := &packer{tb: t}
	next := append(bytes.Clone(blobOf(1)), "changed"...)
	p.ref(Sum(blobType, blobOf(1)), deltaOf(blobOf(1), next))
	p.whole(blobType, blobOf(1)) // after its delta, and here already
	// The base of this one comes out of a delta that waits until the end.
	p.ref(Sum(blobType, blobOf(2)), deltaOf(blobOf(2), []byte("two")))
	p.ref(Sum(blobType, []byte("late")), deltaOf([]byte("late"), blobOf(2)))
	p.ref(Sum(blobType, next), deltaOf(next, []byte("late")))
	mustIngest(t, s, p.bytes())
	one := alone(t, s)
	if one.packs[0].idx.n != 5 {
		t.Errorf("the pack holds %d objects; want its own 5 and none twice", one.packs[0].idx.n)
	}
	for _, b := range [][]byte{blobOf(1), blobOf(2), next, []byte("two"), []byte("late")} {
		wantObject(t, one, blobType, b)
	}
}

func TestRefDeltasBeforeTheirBase(t *testing.T) {
	s := open(t, t.TempDir())
	p := &packer{tb: t}
	const n = 60
	content := func(i int) []byte { return append(blobOf(40), fmt.Sprint("version ", i)...) }
	for i := n; i > 0; i-- { // the whole chain backwards
		at := p.ref(Sum(blobType, content(i-1)), deltaOf(content(i-1), content(i)))
		p.ofs(at, deltaOf(content(i), content(i*1000)))
	}
	p.whole(blobType, content(0))
	sink := &seen{}
	if _, err := receive(s, p.bytes(), sink); err != nil {
		t.Fatal(err)
	}
	for i := range n + 1 {
		wantObject(t, s, blobType, content(i))
		wantObject(t, s, blobType, content(i*1000))
		if sink.objects[Sum(blobType, content(i*1000))] == nil {
			t.Errorf("sink did not see version %d", i*1000)
		}
	}
}

func TestLongDeltaChains(t *testing.T) {
	for _, n := range []int{4000, maxChain + 10} {
		s := open(t, t.TempDir())
		p := &packer{tb: t}
		content := func(i int) []byte { return fmt.Appendf(nil, "%d version", i) }
		at := p.whole(blobType, content(0))
		for i := range n {
			at = p.ofs(at, deltaOf(content(i), content(i+1)))
		}
		if _, err := receive(s, p.bytes(), nil); err != nil {
			t.Fatalf("chain of %d: %v", n, err)
		}
		_, got, err := s.Get(Sum(blobType, content(n)))
		if n < maxChain && (err != nil || !bytes.Equal(got, content(n))) {
			t.Errorf("end of a chain of %d = %q, %v", n, got, err)
		}
		if n > maxChain && !errors.Is(err, ErrCorrupt) {
			t.Errorf("end of a chain of %d = %v; want ErrCorrupt", n, err)
		}
	}
}

func TestMissingBaseIsCorruptAndInvisible(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	mustIngest(t, s, manyBlobs(t, 2))
	before := len(files(t, dir))
	p := &packer{tb: t}
	p.whole(blobType, []byte("fine"))
	p.ref(nameOf(1), deltaOf([]byte("gone"), []byte("x")))
	p.ref(Sum(blobType, blobOf(1)), deltaOf(blobOf(1), []byte("y")))
	if _, err := receive(s, p.bytes(), nil); !errors.Is(err, ErrCorrupt) {
		t.Errorf("Ingest = %v; want ErrCorrupt", err)
	}
	if s.Has(Sum(blobType, []byte("fine"))) || s.Has(Sum(blobType, []byte("y"))) || len(files(t, dir)) != before {
		t.Errorf("a refused pack is visible, or left %v", files(t, dir))
	}
	wantObject(t, s, blobType, blobOf(1))
}

// TestUpdatesFromAServer follows a random history by thin packs and reads everything back.
func TestUpdatesFromAServer(t *testing.T) {
	rnd := rand.New(rand.NewPCG(4, 4))
	repo := gitserve.NewRepo()
	s := open(t, t.TempDir())
	var have []Hash
	want := map[string]string{}
	for step := range 25 {
		changes := map[string]gitserve.File{}
		for range 1 + rnd.IntN(5) {
			name := fmt.Sprintf("d%d/f%d", rnd.IntN(4), rnd.IntN(6))
			want[name] = string(bytes.Repeat(fmt.Appendf(nil, "%s at %d\n", name, rnd.IntN(3)), 200)) + fmt.Sprint(step)
			changes[name] = text(want[name])
		}
		c := commitTo(t, repo, changes)
		mustIngest(t, s, serverPack(t, repo, packout.Request{Wants: []Hash{c}, Haves: have, Shallow: have, Depth: 1, Thin: true}))
		have = []Hash{c}
		for _, data := range want {
			wantObject(t, s, blobType, []byte(data))
		}
		if step%6 == 5 {
			if _, err := s.Compact(have, have); err != nil {
				t.Fatal(err)
			}
		}
	}
}
