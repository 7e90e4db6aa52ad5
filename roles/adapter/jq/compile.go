package jq

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/itchyny/gojq"
)

// Query is a compiled question. It may be used by several goroutines at once.
type Query struct {
	text string
	vars []string // what the query may name, with $
	used []bool   // which of vars it names

	steps []step     // of a simple path; nil runs in gojq
	from  int        // what the path begins at: -1 the input, else a variable
	code  *gojq.Code // when steps is nil
	plain bool       // at most one result: no step makes several
}

type op uint8

const (
	opKey     op = iota // .key
	opIndex             // .[n]
	opEach              // .[]
	opEntries           // to_entries[]
	opSelect            // select(.a == 1)
	opConst             // a constant in place of the value
	opCompare           // < 10
	opCompute           // * 1000
	opOr                // .a.b // 0: the steps before, as inner, or a constant
	opTest              // startswith("a"), test("^a")
	opSlice             // .[2:5]
	opIn                // IN("a", "b")
	opIf                // if .a == 1 then 1 else 0 end, of constants
)

type step struct {
	op    op
	quiet bool // with ?
	key   string
	index int
	cmp   gojq.Operator
	value any
	inner []step // of opSelect, opOr and opIf: a path with one result at most

	test     func(string) bool // of opTest
	from, to *int              // of opSlice; nil is where the text begins or ends
	list     []any             // of opIn, and what opIf chooses from: what it gives when the condition holds, and when not
}

// String is the query as it was written.
func (q *Query) String() string { return q.text }

// Simple is whether the query is walked, without gojq.
func (q *Query) Simple() bool { return q.steps != nil }

// Compile reads a query. vars are the variables that it may name, such as "$root", in the order in which Run.Each gets them.
func Compile(text string, vars ...string) (*Query, error) {
	ast, err := gojq.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("query %q: %w", text, syntax(text, err))
	}
	q := &Query{text: text, vars: vars, used: make([]bool, len(vars)), from: -1}
	v := visitor{of: q}
	if v.one(ast); v.err != nil {
		return nil, fmt.Errorf("query %q: %w", text, v.err)
	}
	if q.compileSimple(ast) {
		return q, nil
	}
	if q.code, err = gojq.Compile(ast, gojq.WithVariables(vars)); err != nil {
		return nil, fmt.Errorf("query %q: %w", text, err)
	}
	return q, nil
}

// Uses is whether the query names a variable of those given to Compile.
func (q *Query) Uses(name string) bool {
	i := slices.Index(q.vars, name)
	return i >= 0 && q.used[i]
}

func syntax(text string, err error) error {
	var at *gojq.ParseError
	if errors.As(err, &at) {
		if at.Token == "" {
			return errors.New("it ends too early")
		}
		return fmt.Errorf("%q is not understood at character %d", at.Token, min(at.Offset, len(text)))
	}
	return err
}

func (q *Query) compileSimple(ast *gojq.Query) bool {
	steps, ok := q.path(ast, make([]step, 0, 4))
	if !ok {
		q.steps, q.from = nil, -1
		return false
	}
	q.steps, q.plain = steps, atMostOne(steps)
	return true
}

