package jsonmap

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/jq"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/page"
)

// rule makes samples of the items that a query finds.
type rule struct {
	levels []*jq.Query // each on the items of the one before; none: the document itself
	vars   []string    // $root, $parent, $key, and one for each named level
	when   *jq.Query
	time   *jq.Query
	labels []label
	values []output
	help   string
	unit   string
	kind   model.Type
	read   reader
}

// label is a name and where its value is. A name of "" stands for all members of the object that the query finds.
type label struct {
	name  string
	text  string // without a query
	query *jq.Query
}

// output is a metric of a rule.
type output struct {
	name  words
	value *jq.Query // nil: 1
	help  string
	unit  string
	kind  model.Type
}

// words is a name with queries in it.
type words []word

type word struct {
	text  string
	query *jq.Query
}

// literal is the text of a name without queries.
func (w words) literal() (string, bool) {
	if len(w) == 1 && w[0].query == nil {
		return w[0].text, true
	}
	return "", false
}

func ruleKeys() []string {
	return []string{"each", "name", "value", "values", "labels", "type", "help", "unit", "enum", "as", "layout", "time", "when"}
}

func parseRule(v draft.Value, m *Map) (rule, error) {
	r := rule{vars: []string{"$root", "$parent", "$key"}}
	if v.Shape != draft.Map {
		return r, v.Errorf("want a rule: each, name, value, labels")
	}
	var each, name, labels draft.Value
	value, values := draft.Of(v.Place, "."), draft.Value{}
	hasValue := false
	later := map[string]draft.Value{}
	err := v.Each(ruleKeys(), func(key string, v draft.Value) error {
		switch key {
		case "each":
			each = v
		case "name":
			name = v
		case "value":
			value, hasValue = v, true
		case "values":
			values = v
		case "labels":
			labels = v
		case "help":
			return v.Word(&r.help)
		case "unit":
			return v.Word(&r.unit)
		case "type":
			return parseType(v, &r.kind)
		case "enum":
			return r.read.parseEnum(v)
		case "as":
			return v.OneOf(&r.read.as, forms()...)
		case "layout":
			r.read.as = "date"
			return v.Word(&r.read.layout)
		default:
			later[key] = v
		}
		return nil
	})
	errs := []error{err, r.parseEach(each)}
	if hasValue && values.Shape != draft.Empty {
		errs = append(errs, values.Errorf("value and values exclude each other; leave out one"))
	}
	for key, dst := range map[string]**jq.Query{"time": &r.time, "when": &r.when} {
		if q, given := later[key]; given {
			errs = append(errs, r.query(q, dst))
		}
	}
	errs = append(errs, r.parseLabels(labels))
	if name.Shape != draft.Word {
		return r, errors.Join(append(errs, v.Errorf("the rule has no name: name: what the metric is called"))...)
	}
	constant := !hasValue && r.kind == model.Info
	errs = append(errs, r.parseOutputs(name, value, values, constant), r.check(name, m))
	return r, errors.Join(errs...)
}

