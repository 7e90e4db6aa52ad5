package store

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/sidecar-kit/sidecar/internal/inflate"
	"github.com/sidecar-kit/sidecar/roles/gitsync/gitserve"
	"github.com/sidecar-kit/sidecar/roles/gitsync/remote/packout"
)

func seedPacks(f *testing.F) [][]byte {
	repo := gitserve.NewRepo()
	a := commitTo(f, repo, map[string]gitserve.File{"a/b": text("one\ntwo\nthree\n"), "c": text("c")})
	b := commitTo(f, repo, map[string]gitserve.File{"a/b": text("one\ntwo\nthree\nfour\n")})
	p := &packer{tb: f}
	base := []byte("base base base base")
	at := p.whole(blobType, base)
	at = p.ofs(at, deltaOf(base, base[:9]))
	p.ofs(at, deltaOf(base[:9], base[:3]))
	p.ref(Sum(blobType, []byte("late")), deltaOf([]byte("late"), []byte("later")))
	p.whole(blobType, []byte("late"))
	return [][]byte{
		serverPack(f, repo, packout.Request{Wants: []Hash{b}}),
		serverPack(f, repo, packout.Request{Wants: []Hash{b}, Haves: []Hash{a}, Thin: true}),
		p.bytes(), (&packer{tb: f}).bytes(),
	}
}

// FuzzIngest gives any bytes with a right checksum to Ingest: it ends, says what is wrong, leaves nothing behind, and
// what it takes can be read back.
func FuzzIngest(f *testing.F) {
	for _, pack := range seedPacks(f) {
		f.Add(pack[packHeaderLen:len(pack)-hashLen], pack[11])
	}
	f.Fuzz(func(t *testing.T, body []byte, count byte) {
		pack := append([]byte("PACK\x00\x00\x00\x02\x00\x00\x00"), count)
		pack = resum(append(append(pack, body...), make([]byte, hashLen)...))
		dir := t.TempDir()
		s := open(t, dir)
		sink := &seen{}
		_, err := s.Ingest(t.Context(), io.NopCloser(bytes.NewReader(pack)), sink, Limits{Inflated: 1 << 20, PackBytes: 1 << 20}, false)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, io.ErrUnexpectedEOF) || len(files(t, dir)) != 0 {
				t.Fatalf("Ingest = %v, left %v", err, files(t, dir))
			}
			return
		}
		for _, st := range []*Store{s, open(t, dir)} {
			for h, want := range sink.objects {
				if _, got, err := st.Get(h); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("Get(%s) = %q, %v; want %q", h, got, err, want)
				}
			}
		}
	})
}

// FuzzRecordHead reads the head of any record, and from any kind of reader the same.
func FuzzRecordHead(f *testing.F) {
	for _, pack := range seedPacks(f) {
		f.Add(pack[packHeaderLen:])
	}
	f.Add(bytes.Repeat([]byte{0xff}, 30))
	f.Fuzz(func(t *testing.T, b []byte) {
		const at = 1 << 20
		rec, err := recordHead(inflate.NewSource(bytes.NewReader(b), 64, at))
		again, err2 := recordHead(inflate.NewSource(iotest.OneByteReader(bytes.NewReader(b)), 30, at))
		if (err == nil) != (err2 == nil) || err == nil && rec != again {
			t.Fatalf("read at once %+v, %v; by the byte %+v, %v", rec, err, again, err2)
		}
		if err != nil {
			return
		}
		if rec.size < 0 || rec.body <= at || rec.body > at+int64(len(b)) || rec.base < 0 || rec.base >= at {
			t.Fatalf("recordHead = %+v", rec)
		}
	})
}