// path adds the steps of a query, if it is one of those that can be walked.
func (q *Query) path(ast *gojq.Query, steps []step) ([]step, bool) {
	if len(ast.FuncDefs) > 0 || len(ast.Imports) > 0 || ast.Meta != nil || len(ast.Patterns) > 0 {
		return nil, false
	}
	if ast.Term != nil {
		return q.term(ast.Term, steps)
	}
	switch ast.Op {
	case gojq.OpPipe:
		left, ok := q.path(ast.Left, steps)
		if !ok {
			return nil, false
		}
		return q.path(ast.Right, left)
	case gojq.OpEq, gojq.OpNe, gojq.OpLt, gojq.OpLe, gojq.OpGt, gojq.OpGe:
		c, ok := constant(ast.Right)
		if !ok {
			return nil, false
		}
		left, ok := q.path(ast.Left, steps)
		return append(left, step{op: opCompare, cmp: ast.Op, value: c}), ok
	case gojq.OpAdd, gojq.OpSub, gojq.OpMul, gojq.OpDiv:
		c, ok := constant(ast.Right)
		if f, number := gojq.ToFloat64(c); !ok || !number || ast.Op == gojq.OpDiv && f == 0 {
			return nil, false
		}
		left, ok := q.path(ast.Left, steps)
		return append(left, step{op: opCompute, cmp: ast.Op, value: c}), ok
	case gojq.OpAlt:
		c, ok := constant(ast.Right)
		if !ok {
			return nil, false
		}
		from := q.from
		inner, ok := q.path(ast.Left, nil)
		if !ok || !atMostOne(inner) || q.from != from && len(steps) > 0 {
			return nil, false
		}
		return append(steps, step{op: opOr, inner: inner, value: c}), true
	}
	return nil, false
}

// atMostOne is whether a path has one result at most.
func atMostOne(steps []step) bool {
	for i := range steps {
		if steps[i].op == opEach || steps[i].op == opEntries {
			return false
		}
	}
	return true
}

func (q *Query) term(t *gojq.Term, steps []step) ([]step, bool) {
	ok, before := true, len(steps)
	switch t.Type {
	case gojq.TermTypeIdentity:
	case gojq.TermTypeIndex:
		steps, ok = index(t.Index, steps)
	case gojq.TermTypeQuery:
		// A ? behind brackets silences all that is within.
		if len(t.SuffixList) > 0 && t.SuffixList[0].Optional {
			return nil, false
		}
		steps, ok = q.path(t.Query, steps)
	case gojq.TermTypeFunc:
		steps, ok = q.function(t, steps)
	case gojq.TermTypeIf:
		steps, ok = q.choice(t.If, steps)
	default:
		var c any
		if c, ok = constant(&gojq.Query{Term: &gojq.Term{Type: t.Type, Number: t.Number, Str: t.Str, Unary: t.Unary}}); ok {
			steps = append(steps, step{op: opConst, value: c})
		}
	}
	for i := 0; ok && i < len(t.SuffixList); i++ {
		switch s := t.SuffixList[i]; {
		case s.Iter && i == 0 && t.Type == gojq.TermTypeFunc && t.Func.Name == "to_entries": // is in the step already
		case s.Iter:
			steps = append(steps, step{op: opEach})
		case s.Index != nil:
			steps, ok = index(s.Index, steps)
		default: // a second ? is about all that is before
			if len(steps) == before || steps[len(steps)-1].op >= opSelect && steps[len(steps)-1].op != opSlice || i > 0 && t.SuffixList[i-1].Optional {
				return nil, false
			}
			steps[len(steps)-1].quiet = true
		}
	}
	return steps, ok
}

func index(x *gojq.Index, steps []step) ([]step, bool) {
	switch {
	case x.IsSlice:
		return slice(x, steps)
	case x.Name != "":
		return append(steps, step{op: opKey, key: x.Name}), true
	case x.Str != nil:
		return append(steps, step{op: opKey, key: x.Str.Str}), len(x.Str.Queries) == 0
	}
	switch c, ok := constant(x.Start); k := c.(type) {
	case string:
		return append(steps, step{op: opKey, key: k}), ok
	case int:
		return append(steps, step{op: opIndex, index: k}), ok
	}
	return nil, false
}

