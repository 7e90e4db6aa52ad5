package store

import (
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/sidecar-kit/sidecar/roles/gitsync/gitserve"
	"github.com/sidecar-kit/sidecar/roles/gitsync/remote/packout"
)

func blobOf(n int) []byte { return bytes.Repeat([]byte{byte(n), 'x', byte(n >> 8)}, 50+n) }

func TestIngestStoresAllKinds(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	p := &packer{tb: t}
	large := bytes.Repeat([]byte("0123456789abcdef"), (streamSize+5000)/16)
	middle := bytes.Repeat([]byte("mid"), pooledSize)
	base, tree := blobOf(1), []byte("100644 a\x00aaaaaaaaaaaaaaaaaaaa")
	commit := []byte("tree 0123456789012345678901234567890123456789\n\nx\n")
	tag := []byte("object 0123456789012345678901234567890123456789\n")
	p.whole(commitType, commit)
	p.whole(4, tag)
	p.whole(treeType, tree)
	at := p.whole(blobType, base)
	p.whole(blobType, nil)
	p.whole(blobType, large)
	p.whole(blobType, middle)
	next := append(bytes.Clone(base), "more"...)
	at2 := p.ofs(at, deltaOf(base, next))
	last := append(bytes.Clone(next), "and more"...)
	p.ofs(at2, deltaOf(next, last))
	p.ref(Sum(blobType, last), deltaOf(last, []byte("other")))
	pack := p.bytes()
	for how, r := range readers(pack) {
		sink := &seen{}
		got, err := s.Ingest(t.Context(), io.NopCloser(r), sink, Limits{}, true)
		if err != nil || got.Objects != 10 || got.Bytes != int64(len(pack)) {
			t.Fatalf("Ingest (%s) = %+v, %v; want 10 objects, %d bytes", how, got, err, len(pack))
		}
		if _, ok := sink.objects[Sum(blobType, large)]; ok || len(sink.objects) != 9 {
			t.Errorf("sink saw %d objects, the large one %v; want 9 without it", len(sink.objects), ok)
		}
		if !bytes.Equal(sink.objects[Sum(blobType, last)], last) {
			t.Error("sink saw another content of a delta")
		}
	}
	reopened := open(t, dir)
	for _, st := range []*Store{s, reopened} {
		for _, b := range [][]byte{base, nil, large, middle, next, last, []byte("other")} {
			wantObject(t, st, blobType, b)
		}
		wantObject(t, st, treeType, tree)
		wantObject(t, st, commitType, commit)
		wantObject(t, st, 4, tag)
	}
	if packs, n := s.Stats(); packs != 1 || n != int64(len(pack)) {
		t.Errorf("Stats = %d packs, %d bytes; want the pack once, %d bytes", packs, n, len(pack))
	}
}

func TestIngestCutAnywhereLeavesNothing(t *testing.T) {
	p := &packer{tb: t}
	base := blobOf(3)
	at := p.whole(blobType, base)
	p.whole(treeType, []byte("100644 a\x00aaaaaaaaaaaaaaaaaaaa"))
	p.ofs(at, deltaOf(base, append(bytes.Clone(base), 1, 2)))
	p.ref(Sum(blobType, base), deltaOf(base, base[:9]))
	pack := p.bytes()
	dir := t.TempDir()
	s := open(t, dir)
	for n := range pack {
		_, err := receive(s, pack[:n], &seen{})
		if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut at %d of %d: %v; want an unexpected end", n, len(pack), err)
		}
		if left := files(t, dir); len(left) != 0 {
			t.Fatalf("cut at %d left %v", n, left)
		}
	}
	if s.Has(Sum(blobType, base)) {
		t.Error("an object of a cut pack is visible")
	}
	mustIngest(t, s, pack)
	wantObject(t, s, blobType, base)
}

func TestIngestFlippedBytesAreFoundOrHarmless(t *testing.T) {
	p := &packer{tb: t}
	base := blobOf(4)
	at := p.whole(blobType, base)
	p.ofs(at, deltaOf(base, append(bytes.Clone(base), 9)))
	pack := p.bytes()
	dir := t.TempDir()
	s := open(t, dir)
	for i := range pack {
		bad := bytes.Clone(pack)
		bad[i] ^= 0x41
		if _, err := receive(s, bad, nil); !errors.Is(err, ErrCorrupt) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("byte %d flipped: %v; want ErrCorrupt", i, err)
		}
		if left := files(t, dir); len(left) != 0 {
			t.Fatalf("byte %d flipped left %v", i, left)
		}
	}
}

