package jq

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

type parser struct {
	t    *tree
	at   int
	lim  Limits
	keys map[string]uint32 // scratch of dedupe
}

func (p *parser) errorf(at int, format string, args ...any) error {
	return fmt.Errorf("%s: %w", where(p.t.body, at), fmt.Errorf(format, args...))
}

func (p *parser) document() error {
	body := p.t.body
	if !utf8.ValidString(body) {
		at := 0
		for r, n := utf8.DecodeRuneInString(body); r != utf8.RuneError || n > 1; r, n = utf8.DecodeRuneInString(body[at:]) {
			at += n
		}
		return p.errorf(at, "the text is no UTF-8")
	}
	if strings.HasPrefix(body, "\ufeff") {
		p.at = 3
	}
	if p.skip(); p.at == len(body) {
		return errors.New("the document is empty")
	}
	if err := p.value(1); err != nil {
		return err
	}
	if p.skip(); p.at < len(body) {
		return p.errorf(p.at, "%q follows the document", head(body[p.at:]))
	}
	return nil
}

// head is the beginning of what an error shows.
func head(s string) string {
	for i := range s {
		if i >= 12 {
			return s[:i] + "..."
		}
	}
	return s
}

func (p *parser) skip() {
	body, at := p.t.body, p.at
	for at < len(body) && (body[at] == ' ' || body[at] == '\n' || body[at] == '\t' || body[at] == '\r') {
		at++
	}
	p.at = at
}

func (p *parser) add(n node) error {
	if len(p.t.nodes) >= p.lim.Nodes {
		return p.errorf(p.at, "more than %d values", p.lim.Nodes)
	}
	n.next = uint32(len(p.t.nodes) + 1)
	p.t.nodes = append(p.t.nodes, n)
	return nil
}

// value reads what begins at p.at, which is no space.
func (p *parser) value(depth int) error {
	body := p.t.body
	if p.at == len(body) {
		return p.errorf(p.at, "the document ends within a value")
	}
	switch c := body[p.at]; {
	case c == '"':
		return p.str()
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	case c == '{' || c == '[':
		if depth > p.lim.Depth {
			return p.errorf(p.at, "more than %d lists and objects within each other", p.lim.Depth)
		}
		if c == '{' {
			return p.object(depth)
		}
		return p.array(depth)
	}
	return p.literal()
}

func (p *parser) literal() error {
	for _, l := range [...]struct {
		word string
		kind Kind
	}{{"null", Null}, {"true", True}, {"false", False}, {"NaN", Number}, {"Infinity", Number}} {
		if strings.HasPrefix(p.t.body[p.at:], l.word) {
			n := node{kind: l.kind, pos: uint32(p.at), size: uint32(len(l.word))}
			p.at += len(l.word)
			return p.add(n)
		}
	}
	return p.errorf(p.at, "%q is no value", head(p.t.body[p.at:]))
}

func (p *parser) array(depth int) error {
	open, self := p.at, len(p.t.nodes)
	if err := p.add(node{kind: Array, pos: uint32(open)}); err != nil {
		return err
	}
	p.at++
	count := uint32(0)
	for p.skip(); p.at < len(p.t.body) && (count > 0 || p.t.body[p.at] != ']'); p.skip() {
		if count > 0 {
			if p.t.body[p.at] == ']' {
				break
			}
			if p.t.body[p.at] != ',' {
				return p.errorf(p.at, "%q where a comma or ] belongs", head(p.t.body[p.at:]))
			}
			p.at++
			p.skip()
		}
		if err := p.value(depth + 1); err != nil {
			return err
		}
		count++
	}
	if p.at == len(p.t.body) {
		return p.errorf(open, "the list is not closed")
	}
	p.at++
	n := &p.t.nodes[self]
	n.size, n.next = count, uint32(len(p.t.nodes))
	return nil
}

func (p *parser) object(depth int) error {
	open, self := p.at, len(p.t.nodes)
	if err := p.add(node{kind: Object, pos: uint32(open)}); err != nil {
		return err
	}
	p.at++
	count := uint32(0)
	for p.skip(); p.at < len(p.t.body) && (count > 0 || p.t.body[p.at] != '}'); p.skip() {
		if count > 0 {
			if p.t.body[p.at] == '}' {
				break
			}
			if p.t.body[p.at] != ',' {
				return p.errorf(p.at, "%q where a comma or } belongs", head(p.t.body[p.at:]))
			}
			p.at++
			p.skip()
		}
		if err := p.pair(depth); err != nil {
			return err
		}
		count++
	}
	if p.at == len(p.t.body) {
		return p.errorf(open, "the object is not closed")
	}
	p.at++
	dropped := p.dedupe(self+1, count)
	n := &p.t.nodes[self]
	n.size, n.next = count-dropped, uint32(len(p.t.nodes))
	return nil
}

func (p *parser) pair(depth int) error {
	key := len(p.t.nodes)
	if p.at == len(p.t.body) || p.t.body[p.at] != '"' {
		return p.errorf(p.at, "%q where a key belongs", head(p.t.body[p.at:]))
	}
	if err := p.str(); err != nil {
		return err
	}
	if p.skip(); p.at == len(p.t.body) || p.t.body[p.at] != ':' {
		return p.errorf(p.at, "%q where a colon belongs", head(p.t.body[p.at:]))
	}
	p.at++
	p.skip()
	if err := p.value(depth + 1); err != nil {
		return err
	}
	p.t.nodes[key].next = uint32(len(p.t.nodes))
	return nil
}

