package jq

import (
	"fmt"
	"slices"
	"strings"

	"github.com/itchyny/gojq"
)

// refused are the functions that reach beyond the document, and what to say of them.
func refused(name string) (why string, is bool) {
	switch name {
	case "env", "$ENV":
		return "the environment is not shown to queries", true
	case "input", "inputs", "input_filename", "input_line_number":
		return "there is one document only", true
	case "$__loc__", "$__prog_args", "get_search_list", "modulemeta":
		return "there are no modules", true
	case "debug", "stderr":
		return "queries do not write", true
	case "halt", "halt_error":
		return "queries do not end the program; error(...) refuses the value", true
	}
	return "", false
}

// visitor looks at every function of a query.
type visitor struct {
	of  *Query
	err error
}

func (v *visitor) fail(name, why string) {
	if v.err == nil {
		v.err = fmt.Errorf("%s is not available: %s", name, why)
	}
}

func (v *visitor) call(f *gojq.Func) {
	if f == nil {
		return
	}
	if why, is := refused(f.Name); is {
		v.fail(f.Name, why)
	}
	if strings.HasPrefix(f.Name, "$") {
		if i := slices.Index(v.of.vars, f.Name); i >= 0 {
			v.of.used[i] = true
		}
	}
	v.queries(f.Args...)
}

func (v *visitor) queries(list ...*gojq.Query) {
	for _, q := range list {
		v.one(q)
	}
}

func (v *visitor) one(q *gojq.Query) {
	if q == nil {
		return
	}
	if len(q.Imports) > 0 || q.Meta != nil {
		v.fail("import", "there are no modules")
	}
	for _, def := range q.FuncDefs {
		v.one(def.Body)
	}
	v.patterns(q.Patterns)
	v.term(q.Term)
	v.queries(q.Left, q.Right)
}

func (v *visitor) patterns(list []*gojq.Pattern) {
	for _, p := range list {
		if p == nil {
			continue
		}
		v.patterns(p.Array)
		for _, o := range p.Object {
			v.str(o.KeyString)
			v.one(o.KeyQuery)
			v.patterns([]*gojq.Pattern{o.Val})
		}
	}
}

func (v *visitor) str(s *gojq.String) {
	if s != nil {
		v.queries(s.Queries...)
	}
}

func (v *visitor) index(x *gojq.Index) {
	if x != nil {
		v.str(x.Str)
		v.queries(x.Start, x.End)
	}
}

func (v *visitor) term(t *gojq.Term) {
	if t == nil {
		return
	}
	v.index(t.Index)
	v.call(t.Func)
	v.str(t.Str)
	v.one(t.Query)
	for _, s := range t.SuffixList {
		v.index(s.Index)
	}
	if t.Object != nil {
		for _, kv := range t.Object.KeyVals {
			if strings.HasPrefix(kv.Key, "$") {
				v.call(&gojq.Func{Name: kv.Key})
			}
			v.str(kv.KeyString)
			v.queries(kv.KeyQuery, kv.Val)
		}
	}
	if t.Array != nil {
		v.one(t.Array.Query)
	}
	if t.Unary != nil {
		v.term(t.Unary.Term)
	}
	v.control(t)
}

func (v *visitor) control(t *gojq.Term) {
	if t.If != nil {
		v.queries(t.If.Cond, t.If.Then, t.If.Else)
		for _, e := range t.If.Elif {
			v.queries(e.Cond, e.Then)
		}
	}
	if t.Try != nil {
		v.queries(t.Try.Body, t.Try.Catch)
	}
	if t.Reduce != nil {
		v.patterns(t.Reduce.Patterns)
		v.queries(t.Reduce.Query, t.Reduce.Start, t.Reduce.Update)
	}
	if t.Foreach != nil {
		v.patterns(t.Foreach.Patterns)
		v.queries(t.Foreach.Query, t.Foreach.Start, t.Foreach.Update, t.Foreach.Extract)
	}
	if t.Label != nil {
		v.one(t.Label.Body)
	}
}
