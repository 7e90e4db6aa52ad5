// Package scan reads JSON in place: it finds where strings, numbers and values end, and checks them on the way. It allocates nothing and
// recurses only as deep as it was told. What it accepts is what encoding/json accepts. Used by decode and transform.
package scan

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"

	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// Found says what was seen in a string or a value.
type Found uint8

// What was seen.
const (
	Escapes Found = 1 << iota // a backslash
	High                      // a byte beyond ASCII: may be invalid UTF-8
	Deep                      // objects and arrays are nested deeper than the limit
)

const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
)

// Space returns the index of the first byte from i that is no white space.
func Space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// String returns the index of the quote that ends the string whose first byte behind the opening quote is b[i], or -1.
func String(b []byte, i int) (end int, found Found) {
	var seen uint64
	for {
		for ; i+8 <= len(b); i += 8 {
			w := binary.LittleEndian.Uint64(b[i:])
			low := w &^ highs
			plain := ((low ^ '"'*ones) + 0x7f*ones) & ((low ^ '\\'*ones) + 0x7f*ones) & (low + 0x60*ones)
			if m := ^plain & highs &^ w; m != 0 {
				k := bits.TrailingZeros64(m) &^ 7
				seen |= w & (1<<k - 1)
				i += k / 8
				break
			}
			seen |= w
		}
		if i >= len(b) {
			return -1, 0
		}
		switch c := b[i]; {
		case c == '"':
			if seen&highs != 0 {
				found |= High
			}
			return i, found
		case c == '\\':
			found |= Escapes
			n := escape(b[i:])
			if n == 0 {
				return -1, 0
			}
			i += n
		case c < ' ':
			return -1, 0
		default: // near the end of b
			seen |= uint64(c)
			i++
		}
	}
}

// escape returns the length of the escape that b begins with, 0 if it is none.
func escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(b[2:]); ok {
			return 6
		}
	}
	return 0
}

func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// Number returns the index behind the number that begins at b[i], or -1.
func Number(b []byte, i int) int {
	if i < len(b) && b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if j := digits(b, i); j > i {
		i = j
	} else {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		j := digits(b, i+1)
		if j == i+1 {
			return -1
		}
		i = j
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		j := digits(b, i)
		if j == i {
			return -1
		}
		i = j
	}
	return i
}

func digits(b []byte, i int) int {
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}

// IsNumber tells if all of b is a JSON number.
func IsNumber(b []byte) bool { return len(b) > 0 && Number(b, 0) == len(b) }

// Value returns the index behind the value that begins at b[i], or -1, and what it is. Objects and arrays may be nested depth deep;
// beyond that they are followed up to 1,000 deep, to find the end, and found has Deep. keys is raised by the number of keys in objects.
func Value(b []byte, i, depth int, keys *int) (end int, kind record.Kind, found Found) {
	if i >= len(b) {
		return -1, 0, 0
	}
	switch c := b[i]; c {
	case '"':
		end, found = String(b, i+1)
		if end < 0 {
			return -1, 0, 0
		}
		return end + 1, record.Escaped, found
	case '{', '[':
		end, found = nested(b, i, depth, hardDepth, keys)
		return end, record.Nested, found
	case 't':
		return word(b, i, "true"), record.Literal, 0
	case 'f':
		return word(b, i, "false"), record.Literal, 0
	case 'n':
		return word(b, i, "null"), record.Literal, 0
	}
	return Number(b, i), record.Literal, 0
}

// hardDepth bounds the recursion; encoding/json has 10,000.
const hardDepth = 1000

func word(b []byte, i int, want string) int {
	if len(b)-i >= len(want) && string(b[i:i+len(want)]) == want {
		return i + len(want)
	}
	return -1
}

func nested(b []byte, i, depth, hard int, keys *int) (end int, found Found) {
	if hard == 0 {
		return -1, 0
	}
	if depth <= 0 {
		found = Deep
	}
	object := b[i] == '{'
	closer := b[i] + 2 // the same distance for both kinds
	i = Space(b, i+1)
	if i < len(b) && b[i] == closer {
		return i + 1, found
	}
	for {
		if object {
			var f Found
			if i, f = Key(b, i); i < 0 {
				return -1, 0
			}
			*keys++
			found |= f
		}
		var f Found
		if i < len(b) && (b[i] == '{' || b[i] == '[') {
			i, f = nested(b, i, depth-1, hard-1, keys)
		} else {
			i, _, f = Value(b, i, 0, keys)
		}
		if i < 0 {
			return -1, 0
		}
		found |= f
		i = Space(b, i)
		if i >= len(b) {
			return -1, 0
		}
		if b[i] == closer {
			return i + 1, found
		}
		if b[i] != ',' {
			return -1, 0
		}
		i = Space(b, i+1)
	}
}