// dedupe marks keys that come again later, and returns how many those are.
func (p *parser) dedupe(first int, count uint32) uint32 {
	t, dropped := p.t, uint32(0)
	if count <= 16 {
		var seen uint64 // which of 64 kinds of keys there are: mostly each key is the first of its kind
		for i, k := 0, uint32(first); i < int(count); i, k = i+1, t.nodes[k].next {
			word := t.word(&t.nodes[k])
			kind := uint(len(word)) * 5
			if word != "" {
				kind += uint(word[0]) + 7*uint(word[len(word)-1]) + 31*uint(word[len(word)/2])
			}
			if seen>>(kind&63)&1 == 0 {
				seen |= 1 << (kind & 63)
				continue
			}
			for j := uint32(first); j < k; j = t.nodes[j].next {
				if n := &t.nodes[j]; n.flag&dead == 0 && t.word(n) == word {
					n.flag |= dead
					dropped++
				}
			}
		}
		return dropped
	}
	if p.keys == nil {
		p.keys = make(map[string]uint32, count)
	}
	clear(p.keys)
	k := uint32(first)
	for range count {
		word := t.word(&t.nodes[k])
		if before, ok := p.keys[word]; ok {
			t.nodes[before].flag |= dead
			dropped++
		}
		p.keys[word] = k
		k = t.nodes[k].next
	}
	return dropped
}

func (p *parser) number() error {
	body, start := p.t.body, p.at
	i := start
	if body[i] == '-' {
		i++
		if strings.HasPrefix(body[i:], "Infinity") {
			p.at = i + len("Infinity")
			return p.add(node{kind: Number, pos: uint32(start), size: uint32(p.at - start)})
		}
	}
	whole := i
	i = digits(body, i)
	ok := i > whole && (body[whole] != '0' || i == whole+1)
	if i < len(body) && body[i] == '.' {
		end := digits(body, i+1)
		ok = ok && end > i+1
		i = end
	}
	if i < len(body) && (body[i] == 'e' || body[i] == 'E') {
		i++
		if i < len(body) && (body[i] == '+' || body[i] == '-') {
			i++
		}
		end := digits(body, i)
		ok = ok && end > i
		i = end
	}
	if !ok {
		return p.errorf(start, "%q is no number", head(body[start:]))
	}
	p.at = i
	return p.add(node{kind: Number, pos: uint32(start), size: uint32(i - start)})
}

func digits(s string, i int) int {
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return i
}

func (p *parser) str() error {
	body := p.t.body
	start := p.at + 1
	for i := plain(body, start); i < len(body); i++ {
		switch c := body[i]; {
		case c == '"':
			p.at = i + 1
			return p.add(node{kind: String, pos: uint32(start), size: uint32(i - start)})
		case c == '\\':
			return p.escaped(start, i)
		case c < ' ':
			return p.errorf(i, "a string with the control character %q", c)
		}
	}
	return p.errorf(start-1, "the string is not closed")
}

// plain skips what is neither a quote, a backslash nor a control character, eight bytes at a time, and stops within eight bytes before the first that is.
func plain(s string, i int) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(s); i += 8 {
		w := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 | uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
		quote, slash := w^(ones*'"'), w^(ones*'\\')
		if ((quote-ones)&^quote|(slash-ones)&^slash|(w-ones*' ')&^w)&tops != 0 {
			break
		}
	}
	return i
}

// escaped reads the rest of a string that is not as in the body.
func (p *parser) escaped(start, i int) error {
	body := p.t.body
	out := append(make([]byte, 0, i-start+32), body[start:i]...)
	for i < len(body) {
		c := body[i]
		switch {
		case c == '"':
			p.at = i + 1
			p.t.texts = append(p.t.texts, string(out))
			return p.add(node{kind: String, pos: uint32(len(p.t.texts) - 1), size: uint32(len(out)), flag: inTexts})
		case c < ' ':
			return p.errorf(i, "a string with the control character %q", c)
		case c != '\\':
			out = append(out, c)
			i++
			continue
		}
		if i++; i == len(body) {
			break
		}
		if body[i] == 'u' {
			r, n := runeAt(body, i-1)
			if n == 0 {
				return p.errorf(i-1, "%q is no character", head(body[i-1:]))
			}
			out = utf8.AppendRune(out, r)
			i += n - 1
			continue
		}
		at := strings.IndexByte(`"\/bfnrt`, body[i])
		if at < 0 {
			return p.errorf(i-1, "%q is no character", head(body[i-1:]))
		}
		out = append(out, "\"\\/\b\f\n\r\t"[at])
		i++
	}
	return p.errorf(start-1, "the string is not closed")
}

// runeAt reads \uXXXX, or two of those, and returns how many bytes they are; 0 when they are wrong.
func runeAt(s string, i int) (rune, int) {
	r := hex(s, i)
	if r < 0 {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if pair := utf16.DecodeRune(r, hex(s, i+6)); pair != utf8.RuneError {
		return pair, 12
	}
	return utf8.RuneError, 6
}

func hex(s string, i int) rune {
	if i+6 > len(s) || s[i] != '\\' || s[i+1] != 'u' {
		return -1
	}
	n, err := strconv.ParseUint(s[i+2:i+6], 16, 16)
	if err != nil {
		return -1
	}
	return rune(n)
}