func parseType(v draft.Value, dst *model.Type) error {
	words := []string{"unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "untyped"}
	var word string
	if err := v.OneOf(&word, words...); err != nil {
		return err
	}
	*dst = model.Unknown
	if word != "untyped" {
		*dst = model.Type(slices.Index(words, word))
	}
	return nil
}

// query compiles one that runs on an item.
func (r *rule) query(v draft.Value, dst **jq.Query) error {
	var text string
	if err := v.Word(&text); err != nil {
		return err
	}
	q, err := jq.Compile(text, r.vars...)
	if err != nil {
		return v.Errorf("%w", err)
	}
	last := len(r.levels) - 1
	for _, name := range []string{"$parent", "$key"} {
		if q.Uses(name) && (last < 0 || !r.levels[last].Simple()) {
			return v.Errorf("%s is known only where each is a plain path such as .pools[]; name the levels instead: each: {pool: .pools[], disk: .disks[]} and $pool", name)
		}
	}
	*dst = q
	return nil
}

// parseEach reads a query, or a mapping of names to queries, each of which runs on what the one before found.
func (r *rule) parseEach(v draft.Value) error {
	switch v.Shape {
	case draft.Empty:
		return nil
	case draft.Map:
	default:
		var q *jq.Query
		err := r.query(v, &q)
		r.levels = append(r.levels, q)
		return err
	}
	return v.All(func(key string, v draft.Value) error {
		if !page.IsName(key, false) || slices.Contains(r.vars, "$"+key) {
			return v.Errorf("%q cannot be the name of a level; use another word of letters, digits and underscores", key)
		}
		var q *jq.Query
		if err := r.query(v, &q); err != nil {
			return err
		}
		r.levels, r.vars = append(r.levels, q), append(r.vars, "$"+key)
		return nil
	})
}

func (r *rule) parseLabels(v draft.Value) error {
	return v.All(func(key string, v draft.Value) error {
		l := label{name: key}
		switch {
		case key == "*":
			l.name = ""
		case !page.IsName(key, false) || key == "__name__":
			return v.Errorf("%q cannot be the name of a label; use letters, digits and underscores", key)
		}
		if text, static := strings.CutPrefix(v.Text, "="); static && v.Shape == draft.Word {
			l.text = text
			r.labels = append(r.labels, l)
			return nil
		}
		err := r.query(v, &l.query)
		r.labels = append(r.labels, l)
		return err
	})
}

func (r *rule) parseOutputs(name, value, values draft.Value, constant bool) error {
	prefix, err := r.words(name)
	base := output{name: prefix, kind: r.kind, help: r.help, unit: r.unit}
	if values.Shape == draft.Empty {
		out := base
		if !constant {
			err = errors.Join(err, r.query(value, &out.value))
		}
		r.values = append(r.values, out)
		return err
	}
	return errors.Join(err, values.All(func(key string, v draft.Value) error {
		tail := "_" + key
		if key == "" {
			tail = ""
		}
		out := base
		out.name = append(slices.Clone(prefix), word{text: tail})
		if text, ok := prefix.literal(); ok {
			out.name = words{{text: text + tail}}
		}
		err := r.parseOutput(v, &out)
		r.values = append(r.values, out)
		return err
	}))
}

// parseOutput reads one of values: a query, or a mapping with what differs from the rule.
func (r *rule) parseOutput(v draft.Value, out *output) error {
	if v.Shape != draft.Map {
		return r.query(v, &out.value)
	}
	return v.Each([]string{"value", "type", "help", "unit"}, func(key string, v draft.Value) error {
		switch key {
		case "value":
			return r.query(v, &out.value)
		case "type":
			return parseType(v, &out.kind)
		case "help":
			return v.Word(&out.help)
		}
		return v.Word(&out.unit)
	})
}

// words reads a name such as app_{.kind}_size.
func (r *rule) words(v draft.Value) (words, error) {
	var list words
	rest := v.Text
	for rest != "" {
		text, inner, found := strings.Cut(rest, "{")
		if text != "" {
			list = append(list, word{text: text})
		}
		if !found {
			break
		}
		end := closing(inner)
		if end < 0 {
			return nil, v.Errorf("%q has a { without }", v.Text)
		}
		w := word{}
		if err := r.query(draft.Of(v.Place, inner[:end]), &w.query); err != nil {
			return nil, err
		}
		list, rest = append(list, w), inner[end+1:]
	}
	return list, nil
}

// closing is where the } is that closes what began before s.
func closing(s string) int {
	depth := 0
	for i, c := range s {
		switch {
		case c == '{':
			depth++
		case c == '}' && depth == 0:
			return i
		case c == '}':
			depth--
		}
	}
	return -1
}

// check finds names and units that no text format would take.
func (r *rule) check(v draft.Value, m *Map) error {
	for _, out := range r.values {
		name, ok := out.name.literal()
		if !ok {
			continue
		}
		if !page.IsName(m.prefix+name, true) {
			return v.Errorf("%q cannot be the name of a metric; use letters, digits, underscores and colons", name)
		}
		family, suffix := page.Split(name, out.kind)
		if out.unit != "" && !strings.HasSuffix(family, "_"+out.unit) {
			return v.Errorf("%q does not end in its unit; call it %s", name, strconv.Quote(family+"_"+out.unit+suffix))
		}
		if suffix == "" && (out.kind == model.Histogram || out.kind == model.GaugeHistogram) {
			return v.Errorf("%q is no part of a %s; give each of its parts a rule: %s_bucket with the label le, %s_sum, %s_count", name, out.kind, name, name, name)
		}
	}
	return nil
}
