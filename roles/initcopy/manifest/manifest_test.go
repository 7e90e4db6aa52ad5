package manifest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

func sample() *Manifest {
	st := func(n int64) State { return State{Ino: uint64(n), Size: n * 7, Mtime: n - 5e9, Ctime: n * 3} }
	m := &Manifest{
		Rules:  "mode",
		Inputs: []Input{{Name: "a.zip", State: st(9), Sum: item.Sum{1}}, {Name: "", Sum: item.Sum{2}}},
		Entries: []Entry{
			{Path: ".", Kind: item.Dir, Mode: 0o2755, Copy: st(1), Source: st(2)},
			{Path: "a", Kind: item.Dir, Mode: 0o755},
			{Path: "a/\xff\n", Kind: item.File, Mode: 0o4755, Sum: item.Sum{3}, Copy: st(3), Source: st(4)},
			{Path: "a/link", Kind: item.Symlink, Link: "../x", Copy: st(5)},
			{Path: "a0", Kind: item.File, Sum: item.Sum{4}, Input: 2},
		},
	}
	m.Sort()
	return m
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m")
	for _, want := range []*Manifest{sample(), {Entries: []Entry{}}} {
		if err := want.Write(path, 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := Read(path)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("Read = %+v, %v; want %+v", got, err, want)
		}
	}
}

func TestFind(t *testing.T) {
	m := sample()
	for _, e := range m.Entries {
		if got := m.Find(e.Path); got == nil || got.Path != e.Path {
			t.Errorf("Find(%q) = %v", e.Path, got)
		}
	}
	if got := m.Find("a/l"); got != nil {
		t.Errorf("Find(a/l) = %v; want nil", got)
	}
	if m.Input("a.zip").Sum != (item.Sum{1}) || m.Input("b") != nil {
		t.Error("Input finds the wrong one")
	}
}

// TestDamageIsNoticed flips every bit and cuts at every length.
func TestDamageIsNoticed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m")
	if err := sample().Write(path, 0o644); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		if m, err := decode(data[:i]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut at %d: %v, %v", i, m, err)
		}
		data[i] ^= 1 << (i % 8)
		if m, err := decode(data); !errors.Is(err, ErrDamaged) {
			t.Fatalf("flipped at %d: %v, %v", i, m, err)
		}
		data[i] ^= 1 << (i % 8)
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Read of nothing = %v; want ErrNotExist", err)
	}
}

// encoded is the body of a manifest, without the digest at its end.
func encoded(tb testing.TB, m *Manifest) []byte {
	tb.Helper()
	var b bytes.Buffer
	err := encode(&b, m.Rules, m.Inputs, len(m.Entries), func(i int, e *Entry) error {
		*e = m.Entries[i]
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func TestFailedStreamLeavesTheManifestAsItWas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m")
	if err := sample().Write(path, 0o644); err != nil {
		t.Fatal(err)
	}
	gone := errors.New("gone")
	if err := Stream(path, 0o644, "", nil, 2, func(i int, e *Entry) error { return []error{nil, gone}[i] }); !errors.Is(err, gone) {
		t.Errorf("Stream = %v; want the error of the entry", err)
	}
	if m, err := Read(path); err != nil || !reflect.DeepEqual(m, sample()) {
		t.Errorf("Read after it = %v, %v", m, err)
	}
}

// FuzzDecode gives any body a right digest: what is behind it must hold alone.
func FuzzDecode(f *testing.F) {
	f.Add(encoded(f, sample()))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, body []byte) {
		sum := sha256.Sum256(body)
		m, err := decode(append(body[:len(body):len(body)], sum[:]...))
		if err != nil {
			return
		}
		again := encoded(t, m)
		sum = sha256.Sum256(again)
		back, err := decode(append(again, sum[:]...))
		if err != nil || fmt.Sprint(back) != fmt.Sprint(m) {
			t.Errorf("decoded %v; encoded and decoded again %v, %v", m, back, err)
		}
	})
}

func BenchmarkRead20000(b *testing.B) {
	m := &Manifest{}
	for i := range 20000 {
		m.Entries = append(m.Entries, Entry{
			Path: fmt.Sprintf("lib/package-%03d/src/file-%05d.js", i/100, i), Kind: item.File, Mode: 0o644, Sum: item.Sum(sha256.Sum256([]byte{byte(i)})),
			Copy: State{uint64(i) + 1e9, 9000, 1.7e18, 1.7e18 + 5}, Source: State{uint64(i) + 1e9, 9000, 1.7e18, 1.7e18 + 5},
		})
	}
	path := filepath.Join(b.TempDir(), "m")
	if err := m.Write(path, 0o644); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Read(path); err != nil {
			b.Fatal(err)
		}
	}
}
