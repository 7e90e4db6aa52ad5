package store

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func nameOf(i int) Hash { return sha1.Sum(fmt.Appendf(nil, "object %d", i)) }

func indexOf(tb testing.TB, entries []entry, sum Hash) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := writeIndex(&b, entries, sum); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func TestIndexFindsWhatWasWritten(t *testing.T) {
	for _, n := range []int{0, 1, 2, 255, 256, 3000} {
		var entries []entry
		for i := range n {
			off := int64(i * 100)
			if i%7 == 3 {
				off += 1 << 33 // needs the table of large offsets
			}
			if i%7 == 4 {
				off = 1<<31 - 1 + int64(i%3)
			}
			entries = append(entries, entry{off: off, hash: nameOf(i), crc: uint32(i)})
		}
		want := slices.Clone(entries)
		sum := Hash{1, 2, 3}
		x, err := parseIndex(indexOf(t, entries, sum))
		if err != nil || x.n != n || x.packSum() != sum {
			t.Fatalf("parseIndex of %d = %d objects, %v", n, x.n, err)
		}
		for _, e := range want {
			if off, ok := x.lookup(e.hash); !ok || off != e.off {
				t.Fatalf("lookup(%s) among %d = %d, %v; want %d", e.hash, n, off, ok, e.off)
			}
		}
		for _, h := range []Hash{{}, nameOf(-1), {0xff, 0xff}} {
			if off, ok := x.lookup(h); ok {
				t.Errorf("lookup of a stranger among %d = %d", n, off)
			}
		}
		if got := x.offsets(); len(got) != n || !slices.IsSorted(got) {
			t.Errorf("offsets = %d, sorted %v; want %d", len(got), slices.IsSorted(got), n)
		}
	}
}

func TestIndexCutOrBentIsCorrupt(t *testing.T) {
	good := indexOf(t, []entry{{off: 12, hash: nameOf(1)}, {off: 1 << 40, hash: nameOf(2)}}, Hash{1})
	for n := range good {
		if x, err := parseIndex(good[:n]); !errors.Is(err, ErrCorrupt) && n != len(good)-8 {
			t.Fatalf("parseIndex cut at %d = %d objects, %v; want ErrCorrupt", n, x.n, err)
		}
	}
	for name, bend := range map[string]func(b []byte){
		"magic":          func(b []byte) { b[0] = 0 },
		"version":        func(b []byte) { b[7] = 3 },
		"fan-out down":   func(b []byte) { b[8+3] = 200 },
		"too many":       func(b []byte) { copy(b[8+255*4:], []byte{0x7f, 0xff, 0xff, 0xff}) },
		"one too many":   func(b []byte) { b[8+255*4+3]++ },
		"most of uint32": func(b []byte) { copy(b[8+255*4:], []byte{0xff, 0xff, 0xff, 0xff}) },
	} {
		bad := bytes.Clone(good)
		bend(bad)
		if _, err := parseIndex(bad); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: parseIndex = %v; want ErrCorrupt", name, err)
		}
	}
	if _, err := parseIndex(append(bytes.Clone(good), make([]byte, 100)...)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("longer: parseIndex = %v; want ErrCorrupt", err)
	}
}

func FuzzIndex(f *testing.F) {
	f.Add(indexOf(f, nil, Hash{}), []byte("x"))
	f.Add(indexOf(f, []entry{{off: 12, hash: nameOf(1)}, {off: 1 << 40, hash: nameOf(2)}}, Hash{1}), []byte(nameOf(1).String()))
	f.Fuzz(func(t *testing.T, data, name []byte) {
		x, err := parseIndex(data)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("parseIndex = %v; want ErrCorrupt", err)
			}
			return
		}
		for _, off := range x.offsets() {
			if off < 0 {
				t.Fatalf("offset %d", off)
			}
		}
		for i := range min(x.n, 50) {
			var h Hash
			copy(h[:], x.hashAt(i))
			x.lookup(h)
		}
		x.lookup(sha1.Sum(name))
		x.packSum()
	})
}

