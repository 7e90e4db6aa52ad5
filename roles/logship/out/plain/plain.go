// Package plain writes events for outputs whose messages are text: what a line said, or its document, and never more than one line.
package plain

import (
	"unicode/utf16"
	"unicode/utf8"

	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// Message appends what the event says, as bytes: its message, or its document where it has fields alone.
func Message(dst []byte, r *record.Record) []byte {
	if r.Message == nil && len(r.Fields) > 0 {
		return record.AppendJSON(dst, r)
	}
	return Value(dst, r.Message, r.Kind)
}

// Value appends the bytes that a value stands for: the inside of a JSON string is decoded, everything else is itself.
func Value(dst, value []byte, kind record.Kind) []byte {
	if kind != record.Escaped {
		return append(dst, value...)
	}
	for i := 0; i < len(value); i++ {
		c := value[i]
		if c != '\\' || i+1 == len(value) {
			dst = append(dst, c)
			continue
		}
		i++
		switch value[i] {
		case 'n':
			dst = append(dst, '\n')
		case 't':
			dst = append(dst, '\t')
		case 'r':
			dst = append(dst, '\r')
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'u':
			r, n := unit(value[i+1:])
			if low, m := unit(skip(value[i+1+n:])); utf16.IsSurrogate(r) && m == 4 {
				if both := utf16.DecodeRune(r, low); both != utf8.RuneError {
					r, n = both, n+2+m
				}
			}
			dst = utf8.AppendRune(dst, r)
			i += n
		default:
			dst = append(dst, value[i])
		}
	}
	return dst
}

// skip drops the \u in front of a unit, or everything when there is none.
func skip(b []byte) []byte {
	if len(b) < 2 || b[0] != '\\' || b[1] != 'u' {
		return nil
	}
	return b[2:]
}

// unit reads four digits to the base 16, and says how many bytes they took: 4, or 0 if they are none.
func unit(b []byte) (rune, int) {
	if len(b) < 4 {
		return utf8.RuneError, 0
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return utf8.RuneError, 0
		}
		r = r<<4 | rune(c)
	}
	return r, 4
}

// Line appends text as one line for eyes and for readers of lines: line ends, other control bytes and escape sequences of terminals
// become \n, \x1b and so on. A tab stays.
func Line(dst, text []byte) []byte {
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c >= ' ' && c < utf8.RuneSelf && c != 0x7f || c == '\t':
			dst = append(dst, c)
			i++
			continue
		case c == '\n':
			dst = append(dst, `\n`...)
			i++
			continue
		case c < utf8.RuneSelf:
			dst = hex(dst, c)
			i++
			continue
		}
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 || r >= 0x80 && r < 0xa0 { // no text, or C1 control codes
			for _, c := range text[i : i+n] {
				dst = hex(dst, c)
			}
		} else {
			dst = append(dst, text[i:i+n]...)
		}
		i += n
	}
	return dst
}

func hex(dst []byte, c byte) []byte {
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'x', digits[c>>4], digits[c&15])
}

// UTF8 appends text with U+FFFD for every byte that is no text: for protocols whose strings have to be UTF-8.
func UTF8(dst, text []byte) []byte {
	if utf8.Valid(text) {
		return append(dst, text...)
	}
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		dst = utf8.AppendRune(dst, r)
		text = text[n:]
	}
	return dst
}
