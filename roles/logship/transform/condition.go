package transform

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/logship/decode"
	"github.com/sidecar-kit/sidecar/roles/logship/decode/scan"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// node is a part of a condition.
type node interface{ holds(r *record.Record) bool }

type (
	and struct{ a, b node }
	or  struct{ a, b node }
	not struct{ a node }
	has struct{ key string }
	// levels compares the level of a record.
	levels struct {
		op    string
		level record.Level
	}
	// compare compares a field with a text, or with a number where op is an order.
	compare struct {
		key, op string
		texts   []string
		number  float64
		re      *regexp.Regexp
	}
)

func (n and) holds(r *record.Record) bool { return n.a.holds(r) && n.b.holds(r) }
func (n or) holds(r *record.Record) bool  { return n.a.holds(r) || n.b.holds(r) }
func (n not) holds(r *record.Record) bool { return !n.a.holds(r) }
func (n has) holds(r *record.Record) bool { _, ok := get(r, n.key); return ok }

func (n levels) holds(r *record.Record) bool {
	if r.Level == record.Unknown {
		return n.op == "!="
	}
	return ordered(n.op, int(r.Level)-int(n.level))
}

func ordered(op string, sign int) bool {
	switch op {
	case "<":
		return sign < 0
	case "<=":
		return sign <= 0
	case ">":
		return sign > 0
	case ">=":
		return sign >= 0
	case "==":
		return sign == 0
	default:
		return sign != 0
	}
}

func (n *compare) holds(r *record.Record) bool {
	b, ok := get(r, n.key)
	if !ok {
		return n.op == "!=" || n.op == "!~"
	}
	switch n.op {
	case "==", "in":
		return slices.ContainsFunc(n.texts, func(s string) bool { return string(b) == s })
	case "!=":
		return string(b) != n.texts[0]
	case "contains":
		return bytes.Contains(b, unsafe.Slice(unsafe.StringData(n.texts[0]), len(n.texts[0])))
	case "=~":
		return n.re.Match(b)
	case "!~":
		return !n.re.Match(b)
	}
	if len(b) > 64 {
		return false
	}
	x, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return false
	}
	switch {
	case x < n.number:
		return ordered(n.op, -1)
	case x > n.number:
		return ordered(n.op, 1)
	}
	return x == n.number && ordered(n.op, 0)
}

// get returns the text of a field of r: message, file, input, level, or any key, with dots into objects.
func get(r *record.Record, key string) ([]byte, bool) {
	switch key {
	case "message":
		return text(r.Message, r.Kind), r.Message != nil
	case "level", "log.level":
		return []byte(r.Level.String()), r.Level != record.Unknown
	case "file", "log.file.path":
		if r.File != nil {
			return []byte(r.File.Path), true
		}
	case "input":
		if r.File != nil {
			return []byte(r.File.Input), true
		}
	}
	for i := range r.Fields {
		f := &r.Fields[i]
		if f.Key == key {
			return text(f.Value, f.Kind), true
		}
		if n := len(f.Key); f.Kind == record.Nested && len(key) > n && key[n] == '.' && key[:n] == f.Key {
			if value, kind, ok := scan.Find(f.Value, key[n+1:]); ok {
				return text(value, kind), true
			}
		}
	}
	return nil, false
}

// text is what a value stands for.
func text(b []byte, kind record.Kind) []byte {
	if kind == record.Escaped && bytes.IndexByte(b, '\\') >= 0 {
		return scan.Unescape(nil, b)
	}
	return b
}

// parser reads conditions: level < info and (path =~ '^/health' or not has user).
type parser struct {
	tokens []string
	depth  int
}

func parseCondition(v draft.Value) (node, error) {
	var text string
	if err := v.Word(&text); err != nil {
		return nil, err
	}
	tokens, err := tokenize(text)
	if err != nil {
		return nil, v.Errorf("%q: %w", text, err)
	}
	p := &parser{tokens: tokens}
	n, err := p.or()
	if err == nil && len(p.tokens) > 0 {
		err = fmt.Errorf("%q is too much", p.tokens[0])
	}
	if err != nil {
		const hint = `write level < info, status >= 500, path =~ '^/health', message contains "x", has key; join them by and, or, not, ( )`
		return nil, v.Errorf("%q is no condition: %w\nhint: %s", text, err, hint)
	}
	return n, nil
}

