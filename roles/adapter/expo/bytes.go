package expo

import (
	"strconv"
	"strings"
	"unsafe"
)

// view is b as a string. Model pages are parts of the body, which nobody changes after it was decoded: a copy of each body would cost as much as checking it.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// Classes of bytes in names.
const (
	nameFirst  = 1 << iota // may begin the name of a metric
	nameRest               // may follow
	labelFirst             // may begin the name of a label
	labelRest
	digit
)

// classes is an array by value in the read-only part of the program: a package variable would need an init or be changeable.
const classes = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
	"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + // ' ' to '/'
	"\x1a\x1a\x1a\x1a\x1a\x1a\x1a\x1a\x1a\x1a\x03\x00\x00\x00\x00\x00" + // '0' to '?'
	"\x00\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f" +
	"\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x00\x00\x00\x00\x0f" +
	"\x00\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f" +
	"\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x00\x00\x00\x00\x00" +
	"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
	"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
	"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
	"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

func is(c byte, class byte) bool { return classes[c]&class != 0 }

// IsName reports whether s is a name of a metric that needs no quotes.
func IsName(s string) bool { return plain(s, nameFirst, nameRest) }

// IsLabel reports whether s is a name of a label that needs no quotes.
func IsLabel(s string) bool { return plain(s, labelFirst, labelRest) }

func plain(s string, first, rest byte) bool {
	if s == "" || !is(s[0], first) {
		return false
	}
	for i := 1; i < len(s); i++ {
		if !is(s[i], rest) {
			return false
		}
	}
	return true
}

// blank skips spaces and tabs. b ends with a newline, here and in all that follows.
func blank(b string, i int) int {
	for b[i] == ' ' || b[i] == '\t' {
		i++
	}
	return i
}

// number is where the number at i ends, -1 where there is none. Numbers are those of Go without hexadecimal and underscores, as in Prometheus.
func number(b string, i int) int {
	start := i
	if b[i] == '+' || b[i] == '-' {
		i++
	}
	first := i
	for is(b[i], digit) {
		i++
	}
	digits := i - first
	if b[i] == '.' {
		i++
		first = i
		for is(b[i], digit) {
			i++
		}
		digits += i - first
	}
	if digits == 0 {
		return word(b, start)
	}
	long := digits > 300
	if b[i] == 'e' || b[i] == 'E' {
		i++
		if b[i] == '+' || b[i] == '-' {
			i++
		}
		first = i
		for is(b[i], digit) {
			i++
		}
		if i == first {
			return -1
		}
		long = long || i-first > 2
	}
	if long {
		if _, err := strconv.ParseFloat(b[start:i], 64); err != nil {
			return -1
		}
	}
	return i
}

// word is where an infinity or a NaN ends.
func word(b string, i int) int {
	signed := b[i] == '+' || b[i] == '-'
	if signed {
		i++
	}
	end := i
	for end < len(b) && b[end]|0x20 >= 'a' && b[end]|0x20 <= 'z' {
		end++
	}
	s := b[i:end]
	if strings.EqualFold(s, "inf") || strings.EqualFold(s, "infinity") || (!signed && strings.EqualFold(s, "nan")) {
		return end
	}
	return -1
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

func load(b string, i int) uint64 {
	b = b[i : i+8]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

// mark has a high bit at least at the first byte of w that is c.
func mark(w uint64, c byte) uint64 {
	w ^= ones * uint64(c)
	return (w - ones) & ^w & highs
}

// View is text as a string, without a copy. Nobody may change it afterwards.
func View(text []byte) string { return view(text) }