func (q *Query) function(t *gojq.Term, steps []step) ([]step, bool) {
	if t.Func.Name == "to_entries" && len(t.Func.Args) == 0 && len(t.SuffixList) > 0 && t.SuffixList[0].Iter {
		return append(steps, step{op: opEntries}), true
	}
	if len(t.Func.Args) == 1 {
		switch arg := t.Func.Args[0]; t.Func.Name {
		case "select":
			inner, ok := q.condition(arg)
			return append(steps, step{op: opSelect, inner: inner}), ok
		case "startswith", "endswith", "test":
			test, ok := textTest(t.Func.Name, arg)
			return append(steps, step{op: opTest, key: t.Func.Name, test: test}), ok
		case "IN":
			list, ok := constants(arg, nil)
			return append(steps, step{op: opIn, list: list}), ok
		}
	}
	if i := slices.Index(q.vars, t.Func.Name); i >= 0 && len(steps) == 0 {
		q.from = i
		return steps, true
	}
	return nil, false
}

// condition is a path from the value at hand with one result at most.
func (q *Query) condition(ast *gojq.Query) ([]step, bool) {
	from := q.from
	q.from = -1
	inner, ok := q.path(ast, nil)
	if q.from >= 0 { // of a variable
		ok = false
	}
	q.from = from
	return inner, ok && atMostOne(inner)
}

// choice is if CONDITION then CONSTANT else CONSTANT end.
func (q *Query) choice(x *gojq.If, steps []step) ([]step, bool) {
	yes, ok := constant(x.Then)
	no, also := constant(x.Else)
	if !ok || !also || len(x.Elif) > 0 {
		return nil, false
	}
	inner, ok := q.condition(x.Cond)
	return append(steps, step{op: opIf, inner: inner, list: []any{yes, no}}), ok
}

func slice(x *gojq.Index, steps []step) ([]step, bool) {
	s := step{op: opSlice}
	for _, end := range []struct {
		ast *gojq.Query
		to  **int
	}{{x.Start, &s.from}, {x.End, &s.to}} {
		if end.ast == nil {
			continue
		}
		c, _ := constant(end.ast)
		n, ok := c.(int)
		if !ok {
			return nil, false
		}
		*end.to = &n
	}
	return append(steps, s), true
}

// textTest is one of the tests of a text, with a constant.
func textTest(name string, arg *gojq.Query) (func(string) bool, bool) {
	c, _ := constant(arg)
	part, ok := c.(string)
	switch {
	case !ok:
		return nil, false
	case name == "startswith":
		return func(s string) bool { return strings.HasPrefix(s, part) }, true
	case name == "endswith":
		return func(s string) bool { return strings.HasSuffix(s, part) }, true
	}
	re, err := regexp.Compile(part)
	if err != nil {
		return nil, false
	}
	return re.MatchString, true
}

// constants are those between commas.
func constants(ast *gojq.Query, list []any) ([]any, bool) {
	if ast != nil && ast.Term == nil && ast.Op == gojq.OpComma && len(ast.FuncDefs) == 0 {
		list, ok := constants(ast.Left, list)
		if !ok {
			return nil, false
		}
		return constants(ast.Right, list)
	}
	c, ok := constant(ast)
	return append(list, c), ok
}

// constant is the value of a literal.
func constant(ast *gojq.Query) (any, bool) {
	if ast == nil || ast.Term == nil || len(ast.Term.SuffixList) > 0 || len(ast.FuncDefs) > 0 {
		return nil, false
	}
	switch t := ast.Term; t.Type {
	case gojq.TermTypeNull:
		return nil, true
	case gojq.TermTypeTrue, gojq.TermTypeFalse:
		return t.Type == gojq.TermTypeTrue, true
	case gojq.TermTypeString:
		return t.Str.Str, len(t.Str.Queries) == 0
	case gojq.TermTypeNumber:
		return literal(t.Number)
	case gojq.TermTypeUnary:
		if inner := t.Unary.Term; t.Unary.Op == gojq.OpSub && inner.Type == gojq.TermTypeNumber && len(inner.SuffixList) == 0 {
			return literal("-" + strings.TrimPrefix(inner.Number, "-"))
		}
	}
	return nil, false
}

func literal(text string) (any, bool) {
	if n, err := strconv.Atoi(text); err == nil && text != "-0" {
		return n, true
	}
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil && strings.ContainsAny(text, ".eE")
}
