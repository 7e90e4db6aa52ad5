package jsonexporter

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sidecar-kit/sidecar/roles/adapter/jq"
)

// pattern is text with JSONPath between braces, as kubectl has it: "planet-{.location}".
type pattern struct {
	parts []part
	plain bool // one part, whose path is fields and single items only
}

// part is text, or what a path finds.
type part struct {
	text  string
	nodes []node // nil: text
}

type kind uint8

const (
	field     kind = iota // .name
	slice                 // [0], [-1], [1:3], [*]
	wildcard              // .*
	recursive             // ..
	union                 // [0,2]
	filter                // [?(@.a == "x")]
	literal               // a number, true, false or text, within filters
)

type node struct {
	kind  kind
	name  string // of a field
	from  int
	to    int
	step  int
	has   uint8 // bits: from, to, step are given
	one   bool  // a single item: to follows from
	lists [][]node
	op    string // of a filter; "" asks whether there is something
	left  []node
	right []node
	value any // of a literal: string, float64 or bool

	simple  bool // a filter whose left is plain, and whose right is a literal or absent
	against jq.Value
}

const (
	hasFrom uint8 = 1 << iota
	hasTo
	hasStep
)

// parser reads a pattern. It follows k8s.io/client-go/util/jsonpath, whose words json_exporter's users know, but for range and end, which give text that no metric has.
type parser struct {
	in    string
	at    int
	depth int
}

// parsePattern reads a pattern.
func parsePattern(text string) (*pattern, error) {
	p := &parser{in: text}
	t := &pattern{}
	for p.at < len(p.in) {
		open := strings.IndexByte(p.in[p.at:], '{')
		if open < 0 {
			t.parts = append(t.parts, part{text: p.in[p.at:]})
			break
		}
		if open > 0 {
			t.parts = append(t.parts, part{text: p.in[p.at : p.at+open]})
		}
		p.at += open + 1
		nodes, err := p.action()
		if err != nil {
			return nil, fmt.Errorf("path %q: %w", text, err)
		}
		t.parts = append(t.parts, part{nodes: nodes})
	}
	t.plain = len(t.parts) == 1 && t.parts[0].nodes != nil && isPlain(t.parts[0].nodes)
	return t, nil
}

// action reads up to the closing brace.
func (p *parser) action() ([]node, error) {
	nodes := []node{}
	for {
		rest := p.in[p.at:]
		if rest == "" || rest[0] == '\n' || rest[0] == '\r' {
			return nil, errors.New("a { is not closed")
		}
		var err error
		c, size := utf8.DecodeRuneInString(rest)
		switch {
		case c == '}':
			p.at++
			return nodes, nil
		case c == ' ' || c == '@' || c == '$':
			p.at++
		case strings.HasPrefix(rest, "[?("):
			nodes, err = p.filter(nodes)
		case c == '[':
			nodes, err = p.brackets(nodes)
		case strings.HasPrefix(rest, ".."):
			nodes, err = p.recursive(nodes)
		case c == '.':
			p.at++
			nodes = p.field(nodes)
		case c == '"' || c == '\'':
			nodes, err = p.quoted(nodes, byte(c))
		case c == '+' || c == '-' || unicode.IsDigit(c):
			nodes, err = p.number(nodes)
		case c == '_' || unicode.IsLetter(c):
			nodes, err = p.word(nodes)
		default:
			err = fmt.Errorf("%q is not understood", rest[:size])
		}
		if err != nil {
			return nil, err
		}
	}
}

func ends(c byte) bool { return strings.IndexByte(" \t\r\n.,[]$@{}", c) >= 0 }

func (p *parser) field(nodes []node) []node {
	var b strings.Builder
	for ; p.at < len(p.in) && !ends(p.in[p.at]); p.at++ {
		if p.in[p.at] == '\\' && p.at+1 < len(p.in) {
			p.at++
		}
		b.WriteByte(p.in[p.at])
	}
	switch name := b.String(); name {
	case "": // {.} and {.[0]}: the value itself
		return nodes
	case "*":
		return append(nodes, node{kind: wildcard})
	default:
		return append(nodes, node{kind: field, name: name})
	}
}

