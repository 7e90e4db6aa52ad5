package source

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/klauspost/compress/zstd"

	"github.com/sidecar-kit/sidecar/roles/logship/source/ident"
)

// The compressed forms.
const (
	gzipped = "gzip"
	zstded  = "zstd"
)

// windowMax bounds what a zstd file may have us keep in memory.
const windowMax = 32 << 20

// magic says how a file that begins with head is compressed; empty: not.
func magic(head []byte) string {
	switch {
	case len(head) >= 3 && head[0] == 0x1F && head[1] == 0x8B && head[2] == 8:
		return gzipped
	case len(head) >= 4 && string(head[:4]) == "\x28\xB5\x2F\xFD":
		return zstded
	}
	return ""
}

// Files whose content is so much larger than they are have been made to do harm: that much is read of any, and then so many times
// what the file has.
const (
	contentMin = 16 << 20
	ratioMax   = 1000
)

var errRatio = errors.New("its content is more than 1000 times as large as the file: it is not read any further")

// ratio reads the content of a compressed file as far as that is in a sane relation to the file.
type ratio struct {
	src *io.SectionReader
	r   io.Reader
	n   int64 // bytes that were given
}

func (b *ratio) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.n += int64(n)
	if b.n > contentMin {
		at, _ := b.src.Seek(0, io.SeekCurrent) // never fails
		if b.n > ratioMax*at {
			return 0, errRatio
		}
	}
	return n, err
}

// unzip returns the content of a compressed file.
func unzip(f io.ReaderAt, kind string) (io.Reader, func(), error) {
	file := io.NewSectionReader(f, 0, math.MaxInt64)
	src := bufio.NewReaderSize(file, 32<<10)
	if kind == gzipped {
		z, err := gzip.NewReader(src)
		if err != nil {
			return nil, nil, fmt.Errorf("gunzip: %w", err)
		}
		return &ratio{src: file, r: z}, func() {}, nil
	}
	z, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(windowMax))
	if err != nil {
		return nil, nil, fmt.Errorf("zstd: %w", err)
	}
	return &ratio{src: file, r: z}, z.Close, nil
}

// headOf returns the first bytes of the content; whole: there are no more.
func headOf(f io.ReaderAt, kind string) (head []byte, whole bool, err error) {
	r, done, err := unzip(f, kind)
	if err != nil {
		return nil, false, err
	}
	defer done()
	head = make([]byte, ident.HeadMax)
	n, err := io.ReadFull(r, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && endsWell(r) {
		return head[:n], true, nil
	}
	return head[:n], false, err
}

// unzippedSize is how large the content is by what the file says of itself. A file that was put together of several says it of a part:
// then it is not known, as with 4 GiB and more.
func unzippedSize(f io.ReaderAt, kind string, size int64) (n int64, known bool) {
	b := make([]byte, zstd.HeaderMaxSize)
	if kind == gzipped {
		b = b[:4]
		if size < 18 || readFull(f, b, size-4) != nil {
			return 0, false
		}
		n = int64(binary.LittleEndian.Uint32(b))
		return n, n >= size/2 && size < 1<<30 // else there are several parts, or more than the four bytes can say
	}
	m, _ := f.ReadAt(b, 0)
	var h zstd.Header
	if err := h.Decode(b[:m]); err != nil || !h.HasFCS || h.FrameContentSize > math.MaxInt64 {
		return 0, false
	}
	return int64(h.FrameContentSize), true //nolint:gosec // was compared
}

// endsWell says whether a short read was the end of the content, not a file that is cut off: then reading on gives io.EOF.
func endsWell(r io.Reader) bool {
	var b [1]byte
	_, err := r.Read(b[:])
	return errors.Is(err, io.EOF)
}

func (s *Set) unzipHead(g *gen, kind string) ([]byte, bool, error) {
	h, err := s.acquire(g)
	if err != nil {
		return nil, false, err
	}
	defer s.release(h)
	return headOf(h.at(), kind)
}

// unzipAt reads the content of a compressed file at offsets that rise, mostly. It keeps what the last read returned, so that the next
// may begin a little before its end.
type unzipAt struct {
	f    io.ReaderAt
	kind string

	r    io.Reader
	done func()
	buf  []byte // the content from off on
	off  int64
	err  error
}

// ReadAt reads as io.ReaderAt does. io.EOF means that the file ends as it should.
func (z *unzipAt) ReadAt(p []byte, off int64) (int, error) {
	if z.r == nil || off < z.off {
		if err := z.open(); err != nil {
			return 0, err
		}
	}
	if err := z.skip(off); err != nil {
		return 0, err
	}
	if len(z.buf) < len(p) && z.err == nil {
		have := len(z.buf)
		z.buf = append(z.buf, make([]byte, len(p)-have)...)
		var n int
		n, z.err = io.ReadFull(z.r, z.buf[have:])
		z.buf = z.buf[:have+n]
		if errors.Is(z.err, io.ErrUnexpectedEOF) && endsWell(z.r) {
			z.err = io.EOF
		}
	}
	n := copy(p, z.buf)
	if n < len(p) {
		return n, z.err
	}
	return n, nil
}

func (z *unzipAt) open() error {
	z.close()
	r, done, err := unzip(z.f, z.kind)
	if err != nil {
		return err
	}
	z.r, z.done, z.off, z.buf, z.err = r, done, 0, z.buf[:0], nil
	return nil
}

func (z *unzipAt) skip(off int64) error {
	drop := int(min(off-z.off, int64(len(z.buf))))
	z.buf = z.buf[:copy(z.buf, z.buf[drop:])]
	z.off += int64(drop)
	if z.off == off || z.err != nil {
		return nil
	}
	n, err := io.CopyN(io.Discard, z.r, off-z.off)
	z.off += n
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err != nil {
		z.err = io.EOF
	}
	return nil
}

func (z *unzipAt) close() {
	if z.r != nil {
		z.done()
		z.r = nil
	}
}
