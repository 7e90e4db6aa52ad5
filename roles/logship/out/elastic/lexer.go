package elastic

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// lexer reads JSON from a stream through a window of fixed size. It allocates nothing for a value, skips what nobody wants, and
// knows no limit for the length of an answer.
type lexer struct {
	src      io.Reader
	buf      []byte
	pos, end int
	before   int64 // bytes of the stream before buf
	eof      bool
	err      error // what the stream said besides its end
}

const (
	window   = 64 << 10
	depthMax = 1000
)

var errEnd = errors.New("the answer ends too early")

func (l *lexer) reset(src io.Reader) {
	if l.buf == nil {
		l.buf = make([]byte, window)
	}
	*l = lexer{src: src, buf: l.buf}
}

// fill makes room and reads on. It reports whether there is more than before.
func (l *lexer) fill() bool {
	if l.eof {
		return false
	}
	if l.pos > 0 {
		copy(l.buf, l.buf[l.pos:l.end])
		l.before += int64(l.pos)
		l.end -= l.pos
		l.pos = 0
	}
	for range 100 { // readers that give nothing and no error, again and again
		if l.end == len(l.buf) {
			return false
		}
		n, err := l.src.Read(l.buf[l.end:])
		l.end += n
		if err != nil {
			l.eof = true
			if !errors.Is(err, io.EOF) {
				l.err = err
			}
		}
		if n > 0 || err != nil {
			return n > 0
		}
	}
	l.eof, l.err = true, io.ErrNoProgress
	return false
}

// ahead makes at least n bytes visible if there are that many.
func (l *lexer) ahead(n int) bool {
	for l.end-l.pos < n {
		if !l.fill() {
			return false
		}
	}
	return true
}

func (l *lexer) fail(want string) error {
	if l.err != nil {
		return l.err
	}
	if l.pos >= l.end {
		return errEnd
	}
	return fmt.Errorf("byte %d of the answer is %q; want %s", l.before+int64(l.pos), l.buf[l.pos], want)
}

// peek skips white space and returns the next byte, 0 at the end.
func (l *lexer) peek() byte {
	for {
		for l.pos < l.end {
			c := l.buf[l.pos]
			if c != ' ' && c != '\n' && c != '\r' && c != '\t' {
				return c
			}
			l.pos++
		}
		if !l.fill() {
			return 0
		}
	}
}

func (l *lexer) expect(c byte) error {
	if l.peek() != c || l.pos >= l.end {
		return l.fail(string(rune(c)))
	}
	l.pos++
	return nil
}

// more is at the border between elements: it takes a comma or the closing byte, and says which it was.
func (l *lexer) more(first bool, closing byte) (bool, error) {
	c := l.peek()
	switch {
	case c == closing && l.pos < l.end:
		l.pos++
		return false, nil
	case first:
		return true, nil
	case c == ',':
		l.pos++
		return true, nil
	}
	return false, l.fail("a comma or " + string(rune(closing)))
}

// str appends a string to dst, up to its capacity; the rest is skipped. Escapes stay as they are, but for \" and \\.
func (l *lexer) str(dst []byte) ([]byte, error) {
	if err := l.expect('"'); err != nil {
		return dst, err
	}
	for {
		if l.pos >= l.end && !l.fill() {
			return dst, l.fail("a string")
		}
		c := l.buf[l.pos]
		l.pos++
		switch {
		case c == '"':
			return dst, nil
		case c == '\\':
			if l.pos >= l.end && !l.fill() {
				return dst, l.fail("a string")
			}
			if e := l.buf[l.pos]; e != '"' && e != '\\' && len(dst) < cap(dst) {
				dst = append(dst, '\\')
			}
			c = l.buf[l.pos]
			l.pos++
		case c < ' ':
			l.pos--
			return dst, l.fail("no control byte in a string")
		}
		if len(dst) < cap(dst) {
			dst = append(dst, c)
		}
	}
}

// skipString skips the rest of a string whose quote was taken.
func (l *lexer) skipString() error {
	for {
		i := bytes.IndexByte(l.buf[l.pos:l.end], '"')
		part := l.buf[l.pos:l.end]
		if i >= 0 {
			part = part[:i]
		}
		if j := bytes.IndexByte(part, '\\'); j >= 0 {
			l.pos += j
			if !l.ahead(2) {
				l.pos = l.end
				return l.fail("a string")
			}
			l.pos += 2
			continue
		}
		if i >= 0 {
			l.pos += i + 1
			return nil
		}
		l.pos = l.end
		if !l.fill() {
			return l.fail("a string")
		}
	}
}

// skip skips a value of any kind.
func (l *lexer) skip() error {
	depth := 0
	for {
		c := l.peek()
		if l.pos >= l.end {
			return l.fail("a value")
		}
		switch c {
		case '{', '[':
			l.pos++
			if depth++; depth > depthMax {
				return fmt.Errorf("the answer is nested deeper than %d levels", depthMax)
			}
			continue
		case '}', ']':
			if depth == 0 {
				return l.fail("a value")
			}
			l.pos++
			depth--
		case '"':
			l.pos++
			if err := l.skipString(); err != nil {
				return err
			}
		case ',', ':':
			if depth == 0 {
				return l.fail("a value")
			}
			l.pos++
			continue
		default:
			if err := l.scalar(); err != nil {
				return err
			}
		}
		if depth == 0 {
			return nil
		}
	}
}

// scalar skips a number or a word.
func (l *lexer) scalar() error {
	any := false
	for {
		if l.pos >= l.end && !l.fill() {
			break
		}
		c := l.buf[l.pos]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && c != '-' && c != '+' && c != '.' && c != 'E' {
			break
		}
		l.pos++
		any = true
	}
	if !any {
		return l.fail("a value")
	}
	return nil
}

// number reads a whole number that is not negative; -1 for any other value, which is skipped.
func (l *lexer) number() (int, error) {
	n, digits := 0, 0
	c := l.peek()
	if l.pos < l.end && (c < '0' || c > '9') {
		return -1, l.skip()
	}
	for {
		if l.pos >= l.end && !l.fill() {
			break
		}
		c := l.buf[l.pos]
		if c < '0' || c > '9' {
			if c == '.' || c == 'e' || c == 'E' {
				return -1, l.scalar()
			}
			break
		}
		l.pos++
		if digits++; digits < 9 {
			n = n*10 + int(c-'0')
		}
	}
	if digits == 0 {
		return -1, l.fail("a number")
	}
	if digits > 8 {
		return -1, nil
	}
	return n, nil
}

// yes reads whether the value is true.
func (l *lexer) yes() (bool, error) {
	is := l.peek() == 't'
	return is, l.skip()
}
