package jsonexporter

import (
	"errors"
	"fmt"

	"github.com/sidecar-kit/sidecar/roles/adapter/jq"
)

// mostSteps bounds what the paths of one body may walk over.
const mostSteps = 5_000_000

var errSteps = errors.New("the paths walk over too many values; ask for less, or split the document at its source")

// missing is a path that finds nothing, which a metric may allow.
type missing struct{ what string }

func (m missing) Error() string { return m.what }

// walk is the evaluation of the paths of one body.
type walk struct {
	left  int
	allow bool // a missing key finds nothing instead of being an error
}

func (w *walk) step() error {
	if w.left--; w.left < 0 {
		return errSteps
	}
	return nil
}

// find is what a path finds, from in.
func (w *walk) find(in []jq.Value, nodes []node) ([]jq.Value, error) {
	var err error
	for i := range nodes {
		if in, err = w.node(in, &nodes[i]); err != nil {
			return nil, err
		}
	}
	return in, nil
}

func (w *walk) node(in []jq.Value, n *node) ([]jq.Value, error) {
	if err := w.step(); err != nil {
		return nil, err
	}
	switch n.kind {
	case field:
		return w.field(in, n)
	case slice:
		return w.slice(in, n)
	case wildcard:
		var out []jq.Value
		for _, v := range in {
			if err := w.each(v, func(item jq.Value) error { out = append(out, item); return nil }); err != nil {
				return nil, err
			}
		}
		return out, nil
	case recursive:
		return w.recursive(in, nil)
	case union:
		var out []jq.Value
		for _, list := range n.lists {
			found, err := w.find(in, list)
			if err != nil {
				return nil, err
			}
			out = append(out, found...)
		}
		return out, nil
	case filter:
		return w.filter(in, n)
	}
	out := make([]jq.Value, len(in))
	for i := range out {
		out[i] = jq.Of(n.value)
	}
	return out, nil
}

func (w *walk) each(v jq.Value, fn func(jq.Value) error) error {
	var err error
	v.Each(func(_, item jq.Value) bool {
		if err = w.step(); err == nil {
			err = fn(item)
		}
		return err == nil
	})
	return err
}

func (w *walk) field(in []jq.Value, n *node) ([]jq.Value, error) {
	var out []jq.Value
	for _, v := range in {
		if err := w.step(); err != nil {
			return nil, err
		}
		if m, ok := v.Get(n.name); ok {
			out = append(out, m)
		}
	}
	if len(out) == 0 && len(in) > 0 && !w.allow {
		return nil, missing{n.name + " is not found"}
	}
	return out, nil
}

