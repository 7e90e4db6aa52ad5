package unpack

import (
	"context"
	"hash/crc32"
	"os"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/inflate"
)

// extractor reads members of a zip. It is for one goroutine.
type extractor struct {
	file section
	src  *inflate.Source
	inf  *inflate.Decoder
	w    *writer
	buf  []byte // the last 32 KiB that were decoded, a piece, and room for the decoder
}

// history is how far back deflate refers.
const history = 32 << 10

func newExtractor(f *os.File, size int64) *extractor {
	src := inflate.NewSource(nil, 2*inSize, 0)
	return &extractor{
		file: section{f: f, size: size}, src: src, inf: inflate.New(src), w: newWriter(),
		buf: make([]byte, history+pieceSize+inflate.Slack),
	}
}

// open reads a member's own header, which has to say what the list says.
func (z *extractor) open(m *member) error {
	// The decoder wants to see some bytes behind the end; there are always more in the list of members.
	z.file.seek(m.off, min(m.end+2*lenMember, z.file.size))
	z.src.Reset(&z.file, m.off)
	head, err := z.src.Next(lenLocal)
	if err != nil {
		return err
	}
	var h [lenLocal]byte
	copy(h[:], head)
	names, extras := int(le.Uint16(h[26:])), int(le.Uint16(h[28:]))
	if names > len(m.name) {
		names = len(m.name) + 1 // different anyway
	}
	rest, err := z.src.Next(names)
	if err != nil {
		return err
	}
	name := string(rest)
	extra, err := z.src.Next(extras)
	if err != nil {
		return err
	}
	return m.same(h[:], []byte(name), extra)
}

// content writes the content of an opened member.
func (z *extractor) content(ctx context.Context, m *member, w *writer, done func(int, int64)) error {
	start := z.src.Pos()
	if start+m.packed > m.end {
		return bad("its content reaches into what follows")
	}
	w.crc = 0
	var err error
	if m.method == stored {
		err = z.plain(ctx, m.size, w, done)
	} else {
		err = z.inflate(ctx, m.size, w, done)
	}
	if err != nil {
		return err
	}
	return z.verify(m, w, start)
}

// emit writes a piece of content.
func emit(ctx context.Context, w *writer, p []byte, done func(int, int64)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w.crc = crc32.Update(w.crc, crc32.IEEETable, p)
	if _, err := w.Write(p); err != nil {
		return err
	}
	done(0, int64(len(p)))
	return nil
}

func (z *extractor) plain(ctx context.Context, size int64, w *writer, done func(int, int64)) error {
	for size > 0 {
		if err := z.src.Need(1); err != nil {
			return err
		}
		// What is in the buffer already comes first, then larger pieces than it holds.
		p := z.src.Buffered()
		p = p[:min(size, int64(len(p)))]
		if err := emit(ctx, w, p, done); err != nil {
			return err
		}
		z.src.Skip(len(p))
		size -= int64(len(p))
	}
	return nil
}

func (z *extractor) inflate(ctx context.Context, size int64, w *writer, done func(int, int64)) error {
	z.inf.BeginRaw()
	for out, left := 0, size; ; {
		// One byte more than is left shows a stream that is too long.
		n, end, err := z.inf.Run(z.buf, out, int(min(int64(out)+left+1, history+pieceSize)))
		if err != nil {
			return err
		}
		if left -= int64(n - out); left < 0 {
			return bad("it is longer than its size says")
		}
		if err := emit(ctx, w, z.buf[out:n], done); err != nil {
			return err
		}
		if end {
			if left > 0 {
				return bad("it is shorter than its size says")
			}
			return nil
		}
		out = copy(z.buf, z.buf[max(0, n-history):n])
	}
}

func (z *extractor) verify(m *member, w *writer, start int64) error {
	if z.src.Pos() != start+m.packed {
		return bad("its compressed content is not as long as it says")
	}
	if w.crc != m.crc {
		return bad("its content does not match its checksum")
	}
	if m.flags&8 == 0 {
		return nil
	}
	n := int(min(24, m.end-z.src.Pos()))
	b, err := z.src.Next(n)
	if err != nil {
		return err
	}
	if !m.closes(b) {
		return reject("", "has other sizes behind its content than in the list; programs differ in which ones they take", "make the archive again")
	}
	return nil
}

// text is the content of a small member.
func (z *extractor) text(ctx context.Context, m *member) (string, error) {
	if err := z.open(m); err != nil {
		return "", err
	}
	var b strings.Builder
	w := newWriter()
	w.to = &b
	if err := z.content(ctx, m, w, func(int, int64) {}); err != nil {
		return "", err
	}
	return b.String(), nil
}
