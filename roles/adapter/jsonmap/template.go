package jsonmap

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/adapter/jq"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/page"
)

// template reads a document without rules.
func (w *work) template(name string) error {
	if name == "auto" {
		name = detect(w.root)
	}
	switch name {
	case "prom2json":
		return w.prom2json()
	case "array":
		return w.array()
	case "nested":
		return w.nested()
	case "rows":
		w.rows(w.root)
		return nil
	case "flat":
		if w.root.Kind() != jq.Object {
			return errors.New("template flat: the document is no object of series and their values")
		}
	}
	w.flatten(strings.TrimSuffix(w.m.prefix, "_"), nil, w.root, true)
	return nil
}

// detect knows the shapes that nothing else has.
func detect(root jq.Value) string {
	first, ok := root.At(0)
	if !ok {
		return ""
	}
	name, _ := first.Get("name")
	metrics, _ := first.Get("metrics")
	labels, _ := first.Get("labels")
	_, valued := first.Get("value")
	switch {
	case name.Kind() != jq.String:
		return ""
	case metrics.Kind() == jq.Array:
		return "prom2json"
	case labels.Kind() == jq.Object && valued:
		return "array"
	}
	return ""
}

// flatten takes every number below v. Keys are parts of the name; the number of a list's item is the label index.
func (w *work) flatten(name string, labels []model.Label, v jq.Value, top bool) {
	switch v.Kind() {
	case jq.Object:
		v.Each(func(key, item jq.Value) bool {
			text := key.Text()
			if top && strings.HasSuffix(text, "}") && item.Kind() < jq.Array {
				if full, own, ok := w.series(text); ok {
					w.number(w.m.prefix+full, own, item)
					return true
				}
			}
			part := page.Name(text)
			if name != "" {
				part = name + "_" + strings.TrimPrefix(part, "_")
			}
			w.flatten(part, labels, item, false)
			return true
		})
	case jq.Array:
		label := listLabel(labels)
		v.Each(func(key, item jq.Value) bool {
			w.flatten(name, w.with(labels, label, key.Text()), item, false)
			return true
		})
	default:
		w.number(name, labels, v)
	}
}

// listLabel is a name for the label with the number of an item: index, index_2 for a list within a list.
func listLabel(labels []model.Label) string {
	if len(labels) == 0 {
		return "index"
	}
	return "index_" + strconv.Itoa(len(labels)+1)
}

// number adds what is a number; other values are not what was asked for.
func (w *work) number(name string, labels []model.Label, v jq.Value) {
	r := reader{}
	if text, is := v.Str(); is {
		if !w.m.texts && text != "NaN" && text != "+Inf" && text != "-Inf" {
			return
		}
		r.as = "number"
	}
	n, ok := r.number(v)
	if !ok {
		return
	}
	name = page.Name(name)
	f := w.family(name, model.Unknown, "", "")
	w.out.Add(f.at, model.Sample{Suffix: f.suffix, Labels: labels, Value: n.value, Text: n.text})
}

// with is labels and one more, unless that is empty, there is one of the name, or there are more than may be: then the sample is left out anyway. The list is a new one, which others do not share.
func (w *work) with(labels []model.Label, name, value string) []model.Label {
	return w.add(labels[:len(labels):len(labels)], name, value)
}

// add is with for a list that nobody else has.
func (w *work) add(labels []model.Label, name, value string) []model.Label {
	if value == "" || len(labels) >= w.most || slices.ContainsFunc(labels, func(l model.Label) bool { return l.Name == name }) {
		return labels
	}
	return append(labels, model.Label{Name: name, Value: value})
}

// rows takes a list of objects for a table: numbers are metrics, the rest of the row are their labels.
func (w *work) rows(v jq.Value) {
	if v.Kind() != jq.Array {
		w.row(v)
		return
	}
	v.Each(func(_, row jq.Value) bool {
		w.row(row)
		return true
	})
}

func (w *work) row(row jq.Value) {
	var labels []model.Label
	row.Each(func(key, item jq.Value) bool {
		if text := item.Text(); item.Kind() == jq.String && text != "" {
			labels = w.add(labels, labelName(key.Text()), text)
		}
		return true
	})
	row.Each(func(key, item jq.Value) bool {
		if item.Kind() != jq.String {
			w.number(w.m.prefix+key.Text(), labels, item)
		}
		return true
	})
}

// series reads name{a="b"}.
func (w *work) series(text string) (name string, labels []model.Label, ok bool) {
	name, rest, ok := strings.Cut(strings.TrimSuffix(text, "}"), "{")
	if !ok || !page.IsName(name, true) {
		return "", nil, false
	}
	for rest != "" {
		key, after, ok := strings.Cut(rest, `="`)
		if !ok || !page.IsName(key, false) {
			return "", nil, false
		}
		value, after, ok := quoted(after)
		if !ok {
			return "", nil, false
		}
		labels = w.add(labels, key, value)
		if rest = after; rest != "" {
			if rest, ok = strings.CutPrefix(rest, ","); !ok {
				return "", nil, false
			}
		}
	}
	return name, labels, true
}

// quoted reads up to a closing quote.
func quoted(s string) (value, rest string, ok bool) {
	end := 0
	for end < len(s) && s[end] != '"' {
		if s[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(s) {
		return "", "", false
	}
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n").Replace(s[:end]), s[end+1:], true
}

// nested reads labels and their values as levels: {"name": {"label": {"value": 1}}}; the value of a sample beside that has the key "".
func (w *work) nested() error {
	if w.root.Kind() != jq.Object {
		return errors.New("template nested: the document is no object of metrics")
	}
	w.root.Each(func(key, item jq.Value) bool {
		w.below(w.m.prefix+key.Text(), nil, item)
		return true
	})
	return nil
}

func (w *work) below(name string, labels []model.Label, v jq.Value) {
	if v.Kind() != jq.Object {
		w.number(name, labels, v)
		return
	}
	v.Each(func(key, values jq.Value) bool {
		label := key.Text()
		if label == "" {
			w.number(name, labels, values)
			return true
		}
		values.Each(func(key, next jq.Value) bool {
			w.below(name, w.with(labels, labelName(label), key.Text()), next)
			return true
		})
		return true
	})
}
