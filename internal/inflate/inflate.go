// Package inflate decodes deflate streams (RFC 1951, with the wrapping of RFC 1950 or without) whose length is known
// beforehand, about twice as fast as the standard library.
//
// It promises to end on any input, to stay within the buffer it is given, and to leave the source right behind the
// stream. It does not look at checksums: whoever uses it has a better one of the content. At least 16 more bytes have to
// follow a stream; where that is not so, and where the length is unknown, use compress/flate.
//
// Used by gitsync for the objects of packs and by initcopy for the members of zip archives.
package inflate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ErrCorrupt means that the input is no deflate stream, or not one of the length that was expected.
var ErrCorrupt = errors.New("corrupt deflate data")

func corruptf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

// The decoder is our own because inflating is what a first sync of a repository and the unpacking of a war spend most
// of their time on, and their formats give what a general decoder cannot assume: the length of the result is known beforehand,
// so the output itself serves as the window; the content is hashed anyway, so Adler-32 adds nothing; and more bytes always
// follow, so the input may be read eight bytes at a time.

const (
	// Slack is the room a buffer needs behind its last byte: one turn of the loop writes two literals and a match of
	// 258 bytes at most, in words of eight bytes.
	Slack = 288

	// Codes of up to so many bits are found in one step. The tables have room for the second step of the worst code.
	litBits   = 10
	litTable  = 13
	distBits  = 8
	distTable = 12

	flagLiteral = 1 << 13
	flagEnd     = 1 << 14
	flagSub     = 1 << 15
)

// Decoder decodes one stream after another from a source. Between two calls of Run it remembers where it is, so that
// a large stream can be taken in pieces. The zero value needs Reset.
type Decoder struct {
	src   *Source
	raw   bool // no Adler-32 follows
	hold  uint64
	nbits uint
	block int // what the decoder is inside of
	last  bool
	left  int // bytes left of a stored block

	lit  [1 << litTable]uint32
	dist [1 << distTable]uint32
	lens [320]uint8
}

const (
	betweenBlocks = iota
	inStored
	inCodes
	streamDone
)

// New makes a decoder that reads from src.
func New(src *Source) *Decoder { return &Decoder{src: src} }

// Reset turns to another source. Begin or BeginRaw has to follow.
func (f *Decoder) Reset(src *Source) { f.src = src }

// BeginRaw turns to a stream without a zlib header.
func (f *Decoder) BeginRaw() {
	f.hold, f.nbits, f.block, f.last, f.raw = 0, 0, betweenBlocks, false, true
}

// Begin reads the zlib header of the next stream.
func (f *Decoder) Begin() error {
	b, err := f.src.Next(2)
	if err != nil {
		return err
	}
	if b[0]&0x0f != 8 || b[0]>>4 > 7 || (uint(b[0])<<8|uint(b[1]))%31 != 0 || b[1]&0x20 != 0 {
		return corruptf("bad zlib header %x", b)
	}
	f.hold, f.nbits, f.block, f.last, f.raw = 0, 0, betweenBlocks, false, false
	return nil
}

// Run decodes into dst from index out on until at least limit bytes are there or the stream ends, and returns the
// new index. dst needs Slack bytes behind limit; dst[:out] has to hold the last 32 KiB that were decoded. With done,
// the source stands behind the stream.
func (f *Decoder) Run(dst []byte, out, limit int) (n int, done bool, err error) {
	for {
		switch f.block {
		case streamDone:
			return out, true, nil
		case betweenBlocks:
			if f.last {
				f.unread()
				if !f.raw {
					if _, err := f.src.Next(4); err != nil { // Adler-32
						return out, false, err
					}
				}
				f.block = streamDone
				continue
			}
			if err := f.header(); err != nil {
				return out, false, err
			}
		case inStored:
			if out >= limit {
				return out, false, nil
			}
			if out, err = f.stored(dst, out, limit); err != nil {
				return out, false, err
			}
		default:
			if out >= limit {
				return out, false, nil
			}
			if out, err = f.codes(dst, out, limit); err != nil {
				return out, false, err
			}
		}
	}
}

// unread gives whole bytes that were taken too early back to the source.
func (f *Decoder) unread() {
	f.src.Skip(-int(f.nbits / 8))
	f.hold, f.nbits = 0, 0
}

func (f *Decoder) bits(n uint) (uint, error) {
	for f.nbits < n {
		b, err := f.src.Byte()
		if err != nil {
			return 0, err
		}
		f.hold |= uint64(b) << f.nbits
		f.nbits += 8
	}
	v := uint(f.hold & (1<<n - 1))
	f.hold >>= n
	f.nbits -= n
	return v, nil
}

func (f *Decoder) header() error {
	h, err := f.bits(3)
	if err != nil {
		return err
	}
	f.last = h&1 != 0
	switch h >> 1 {
	case 0:
		return f.storedHeader()
	case 1:
		return f.fixed()
	case 2:
		return f.dynamic()
	}
	return corruptf("bad deflate block type")
}