func resum(pack []byte) []byte {
	sum := sha1.Sum(pack[:len(pack)-hashLen])
	return append(bytes.Clone(pack[:len(pack)-hashLen]), sum[:]...)
}

func TestIngestRefusesHostilePacks(t *testing.T) {
	data := blobOf(5)
	make1 := func(fill func(p *packer)) []byte {
		p := &packer{tb: t}
		fill(p)
		return p.bytes()
	}
	good := make1(func(p *packer) { p.whole(blobType, data) })
	tests := []struct {
		name string
		pack []byte
		lim  Limits
		want string
	}{
		{"no pack", []byte("ERR no such repository, sorry......."), Limits{}, "not a pack"},
		{"version 4", resum(append([]byte("PACK\x00\x00\x00\x04"), good[8:]...)), Limits{}, "version 4"},
		{"trailing bytes", append(bytes.Clone(good), "more"...), Limits{}, "checksum"},
		{"many trailing bytes", append(bytes.Clone(good), make([]byte, 1<<20)...), Limits{}, ""},
		{"more objects promised", resum(append([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x02"), good[12:]...)), Limits{}, ""},
		{"fewer objects promised", resum(append([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x00"), good[12:]...)), Limits{}, ""},
		{"type 0", make1(func(p *packer) { p.record(0, 3, nil, []byte("abc")) }), Limits{}, "unknown type"},
		{"type 5", make1(func(p *packer) { p.record(5, 3, nil, []byte("abc")) }), Limits{}, "unknown type"},
		{"claims less", make1(func(p *packer) { p.record(blobType, 3, nil, data) }), Limits{}, "header says"},
		{"claims more", make1(func(p *packer) { p.record(blobType, 1000, nil, data) }), Limits{}, "header says"},
		{"claims a huge tree", make1(func(p *packer) { p.record(treeType, 1<<40, nil, data) }), Limits{}, "over the limit"},
		{"claims a huge blob", make1(func(p *packer) { p.record(blobType, 1<<40, nil, data) }), Limits{}, "header says"},
		{"endless length", make1(func(p *packer) { p.body.Write(bytes.Repeat([]byte{0xff}, 40)); p.count++ }), Limits{}, "bad length"},
		{"base before the pack", make1(func(p *packer) { p.record(6, 3, []byte{0x7f}, []byte("abc")) }), Limits{}, "outside the pack"},
		{"base is itself", make1(func(p *packer) { p.record(6, 3, []byte{0}, []byte("abc")) }), Limits{}, "outside the pack"},
		{"base between objects", make1(func(p *packer) { p.whole(blobType, data); p.record(6, 3, []byte{3}, deltaOf(data, data)) }), Limits{}, ""},
		{"endless base distance", make1(func(p *packer) { p.record(6, 3, bytes.Repeat([]byte{0xff}, 20), nil) }), Limits{}, "distance"},
		{"base missing", make1(func(p *packer) { p.ref(Hash{1}, deltaOf(data, data)) }), Limits{}, "neither sent nor here"},
		{"base missing, a delta upon it", make1(func(p *packer) {
			at := p.ref(Hash{1}, deltaOf(data, data))
			p.ofs(at, deltaOf(data, data))
		}), Limits{}, "neither sent nor here"},
		{"delta for another base", make1(func(p *packer) { p.ofs(p.whole(blobType, data), deltaOf(data[1:], data)) }), Limits{}, "base of"},
		{"pack limit", good, Limits{PackBytes: int64(len(good)) - 1}, "over the limit"},
		{"inflated limit", good, Limits{Inflated: int64(len(data)) - 1}, "over the limit"},
		{"object limit", make1(func(p *packer) { p.whole(blobType, nil); p.whole(treeType, nil) }), Limits{Objects: 1}, "over the limit"},
	}
	dir := t.TempDir()
	s := open(t, dir)
	for _, tt := range tests {
		r := &closing{Reader: bytes.NewReader(tt.pack)}
		_, err := s.Ingest(t.Context(), r, &seen{}, tt.lim, false)
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(fmt.Sprint(err), tt.want) {
			t.Errorf("%s: Ingest = %v; want ErrCorrupt with %q", tt.name, err, tt.want)
		}
		if left := files(t, dir); len(left) != 0 || r.closed == 0 {
			t.Errorf("%s: left %v, reader closed %d times", tt.name, left, r.closed)
		}
	}
	if _, err := s.Ingest(t.Context(), io.NopCloser(bytes.NewReader(good)), nil,
		Limits{PackBytes: int64(len(good)), Inflated: int64(len(data)), Objects: 1}, false); err != nil {
		t.Errorf("a pack of exactly the limits: %v", err)
	}
}

func TestIngestOfAnEmptyPackKeepsNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	got, err := receive(s, (&packer{tb: t}).bytes(), nil)
	if err != nil || got.Objects != 0 || len(files(t, dir)) != 0 {
		t.Errorf("Ingest = %+v, %v, left %v; want nothing", got, err, files(t, dir))
	}
}

func manyBlobs(tb testing.TB, n int) []byte {
	p := &packer{tb: tb}
	for i := range n {
		p.whole(blobType, blobOf(i))
	}
	return p.bytes()
}

func TestIngestPassesOnErrors(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	pack := manyBlobs(t, 300)
	full, broken := errors.New("disk full"), errors.New("connection reset")
	if _, err := receive(s, pack, &seen{err: full}); !errors.Is(err, full) {
		t.Errorf("Ingest with a failing sink = %v; want its error", err)
	}
	r := &closing{Reader: io.MultiReader(bytes.NewReader(pack[:len(pack)/2]), iotest.ErrReader(broken))}
	if _, err := s.Ingest(t.Context(), r, nil, Limits{}, false); !errors.Is(err, broken) || r.closed == 0 {
		t.Errorf("Ingest from a failing reader = %v, closed %d; want its error", err, r.closed)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Ingest(ctx, io.NopCloser(bytes.NewReader(pack)), nil, Limits{}, false); !errors.Is(err, context.Canceled) {
		t.Errorf("Ingest after the end = %v; want context.Canceled", err)
	}
	if left := files(t, dir); len(left) != 0 {
		t.Errorf("failures left %v", left)
	}
}

// TestIngestEndsItsGoroutines breaks ingests in every way and counts.
func TestIngestEndsItsGoroutines(t *testing.T) {
	s := open(t, t.TempDir())
	pack := manyBlobs(t, 50)
	before := runtime.NumGoroutine()
	for i := range 60 {
		pr, pw := io.Pipe()
		go func() {
			_, _ = pw.Write(pack[:len(pack)*i/60])
			if i%2 == 0 {
				_, _ = pw.Write(bytes.Repeat([]byte{0xee}, 200_000)) // more than anybody reads
			}
			pw.Close()
		}()
		if _, err := s.Ingest(t.Context(), pr, nil, Limits{}, false); err == nil {
			t.Fatal("a cut pack was taken")
		}
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines; %d before", runtime.NumGoroutine(), before)
}

func TestIngestShowsTreesBeforeWhatFollows(t *testing.T) {
	repo := gitserve.NewRepo()
	changes := map[string]gitserve.File{}
	for i := range 40 {
		changes[fmt.Sprintf("d%d/e%d/f", i%7, i)] = text(fmt.Sprint("file ", i))
	}
	c := commitTo(t, repo, changes)
	sink := &seen{}
	if _, err := receive(open(t, t.TempDir()), serverPack(t, repo, packout.Request{Wants: []Hash{c}}), sink); err != nil {
		t.Fatal(err)
	}
	if sink.order[0] != c || len(sink.order) != 1+1+7+40+40 {
		t.Errorf("sink saw %d objects, the commit first: %v; want 89", len(sink.order), sink.order[0] == c)
	}
}

// readers cut the same input into pieces in different ways.
func readers(b []byte) map[string]io.Reader {
	return map[string]io.Reader{
		"whole": bytes.NewReader(b), "one byte": iotest.OneByteReader(bytes.NewReader(b)),
		"halves": iotest.HalfReader(bytes.NewReader(b)), "data with EOF": iotest.DataErrReader(bytes.NewReader(b)),
	}
}
