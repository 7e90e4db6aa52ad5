package jq

import (
	"slices"
	"unicode/utf8"

	"github.com/itchyny/gojq"
)

// mismatch is a path that does not fit the value it meets.
type mismatch struct {
	want string
	got  Kind
}

func (m *mismatch) Error() string { return m.want + ", got " + m.got.String() }

// take does a step that has one result. ok is false when there is none, which only a silenced step has.
func (s *step) take(v Value) (Value, bool, error) {
	switch s.op {
	case opKey:
		if m, ok := v.Get(s.key); ok {
			return m, true, nil
		}
		if k := v.Kind(); k != Object && k != Null {
			return Value{}, false, s.complain("want an object that has ."+s.key, k)
		}
		return Value{}, true, nil
	case opIndex:
		item, _ := v.At(s.index)
		if text, is := v.Str(); is {
			return character(text, s.index), true, nil
		}
		if k := v.Kind(); k != Array && k != Null {
			return Value{}, false, s.complain("want a list", k)
		}
		return item, true, nil
	case opSelect:
		held, ok, err := single(v, s.inner)
		return v, ok && held.Truthy(), err
	case opConst:
		return Value{v: s.value}, true, nil
	case opCompute:
		return s.compute(v)
	case opOr:
		if found, ok, err := single(v, s.inner); err != nil || ok && found.Truthy() {
			return found, err == nil, err
		}
		return Value{v: s.value}, true, nil
	case opTest:
		text, is := v.Str()
		if !is {
			return Value{}, false, s.complain(s.key+": want a text", v.Kind())
		}
		return Value{v: s.test(text)}, true, nil
	case opSlice:
		return s.slice(v)
	case opIn:
		is := func(c any) bool { return gojq.Compare(v.Any(), c) == 0 }
		return Value{v: slices.ContainsFunc(s.list, is)}, true, nil
	case opIf:
		held, ok, err := single(v, s.inner)
		if held.Truthy() {
			return Value{v: s.list[0]}, ok, err
		}
		return Value{v: s.list[1]}, ok, err
	}
	return Value{v: s.compare(v)}, true, nil
}

// slice is a part of a text, counted in characters, or of a list.
func (s *step) slice(v Value) (Value, bool, error) {
	between := func(n int) (from, to int) {
		clamp := func(i *int, least, otherwise int) int {
			switch {
			case i == nil:
				return otherwise
			case *i < 0:
				return min(max(*i+n, least), n)
			}
			return min(max(*i, least), n)
		}
		from = clamp(s.from, 0, 0)
		return from, clamp(s.to, from, n)
	}
	switch v.Kind() {
	case Null:
		return Value{}, true, nil
	case String:
		text, _ := v.Str()
		if ascii(text) {
			from, to := between(len(text))
			return Value{v: text[from:to]}, true, nil
		}
		list := []rune(text)
		from, to := between(len(list))
		return Value{v: string(list[from:to])}, true, nil
	case Array:
		list, _ := v.Any().([]any)
		from, to := between(len(list))
		return Value{v: list[from:to]}, true, nil
	}
	return Value{}, false, s.complain("want a list or a text", v.Kind())
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func (s *step) complain(want string, got Kind) error {
	if s.quiet {
		return nil
	}
	return &mismatch{want, got}
}

func (s *step) compare(v Value) bool {
	c := gojq.Compare(v.Any(), s.value)
	switch s.cmp {
	case gojq.OpEq:
		return c == 0
	case gojq.OpNe:
		return c != 0
	case gojq.OpLt:
		return c < 0
	case gojq.OpLe:
		return c <= 0
	case gojq.OpGt:
		return c > 0
	}
	return c >= 0
}

// compute does what gojq does with a number and a constant: whole numbers stay whole where the result is.
func (s *step) compute(v Value) (Value, bool, error) {
	if v.Kind() == Null && s.cmp == gojq.OpAdd {
		return Value{v: s.value}, true, nil
	}
	if k := v.Kind(); k != Number {
		return Value{}, false, s.complain("want a number", k)
	}
	x := v.Any()
	if a, whole := x.(int); whole && a < 1<<31 && a > -1<<31 {
		if b, whole := s.value.(int); whole && b < 1<<31 && b > -1<<31 {
			switch {
			case s.cmp == gojq.OpAdd:
				return Value{v: a + b}, true, nil
			case s.cmp == gojq.OpSub:
				return Value{v: a - b}, true, nil
			case s.cmp == gojq.OpMul:
				return Value{v: a * b}, true, nil
			case a%b == 0:
				return Value{v: a / b}, true, nil
			}
		}
	}
	a, _ := gojq.ToFloat64(x)
	b, _ := gojq.ToFloat64(s.value)
	switch s.cmp {
	case gojq.OpAdd:
		a += b
	case gojq.OpSub:
		a -= b
	case gojq.OpMul:
		a *= b
	default:
		a /= b
	}
	return Value{v: a}, true, nil
}

// single walks a path that has one result at most.
func single(v Value, steps []step) (Value, bool, error) {
	for i := range steps {
		var ok bool
		var err error
		if v, ok, err = steps[i].take(v); !ok || err != nil {
			return Value{}, false, err
		}
	}
	return v, true, nil
}

type walk struct {
	run *Run
	fn  func(Item) error
}

// steps walks on from v. parent is the nearest object that was left behind, key what the last .[] came to.
func (w *walk) steps(v Value, steps []step, parent, key Value) error {
	for i := range steps {
		s := &steps[i]
		if s.op == opEach || s.op == opEntries {
			return w.each(v, s, steps[i+1:], parent, key)
		}
		if s.op <= opIndex && v.Kind() == Object && !v.entry {
			parent = v
		}
		next, ok, err := s.take(v)
		if !ok || err != nil {
			return err
		}
		v = next
	}
	w.run.charge(v.t)
	if !w.run.step() {
		return w.run.err
	}
	if err := w.run.result(); err != nil {
		return err
	}
	return w.fn(Item{Value: v, Parent: parent, Key: key})
}

func (w *walk) each(v Value, s *step, rest []step, parent, _ Value) error {
	switch k := v.Kind(); {
	case k < Array:
		return s.complain("want a list or an object", k)
	case k == Object && !v.entry:
		parent = v
	}
	var err error
	v.Each(func(key, item Value) bool {
		if !w.run.step() {
			err = w.run.err
			return false
		}
		if s.op == opEntries {
			item = entry(key, item)
		}
		err = w.steps(item, rest, parent, key)
		return err == nil
	})
	return err
}

// entry is what to_entries makes of a member. Of a document it stays where it is.
func entry(key, item Value) Value {
	if key.t != nil {
		return Value{t: key.t, i: key.i, entry: true}
	}
	return Value{v: map[string]any{"key": key.Any(), "value": item.Any()}}
}

// character is the i-th of a text, from the end when i is negative; null when there is none.
func character(text string, i int) Value {
	list := []rune(text)
	if i < 0 {
		i += len(list)
	}
	if i < 0 || i >= len(list) {
		return Value{}
	}
	return Value{v: string(list[i])}
}
