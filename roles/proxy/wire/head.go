package wire

import (
	"bytes"
	"encoding/binary"
)

// The characters of a token, RFC 9110 5.6.2, as bits of the code.
const (
	tokenLow  = 1<<'!' | 1<<'#' | 1<<'$' | 1<<'%' | 1<<'&' | 1<<'\'' | 1<<'*' | 1<<'+' | 1<<'-' | 1<<'.' | (1<<10-1)<<'0'
	tokenHigh = (1<<26-1)<<('A'-64) | (1<<26-1)<<('a'-64) | 1<<('^'-64) | 1<<('_'-64) | 1<<('`'-64) | 1<<('|'-64) | 1<<('~'-64)
)

// isToken has no branch: a shift by 64 or more gives 0.
func isToken(c byte) bool {
	return (uint64(1)<<c)&tokenLow|(uint64(1)<<(c-64))&tokenHigh != 0
}

func allToken(b []byte) bool {
	for _, c := range b {
		if !isToken(c) {
			return false
		}
	}
	return len(b) > 0
}

// isText is what a value may have: visible, space, tab, bytes above ASCII.
func isText(c byte) bool { return c >= ' ' && c != 0x7f || c == '\t' }

// textEnd returns the index of the first byte at or after i that is not text,
// or len(b). Eight bytes at a time, since cookies are long.
func textEnd(b []byte, i int) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		del := x ^ 0x7f*ones
		if ((x-0x20*ones)&^x|(del-ones)&^del)&highs == 0 {
			continue
		}
		for _, c := range b[i : i+8] {
			if !isText(c) {
				return i
			}
			i++
		}
		i -= 8
	}
	for i < len(b) && isText(b[i]) {
		i++
	}
	return i
}

// trim removes spaces and tabs, nothing else: other blanks are not blanks.
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// complete looks whether buf holds a whole head. It costs one search per call
// and starts where the last one ended, so that a client that sends single
// bytes does not make the proxy read them again and again. ok is also true if
// buf has bytes that the parser refuses, to refuse them now.
func (h *Head) complete(buf []byte, lim Limits) (ok bool, err *BadMessage) {
	from := max(0, h.seen-3)
	if from > len(buf) {
		from = 0
	}
	end := bytes.Index(buf[from:], []byte("\r\n\r\n"))
	if end >= 0 {
		if from+end+4 > lim.head() {
			return false, badStatus(431, LongHead, "the head is too long")
		}
		return true, nil
	}
	if len(buf) > 0 && buf[0] == '\n' || strange(buf[from:]) {
		return true, nil
	}
	if len(buf) > lim.line() && bytes.IndexByte(buf[:lim.line()], '\n') < 0 {
		return false, badStatus(414, LongLine, "the first line is too long")
	}
	if len(buf) >= lim.head() {
		return false, badStatus(431, LongHead, "the head is too long")
	}
	h.seen = len(buf)
	return false, nil
}

// strange reports control bytes, and CR and LF that do not belong together. A
// first LF and a last CR may have their partner outside of b.
func strange(b []byte) bool {
	for i := 0; ; i++ {
		i = textEnd(b, i)
		if i >= len(b) {
			return false
		}
		switch b[i] {
		case '\r':
			if i+1 < len(b) && b[i+1] != '\n' {
				return true
			}
			i++
		case '\n':
			if i > 0 {
				return true
			}
		default:
			return true
		}
	}
}

// lineEnd says what is wrong with the byte at buf[i], which ended a line.
func lineEnd(buf []byte, i int, class Class) *BadMessage {
	switch {
	case i >= len(buf):
		return bad(class, "the line does not end")
	case buf[i] == '\n':
		return bad(BadLF, "a line ends with LF alone")
	case buf[i] == '\r' && (i+1 >= len(buf) || buf[i+1] != '\n'):
		return bad(BadCR, "a CR stands alone")
	case buf[i] == '\r':
		return nil
	}
	return badf(class, "the byte %s is not allowed", quote(buf[i:i+1]))
}

// fields reads the lines from buf[i:] up to and with the empty one.
func (h *Head) fields(buf []byte, i, most int) (int, *BadMessage) {
	for {
		if i >= len(buf) {
			return 0, bad(BadValue, "the head does not end")
		}
		if buf[i] == '\r' {
			if err := lineEnd(buf, i, BadName); err != nil {
				return 0, err
			}
			return i + 2, nil
		}
		start := i
		underscore := false
		for i < len(buf) && isToken(buf[i]) {
			underscore = underscore || buf[i] == '_'
			i++
		}
		if i == start || i >= len(buf) || buf[i] != ':' {
			return 0, nameError(buf, start, i)
		}
		name := buf[start:i]
		i++
		value := i
		i = textEnd(buf, i)
		if i+1 >= len(buf) || buf[i] != '\r' || buf[i+1] != '\n' {
			return 0, lineEnd(buf, i, BadValue)
		}
		if len(h.Fields) >= most {
			return 0, badStatus(431, ManyFields, "too many fields")
		}
		id := Lookup(name)
		h.Fields = append(h.Fields, Field{Name: name, Value: trim(buf[value:i]), ID: id, Underscore: underscore})
		if id != Other && id <= Expect {
			if err := h.note(id, len(h.Fields)); err != nil {
				return 0, err
			}
		}
		i += 2
	}
}

func nameError(buf []byte, start, i int) *BadMessage {
	switch {
	case i >= len(buf):
		return bad(BadName, "the head does not end")
	case i == start && (buf[i] == ' ' || buf[i] == '\t'):
		return bad(BadFold, "a field goes on in the next line")
	case buf[i] == '\n':
		return bad(BadLF, "a line ends with LF alone")
	case buf[i] == '\r' && (i+1 >= len(buf) || buf[i+1] != '\n'):
		return bad(BadCR, "a CR stands alone")
	case buf[i] == '\r':
		return bad(BadName, "a field has no colon")
	case i == start && buf[i] == ':':
		return bad(BadName, "a field has no name")
	case buf[i] == ' ' || buf[i] == '\t':
		return bad(BadName, "blank in or after a field name")
	}
	return badf(BadName, "a field name has the byte %s", quote(buf[i:i+1]))
}

// note remembers where the fields are that the framing needs. at is 1 + index.
func (h *Head) note(id ID, at int) *BadMessage {
	var where *int
	class := BadField
	switch id {
	case Host:
		where, class = &h.host, BadHost
	case ContentLength:
		where, class = &h.length, BadLength
	case TransferEncoding:
		where, class = &h.coding, BadCoding
	case Upgrade:
		where, class = &h.upgrade, BadUpgrade
	case Expect:
		where, class = &h.expect, BadExpect
	case Connection:
		if h.conn == 0 {
			h.conn = at
		}
		return nil
	default:
		return nil
	}
	if *where != 0 {
		return bad(class, "the field is there twice")
	}
	*where = at
	return nil
}
