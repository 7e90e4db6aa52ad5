package unpack

import (
	"errors"
	"hash/crc32"
	"io"

	"github.com/sidecar-kit/sidecar/internal/inflate"
)

// gunzip reads gzip (RFC 1952), one member after the other. Its decoder wants to see some bytes behind the end of a stream,
// so the input is followed by zeros, and what was taken of them is found at the end of each member.
type gunzip struct {
	in    *input
	real  int64 // bytes that in had
	over  bool  // in has ended
	zeros int   // made up so far

	src  *inflate.Source
	inf  *inflate.Decoder
	buf  []byte // the last 32 KiB that were decoded, a piece, and room for the decoder
	r, w int    // buf[r:w] is not passed on yet
	crc  uint32
	size uint32
	open bool // inside of a member
	err  error
}

// behind is how many zeros the decoder may want to see.
const behind = 32

func newGunzip(in *input) *gunzip {
	z := &gunzip{in: in, buf: make([]byte, history+pieceSize/2+inflate.Slack)}
	z.src = inflate.NewSource(padding{z}, inSize, 0)
	z.inf = inflate.New(z.src)
	return z
}

// padding is the input and the zeros behind it.
type padding struct{ z *gunzip }

func (p padding) Read(b []byte) (int, error) {
	z := p.z
	if !z.over {
		n, err := z.in.Read(b)
		z.real += int64(n)
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		if z.over = true; n > 0 {
			return n, nil
		}
	}
	n := min(len(b), behind-z.zeros)
	if n == 0 {
		return 0, io.EOF
	}
	clear(b[:n])
	z.zeros += n
	return n, nil
}

func (z *gunzip) Read(p []byte) (int, error) {
	for z.r == z.w && z.err == nil {
		z.err = z.more()
	}
	if z.r == z.w {
		return 0, z.err
	}
	n := copy(p, z.buf[z.r:z.w])
	z.r += n
	return n, nil
}

// more decodes a piece, or gets over the border between two members.
func (z *gunzip) more() error {
	if !z.open {
		return z.header()
	}
	keep := copy(z.buf, z.buf[max(0, z.w-history):z.w])
	n, end, err := z.inf.Run(z.buf, keep, history+pieceSize/2)
	if err != nil {
		return z.cut(err)
	}
	z.r, z.w = keep, n
	z.crc = crc32.Update(z.crc, crc32.IEEETable, z.buf[keep:n])
	z.size += uint32(n - keep)
	if !end {
		return nil
	}
	z.open = false
	b, err := z.next(8)
	if err != nil {
		return err
	}
	if le.Uint32(b) != z.crc || le.Uint32(b[4:]) != z.size {
		return errChecksum
	}
	return nil
}

// header begins a member, or ends when there is none.
func (z *gunzip) header() error {
	if err := z.src.Need(1); err != nil {
		return err
	}
	if z.src.Pos() == z.real && z.real > 0 {
		return io.EOF
	}
	const text, sum, extra, name, comment = 1, 2, 4, 8, 16
	h, err := z.next(10)
	if err != nil {
		return err
	}
	flags := h[3]
	if h[0] != 0x1f || h[1] != 0x8b || h[2] != 8 || flags&^(text|sum|extra|name|comment) != 0 {
		return errHeader
	}
	if flags&extra != 0 {
		b, err := z.next(2)
		if err != nil {
			return err
		}
		for n := int(le.Uint16(b)); n > 0; n-- {
			if _, err := z.next(1); err != nil {
				return err
			}
		}
	}
	for _, field := range []byte{name, comment} {
		for more := flags&field != 0; more; {
			b, err := z.next(1)
			if err != nil {
				return err
			}
			more = b[0] != 0
		}
	}
	if flags&sum != 0 {
		if _, err := z.next(2); err != nil {
			return err
		}
	}
	z.inf.BeginRaw()
	z.open, z.crc, z.size, z.r, z.w = true, 0, 0, 0, 0
	return nil
}

// next are bytes of the input itself.
func (z *gunzip) next(n int) ([]byte, error) {
	b, err := z.src.Next(n)
	return b, z.cut(err)
}

// cut tells damage from an input that ended while more of it was wanted.
func (z *gunzip) cut(err error) error {
	if z.over && z.src.Pos() > z.real && (err == nil || errors.Is(err, inflate.ErrCorrupt)) {
		return io.ErrUnexpectedEOF
	}
	return err
}
