package bulk

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// random is content that differs in every block.
func random(n int64) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return b
}

func TestWriterWritesWhatItGets(t *testing.T) {
	const round = 2 * bufSize
	for _, size := range []int64{0, 1, align, round - 1, round, round + 1, round + align, 5*bufSize + 1, 9<<20 + 4097} {
		content := random(size)
		for _, hint := range []int64{-1, 0, size, 1 << 40} {
			for _, piece := range []int{1 << 20, 31 << 10, 4095} {
				f, err := os.Create(filepath.Join(t.TempDir(), "f"))
				if err != nil {
					t.Fatal(err)
				}
				w := NewWriter(f, hint)
				n, err := io.CopyBuffer(w, struct{ io.Reader }{bytes.NewReader(content)}, make([]byte, piece))
				if err := errors.Join(err, w.Close(), f.Close()); err != nil || n != size {
					t.Fatalf("size %d hint %d: %d bytes, %v", size, hint, n, err)
				}
				got, err := os.ReadFile(f.Name())
				if err != nil || !bytes.Equal(got, content) {
					t.Fatalf("size %d hint %d pieces of %d: other content (%d bytes, %v)", size, hint, piece, len(got), err)
				}
			}
		}
	}
}

func TestWriterReportsTheDisksError(t *testing.T) {
	for _, hint := range []int64{-1, 8 << 20} {
		f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Skip("no /dev/full on this system: ", err)
		}
		w := NewWriter(f, hint)
		_, err = io.Copy(w, bytes.NewReader(random(8<<20)))
		closed := w.Close()
		if !errors.Is(closed, syscall.ENOSPC) {
			t.Errorf("hint %d: Close = %v; want ENOSPC", hint, closed)
		}
		if err != nil && !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("hint %d: Write = %v; want ENOSPC or nothing yet", hint, err)
		}
		_ = f.Close()
	}
}
