package transform

import (
	"encoding/binary"
	"math/bits"
	"strings"
	"unsafe"
)

// keySet is a set of keys, in any case. A key with dots is in it if its last part is, too.
type keySet struct {
	last   [256]bool // bytes that one of words ends with
	words  []string
	dotted bool // one of words says in which object a key stands
}

func (k *keySet) add(word string) {
	if word != "" {
		k.words = append(k.words, word)
		k.dotted = k.dotted || strings.IndexByte(word, '.') >= 0
		c := word[len(word)-1]
		k.last[c] = true
		if letter(c) {
			k.last[c^0x20] = true
		}
	}
}

func (k *keySet) any() bool { return len(k.words) > 0 }

func (k *keySet) has(key string) bool {
	return key != "" && k.last[key[len(key)-1]] && k.exact(key)
}

func (k *keySet) exact(key string) bool {
	for _, w := range k.words {
		if n := len(key) - len(w); n == 0 || n > 0 && key[n-1] == '.' {
			if strings.EqualFold(w, key[n:]) {
				return true
			}
		}
	}
	return false
}

// byKey finds values behind a key in text: password=x, "token": "x", secret: x, :pin => x.
func (d *redactor) byKey(b []byte, i int) (start, end int) {
	for at := i; ; {
		if at += mark(b[at:], ':'); at == len(b) {
			return -1, -1
		}
		at++
		if c := b[max(at-2, 0)]; alnum(c) && !d.keys.last[c] {
			continue // most colons stand in times and addresses
		}
		if !d.keys.has(keyBefore(b[i : at-1])) {
			continue
		}
		for at < len(b) && (b[at] == '=' || b[at] == '>') { // := and =>
			at++
		}
		start = at
		for start < len(b) && (b[start] == ' ' || b[start] == '\t') {
			start++
		}
		if end = valueEnd(b, &start); end > start {
			return start, end
		}
	}
}

// mark is the index of the first = or : or other in b, or its length.
func mark(b []byte, other byte) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		low := w &^ highs
		plain := ((low ^ '='*ones) + 0x7f*ones) & ((low ^ ':'*ones) + 0x7f*ones) & ((low ^ uint64(other)*ones) + 0x7f*ones)
		if m := ^plain & highs &^ w; m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c == '=' || c == ':' || c == other {
			return i
		}
	}
	return i
}

// keyBefore is the name that b ends with, maybe in quotes.
func keyBefore(b []byte) string {
	end := len(b)
	for end > 0 && (b[end-1] == ' ' || b[end-1] == '\t' || b[end-1] == '"' || b[end-1] == '\'' || b[end-1] == '\\') {
		end--
	}
	start := end
	for start > 0 && end-start < 64 && (alnum(b[start-1]) || b[start-1] == '_' || b[start-1] == '-' || b[start-1] == '.') {
		start--
	}
	return unsafe.String(unsafe.SliceData(b[start:end]), end-start)
}

// valueEnd is the end of the value at start, which is moved behind a quote. Before a quote there may be backslashes, where JSON is in a
// string of JSON, or the letter of a string of bytes. The value of an object or an array is all of it.
func valueEnd(b []byte, start *int) int {
	i := *start
	for i < len(b) && b[i] == '\\' {
		i++
	}
	slashes := i - *start
	if i+1 < len(b) && slashes == 0 && letter(b[i]) && quote(b[i+1]) {
		i++
	}
	switch {
	case i < len(b) && quote(b[i]):
		*start = i + 1
		return stringEnd(b, i+1, b[i], slashes)
	case i < len(b) && slashes == 0 && (b[i] == '{' || b[i] == '['):
		return nestEnd(b, i)
	}
	for i = *start; i < len(b) && strings.IndexByte(" \t\n,;&)}]\"'", b[i]) < 0; {
		i++
	}
	return i
}

func quote(c byte) bool { return c == '"' || c == '\'' }

// stringEnd is the end of the text at i, behind an opening quote that had so many backslashes before it: none in JSON, 1 in JSON that is in a
// string, 3 in JSON that is in a string of that. An escaped quote has more of them than a closing one. A text without an end goes on to the
// end of b.
func stringEnd(b []byte, i int, quote byte, slashes int) int {
	run := 0
	for ; i < len(b); i++ {
		switch {
		case b[i] == '\\':
			run++
			continue
		case b[i] == quote && run >= slashes && (run-slashes)%(2*slashes+2) == 0:
			return i - slashes
		}
		run = 0
	}
	return len(b)
}

// nestEnd is the end of the object or array at i, len(b) if it has none.
func nestEnd(b []byte, i int) int {
	depth, run := 0, 0
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case c == '\\':
			run++
			continue
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				return i + 1
			}
		case quote(c):
			if i = stringEnd(b, i+1, c, run); i < len(b) {
				i += run
			}
		}
		run = 0
	}
	return len(b)
}