func (f *Decoder) storedHeader() error {
	f.unread()
	b, err := f.src.Next(4)
	if err != nil {
		return err
	}
	n, inv := binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint16(b[2:])
	if n != ^inv {
		return corruptf("bad stored block length")
	}
	f.left, f.block = int(n), inStored
	return nil
}

func (f *Decoder) stored(dst []byte, out, limit int) (int, error) {
	for f.left > 0 && out < limit {
		if err := f.src.Need(1); err != nil {
			return out, err
		}
		n := min(f.left, limit-out, f.src.w-f.src.r)
		copy(dst[out:], f.src.buf[f.src.r:f.src.r+n])
		f.src.Skip(n)
		out += n
		f.left -= n
	}
	if f.left == 0 {
		f.block = betweenBlocks
	}
	return out, nil
}

// codes is the loop that everything else exists for.
func (f *Decoder) codes(dst []byte, out, limit int) (int, error) {
	src := f.src
	hold, nbits := f.hold, f.nbits
	buf, pos, start := src.buf[:src.w], src.r, src.r
	save := func() {
		f.hold, f.nbits = hold, nbits
		src.Skip(pos - start)
		start = pos
	}
	for out < limit {
		if len(buf)-pos < 8 {
			save()
			if err := src.Need(8); err != nil {
				return out, err
			}
			buf, pos, start = src.buf[:src.w], src.r, src.r
		}
		hold |= binary.LittleEndian.Uint64(buf[pos:]) << nbits
		pos += int(63-nbits) >> 3
		nbits |= 56

		e := f.lit[hold&(1<<litBits-1)]
		if e&flagSub != 0 {
			e = f.lit[(e>>16+uint32(hold>>litBits)&(1<<(e>>8&0x1f)-1))&(1<<litTable-1)]
		}
		if e&flagLiteral != 0 {
			hold >>= e & 0x3f
			nbits -= uint(e & 0x3f)
			dst[out] = byte(e >> 16)
			out++
			// Two literals in a row are common, and 56 bits are enough for both and the search for a third.
			e = f.lit[hold&(1<<litBits-1)]
			if e&flagLiteral != 0 {
				hold >>= e & 0x3f
				nbits -= uint(e & 0x3f)
				dst[out] = byte(e >> 16)
				out++
			}
			continue
		}
		used := uint(e & 0x3f)
		hold >>= used
		nbits -= used
		if e&flagEnd != 0 {
			f.block = betweenBlocks
			save()
			return out, nil
		}
		if used == 0 {
			save()
			return out, corruptf("bad literal code")
		}
		extra := uint(e>>8) & 0x1f
		length := int(e>>16) + int(hold&(1<<extra-1))
		hold >>= extra
		nbits -= extra

		d := f.dist[hold&(1<<distBits-1)]
		if d&flagSub != 0 {
			d = f.dist[(d>>16+uint32(hold>>distBits)&(1<<(d>>8&0x1f)-1))&(1<<distTable-1)]
		}
		used = uint(d & 0x3f)
		hold >>= used
		extra = uint(d>>8) & 0x1f
		back := int(d>>16) + int(hold&(1<<extra-1))
		hold >>= extra
		nbits -= used + extra
		if used == 0 || back > out {
			save()
			return out, corruptf("bad distance")
		}
		if back >= 8 {
			from, to := out-back, out
			out += length
			for ; to < out; from, to = from+8, to+8 {
				binary.LittleEndian.PutUint64(dst[to:], binary.LittleEndian.Uint64(dst[from:]))
			}
			continue
		}
		for end := out + length; out < end; out++ {
			dst[out] = dst[out-back]
		}
	}
	save()
	return out, nil
}

// Whole decodes one zlib stream of exactly size bytes into buf, which has room for size+Slack.
func (f *Decoder) Whole(buf []byte, size int) error {
	if err := f.Begin(); err != nil {
		return err
	}
	n, done, err := f.Run(buf, 0, size+1)
	if err != nil {
		return err
	}
	if !done || n != size {
		return corruptf("the stream is not of the %d bytes that its header says", size)
	}
	return nil
}

// Stream decodes one zlib stream of exactly size bytes and writes it to w in pieces.
func (f *Decoder) Stream(w io.Writer, size int64) error {
	if err := f.Begin(); err != nil {
		return err
	}
	const window = 32 << 10
	const piece = 256 << 10
	buf := make([]byte, window+piece+Slack)
	var total int64
	out := 0
	for {
		n, done, err := f.Run(buf, out, window+piece)
		if err != nil {
			return err
		}
		if total += int64(n - out); total > size {
			return corruptf("the stream is longer than the %d bytes that its header says", size)
		}
		if _, err := w.Write(buf[out:n]); err != nil {
			return err
		}
		if done {
			break
		}
		out = copy(buf, buf[max(0, n-window):n])
	}
	if total != size {
		return corruptf("the stream has %d bytes; its header says %d", total, size)
	}
	return nil
}
