package source

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// FuzzUnzip reads what may be compressed at rising offsets, as the engine does; whole files give what they were made of.
func FuzzUnzip(f *testing.F) {
	f.Add([]byte("hello\nworld\n"), false, 3, uint8(5))
	f.Add([]byte("x"), true, -1, uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, zst bool, broken int, step uint8) {
		if len(data) > 8<<10 {
			t.Skip("more of the same")
		}
		kind, packed := gzipped, gzipOf(data)
		if zst {
			kind, packed = zstded, zstdOf(data)
		}
		whole := broken < 0 || broken >= len(packed)
		if !whole {
			packed[broken] ^= 0x55
		}
		z := &unzipAt{f: bytes.NewReader(packed), kind: kind}
		defer z.close()
		var got []byte
		buf := make([]byte, 64+int(step))
		for back := 0; ; back = min(len(got), 10) { // a little of what was read is read again
			n, err := z.ReadAt(buf, int64(len(got)-back))
			if n > back {
				got = append(got, buf[back:n]...)
			}
			if err != nil {
				if whole && (!errors.Is(err, io.EOF) || !bytes.Equal(got, data)) {
					t.Errorf("%s gives %q, %v; want %q and the end", kind, got, err, data)
				}
				return
			}
			if len(got) > 1<<16 {
				t.Skip("a damaged file may say much")
			}
		}
	})
}

// packedZeros is a compressed file of n bytes of zero, as small as it can be made.
func packedZeros(n int64) []byte {
	var b bytes.Buffer
	z, _ := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
	_, _ = io.CopyN(z, zeroes{}, n)
	_ = z.Close()
	return b.Bytes()
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestAFileMadeToDoHarmIsNotReadToItsEnd(t *testing.T) {
	t.Parallel()
	for size, want := range map[int64]error{contentMin: io.EOF, 64 << 20: errRatio} {
		z := &unzipAt{f: bytes.NewReader(packedZeros(size)), kind: zstded}
		buf := make([]byte, 256<<10)
		var err error
		off := int64(0)
		for n := 0; err == nil; off += int64(n) {
			n, err = z.ReadAt(buf, off)
		}
		z.close()
		if !errors.Is(err, want) || off > 32<<20 {
			t.Errorf("%d bytes of zero: %v at %d; want %v", size, err, off, want)
		}
	}
	w := newWorld(t, "*.zst")
	w.must(os.WriteFile(w.path("a.zst"), packedZeros(64<<20), 0o600))
	w.start()
	go func() { // somebody waits for more all the time
		for w.take(t.Context(), "out") == nil {
		}
	}()
	w.eventually("refused", func() bool { return w.set.Stats().Refused == 1 })
}

// TestLinesBeforeTheDamageOfAnArchiveAreRead: of a compressed file that is cut off, or followed by something else, all lines that can be read are,
// and the damage is told also when nobody waits for more, as with --once.
func TestLinesBeforeTheDamageOfAnArchiveAreRead(t *testing.T) {
	t.Parallel()
	text, list := lines("packed", 20_000)
	for name, file := range map[string][]byte{
		"followed by something else": append(gzipOf([]byte(text)), "garbage"...),
		"cut off":                    gzipOf([]byte(text))[:len(gzipOf([]byte(text)))-4],
	} {
		for _, live := range []bool{true, false} {
			w := newWorld(t, "*.gz")
			w.must(os.WriteFile(w.path("a.gz"), file, 0o600))
			w.start()
			if live {
				w.until(len(list))
			}
			w.rest()
			w.want(list...)
			if n := w.set.Stats().Errors["damaged"]; n != 1 {
				t.Errorf("%s: %d errors of reading; want 1", name, n)
			}
		}
	}
}
