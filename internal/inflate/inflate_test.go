package inflate

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
)

// contents are inputs that make a compressor use every kind of block, code and distance.
func contents(rnd *rand.Rand) map[string][]byte {
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		return b
	}
	skewed := func(n int) []byte { // Fibonacci-like frequencies make codes of up to 15 bits
		b := make([]byte, n)
		for i := range b {
			v := rnd.ExpFloat64() * 9
			b[i] = byte(min(v, 255))
		}
		return b
	}
	far := noise(300)
	return map[string][]byte{
		"empty": {}, "one": {7}, "two": []byte("ab"),
		"text":   []byte(strings.Repeat("the quick brown fox jumps over the lazy dog\n", 700)),
		"zeros":  make([]byte, 70_000),
		"period": bytes.Repeat([]byte("abcdefg"), 9_000),
		"noise":  noise(100_001),
		"skewed": skewed(200_000),
		"mixed":  bytes.Join([][]byte{noise(40_000), make([]byte, 5_000), skewed(50_000), noise(3)}, nil),
		"far":    bytes.Join([][]byte{far, make([]byte, 32_768-300), far, noise(10)}, nil),
	}
}

func deflate(tb testing.TB, data []byte, level int) []byte {
	tb.Helper()
	var b bytes.Buffer
	z, err := zlib.NewWriterLevel(&b, level)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := z.Write(data); err != nil {
		tb.Fatal(err)
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// padded is a stream as it stands in a pack: at least a trailer follows.
func padded(stream []byte) []byte { return append(bytes.Clone(stream), make([]byte, 20)...) }

func newInflater(r io.Reader, buf int) *Decoder {
	return &Decoder{src: NewSource(r, buf, 0)}
}

// readers cut the same input into pieces in different ways.
func readers(b []byte) map[string]io.Reader {
	return map[string]io.Reader{
		"whole": bytes.NewReader(b), "one byte": iotest.OneByteReader(bytes.NewReader(b)),
		"halves": iotest.HalfReader(bytes.NewReader(b)), "data with EOF": iotest.DataErrReader(bytes.NewReader(b)),
	}
}

func TestInflateAgreesWithZlib(t *testing.T) {
	for name, data := range contents(rand.New(rand.NewPCG(1, 2))) {
		for level := zlib.HuffmanOnly; level <= zlib.BestCompression; level++ {
			stream := deflate(t, data, level)
			for how, r := range readers(padded(stream)) {
				f := newInflater(r, 64)
				buf := make([]byte, len(data)+Slack)
				err := f.Whole(buf, len(data))
				if err != nil || !bytes.Equal(buf[:len(data)], data) {
					t.Fatalf("%s, level %d, reader %s: err %v, equal %v", name, level, how, err, bytes.Equal(buf[:len(data)], data))
				}
				if f.src.Pos() != int64(len(stream)) {
					t.Fatalf("%s, level %d: source stands at %d; want %d, behind the stream", name, level, f.src.Pos(), len(stream))
				}
			}
		}
	}
}

func TestInflateWithTheSmallestBuffers(t *testing.T) {
	// 28 is the least: eight bytes that may be given back and a trailer.
	for name, data := range contents(rand.New(rand.NewPCG(3, 4))) {
		stream := deflate(t, data, zlib.DefaultCompression)
		for size := 28; size < 40; size++ {
			f := newInflater(bytes.NewReader(padded(stream)), size)
			buf := make([]byte, len(data)+Slack)
			if err := f.Whole(buf, len(data)); err != nil || !bytes.Equal(buf[:len(data)], data) {
				t.Fatalf("%s, buffer %d: %v", name, size, err)
			}
		}
	}
}

func TestInflateFlushedAndJoinedBlocks(t *testing.T) {
	// A flush writes empty stored blocks; changing between compressible and random input changes the block type.
	var b, want bytes.Buffer
	z := zlib.NewWriter(&b)
	rnd := rand.New(rand.NewPCG(5, 6))
	for i := range 60 {
		piece := bytes.Repeat([]byte{byte(i)}, i*i)
		if i%3 == 0 {
			for k := range piece {
				piece[k] = byte(rnd.Uint32())
			}
		}
		want.Write(piece)
		if _, err := z.Write(piece); err != nil {
			t.Fatal(err)
		}
		if err := z.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	z.Close()
	for how, r := range readers(padded(b.Bytes())) {
		f := newInflater(r, 40)
		buf := make([]byte, want.Len()+Slack)
		if err := f.Whole(buf, want.Len()); err != nil || !bytes.Equal(buf[:want.Len()], want.Bytes()) {
			t.Errorf("reader %s: %v", how, err)
		}
	}
}

func TestInflateReadsOneStreamAfterAnother(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	var all []byte
	var want [][]byte
	for range 200 {
		data := bytes.Repeat([]byte{byte(rnd.Uint32())}, int(rnd.Uint32N(400)))
		want = append(want, data)
		all = append(all, deflate(t, data, int(rnd.Uint32N(10)))...)
	}
	f := newInflater(iotest.HalfReader(bytes.NewReader(padded(all))), 64)
	for i, data := range want {
		buf := make([]byte, len(data)+Slack)
		if err := f.Whole(buf, len(data)); err != nil || !bytes.Equal(buf[:len(data)], data) {
			t.Fatalf("stream %d: %v", i, err)
		}
	}
	if f.src.Pos() != int64(len(all)) {
		t.Errorf("source stands at %d; want %d", f.src.Pos(), len(all))
	}
}

func TestInflateRefusesTheWrongLength(t *testing.T) {
	data := []byte(strings.Repeat("abc", 100))
	stream := padded(deflate(t, data, 6))
	for _, size := range []int{0, 1, 299, 301, 5000} {
		buf := make([]byte, size+Slack)
		err := newInflater(bytes.NewReader(stream), 64).Whole(buf, size)
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("whole(%d) of a stream of 300 bytes = %v; want ErrCorrupt", size, err)
		}
		err = newInflater(bytes.NewReader(stream), 64).Stream(io.Discard, int64(size))
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("stream(%d) of a stream of 300 bytes = %v; want ErrCorrupt", size, err)
		}
	}
}

func TestInflateCutAnywhereIsUnexpectedEOF(t *testing.T) {
	data := contents(rand.New(rand.NewPCG(9, 9)))["mixed"][39_000:47_000]
	for _, level := range []int{0, 1, 9} {
		stream := deflate(t, data, level)
		for n := range stream {
			buf := make([]byte, len(data)+Slack)
			err := newInflater(bytes.NewReader(stream[:n]), 64).Whole(buf, len(data))
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("level %d cut at %d of %d: %v; want an unexpected end", level, n, len(stream), err)
			}
		}
	}
}