func TestOpenSweepsWhatACrashLeft(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "objects", "pack")
	s := open(t, dir)
	mustIngest(t, s, manyBlobs(t, 3))
	pack := onlyPack(t, dir)
	kept := files(t, dir)
	for _, name := range []string{"tmp-pack-123", "tmp-idx-9", "pack-aaaa.pack", "pack-bbbb.idx"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	os.WriteFile(filepath.Join(dir, "pack-cccc.keep"), nil, 0o644)
	s = open(t, dir)
	if got, want := files(t, dir), append(kept, "pack-cccc.keep"); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("left %v; want %v", got, want)
	}
	wantObject(t, s, blobType, blobOf(2))
	// What a kill between the two renames leaves: the pack has its name, its index not.
	if err := os.Remove(pack[:len(pack)-5] + ".idx"); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if packs, _ := s.Stats(); packs != 0 || s.Has(Sum(blobType, blobOf(2))) {
		t.Errorf("%d packs after the index went; want none", packs)
	}
	mustIngest(t, s, manyBlobs(t, 3))
	wantObject(t, s, blobType, blobOf(2))
}

func TestOpenOfBrokenFilesIsCorrupt(t *testing.T) {
	for _, ext := range []string{".pack", ".idx"} {
		dir := t.TempDir()
		mustIngest(t, open(t, dir), manyBlobs(t, 3))
		name := onlyPack(t, dir)
		name = name[:len(name)-5] + ext
		whole, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		os.Chmod(name, 0o644)
		for _, n := range []int{0, 1, 11, 12, 20, 31, len(whole) / 2, len(whole) - 21, len(whole) - 1} {
			if err := os.WriteFile(name, whole[:n], 0o644); err != nil {
				t.Fatal(err)
			}
			if s, err := Open(dir); !errors.Is(err, ErrCorrupt) {
				t.Errorf("Open with %s cut at %d of %d = %v, %v; want ErrCorrupt", ext, n, len(whole), s, err)
			}
		}
		if err := os.WriteFile(name, make([]byte, len(whole)), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); !errors.Is(err, ErrCorrupt) {
			t.Errorf("Open with zeros in %s = %v; want ErrCorrupt", ext, err)
		}
		if err := os.WriteFile(name, whole, 0o644); err != nil {
			t.Fatal(err)
		}
		wantObject(t, open(t, dir), blobType, blobOf(1))
	}
}

func TestGetDetectsFlippedBytes(t *testing.T) {
	p := &packer{tb: t}
	base := blobOf(9)
	next := append(bytes.Clone(base), 1, 2, 3)
	large := bytes.Repeat([]byte("large"), streamSize/4)
	at := p.whole(blobType, base)
	p.ofs(at, deltaOf(base, next))
	p.whole(blobType, large)
	dir := t.TempDir()
	mustIngest(t, open(t, dir), p.bytes())
	name := onlyPack(t, dir)
	os.Chmod(name, 0o644)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	wants := map[Hash][]byte{Sum(blobType, base): base, Sum(blobType, next): next, Sum(blobType, large): large}
	for i := packHeaderLen; i < len(whole)-hashLen; i++ {
		if i > 250 && i%401 != 0 {
			continue
		}
		bad := bytes.Clone(whole)
		bad[i] ^= 0x20
		if err := os.WriteFile(name, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir)
		for h, want := range wants {
			if _, got, err := s.Get(h); err != nil && !errors.Is(err, ErrCorrupt) || err == nil && !bytes.Equal(got, want) {
				t.Fatalf("byte %d flipped: Get = %d bytes, %v; want the right ones or ErrCorrupt", i, len(got), err)
			}
			var out bytes.Buffer
			if _, err := s.CopyBlob(&out, h); err != nil && !errors.Is(err, ErrCorrupt) || err == nil && !bytes.Equal(out.Bytes(), want) {
				t.Fatalf("byte %d flipped: CopyBlob = %d bytes, %v; want the right ones or ErrCorrupt", i, out.Len(), err)
			}
		}
		s.Close()
	}
}

func TestGetTellsMissingFromDamaged(t *testing.T) {
	s := open(t, t.TempDir())
	mustIngest(t, s, manyBlobs(t, 2))
	if _, _, err := s.Get(nameOf(1)); !errors.Is(err, ErrNotFound) || errors.Is(err, ErrCorrupt) {
		t.Errorf("Get of a stranger = %v; want ErrNotFound", err)
	}
	if _, err := s.CopyBlob(&bytes.Buffer{}, nameOf(1)); !errors.Is(err, ErrNotFound) {
		t.Errorf("CopyBlob of a stranger = %v; want ErrNotFound", err)
	}
	p := &packer{tb: t}
	p.whole(treeType, nil)
	mustIngest(t, s, p.bytes())
	if _, err := s.CopyBlob(&bytes.Buffer{}, Sum(treeType, nil)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("CopyBlob of a tree = %v; want ErrCorrupt", err)
	}
}
