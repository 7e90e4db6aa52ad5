package engine

import (
	"unicode/utf16"
	"unicode/utf8"

	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// splitWide is split for UTF-16.
func (f *Form) splitWide(c *Chunk, raw []byte, off int64, mid bool, end End, atEOF bool) (used int, midNow bool) {
	i := min(int(off&1), len(raw)) // behind half a unit at the end of what seemed to be all
	limit := f.MaxLine &^ 1
	if off == 0 && len(raw) >= 2 && f.Enc.unit(raw) == 0xFEFF {
		i = 2
	}
	for i < len(raw) {
		rest := raw[i:]
		if mid && f.Cut {
			n := f.Enc.find(rest, '\n')
			if n < 0 && end != Open {
				return len(raw), true
			}
			if n < 0 {
				return i + len(rest)&^1, true
			}
			i, mid = i+n+2, false
			continue
		}
		if n := f.Enc.zeros(rest); n > 0 && !mid {
			if n >= len(rest)&^1 && atEOF && end == Open {
				return i, mid
			}
			c.NULs += int64(n)
			i += n
			continue
		}
		n := f.Enc.find(rest, '\n')
		if n >= 0 && n <= limit {
			e := i + n
			if n > 0 && f.Enc.unit(raw[e-2:]) == '\r' {
				e -= 2
			}
			c.add(f.Enc, raw, i, e, off, i+n+2, restFlag(mid))
			i, mid = i+n+2, false
			continue
		}
		if len(rest) < f.room() && n < 0 {
			return f.lastWide(c, raw, i, off, mid, end)
		}
		i, mid = f.piece(c, raw, i, f.wholeWide(rest), off, mid), true
	}
	return i, mid
}

func (f *Form) lastWide(c *Chunk, raw []byte, i int, off int64, mid bool, end End) (int, bool) {
	switch end {
	case Open:
		return i, mid
	case Border:
		n := len(raw) - i
		if n >= f.MaxLine&^1 {
			n = f.wholeWide(raw[i:])
		}
		f.piece(c, raw, i, n, off, mid)
		return len(raw), true
	}
	if limit := f.MaxLine &^ 1; len(raw)-i > limit {
		i, mid = f.piece(c, raw, i, f.wholeWide(raw[i:]), off, mid), true
		if f.Cut {
			return len(raw), true
		}
	}
	c.add(f.Enc, raw, i, len(raw), off, len(raw), restFlag(mid)|record.Partial)
	return len(raw), false
}

// wholeWide is how long a piece is, so that no pair of surrogates is cut.
func (f *Form) wholeWide(b []byte) int {
	n := f.MaxLine &^ 1
	if u := f.Enc.unit(b[n-2:]); u >= 0xD800 && u < 0xDC00 {
		n -= 2
	}
	return n
}

func (e *Encoding) unit(b []byte) uint16 {
	if e.big {
		return uint16(b[0])<<8 | uint16(b[1])
	}
	return uint16(b[1])<<8 | uint16(b[0])
}

// find is the index of the first unit u in b, -1 if there is none.
func (e *Encoding) find(b []byte, u uint16) int {
	for i := 0; i+1 < len(b); i += 2 {
		if e.unit(b[i:]) == u {
			return i
		}
	}
	return -1
}

func (e *Encoding) zeros(b []byte) int {
	for i := 0; i+1 < len(b); i += 2 {
		if b[i] != 0 || b[i+1] != 0 {
			return i
		}
	}
	return len(b) &^ 1
}

func (e *Encoding) decodeWide(dst, src []byte) (_ []byte, lossy bool) {
	for i := 0; i < len(src); i += 2 {
		if i+1 == len(src) {
			return utf8.AppendRune(dst, utf8.RuneError), true
		}
		r := rune(e.unit(src[i:]))
		if utf16.IsSurrogate(r) {
			pair := utf8.RuneError
			if i+3 < len(src) {
				pair = utf16.DecodeRune(r, rune(e.unit(src[i+2:])))
			}
			if r = pair; r == utf8.RuneError {
				lossy = true
			} else {
				i += 2
			}
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst, lossy
}