// Key reads a key at b[i], its colon and the white space around it and returns the index of the value, or -1.
func Key(b []byte, i int) (value int, found Found) {
	if i >= len(b) || b[i] != '"' {
		return -1, 0
	}
	end, found := String(b, i+1)
	if end < 0 {
		return -1, 0
	}
	i = Space(b, end+1)
	if i >= len(b) || b[i] != ':' {
		return -1, 0
	}
	return Space(b, i+1), found
}

// Unescape appends what the inside of a JSON string stands for; halves of surrogate pairs become U+FFFD.
func Unescape(dst, b []byte) []byte {
	for i := 0; i < len(b); {
		c := b[i]
		if c != '\\' || i+1 >= len(b) {
			dst = append(dst, c)
			i++
			continue
		}
		switch c = b[i+1]; c {
		case 'u':
			r, n := codePoint(b[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
			continue
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		}
		dst = append(dst, c)
		i += 2
	}
	return dst
}

// codePoint reads \uXXXX, or a pair of them.
func codePoint(b []byte) (r rune, n int) {
	r, ok := hex4(b[2:])
	if !ok {
		return utf8.RuneError, 2
	}
	if r < 0xd800 || r > 0xdfff {
		return r, 6
	}
	if r < 0xdc00 && len(b) >= 12 && b[6] == '\\' && b[7] == 'u' {
		if low, ok := hex4(b[8:]); ok && low >= 0xdc00 && low <= 0xdfff {
			return (r-0xd800)<<10 | (low - 0xdc00) + 0x10000, 12
		}
	}
	return utf8.RuneError, 6
}

// Valid tells if b, the inside of a string or a whole value that was scanned with found, is UTF-8 without halves of surrogate pairs.
func Valid(b []byte, found Found) bool {
	if found&High != 0 && !utf8.Valid(b) {
		return false
	}
	if found&Escapes == 0 {
		return true
	}
	for i := 0; i+1 < len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		i++
		if b[i] == 'u' {
			r, n := codePoint(b[i-1:])
			if r == utf8.RuneError && string(b[i+1:min(i+5, len(b))]) != "fffd" {
				return false
			}
			i += n - 2
		}
	}
	return true
}

// Repair appends b with everything that is not valid replaced by U+FFFD; see Valid.
func Repair(dst, b []byte) []byte {
	for i := 0; i < len(b); {
		switch c := b[i]; {
		case c == '\\' && i+1 < len(b) && b[i+1] == 'u':
			r, n := codePoint(b[i:])
			if r == utf8.RuneError {
				dst = append(dst, `\ufffd`...)
			} else {
				dst = append(dst, b[i:i+n]...)
			}
			i += n
		case c == '\\' && i+1 < len(b):
			dst = append(dst, c, b[i+1])
			i += 2
		case c < utf8.RuneSelf:
			dst = append(dst, c)
			i++
		default:
			r, n := utf8.DecodeRune(b[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
		}
	}
	return dst
}

// Find returns the value of the key path (names with dots between) in the object b, which was scanned before, as it stands in b.
func Find(b []byte, path string) (value []byte, kind record.Kind, ok bool) {
	if len(b) == 0 || b[0] != '{' {
		return nil, 0, false
	}
	for i := Space(b, 1); i < len(b) && b[i] == '"'; {
		end, _ := String(b, i+1)
		if end < 0 {
			return nil, 0, false
		}
		key := b[i+1 : end]
		from, _ := Key(b, i)
		if from < 0 {
			return nil, 0, false
		}
		var keys int
		to, kind, _ := Value(b, from, hardDepth, &keys)
		if to < 0 {
			return nil, 0, false
		}
		if string(key) == path {
			if kind == record.Escaped {
				return b[from+1 : to-1], kind, true
			}
			return b[from:to], kind, true
		}
		if n := len(key); kind == record.Nested && len(path) > n && path[n] == '.' && path[:n] == string(key) {
			if value, kind, ok := Find(b[from:to], path[n+1:]); ok {
				return value, kind, true
			}
		}
		i = Space(b, to)
		if i >= len(b) || b[i] != ',' {
			return nil, 0, false
		}
		i = Space(b, i+1)
	}
	return nil, 0, false
}
