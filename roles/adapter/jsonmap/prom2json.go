package jsonmap

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/adapter/jq"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/page"
)

// typeOf is the type that prom2json's word, or OpenMetrics', means.
func typeOf(word string) model.Type {
	word = strings.ToLower(strings.ReplaceAll(word, "_", ""))
	for t := model.Counter; t <= model.StateSet; t++ {
		if t.String() == word {
			return t
		}
	}
	return model.Unknown
}

// prom2json reads what prom2json and package shape write: families with their metrics; numbers are text there.
func (w *work) prom2json() error {
	if w.root.Kind() != jq.Array {
		return errors.New("template prom2json: the document is no list of families")
	}
	var err error
	w.root.Each(func(_, fam jq.Value) bool {
		name := w.m.prefix + member(fam, "name")
		metrics, _ := fam.Get("metrics")
		if !page.IsName(name, true) {
			err = fmt.Errorf("template prom2json: %s is no family with a name", short(fam))
			return false
		}
		kind := typeOf(member(fam, "type"))
		short, suffix := page.Split(name, kind)
		if suffix != "_total" && suffix != "_info" {
			short, suffix = name, ""
		}
		at := w.out.Family(short, kind, member(fam, "help"), member(fam, "unit"))
		metrics.Each(func(_, metric jq.Value) bool {
			w.metric(at, kind, suffix, metric)
			return true
		})
		return true
	})
	return err
}

func member(v jq.Value, key string) string {
	m, _ := v.Get(key)
	return m.Text()
}

func (w *work) metric(at int, kind model.Type, suffix string, v jq.Value) {
	s := model.Sample{Labels: w.labelsOf(v)}
	if ms, err := strconv.ParseInt(member(v, "timestamp_ms"), 10, 64); err == nil {
		s.Time, s.Timed = ms, true
	}
	for _, part := range []struct{ key, label string }{{"quantiles", "quantile"}, {"buckets", "le"}} {
		list, _ := v.Get(part.key)
		list.Each(func(key, item jq.Value) bool {
			one := s
			if part.label == "le" {
				one.Suffix = "_bucket"
			}
			one.Labels = w.with(s.Labels, part.label, key.Text())
			w.part(at, one, item, true)
			return true
		})
	}
	sum, count := "_sum", "_count"
	if kind == model.GaugeHistogram {
		sum, count = "_gsum", "_gcount"
	}
	for _, part := range []struct{ key, suffix string }{{"sum", sum}, {"count", count}, {"value", suffix}, {"created", "_created"}} {
		item, ok := v.Get(part.key)
		s.Suffix = part.suffix
		w.part(at, s, item, ok)
	}
}

func (w *work) part(at int, s model.Sample, v jq.Value, ok bool) {
	if !ok {
		return
	}
	r := reader{as: "number"}
	n, ok := r.number(v)
	if !ok {
		w.out.Drop(model.Unreadable, 1)
		return
	}
	s.Value, s.Text = n.value, n.text
	w.out.Add(at, s)
}

func (w *work) labelsOf(v jq.Value) []model.Label {
	var list []model.Label
	labels, _ := v.Get("labels")
	labels.Each(func(key, item jq.Value) bool {
		list = w.add(list, labelName(key.Text()), item.Text())
		return true
	})
	return list
}

// array reads a list of samples.
func (w *work) array() error {
	if w.root.Kind() != jq.Array {
		return errors.New("template array: the document is no list of samples")
	}
	w.root.Each(func(_, v jq.Value) bool {
		value, _ := v.Get("value")
		if member(v, "name") == "" || value.Kind() == jq.Null {
			w.out.Drop(model.Unreadable, 1)
			return true
		}
		f := w.family(page.Name(w.m.prefix+member(v, "name")), typeOf(member(v, "type")), "", "")
		s := model.Sample{Suffix: f.suffix, Labels: w.labelsOf(v)}
		if t, ok := v.Get("time"); ok {
			seconds, _, _ := t.Number()
			s.Time, s.Timed = int64(math.Round(seconds*1000)), true
		}
		w.part(f.at, s, value, true)
		return true
	})
	return nil
}
