package unpack

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"os"

	"github.com/sidecar-kit/sidecar/roles/initcopy/bulk"
)

const (
	// pieceSize is how much of a file is in memory at once.
	pieceSize = 256 << 10
	// bulkFrom is the size from which files are written around the page cache.
	bulkFrom = 16 << 20
	// hole is the unit of what is left out of a sparse file.
	hole = 4096
)

// writer fills one file after the other, and digests it on the way. It is for one goroutine.
type writer struct {
	buf    []byte // made by copy
	sum    hash.Hash
	crc    uint32
	f      *os.File
	bulk   *bulk.Writer
	to     io.Writer // takes the place of a file
	sparse bool
	off    int64
}

func newWriter() *writer { return &writer{sum: sha256.New()} }

// begin turns to a new, empty file that will get size bytes.
func (w *writer) begin(f *os.File, size int64, sparse bool) {
	w.sum.Reset()
	w.crc, w.f, w.bulk, w.off, w.sparse = 0, f, nil, 0, sparse
	if size >= bulkFrom && !sparse {
		w.bulk = bulk.NewWriter(f, size)
	}
}

// Write appends to the file.
func (w *writer) Write(p []byte) (n int, err error) {
	w.sum.Write(p)
	switch {
	case w.to != nil:
		n, err = w.to.Write(p)
	case w.bulk != nil:
		n, err = w.bulk.Write(p)
	case w.sparse:
		n, err = w.holes(p)
	default:
		n, err = w.f.Write(p)
	}
	w.off += int64(n)
	return n, err
}

// holes writes what is not zero. The file gets its length in the end.
func (w *writer) holes(p []byte) (int, error) {
	for n := 0; n < len(p); {
		next := min(n+hole-int(w.off+int64(n))%hole, len(p))
		if !zero(p[n:next]) {
			if _, err := w.f.WriteAt(p[n:next], w.off+int64(n)); err != nil {
				return n, err
			}
		}
		n = next
	}
	return len(p), nil
}

// copy takes exactly size bytes of src; fewer are io.ErrUnexpectedEOF.
func (w *writer) copy(ctx context.Context, src io.Reader, size int64, done func(int, int64)) error {
	if w.buf == nil {
		w.buf = make([]byte, pieceSize)
	}
	for left := size; left > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		piece := w.buf[:min(left, pieceSize)]
		if _, err := io.ReadFull(src, piece); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if _, err := w.Write(piece); err != nil {
			return err
		}
		done(0, int64(len(piece)))
		left -= int64(len(piece))
	}
	return nil
}

// abort closes a file that stays incomplete.
func (w *writer) abort() error {
	if w.bulk != nil {
		_ = w.bulk.Close()
	}
	return w.f.Close()
}

// close completes a file, gives it its attributes, and notes its digest.
func (r *run) close(w *writer, e *entry) error {
	var err error
	if w.bulk != nil {
		err = w.bulk.Close()
	}
	if err == nil && w.sparse {
		err = w.f.Truncate(w.off)
	}
	if err == nil {
		err = r.attributes(w.f, e)
	}
	if err = errors.Join(err, w.f.Close()); err != nil {
		return err
	}
	w.sum.Sum(e.Sum[:0])
	e.made = true
	r.done(1, 0)
	return nil
}
