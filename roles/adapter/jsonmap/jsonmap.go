// Package jsonmap turns JSON documents into pages: by rules that say in jq where numbers and labels are, without rules by taking every number there is, or
// by the shapes that package shape writes. Not for text; textmap makes documents of that, to which the same rules apply.
package jsonmap

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/jq"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/page"
)

// Keys are the keys of a source that this package reads.
func Keys() []string { return []string{"map", "template", "prefix", "missing"} }

// templates are the shapes of documents; see package shape for those that it writes.
func templates() []string { return []string{"auto", "prom2json", "array", "flat", "nested", "rows"} }

// Map says how documents become pages. It may be used by several goroutines at once.
type Map struct {
	rules    []rule
	template string
	prefix   string
	texts    bool // strings that are numbers count as such without a rule, too
	missing  missing
	sizes    atomic.Pointer[map[string]int] // of the page before
}

// missing is what becomes of a value that is not there.
type missing struct {
	fail, count bool
	instead     bool
	value       float64
}

// Parse reads the keys of a source; keys that are not in Keys are somebody else's.
func Parse(v draft.Value) (*Map, error) {
	m := &Map{template: "auto", missing: missing{count: true}}
	var rules draft.Value
	err := mine(v, Keys()).Each(Keys(), func(key string, v draft.Value) error {
		switch key {
		case "map":
			rules = v
			return nil
		case "template":
			return v.OneOf(&m.template, templates()...)
		case "prefix":
			if err := v.Word(&m.prefix); err != nil {
				return err
			}
			if !page.IsName(m.prefix, true) {
				return v.Errorf("%q cannot begin the name of a metric; use letters, digits and underscores", m.prefix)
			}
			return nil
		}
		return parseMissing(v, &m.missing)
	})
	err = errors.Join(err, rules.Each1(func(v draft.Value) error {
		r, err := parseRule(v, m)
		m.rules = append(m.rules, r)
		return err
	}))
	if err == nil && m.template != "auto" && len(m.rules) > 0 {
		err = rules.Errorf("map and template: %s exclude each other; leave out one", m.template)
	}
	return m, errors.Join(err, m.agree(rules))
}

// mine is v without the keys of others.
func mine(v draft.Value, keys []string) draft.Value {
	if v.Shape != draft.Map {
		return v
	}
	all := v.Pairs
	v.Pairs = nil
	for _, p := range all {
		if slices.Contains(keys, p.Key) {
			v.Pairs = append(v.Pairs, p)
		}
	}
	return v
}

func parseMissing(v draft.Value, m *missing) error {
	var word string
	if err := v.Word(&word); err != nil {
		return err
	}
	*m = missing{}
	switch word {
	case "count":
		m.count = true
	case "skip":
	case "error":
		m.fail = true
	default:
		f, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return v.Errorf("%q is none of count, skip, error and no number that stands for it", word)
		}
		m.instead, m.value = true, f
	}
	return nil
}

// agree finds rules that give one family two types, of which one would win.
func (m *Map) agree(v draft.Value) error {
	types := map[string]model.Type{}
	var errs []error
	for i := range m.rules {
		r := &m.rules[i]
		for _, out := range r.values {
			name, ok := out.name.literal()
			if !ok {
				continue
			}
			family, _ := page.Split(m.prefix+name, out.kind)
			if t, given := types[family]; given && t != out.kind {
				errs = append(errs, v.Errorf("%s is of type %s in one rule and %s in another; say the same", family, t, out.kind))
			}
			types[family] = out.kind
		}
	}
	return errors.Join(errs...)
}

// Decode reads a body. Its error is that of a body that is no JSON, exceeds what queries may do, or lacks what must not be missing; nothing of it is used then.
func (m *Map) Decode(body []byte, lim model.Limits) (model.Page, model.Drops, error) {
	doc, err := jq.Parse(body, jq.Limits{})
	if err != nil {
		return model.Page{}, model.Drops{}, err
	}
	return m.Apply(doc.Root(), lim)
}

// Apply reads a document that was parsed, or made of something else.
func (m *Map) Apply(root jq.Value, lim model.Limits) (model.Page, model.Drops, error) {
	w := work{m: m, root: root, out: page.New(lim), run: jq.Start(context.Background(), jq.Budget{}), most: 200}
	if lim.Labels > 0 {
		w.most = lim.Labels + 1
	}
	var sizes map[string]int
	if last := m.sizes.Load(); last != nil {
		sizes = *last
		w.out.Expect(sizes)
	}
	w.families = make(map[string]family, len(sizes))
	var err error
	switch {
	case len(m.rules) > 0:
		for i := range m.rules {
			if err = w.rule(&m.rules[i]); err != nil {
				break
			}
		}
	default:
		err = w.template(m.template)
	}
	if err != nil {
		return model.Page{}, model.Drops{}, err
	}
	sizes = w.out.Sizes()
	m.sizes.Store(&sizes)
	p, drops := w.out.Page()
	return p, drops, nil
}

// Texts makes strings that are numbers count as such where there are no rules. It is for documents made of text, which has nothing but strings.
func (m *Map) Texts() { m.texts = true }

// work is the reading of one document.
type work struct {
	m        *Map
	root     jq.Value
	out      *page.Builder
	run      *jq.Run
	families map[string]family // by the full name of samples
	name     []byte            // scratch
	most     int               // labels that are worth collecting: more than the limit, so that it acts
}

// family is where samples of a full name go.
type family struct {
	at     int
	suffix string
}

func (w *work) family(name string, t model.Type, help, unit string) family {
	if f, ok := w.families[name]; ok {
		return f
	}
	short, suffix := page.Split(name, t)
	f := family{w.out.Family(short, t, help, unit), suffix}
	w.families[name] = f
	return f
}

// absent acts on a value that is not there; ok is false when there is no sample.
func (w *work) absent(what string) (f float64, ok bool, err error) {
	switch {
	case w.m.missing.fail:
		return 0, false, fmt.Errorf("%s is missing", what)
	case w.m.missing.instead:
		return w.m.missing.value, true, nil
	case w.m.missing.count:
		w.out.Drop(model.Unreadable, 1)
	}
	return math.NaN(), false, nil
}