func TestInflateHandMadeBadStreams(t *testing.T) {
	tests := []struct{ name, stream string }{
		{"wrong method", "\x79\x9c"},
		{"window too large", "\x88\x1c"},
		{"wrong check", "\x78\x9d"},
		{"preset dictionary", "\x78\xbb"},
		{"block type 3", "\x78\x9c\x07"},
		{"stored length", "\x78\x9c\x01\x05\x00\x00\x00hello"},
		{"distance before the start", "\x78\x9c\x4b\x04\x22\x00"},
		{"fixed length code 286", "\x78\x9c\x1b\x03"},
		{"30 length codes", "\x78\x9c\xfd\xff\xff\xff"},
		{"no end code", "\x78\x9c\x05\xe0\x81\x00\x00\x00\x00\x00\x00\x00"},
	}
	for _, tt := range tests {
		in := append([]byte(tt.stream), make([]byte, 64)...)
		buf := make([]byte, 100+Slack)
		if err := newInflater(bytes.NewReader(in), 64).Whole(buf, 100); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v; want ErrCorrupt", tt.name, err)
		}
	}
}

func TestInflateStreamsLargeBlobsInPieces(t *testing.T) {
	rnd := rand.New(rand.NewPCG(10, 11))
	for _, size := range []int{256<<10 - 1, 256 << 10, 256<<10 + 1, 2<<20 + 1, 3<<20 + 12_345} {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(min(rnd.Uint32N(1000), 60) * rnd.Uint32N(5))
		}
		copy(data[size/2:], data[size/2-32768:]) // as far back as a distance reaches
		for _, level := range []int{0, 1, 6} {
			var out bytes.Buffer
			f := newInflater(iotest.HalfReader(bytes.NewReader(padded(deflate(t, data, level)))), 16<<10)
			if err := f.Stream(&out, int64(size)); err != nil || !bytes.Equal(out.Bytes(), data) {
				t.Errorf("size %d, level %d: err %v, %d bytes", size, level, err, out.Len())
			}
		}
	}
}

func TestInflateStreamPassesOnTheWritersError(t *testing.T) {
	full := errors.New("disk full")
	f := newInflater(bytes.NewReader(padded(deflate(t, make([]byte, 1<<20), 6))), 64)
	if err := f.Stream(errWriter{full}, 1<<20); !errors.Is(err, full) {
		t.Errorf("stream = %v; want the writer's error", err)
	}
}

type errWriter struct{ err error }

func (w errWriter) Write([]byte) (int, error) { return 0, w.err }

// FuzzInflate compares with compress/zlib: what that accepts we give back too, and nothing else with another content.
// (Checksums differ on purpose: an object is checked by its hash.)
func FuzzInflate(f *testing.F) {
	for _, data := range contents(rand.New(rand.NewPCG(12, 13))) {
		for _, level := range []int{-2, 0, 1, 9} {
			f.Add(deflate(f, data[:min(len(data), 3000)], level))
		}
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		want, ok := reference(stream)
		in := padded(stream)
		if ok {
			if err := inflateBothWays(in, want); err != nil {
				t.Fatal(err)
			}
			return
		}
		for _, size := range []int{0, len(want), 1000} {
			buf := make([]byte, size+Slack)
			err := newInflater(bytes.NewReader(in), 30).Whole(buf, size)
			if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("whole = %v; want ErrCorrupt or an unexpected end", err)
			}
		}
	})
}

func reference(stream []byte) ([]byte, bool) {
	z, err := zlib.NewReader(bytes.NewReader(stream))
	if err != nil {
		return nil, false
	}
	data, err := io.ReadAll(io.LimitReader(z, 4<<20))
	return data, err == nil && len(data) < 4<<20
}

func inflateBothWays(in, want []byte) error {
	buf := make([]byte, len(want)+Slack)
	if err := newInflater(iotest.HalfReader(bytes.NewReader(in)), 30).Whole(buf, len(want)); err != nil {
		return fmt.Errorf("whole refused a valid stream: %w", err)
	}
	if !bytes.Equal(buf[:len(want)], want) {
		return errors.New("whole gave other bytes than zlib")
	}
	var out bytes.Buffer
	if err := newInflater(bytes.NewReader(in), 4096).Stream(&out, int64(len(want))); err != nil {
		return fmt.Errorf("stream refused a valid stream: %w", err)
	}
	if !bytes.Equal(out.Bytes(), want) {
		return errors.New("stream gave other bytes than zlib")
	}
	return nil
}