func (p *parser) recursive(nodes []node) ([]node, error) {
	if n := len(nodes); n > 0 && nodes[n-1].kind == recursive {
		return nil, errors.New("two .. follow each other")
	}
	p.at += 2
	nodes = append(nodes, node{kind: recursive})
	if c, _ := utf8.DecodeRuneInString(p.in[p.at:]); c == '_' || unicode.IsLetter(c) || unicode.IsDigit(c) {
		nodes = p.field(nodes)
	}
	return nodes, nil
}

func (p *parser) word(nodes []node) ([]node, error) {
	start := p.at
	for p.at < len(p.in) && !ends(p.in[p.at]) {
		p.at++
	}
	switch word := p.in[start:p.at]; word {
	case "true", "false":
		return append(nodes, node{kind: literal, value: word == "true"}), nil
	case "range", "end":
		return nil, fmt.Errorf("%s is not available: use type: object, whose path gives the items", word)
	default:
		return nil, fmt.Errorf("%q is not understood; a field begins with a dot", word)
	}
}

func (p *parser) number(nodes []node) ([]node, error) {
	start := p.at
	for p.at++; p.at < len(p.in) && (p.in[p.at] == '.' || p.in[p.at] >= '0' && p.in[p.at] <= '9'); p.at++ {
	}
	f, err := strconv.ParseFloat(p.in[start:p.at], 64)
	if err != nil {
		return nil, fmt.Errorf("%q is no number", p.in[start:p.at])
	}
	return append(nodes, node{kind: literal, value: f}), nil
}

func (p *parser) quoted(nodes []node, quote byte) ([]node, error) {
	start := p.at
	for p.at++; p.at < len(p.in) && p.in[p.at] != '\n'; p.at++ {
		if p.in[p.at] == quote && p.in[p.at-1] != '\\' {
			p.at++
			text, err := unquote(p.in[start:p.at])
			if err != nil {
				return nil, fmt.Errorf("%s is no text: %w", p.in[start:p.at], err)
			}
			return append(nodes, node{kind: literal, value: text}), nil
		}
	}
	return nil, errors.New("a quote is not closed")
}

// unquote reads text in either quotes.
func unquote(s string) (string, error) {
	if len(s) < 2 || s[0] != s[len(s)-1] || s[0] != '"' && s[0] != '\'' {
		return "", strconv.ErrSyntax
	}
	quote := s[0]
	s = s[1 : len(s)-1]
	if strings.IndexByte(s, '\\') < 0 && strings.IndexByte(s, quote) < 0 {
		return s, nil
	}
	var b strings.Builder
	for s != "" {
		c, _, rest, err := strconv.UnquoteChar(s, quote)
		if err != nil {
			return "", err
		}
		b.WriteRune(c)
		s = rest
	}
	return b.String(), nil
}

// mostDepth bounds filters within filters.
const mostDepth = 20

// inner reads a path that stands within another.
func (p *parser) inner(text string) ([]node, error) {
	if p.depth >= mostDepth {
		return nil, errors.New("too many brackets within each other")
	}
	q := &parser{in: text + "}", depth: p.depth + 1}
	nodes, err := q.action()
	if err == nil && q.at != len(q.in) {
		err = fmt.Errorf("%q is not understood", text)
	}
	return nodes, err
}

// key is the name in ['name'].
func key(s string) (string, bool) {
	if n := len(s); n >= 2 && (s[0] == '\'' || s[0] == '"') && s[n-1] == s[0] && strings.IndexByte(s[1:n-1], s[0]) < 0 {
		return s[1 : n-1], true
	}
	return "", false
}

