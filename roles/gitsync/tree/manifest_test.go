package tree

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func manyRecords() []Record {
	out := []Record{
		{"", File, Hash{}, Stat{}},
		{"a/b", Exec, Hash{1, 2}, Stat{Kind: 0o100000, Size: 1 << 40, Mtime: -5, Inode: math.MaxUint64}},
		{strings.Repeat("p", maxPath), Symlink, Hash{255}, Stat{Kind: 0o120000, Size: math.MaxInt64, Mtime: math.MaxInt64}},
		{"with\nnewline\xff", Submodule, Hash{9}, Stat{Kind: 0o040000}},
	}
	for range 2000 {
		out = append(out, out[1])
	}
	return out
}

func manifest(tb testing.TB, records []Record) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := WriteManifest(&b, records); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func TestManifestRoundTrip(t *testing.T) {
	for _, records := range [][]Record{{}, manyRecords()} {
		got, err := ReadManifest(iotest.HalfReader(bytes.NewReader(manifest(t, records))))
		if err != nil || !slices.Equal(got, records) {
			t.Errorf("ReadManifest gave %d of %d records, %v", len(got), len(records), err)
		}
	}
}

func TestManifestCutOrBentIsRefused(t *testing.T) {
	good := manifest(t, manyRecords()[:4])
	for n := range good {
		if _, err := ReadManifest(bytes.NewReader(good[:n])); !errors.Is(err, ErrManifest) {
			t.Fatalf("cut at %d = %v; want ErrManifest", n, err)
		}
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		if _, err := ReadManifest(bytes.NewReader(bad)); !errors.Is(err, ErrManifest) {
			t.Fatalf("byte %d flipped = %v; want ErrManifest", i, err)
		}
	}
}

func TestWriteManifestPassesOnErrors(t *testing.T) {
	full := errors.New("disk full")
	for limit := range 3 {
		if err := WriteManifest(&failing{left: limit * 20_000, err: full}, manyRecords()); !errors.Is(err, full) {
			t.Errorf("WriteManifest to a disk of %d bytes = %v", limit*20_000, err)
		}
	}
}

type failing struct {
	left int
	err  error
}

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, f.err
	}
	return len(p), nil
}

func FuzzManifest(f *testing.F) {
	f.Add(manifest(f, nil))
	f.Add(manifest(f, manyRecords()[:2]))
	f.Add([]byte(manifestMagic + "\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := ReadManifest(bytes.NewReader(data))
		if err != nil {
			if !errors.Is(err, ErrManifest) {
				t.Fatalf("ReadManifest = %v; want ErrManifest", err)
			}
			return
		}
		again, err := ReadManifest(bytes.NewReader(manifest(t, got)))
		if err != nil || !slices.Equal(again, got) {
			t.Fatalf("read again: %d of %d records, %v", len(again), len(got), err)
		}
	})
}
