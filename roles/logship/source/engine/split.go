package engine

import (
	"bytes"

	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// Form is how lines lie in a file. What a line becomes depends on its bytes and on the form, never on how they were read.
type Form struct {
	MaxLine int  // bytes; longer lines are given in pieces
	Cut     bool // only the first piece of a longer line is given
	Enc     *Encoding
	Skip    int64 // where not 0: reading began here within a line, of which nothing is given
}

// room is how many bytes have to be seen to know whether a line is too long: the line, CR, LF.
func (f *Form) room() int { return f.MaxLine + 4 }

// split appends to c the lines that begin in raw, which are the bytes of the file from off on. mid says that raw begins within a line
// that is too long. It returns how many bytes were used up and whether that is within such a line.
func (f *Form) split(c *Chunk, raw []byte, off int64, mid bool, end End, atEOF bool) (used int, midNow bool) {
	if f.Enc.wide() {
		return f.splitWide(c, raw, off, mid, end, atEOF)
	}
	i, plain := 0, f.Enc.plain()
	if off == 0 && plain {
		n, known := bom(raw, end == Open)
		if !known {
			return 0, mid
		}
		i = n
	}
	for i < len(raw) {
		rest := raw[i:]
		if f.Skip > 0 && off+int64(i) == f.Skip {
			n, known := f.skip(rest, end)
			if !known {
				return i, mid
			}
			if i += n; n > 0 {
				continue
			}
		}
		if mid && f.Cut {
			n := bytes.IndexByte(rest, '\n')
			if n < 0 {
				return len(raw), true
			}
			i, mid = i+n+1, false
			continue
		}
		if rest[0] == 0 && !mid {
			n := zeros(rest)
			if n == len(rest) && atEOF && end == Open {
				return i, mid // nobody has written there yet
			}
			c.NULs += int64(n)
			i += n
			continue
		}
		n := bytes.IndexByte(rest, '\n')
		if n >= 0 && (n <= f.MaxLine || n == f.MaxLine+1 && rest[n-1] == '\r') {
			e := i + n
			if n > 0 && raw[e-1] == '\r' {
				e--
			}
			if plain {
				c.Lines = append(c.Lines, Line{int32(i), int32(e), off + int64(i), off + int64(i+n+1), restFlag(mid)})
			} else {
				c.add(f.Enc, raw, i, e, off, i+n+1, restFlag(mid))
			}
			i, mid = i+n+1, false
			continue
		}
		if n < 0 && len(rest) < f.room() {
			return f.last(c, raw, i, off, mid, end)
		}
		n = f.whole(rest)
		i, mid = f.piece(c, raw, i, n, off, mid), true
	}
	return i, mid
}

// skip is how long the rest of a line is that is not wanted; known is false when its end is to come. What is longer than a line may be
// is given after all.
func (f *Form) skip(rest []byte, end End) (n int, known bool) {
	n = bytes.IndexByte(rest, '\n')
	switch {
	case n >= 0 && n <= f.MaxLine:
		return n + 1, true
	case n >= 0 || len(rest) >= f.room():
		return 0, true
	}
	return len(rest), end != Open
}

// last deals with what has no line end: raw[i:].
func (f *Form) last(c *Chunk, raw []byte, i int, off int64, mid bool, end End) (int, bool) {
	switch end {
	case Open:
		return i, mid
	case Border:
		n := len(raw) - i
		if n >= f.MaxLine {
			n = f.whole(raw[i:])
		}
		f.piece(c, raw, i, n, off, mid)
		return len(raw), true // behind a piece that is cut there may be some of what is not given
	}
	if n := len(raw) - i; n > f.MaxLine+1 || n == f.MaxLine+1 && raw[len(raw)-1] != '\r' {
		i, mid = f.piece(c, raw, i, f.whole(raw[i:]), off, mid), true
		if f.Cut {
			return len(raw), true
		}
	}
	c.add(f.Enc, raw, i, len(raw), off, len(raw), restFlag(mid)|record.Partial)
	return len(raw), false
}

// piece gives raw[i:i+n] of a line that goes on.
func (f *Form) piece(c *Chunk, raw []byte, i, n int, off int64, mid bool) int {
	flags := restFlag(mid) | record.More
	if f.Cut {
		flags = record.Cut
	}
	if !mid {
		c.Long++
	}
	c.add(f.Enc, raw, i, i+n, off, i+n, flags)
	return i + n
}

// whole is how long a piece is: MaxLine, or a little less so that no character is cut. It depends on those bytes alone.
func (f *Form) whole(b []byte) int {
	n := f.MaxLine
	if !f.Enc.plain() {
		return n
	}
	for back := 1; back < 4; back++ {
		switch c := b[n-back]; {
		case c >= 0xF0 && back < 4, c >= 0xE0 && back < 3, c >= 0xC0 && back < 2:
			return n - back
		case c&0xC0 != 0x80:
			return n
		}
	}
	return n
}

// add appends a line whose text is raw[i:e]; next is the index behind it.
func (c *Chunk) add(enc *Encoding, raw []byte, i, e int, off int64, next int, flags record.Flags) {
	if enc.plain() {
		c.Lines = append(c.Lines, Line{Start: int32(i), End: int32(e), Off: off + int64(i), Next: off + int64(next), Flags: flags})
		return
	}
	start := len(c.text)
	var lossy bool
	c.text, lossy = enc.decode(c.text, raw[i:e])
	if lossy {
		c.Lossy++
		flags |= record.Lossy
	}
	c.Lines = append(c.Lines, Line{
		Start: int32(start), End: int32(len(c.text)), Off: off + int64(i), Next: off + int64(next), Flags: flags,
	})
}

func restFlag(mid bool) record.Flags {
	if mid {
		return record.Rest
	}
	return 0
}

// bom is how long the byte order mark of UTF-8 is at the start of a file; known is false when it may become one.
func bom(raw []byte, open bool) (n int, known bool) {
	const mark = "\xEF\xBB\xBF"
	if len(raw) >= len(mark) {
		if string(raw[:len(mark)]) == mark {
			return len(mark), true
		}
		return 0, true
	}
	return 0, !open || len(raw) == 0 || mark[:len(raw)] != string(raw)
}

// zeros is how many bytes of zero b begins with.
func zeros(b []byte) int {
	for i, c := range b {
		if c != 0 {
			return i
		}
	}
	return len(b)
}
