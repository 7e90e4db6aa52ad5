package unpack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/flate"
)

func TestLimits(t *testing.T) {
	f := func(name string, n int) mem { return mem{kind: 'f', name: name, body: strings.Repeat("x", n)} }
	three := []mem{f("a", 100), f("b", 100), f("c", 100)}
	tests := []struct {
		name    string
		change  func(*Limits)
		members []mem
		want    string // "" for no error
	}{
		{"bytes", func(l *Limits) { l.Bytes = 299 }, three, `member "c" brings the files to 300 bytes; the limit is --max-bytes=299`},
		{"bytes met", func(l *Limits) { l.Bytes = 300 }, three, ""},
		{"entries", func(l *Limits) { l.Entries = 2 }, three, "the limit is --max-entries=2"},
		{"entries met", func(l *Limits) { l.Entries = 3 }, three, ""},
		{"entries that no member names", func(l *Limits) { l.Entries = 5 }, []mem{f("a/b/c/d/e/f", 1)}, "the limit is --max-entries=5"},
		{"name", func(l *Limits) { l.Name = 5 }, []mem{f("a/b/cd", 1)}, "has a path of 6 bytes; the limit is --max-name=5"},
		{"name met", func(l *Limits) { l.Name = 6 }, []mem{f("./a//b/cd", 1)}, ""},
		{"depth", func(l *Limits) { l.Depth = 2 }, []mem{f("a/b/c", 1)}, "lies too deep; the limit is --max-depth=2"},
		{"depth met", func(l *Limits) { l.Depth = 3 }, []mem{f("a/b/c", 1)}, ""},
		{"ratio below the floor", func(l *Limits) { l.Ratio = 2 }, []mem{f("a", 1<<19)}, ""},
		{"none", func(l *Limits) { *l = Limits{} }, []mem{f(strings.Repeat("d/", 100)+strings.Repeat("n", 255), 4<<20)}, ""},
	}
	p := newPlace(t)
	for _, tt := range tests {
		for form, archive := range forms(tt.members...) {
			p.again()
			o := standard()
			tt.change(&o.Limits)
			_, _, err := p.unpack(archive, o)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("%s, %s: %v; want no error", tt.name, form, err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) && (form[0] != 'z' || tt.name != "entries"):
				t.Errorf("%s, %s: %v; want %q", tt.name, form, err, tt.want)
			}
		}
	}
	for form, archive := range forms(f("a", 8<<20)) {
		p.again()
		_, _, err := p.unpack(archive, standard())
		if packed := form != "tar" && form != "zip"; packed != (err != nil && strings.Contains(err.Error(), "--max-ratio=200")) {
			t.Errorf("ratio, %s: %v; want an error only when packed: %v", form, err, packed)
		}
	}
}

// parts is a stream of parts, the middle one many times.
func parts(first, middle []byte, times int, last []byte) io.Reader {
	rd := []io.Reader{bytes.NewReader(first)}
	for range times {
		rd = append(rd, bytes.NewReader(middle))
	}
	return io.MultiReader(append(rd, bytes.NewReader(last))...)
}