func (w *walk) slice(in []jq.Value, n *node) ([]jq.Value, error) {
	var out []jq.Value
	for _, v := range in {
		if v.Kind() == jq.Null {
			continue
		}
		from, to, err := n.bounds(v)
		if err != nil {
			return nil, err
		}
		if to-from == 1 {
			item, _ := v.At(from)
			out = append(out, item)
			continue
		}
		i := 0
		err = w.each(v, func(item jq.Value) error {
			if i >= from && i < to && (i-from)%n.step == 0 {
				out = append(out, item)
			}
			i++
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// bounds are the first item and the one after the last.
func (n *node) bounds(v jq.Value) (from, to int, err error) {
	if v.Kind() != jq.Array {
		return 0, 0, missing{"want a list, got " + v.Kind().String()}
	}
	size := v.Len()
	from, to = n.from, n.to
	if from < 0 {
		from += size
	}
	switch {
	case n.one:
		to = from + 1
	case n.has&hasTo == 0:
		to = size
	case to < 0:
		to += size
	}
	switch {
	case from == to:
		return from, to, nil
	case from < 0 || from >= size || to < 0 || to > size:
		return 0, 0, missing{fmt.Sprintf("the list has %d items, and no [%d]", size, n.from)}
	case from > to:
		return 0, 0, missing{fmt.Sprintf("the list begins at %d and ends at %d", from, to)}
	}
	return from, to, nil
}

// recursive is every value below, itself included, that has something in it.
func (w *walk) recursive(in, out []jq.Value) ([]jq.Value, error) {
	for _, v := range in {
		if err := w.step(); err != nil {
			return nil, err
		}
		if text, is := v.Str(); is && text != "" {
			out = append(out, v)
			continue
		}
		if v.Len() == 0 {
			continue
		}
		out = append(out, v)
		var items []jq.Value
		err := w.each(v, func(item jq.Value) error { items = append(items, item); return nil })
		if err == nil {
			out, err = w.recursive(items, out)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (w *walk) filter(in []jq.Value, n *node) ([]jq.Value, error) {
	var out []jq.Value
	for _, v := range in {
		if v.Kind() != jq.Array {
			return nil, missing{"only a list can be filtered, not " + v.Kind().String()}
		}
		err := w.each(v, func(item jq.Value) error {
			pass, err := w.passes(item, n)
			if pass {
				out = append(out, item)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (w *walk) passes(item jq.Value, n *node) (bool, error) {
	if n.simple {
		left, ok, err := w.single(item, n.left)
		if n.op == "" {
			return ok && err == nil, end(err)
		}
		return ok && err == nil && compare(left, n.against, n.op), err
	}
	left, err := w.find([]jq.Value{item}, n.left)
	if n.op == "" {
		return len(left) > 0, end(err)
	}
	if err != nil || len(left) == 0 {
		return false, err
	}
	right, err := w.find([]jq.Value{item}, n.right)
	if err != nil || len(right) == 0 {
		return false, err
	}
	if len(left) > 1 || len(right) > 1 {
		return false, missing{"a filter can only compare one value with another"}
	}
	return compare(left[0], right[0], n.op), nil
}

// end is err if it ends the work.
func end(err error) error {
	if errors.Is(err, errSteps) {
		return err
	}
	return nil
}

// compare holds values of one type beside each other; others never pass.
func compare(a, b jq.Value, op string) bool {
	var c int
	x, isText := a.Str()
	y, both := b.Str()
	switch {
	case isText && both:
		c = sign(x > y, x < y)
	case isText || both:
		return false
	default:
		f, _, isNumber := a.Number()
		g, _, both := b.Number()
		switch {
		case isNumber && both:
			c = sign(f > g, f < g)
		case isBool(a) && isBool(b) && (op == "==" || op == "!="):
			c = sign(a.Kind() != b.Kind(), false)
		default:
			return false
		}
	}
	switch op {
	case "==":
		return c == 0
	case "!=":
		return c != 0
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	}
	return c >= 0
}

func isBool(v jq.Value) bool { return v.Kind() == jq.True || v.Kind() == jq.False }

func sign(above, below bool) int {
	switch {
	case above:
		return 1
	case below:
		return -1
	}
	return 0
}

// single follows a plain path; a missing key is an error of its own, or nothing where that is allowed.
func (w *walk) single(v jq.Value, nodes []node) (jq.Value, bool, error) {
	for i := range nodes {
		if err := w.step(); err != nil {
			return jq.Value{}, false, err
		}
		n := &nodes[i]
		if n.kind == field {
			m, ok := v.Get(n.name)
			if !ok {
				if w.allow {
					return jq.Value{}, false, nil
				}
				return jq.Value{}, false, missing{n.name + " is not found"}
			}
			v = m
			continue
		}
		if v.Kind() == jq.Null {
			return jq.Value{}, false, nil
		}
		from, _, err := n.bounds(v)
		if err != nil {
			return jq.Value{}, false, err
		}
		v, _ = v.At(from)
	}
	return v, true, nil
}

// text is what a pattern prints: results of a path with spaces between. Text that is in quotes as a whole loses them.
func (w *walk) text(t *pattern, v jq.Value) (string, error) {
	if t.plain {
		found, ok, err := w.single(v, t.parts[0].nodes)
		if err != nil || !ok {
			return "", err
		}
		return bare(printed(found)), nil
	}
	if len(t.parts) == 1 && t.parts[0].nodes == nil {
		return bare(t.parts[0].text), nil
	}
	var b []byte
	for i := range t.parts {
		p := &t.parts[i]
		if p.nodes == nil {
			b = append(b, p.text...)
			continue
		}
		found, err := w.find([]jq.Value{v}, p.nodes)
		if err != nil {
			return "", err
		}
		for j, one := range found {
			if j > 0 {
				b = append(b, ' ')
			}
			b = append(b, printed(one)...)
		}
	}
	return bare(string(b)), nil
}

func bare(s string) string {
	if len(s) > 1 && (s[0] == '"' || s[0] == '\'') {
		if text, err := unquote(s); err == nil {
			return text
		}
	}
	return s
}

func printed(v jq.Value) string {
	switch v.Kind() {
	case jq.Null:
		return "null"
	case jq.Array, jq.Object:
		return string(jq.Of(v.Any()).AppendJSON(nil))
	}
	return v.Text()
}
