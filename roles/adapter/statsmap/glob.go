package statsmap

import (
	"strconv"
	"strings"
)

// state is where a metric's name has got to, field by field.
type state struct {
	next     map[string]*state
	star     *state
	rule     *Rule // of the names that end here
	min, max int   // fields that may follow
}

func (m *Mapping) addGlob(rule *Rule) {
	m.globs = true
	fields := strings.Split(rule.Match, ".")
	for t := range m.roots {
		if rule.typed && rule.only != Type(t) { //nolint:gosec // three
			continue
		}
		if m.roots[t] == nil {
			m.roots[t] = &state{}
		}
		at := m.roots[t]
		for i, field := range fields {
			at = at.step(field, len(fields)-i-1)
		}
		if at.rule == nil {
			at.rule = rule
		}
	}
}

func (s *state) step(field string, left int) *state {
	to := s.star
	if field != "*" {
		to = s.next[field]
	}
	if to == nil {
		to = &state{min: left, max: left}
		if field == "*" {
			s.star = to
		} else {
			if s.next == nil {
				s.next = map[string]*state{}
			}
			s.next[field] = to
		}
	}
	to.min, to.max = min(to.min, left), max(to.max, left)
	return to
}

// walk looks for the rule of a name. It goes back to the last * that it passed by as often as it must, but never twice to the same place: stars
// are tried last, so what was found with fewer of them is more special.
type walk struct {
	captures []string // of the path that is tried
	best     []string // of best
	rule     *Rule
	first    bool // the first that is found is the one; otherwise the one that is written first
}

// try goes on from s with what is left of a name. It reports whether the search is over.
func (w *walk) try(s *state, name string) bool {
	field, rest, more := strings.Cut(name, ".")
	left := 0
	if more {
		left = strings.Count(rest, ".") + 1
	}
	if to := s.next[field]; to != nil && left >= to.min && left <= to.max && w.enter(to, rest, more) {
		return true
	}
	if to := s.star; to != nil && left >= to.min && left <= to.max {
		w.captures = append(w.captures, field)
		if w.enter(to, rest, more) {
			return true
		}
		w.captures = w.captures[:len(w.captures)-1]
	}
	return false
}

func (w *walk) enter(to *state, rest string, more bool) bool {
	if more {
		return w.try(to, rest)
	}
	if to.rule != nil && (w.rule == nil || to.rule.index < w.rule.index) {
		w.rule, w.best = to.rule, append(w.best[:0], w.captures...)
	}
	return w.first && w.rule != nil
}

func (m *Mapping) glob(name string, t Type) (Result, bool) {
	root := m.roots[t]
	if root == nil {
		return Result{}, false
	}
	w := walk{first: m.unordered}
	w.try(root, name)
	if w.rule == nil {
		return Result{}, false
	}
	return w.rule.result(func(text template) string { return text.expand(w.best) }), true
}

// template is text with $1 or ${1} for what the first star matched. Pieces and numbers take turns; the last piece has no number.
type template struct {
	text    string
	pieces  []string
	numbers []int // from 1; 0 is one that no star has, and stands for nothing
}

// newTemplate reads as statsd_exporter does: all letters, digits, underscores and dollars that follow belong to the reference, and one that is no number is nothing.
func newTemplate(text string, captures int) template {
	t := template{text: text}
	from := 0
	for i := 0; i < len(text); {
		end, reference := readReference(text, i)
		if end == 0 {
			i++
			continue
		}
		n, err := strconv.Atoi(reference)
		if err != nil || n < 1 || n > captures {
			n = 0
		}
		t.pieces, t.numbers = append(t.pieces, text[from:i]), append(t.numbers, n)
		i, from = end, end
	}
	t.pieces = append(t.pieces, text[from:])
	return t
}

// readReference reads ${NAME} or $NAME at i, and returns where it ends; 0 if there is none.
func readReference(text string, i int) (end int, name string) {
	if text[i] != '$' {
		return 0, ""
	}
	from := i + 1
	if from < len(text) && text[from] == '{' {
		from++
	}
	end = from
	for end < len(text) && (text[end] == '$' || text[end] == '_' || letter(text[end])) {
		end++
	}
	if end == from {
		return 0, ""
	}
	name = text[from:end]
	if end < len(text) && text[end] == '}' {
		end++
	}
	return end, name
}

func letter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func (t template) expand(captures []string) string {
	if len(t.numbers) == 0 {
		return t.text
	}
	var b strings.Builder
	for i, n := range t.numbers {
		b.WriteString(t.pieces[i])
		if n > 0 {
			b.WriteString(captures[n-1])
		}
	}
	b.WriteString(t.pieces[len(t.pieces)-1])
	return b.String()
}
