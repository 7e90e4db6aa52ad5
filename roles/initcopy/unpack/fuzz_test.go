package unpack

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

// small limits show that limits hold, and keep fuzzing fast.
func small() Options {
	o := standard()
	o.Limits = Limits{Bytes: 1 << 20, Entries: 100, Ratio: 50, Name: 200, Depth: 8}
	return o
}

// check holds the result of any archive to what the package promises.
func (p *place) check(items []item.Item, rep Report, err error) {
	p.t.Helper()
	if now := p.outside(); now != p.before {
		p.t.Fatalf("what lies outside changed:\n%s\nwant\n%s", now, p.before)
	}
	if bad := p.links(); bad != nil {
		p.t.Fatalf("links lead out: %v", bad)
	}
	if rep.Bytes > 1<<20 {
		p.t.Fatalf("wrote %d bytes", rep.Bytes)
	}
	if err != nil {
		var refusal *Refusal
		if !errors.As(err, &refusal) {
			p.t.Fatalf("%v; want a refusal, since nothing else can go wrong here", err)
		}
		return
	}
	if len(items) > 200 {
		p.t.Fatalf("made %d items", len(items))
	}
	for i, it := range items {
		if i > 0 && item.Compare(items[i-1].Path, it.Path) >= 0 {
			p.t.Fatalf("items are out of order: %q, %q", items[i-1].Path, it.Path)
		}
		if it.Kind == item.File && it.Hard == "" {
			if got := p.read(it.Path); int64(len(got)) != it.Size {
				p.t.Fatalf("%q has %d bytes; want %d", it.Path, len(got), it.Size)
			}
		}
	}
}

func fuzzFile(f *testing.F) {
	p := newPlace(f)
	f.Fuzz(func(t *testing.T, archive []byte) {
		p.t = t
		defer func() { p.t = f }()
		p.again()
		items, rep, err := p.unpack(archive, small())
		p.check(items, rep, err)
	})
}

func FuzzTar(f *testing.F) {
	for _, h := range hostiles() {
		f.Add(tarOf(h.members...))
	}
	for _, b := range streamLies() {
		f.Add(b.archive)
	}
	f.Add(tarOf(tree()...))
	fuzzFile(f)
}

func FuzzZip(f *testing.F) {
	for _, h := range hostiles() {
		for _, method := range []uint16{stored, deflated} {
			if ms, ok := zipMembers(method, h.members...); ok {
				f.Add(zipOf(nil, ms...))
			}
		}
	}
	for _, b := range zipLies() {
		f.Add(b.archive)
	}
	fuzzFile(f)
}

// FuzzStream cuts and repeats what compressors made, and gives it in pieces.
func FuzzStream(f *testing.F) {
	for _, b := range streamLies() {
		f.Add(b.archive, uint16(len(b.archive)/2), uint8(7))
	}
	p := newPlace(f)
	f.Fuzz(func(t *testing.T, archive []byte, cut uint16, step uint8) {
		p.t = t
		defer func() { p.t = f }()
		at := min(int(cut), len(archive))
		p.again()
		items, rep, err := Stream(t.Context(), "app", &slow{parts(archive[:at], archive[at:], 2, nil), int(step) + 1}, p.into, small())
		p.check(items, rep, err)
	})
}

// slow gives a few bytes at a time.
type slow struct {
	r io.Reader
	n int
}

func (s *slow) Read(p []byte) (int, error) { return s.r.Read(p[:min(len(p), s.n)]) }

// FuzzName: a name that passes is below the folder, whatever program reads it, and clean is done after one time.
func FuzzName(f *testing.F) {
	for _, h := range hostiles() {
		for _, m := range h.members {
			f.Add(m.name)
			f.Add(m.link)
		}
	}
	f.Add("./\\")
	f.Add("./C:/x")
	lim := Limits{Name: 200, Depth: 8}
	f.Fuzz(func(t *testing.T, name string) {
		path, _, err := clean(name, lim)
		if err != nil {
			return
		}
		if again, _, err := clean(path, lim); err != nil || again != path {
			t.Errorf("clean(%q) = %q; clean of that = %q, %v", name, path, again, err)
		}
		if len(path) > lim.Name || strings.Count(path, "/") >= lim.Depth || bytes.IndexByte([]byte(path), 0) >= 0 {
			t.Errorf("clean(%q) = %q", name, path)
		}
		for part := range strings.FieldsFuncSeq(path, func(c rune) bool { return c == '/' || c == '\\' }) {
			if part == ".." || path != "." && part == "." && !strings.Contains(path, `\`) {
				t.Errorf("clean(%q) = %q", name, path)
			}
		}
		if path[0] == '/' || path[0] == '\\' {
			t.Errorf("clean(%q) = %q", name, path)
		}
	})
}

// FuzzLinks: whatever links there are, none that is allowed leads out. The kernel is the judge.
func FuzzLinks(f *testing.F) {
	f.Add("a/b", "../c", "c", "d/../..", "d", "a")
	f.Add("x", "y/..", "y", ".", "z", "x/../..")
	f.Add("d/l", "..", "m", "d/l/d/l/..", "n", "m/../d")
	p := newPlace(f)
	f.Fuzz(func(t *testing.T, a, al, b, bl, c, cl string) {
		p.t = t
		defer func() { p.t = f }()
		for _, s := range []string{a, al, b, bl, c, cl} {
			if len(s) > 90 || strings.IndexByte(s, 0) >= 0 {
				t.Skip()
			}
		}
		p.again()
		items, rep, err := p.unpack(tarOf(
			mem{kind: 'd', name: "d"}, mem{kind: 'd', name: "a"}, mem{kind: 'd', name: "d/e"},
			mem{kind: 'l', name: a, link: al}, mem{kind: 'l', name: b, link: bl}, mem{kind: 'l', name: c, link: cl},
		), small())
		p.check(items, rep, err)
	})
}