// TestBombsStopAtTheLimit: 10 GiB of zeros in every disguise, with limits at their defaults or off but for one. They end
// before much is written, and take little memory.
func TestBombsStopAtTheLimit(t *testing.T) {
	const size, chunk = 10 << 30, 16 << 20
	zeros := make([]byte, chunk)
	var head bytes.Buffer
	head.Write(pax('x', "size", fmt.Sprint(size)))
	head.Write(tarHead('0', "bomb", "", 0o644, 0))
	var flood bytes.Buffer // of headers that are no members
	flood.Write(pax('x', "comment", strings.Repeat("x", 1<<19)))
	streams := map[string]func() io.Reader{
		"gzip": func() io.Reader { return parts(gzipOf(head.Bytes()), gzipOf(zeros), size/chunk, nil) },
		"zstd": func() io.Reader { return parts(zstdOf(head.Bytes()), zstdOf(zeros), size/chunk, nil) },
		"gzip behind the end": func() io.Reader {
			return parts(gzipOf(tarOf()), gzipOf(zeros), size/chunk, nil)
		},
		"gzip of headers": func() io.Reader { return parts(nil, gzipOf(flood.Bytes()), size>>19, nil) },
		"gzip of members": func() io.Reader {
			return parts(nil, gzipOf(bytes.Repeat(tarHead('0', "x", "", 0o644, 0), 1<<15)), size>>24, nil)
		},
	}
	few := Default()
	few.Entries = 200
	limits := map[string]Limits{"default": few, "ratio": {Ratio: 100}, "bytes": {Bytes: 1 << 20, Entries: 200}}
	p := newPlace(t)
	for name, stream := range streams {
		for kind, lim := range limits {
			p.again()
			o := standard()
			o.Limits = lim
			in := stream()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, rep, err := Stream(t.Context(), "bomb", in, p.into, o)
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), "--max-") && !strings.Contains(err.Error(), "behind its end") {
				t.Errorf("%s with limits %s: %v; want a limit", name, kind, err)
			}
			// What was ever held at once, not the sum of what was thrown away again.
			if got := after.HeapSys - min(before.HeapSys, after.HeapSys); got > 32<<20 {
				t.Errorf("%s with limits %s: took %d bytes more", name, kind, got)
			}
			if kind == "bytes" && rep.Bytes > 1<<20 {
				t.Errorf("%s with limits %s: wrote %d bytes", name, kind, rep.Bytes)
			}
		}
	}
}

// TestZipBombs: honest ones are refused by what they declare, lying ones when the lie shows.
func TestZipBombs(t *testing.T) {
	var packed bytes.Buffer
	z, err := flate.NewWriter(&packed, 1)
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 64<<20)
	_, _ = z.Write(zeros)
	_ = z.Close()
	lie := zmem{name: "bomb", method: deflated, packed: packed.Bytes(), body: string(zeros[:1000])}
	nested := zipOf(nil, zmem{name: "bomb", method: deflated, body: string(zeros)})
	tests := []struct {
		name    string
		archive []byte
		want    string
	}{
		{"honest", nested, "--max-ratio"},
		{"says less", zipOf(nil, lie), "longer than its size says"},
		{"nested", zipOf(nil, zmem{name: "inner.zip", body: string(nested)}), ""}, // it is content
		{"many small ones", zipOf(nil, manyLies()...), "--max-bytes"},
	}
	p := newPlace(t)
	for _, tt := range tests {
		p.again()
		o := standard()
		o.Limits.Bytes = 1 << 30
		_, rep, err := p.unpack(tt.archive, o)
		if (tt.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %+v, %v; want %q", tt.name, rep, err, tt.want)
		}
	}
}

// manyLies declare a GiB each, just below the ratio.
func manyLies() (ms []zmem) {
	for i := range 3 {
		ms = append(ms, zmem{
			name: fmt.Sprint(i), method: deflated, packed: make([]byte, 6<<20),
			local: put32(22, 1<<30), list: put32(24, 1<<30),
		})
	}
	return ms
}

// TestCancel: unpacking ends soon when it is told to.
func TestCancel(t *testing.T) {
	p := newPlace(t)
	for form, archive := range forms(mem{kind: 'f', name: "a", body: strings.Repeat("0123456789", 1<<17)}, mem{kind: 'f', name: "b", body: "b"}) {
		p.again()
		ctx, cancel := context.WithCancel(t.Context())
		o := standard()
		o.Workers, o.Limits.Ratio = 1, 0
		o.Done = func(int, int64) { cancel() }
		p.must(p.file.Truncate(0))
		_, err := p.file.WriteAt(archive, 0)
		p.must(err)
		if _, _, err := File(ctx, "app", p.file, p.into, o); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v; want canceled", form, err)
		}
	}
}