// comparison cuts a filter at its operator; op is "" when it has none.
func comparison(s string) (left, op, right string) {
	i := strings.IndexAny(s, "!<>=")
	if i < 1 {
		return s, "", ""
	}
	rest := strings.TrimLeft(s[i:], "!<>=")
	if rest == "" {
		return s, "", ""
	}
	return s[:i], s[i : len(s)-len(rest)], rest
}

func (p *parser) brackets(nodes []node) ([]node, error) {
	end := strings.IndexByte(p.in[p.at:], ']')
	if end < 0 || strings.IndexByte(p.in[p.at:p.at+end], '\n') >= 0 {
		return nil, errors.New("a [ is not closed")
	}
	text := p.in[p.at+1 : p.at+end]
	p.at += end + 1
	if list := strings.Split(text, ","); len(list) > 1 {
		n := node{kind: union}
		for _, one := range list {
			inner, err := p.inner("[" + strings.Trim(one, " ") + "]")
			if err != nil {
				return nil, err
			}
			n.lists = append(n.lists, inner)
		}
		return append(nodes, n), nil
	}
	if name, is := key(text); is {
		inner, err := p.inner("." + name)
		return append(nodes, inner...), err
	}
	if text == "*" {
		text = ":"
	}
	return p.slice(nodes, strings.Split(text, ":"))
}

func (p *parser) slice(nodes []node, parts []string) ([]node, error) {
	n := node{kind: slice, step: 1, one: len(parts) == 1}
	if len(parts) > 3 {
		return nil, fmt.Errorf("[%s] is no index", strings.Join(parts, ":"))
	}
	for i, dst := range []*int{&n.from, &n.to, &n.step}[:len(parts)] {
		text := parts[i]
		if text == "" {
			continue
		}
		v, err := strconv.Atoi(text)
		if err != nil || text[0] == '+' {
			return nil, fmt.Errorf("[%s] is no index", strings.Join(parts, ":"))
		}
		*dst = v
		n.has |= 1 << i
	}
	if n.one && n.has&hasFrom == 0 {
		return nil, errors.New("[] is no index; [*] is all")
	}
	if n.has&hasStep != 0 && n.step <= 0 {
		return nil, errors.New("a step must be above 0")
	}
	return append(nodes, n), nil
}

func (p *parser) filter(nodes []node) ([]node, error) {
	start := p.at + len("[?(")
	end, quote := start, byte(0)
	for ; end < len(p.in) && p.in[end] != '\n'; end++ {
		c := p.in[end]
		if quote != 0 {
			if c == quote && p.in[end-1] != '\\' {
				quote = 0
			}
			continue
		}
		if c == '"' || c == '\'' {
			quote = c
		}
		if c == ')' {
			break
		}
	}
	if !strings.HasPrefix(p.in[min(end, len(p.in)):], ")]") {
		return nil, errors.New("a filter [?( is not closed by )]")
	}
	text := p.in[start:end]
	p.at = end + 2
	n := node{kind: filter}
	var err error
	left, op, right := comparison(text)
	n.op = op
	switch op {
	case "":
		n.left, err = p.inner(text)
		n.simple = isPlain(n.left)
		return append(nodes, n), err
	case "<", ">", "==", "!=", "<=", ">=":
	default:
		return nil, fmt.Errorf("%q is no comparison; there are ==, !=, <, <=, >, >=", n.op)
	}
	if n.left, err = p.inner(left); err != nil {
		return nil, err
	}
	n.right, err = p.inner(right)
	if isPlain(n.left) && len(n.right) == 1 && n.right[0].kind == literal {
		n.simple, n.against = true, jq.Of(n.right[0].value)
	}
	return append(nodes, n), err
}

// isPlain is whether a path has one result at most.
func isPlain(nodes []node) bool {
	for i := range nodes {
		if n := &nodes[i]; n.kind != field && !(n.kind == slice && n.one) {
			return false
		}
	}
	return true
}
