package transform

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"regexp"
	"strings"
)

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func digit(c byte) bool  { return c-'0' <= 9 }
func alnum(c byte) bool  { return letter(c) || digit(c) }

// email finds addresses: what stands around at, which is an @ or what stands for one in an address of the web, with a domain behind it that
// has a dot.
func email(at string) finder {
	sign := []byte(at)
	return func(b []byte, i int) (start, end int) {
		for from := i; ; {
			k := bytes.Index(b[from:], sign)
			if k < 0 {
				return -1, -1
			}
			k += from
			start = k
			for start > from && mailbox(b, start-1) {
				start--
			}
			domain := k + len(sign)
			end = domain
			for end < len(b) && (alnum(b[end]) || b[end] == '-' || b[end] == '.' || b[end] >= 0x80) {
				end++
			}
			for end > domain && (b[end-1] == '.' || b[end-1] == '-') {
				end--
			}
			if start < k && bytes.IndexByte(b[domain:end], '.') > 0 {
				return start, end
			}
			from = domain
		}
	}
}

// mailbox says whether b[i] may be part of a name before an @. An apostrophe is between letters only: elsewhere it is a quote.
func mailbox(b []byte, i int) bool {
	c := b[i]
	return alnum(c) || c >= 0x80 || strings.IndexByte("._%+-", c) >= 0 || c == '\'' && i > 0 && letter(b[i-1]) && letter(b[i+1])
}

// card finds numbers of 13 to 19 digits, maybe with single blanks or dashes between, that begin as card numbers do and whose last digit is
// right (Luhn).
func card(b []byte, i int) (start, end int) {
	for ; i+13 <= len(b); i++ {
		if i = nextDigit(b, i); i == len(b) {
			break
		}
		if b[i] < '2' || b[i] > '6' || i > 0 && alnum(b[i-1]) {
			continue
		}
		if end = cardAt(b[i:]); end > 0 {
			return i, i + end
		}
	}
	return -1, -1
}

// nextDigit is the index of the first digit from i on, or the length of b.
func nextDigit(b []byte, i int) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		if m := ^((w&^highs ^ '0'*ones) + 0x76*ones) & highs &^ w; m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	for i < len(b) && !digit(b[i]) {
		i++
	}
	return i
}

func cardAt(b []byte) (end int) {
	var digits [19]byte
	n := 0
	for j, c := range b {
		if !digit(c) {
			if c != ' ' && c != '-' || j+1 == len(b) || !digit(b[j+1]) {
				return 0
			}
			continue
		}
		if n == 19 {
			return 0
		}
		digits[n] = c - '0'
		n++
		if n >= 13 && (j+1 == len(b) || !alnum(b[j+1])) && luhn(digits[:n]) {
			return j + 1
		}
	}
	return 0
}

func luhn(digits []byte) bool {
	sum, other := 0, false
	for i := len(digits) - 1; i >= 0; i-- {
		d := int(digits[i])
		if other {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
		other = !other
	}
	return sum%10 == 0 && sum > 0
}

// scheme finds the token behind Bearer or Basic, the words of an Authorization header, in any case. first is their first letter.
func scheme(first byte) finder {
	bearer, basic := []byte("earer "), []byte("asic ")
	return func(b []byte, i int) (start, end int) {
		for from := i; from+14 <= len(b); from++ {
			k := bytes.IndexByte(b[from:], first)
			if k < 0 {
				return -1, -1
			}
			from += k
			rest := b[from+1:]
			switch {
			case len(rest) > 6 && bytes.EqualFold(rest[:6], bearer):
				start = from + 7
			case len(rest) > 5 && bytes.EqualFold(rest[:5], basic):
				start = from + 6
			default:
				continue
			}
			for start < len(b) && b[start] == ' ' {
				start++
			}
			end = start
			for end < len(b) && (alnum(b[end]) || strings.IndexByte("-._~+/=", b[end]) >= 0) {
				end++
			}
			if (from == 0 || !alnum(b[from-1])) && end-start >= 8 {
				return start, end
			}
		}
		return -1, -1
	}
}

// jwt finds JSON web tokens: three parts of base64url, of which the first begins with {".
func jwt(b []byte, i int) (start, end int) {
	if len(b)-i < 10 {
		return -1, -1
	}
	for from := i; ; {
		k := bytes.IndexByte(b[from:], 'J')
		if k < 0 {
			return -1, -1
		}
		if start = k + from - 2; start < i || b[start] != 'e' || b[start+1] != 'y' {
			from += k + 1
			continue
		}
		dots := 0
		for end = start; end < len(b) && (alnum(b[end]) || b[end] == '-' || b[end] == '_' || b[end] == '.' && dots < 4); end++ {
			if b[end] == '.' {
				dots++
			}
		}
		if dots >= 2 {
			return start, end
		}
		from = end
	}
}

// aws finds access key ids that begin with word.
func aws(word string) finder {
	return func(b []byte, i int) (start, end int) {
		if len(b)-i < 20 {
			return -1, -1
		}
		for from := i; ; {
			k := bytes.Index(b[from:], []byte(word))
			if k < 0 {
				return -1, -1
			}
			start = k + from
			end = start + 4
			for end < len(b) && end-start <= 20 && (b[end] >= 'A' && b[end] <= 'Z' || digit(b[end])) {
				end++
			}
			if end-start == 20 && (start == 0 || !alnum(b[start-1])) && (end == len(b) || !alnum(b[end])) {
				return start, end
			}
			from = start + 4
		}
	}
}

// ipv4 finds addresses: four numbers up to 255 with dots between.
func ipv4(b []byte, i int) (start, end int) {
	if len(b)-i < 7 {
		return -1, -1
	}
	for from := i; ; {
		k := bytes.IndexByte(b[from:], '.')
		if k < 0 {
			return -1, -1
		}
		k += from
		start = k
		for start > i && digit(b[start-1]) && k-start < 3 {
			start--
		}
		if end = address(b, start); end > 0 && (start == 0 || !alnum(b[start-1]) && b[start-1] != '.') {
			return start, end
		}
		from = k + 1
	}
}

// address returns the end of the IPv4 address that begins at i, 0 if there is none.
func address(b []byte, i int) int {
	for part := range 4 {
		n, from := 0, i
		for i < len(b) && digit(b[i]) && i-from < 4 {
			n = n*10 + int(b[i]-'0')
			i++
		}
		if i == from || n > 255 || i-from > 3 {
			return 0
		}
		if part < 3 {
			if i == len(b) || b[i] != '.' {
				return 0
			}
			i++
		}
	}
	if i < len(b) && (alnum(b[i]) || b[i] == '.' && i+1 < len(b) && digit(b[i+1])) {
		return 0
	}
	return i
}

func byPattern(re *regexp.Regexp) finder {
	prefix, whole := re.LiteralPrefix()
	literal := []byte(prefix)
	return func(b []byte, i int) (start, end int) {
		if len(literal) > 0 {
			k := bytes.Index(b[i:], literal)
			if k < 0 {
				return -1, -1
			}
			if whole {
				return i + k, i + k + len(literal)
			}
		}
		for from := i; from <= len(b); {
			m := re.FindIndex(b[from:])
			if m == nil {
				return -1, -1
			}
			if m[1] > m[0] {
				return from + m[0], from + m[1]
			}
			from += m[1] + 1
		}
		return -1, -1
	}
}