// tokenize cuts a condition into words. Those in quotes keep a quote in front.
func tokenize(text string) ([]string, error) {
	var out []string
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n':
			i++
		case c == '\'' || c == '"':
			end := strings.IndexByte(text[i+1:], c)
			if end < 0 {
				return nil, fmt.Errorf("a quote is not closed")
			}
			out = append(out, "'"+text[i+1:i+1+end])
			i += end + 2
		case strings.IndexByte("()<>=!~&|,", c) >= 0:
			n := 1
			if i+1 < len(text) && slices.Contains([]string{"<=", ">=", "==", "!=", "=~", "!~", "&&", "||"}, text[i:i+2]) {
				n = 2
			}
			out = append(out, text[i:i+n])
			i += n
		default:
			end := i
			for end < len(text) && strings.IndexByte(" \t\n()<>=!~&|,'\"", text[end]) < 0 {
				end++
			}
			out = append(out, text[i:end])
			i = end
		}
	}
	return out, nil
}

func (p *parser) peek(words ...string) bool {
	return len(p.tokens) > 0 && slices.Contains(words, p.tokens[0])
}

func (p *parser) next() string {
	if len(p.tokens) == 0 {
		return ""
	}
	t := p.tokens[0]
	p.tokens = p.tokens[1:]
	return t
}

func (p *parser) or() (node, error) {
	a, err := p.and()
	for err == nil && p.peek("or", "||") {
		p.next()
		var b node
		b, err = p.and()
		a = or{a, b}
	}
	return a, err
}

func (p *parser) and() (node, error) {
	a, err := p.one()
	for err == nil && p.peek("and", "&&") {
		p.next()
		var b node
		b, err = p.one()
		a = and{a, b}
	}
	return a, err
}

func (p *parser) one() (node, error) {
	if p.depth++; p.depth > 200 {
		return nil, fmt.Errorf("it is too deep")
	}
	switch t := p.next(); t {
	case "":
		return nil, fmt.Errorf("it ends too early")
	case "not", "!":
		a, err := p.one()
		return not{a}, err
	case "(":
		a, err := p.or()
		if err == nil && p.next() != ")" {
			err = fmt.Errorf("a ) is missing")
		}
		return a, err
	case "has":
		key := strings.TrimPrefix(p.next(), "'")
		if key == "" {
			return nil, fmt.Errorf("has names no key")
		}
		return has{key}, nil
	default:
		return p.compare(strings.TrimPrefix(t, "'"))
	}
}

func (p *parser) compare(key string) (node, error) {
	op := p.next()
	if op == "=" {
		op = "=="
	}
	if !slices.Contains([]string{"==", "!=", "<", "<=", ">", ">=", "=~", "!~", "contains", "in"}, op) {
		return nil, fmt.Errorf("%q behind %s is no comparison: want ==, !=, <, <=, >, >=, =~, !~, contains or in", op, key)
	}
	n := &compare{key: key, op: op}
	if op == "in" {
		return n, p.list(n)
	}
	word := p.next()
	if word == "" || strings.ContainsAny(word[:1], "()<>=!~&|,") {
		return nil, fmt.Errorf("a value is missing behind %s %s", key, op)
	}
	value := strings.TrimPrefix(word, "'")
	n.texts = []string{value}
	var err error
	switch op {
	case "=~", "!~":
		n.re, err = regexp.Compile(value)
	case "<", "<=", ">", ">=", "==", "!=":
		if key == "level" || key == "log.level" {
			l, ok := decode.Named(value)
			if !ok {
				return nil, fmt.Errorf("%q is no level: want trace, debug, info, notice, warn, error, critical, alert or emergency", value)
			}
			return levels{op, l}, nil
		}
		if op != "==" && op != "!=" {
			if n.number, err = strconv.ParseFloat(value, 64); err != nil {
				err = fmt.Errorf("%q is no number", value)
			}
		}
	}
	return n, err
}

func (p *parser) list(n *compare) error {
	if p.next() != "(" {
		return fmt.Errorf("in wants a list: %s in (a, b)", n.key)
	}
	for {
		word := p.next()
		if word == "" || strings.ContainsAny(word[:1], "()<>=!~&|,") {
			return fmt.Errorf("a value is missing in the list of %s", n.key)
		}
		n.texts = append(n.texts, strings.TrimPrefix(word, "'"))
		switch p.next() {
		case ")":
			return nil
		case ",":
		default:
			return fmt.Errorf("the list of %s is not closed", n.key)
		}
	}
}
