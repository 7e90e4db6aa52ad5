package jsonmap

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sidecar-kit/sidecar/roles/adapter/jq"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/page"
)

// fatal is an error that makes the whole body worthless: a budget that is spent, or a value that must not be missing.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

// rule makes the samples of one rule.
func (w *work) rule(r *rule) error {
	vars := make([]jq.Value, len(r.vars))
	vars[0] = w.root
	return w.level(r, 0, w.root, vars)
}

func (w *work) level(r *rule, n int, in jq.Value, vars []jq.Value) error {
	if n == len(r.levels) {
		return w.item(r, in, vars)
	}
	found := false
	err := w.run.Each(r.levels[n], in, vars, func(it jq.Item) error {
		found = true
		vars[1], vars[2] = it.Parent, it.Key
		if n+3 < len(vars) {
			vars[n+3] = it.Value
		}
		return w.level(r, n+1, it.Value, vars)
	})
	var f fatal
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, jq.ErrSteps), errors.Is(err, jq.ErrResults):
		return fatal{err}
	case err != nil && w.m.missing.fail:
		return fatal{err}
	case err != nil:
		w.out.Drop(model.Unreadable, 1)
	case !found && w.m.missing.fail:
		return fatal{fmt.Errorf("query %q finds nothing", r.levels[n])}
	}
	return nil
}

// first runs a query on an item; what does not fit is not there.
func (w *work) first(q *jq.Query, in jq.Value, vars []jq.Value) (jq.Value, error) {
	v, _, err := w.run.First(q, in, vars)
	if err != nil && w.run.Err() != nil || errors.Is(err, jq.ErrResults) {
		return v, fatal{err}
	}
	if err != nil {
		return jq.Value{}, nil //nolint:nilerr // a path that does not fit finds nothing
	}
	return v, nil
}

func (w *work) item(r *rule, in jq.Value, vars []jq.Value) error {
	if r.when != nil {
		v, err := w.first(r.when, in, vars)
		if err != nil {
			return err
		}
		if !v.Truthy() {
			w.out.Drop(model.Unwanted, len(r.values))
			return nil
		}
	}
	s := model.Sample{Labels: w.out.Labels(len(r.labels))}
	var err error
	for i := range r.labels {
		if err = w.label(&r.labels[i], in, vars, &s); err != nil {
			return err
		}
	}
	if r.time != nil {
		v, err := w.first(r.time, in, vars)
		if err != nil {
			return err
		}
		if t, ok := moment(v, r.read.layout); ok {
			s.Time, s.Timed = millis(t), true
		} else if v.Truthy() {
			w.out.Drop(model.Unreadable, 1)
		}
	}
	for i := range r.values {
		if err := w.output(r, &r.values[i], in, vars, s); err != nil {
			return err
		}
	}
	return nil
}

func (w *work) label(l *label, in jq.Value, vars []jq.Value, s *model.Sample) error {
	if l.query == nil {
		if l.text != "" {
			s.Labels = append(s.Labels, model.Label{Name: l.name, Value: l.text})
		}
		return nil
	}
	v, err := w.first(l.query, in, vars)
	if err != nil {
		return err
	}
	if l.name != "" {
		if text := v.Text(); text != "" {
			s.Labels = append(s.Labels, model.Label{Name: l.name, Value: text})
		}
		return nil
	}
	if v.Kind() != jq.Object {
		return nil
	}
	v.Each(func(key, item jq.Value) bool {
		if item.Kind() < jq.Array {
			s.Labels = w.add(s.Labels, labelName(key.Text()), item.Text())
		}
		return true
	})
	return nil
}

// labelName makes the name of a label of any text.
func labelName(text string) string {
	if page.IsName(text, false) && text != "__name__" {
		return text
	}
	b := []byte(page.Name(text))
	for i, c := range b {
		if c == ':' {
			b[i] = '_'
		}
	}
	if string(b) == "__name__" {
		return "name"
	}
	return string(b)
}

func (w *work) output(r *rule, o *output, in jq.Value, vars []jq.Value, s model.Sample) error {
	name, err := w.called(o.name, in, vars)
	if err != nil {
		return err
	}
	s.Value, s.Text = 1, "1"
	if o.value == nil {
		w.add1(name, o, s)
		return nil
	}
	v, err := w.first(o.value, in, vars)
	if err != nil {
		return err
	}
	if r.read.states != nil {
		w.states(r, name, o, v, s)
		return nil
	}
	n, ok := r.read.number(v)
	switch {
	case ok:
		s.Value, s.Text = n.value, n.text
	case v.Kind() == jq.Null || v.Kind() == jq.String && v.Text() == "":
		s.Text = ""
		if s.Value, ok, err = w.absent(name); !ok || err != nil {
			return wrapFatal(err)
		}
	case w.m.missing.fail:
		return fatal{fmt.Errorf("%s: %s is no %s", name, short(v), r.read.what())}
	default:
		w.out.Drop(model.Unreadable, 1)
		return nil
	}
	w.add1(name, o, s)
	return nil
}

// add1 adds a sample to the family that an output of that name belongs to.
func (w *work) add1(name string, o *output, s model.Sample) {
	fam := w.family(name, o.kind, o.help, o.unit)
	s.Suffix = fam.suffix
	w.out.Add(fam.at, s)
}

func wrapFatal(err error) error {
	if err == nil {
		return nil
	}
	return fatal{err}
}

// states makes a sample for each state, of which the one that v names is 1.
func (w *work) states(r *rule, name string, o *output, v jq.Value, s model.Sample) {
	if v.Kind() == jq.Null {
		_, _, _ = w.absent(name)
		return
	}
	state := v.Text()
	if !slices.Contains(r.read.states, state) {
		w.out.Drop(model.Unreadable, 1)
		return
	}
	base := s.Labels
	for _, one := range r.read.states {
		s.Labels = append(append(w.out.Labels(len(base)+1), base...), model.Label{Name: labelName(name), Value: one})
		s.Value, s.Text = 0, "0"
		if one == state {
			s.Value, s.Text = 1, "1"
		}
		w.add1(name, o, s)
	}
}

// called is the name of a metric.
func (w *work) called(name words, in jq.Value, vars []jq.Value) (string, error) {
	if text, ok := name.literal(); ok && w.m.prefix == "" {
		return text, nil
	}
	b := append(w.name[:0], w.m.prefix...)
	for _, part := range name {
		b = append(b, part.text...)
		if part.query != nil {
			v, err := w.first(part.query, in, vars)
			if err != nil {
				return "", err
			}
			b = append(b, v.Text()...)
		}
	}
	w.name = b
	return page.Name(string(b)), nil
}

// short is a value as an error shows it.
func short(v jq.Value) string {
	text := string(v.AppendJSON(nil))
	if len(text) > 40 {
		text = text[:40] + "..."
	}
	return text
}
