package jsonexporter

import (
	"errors"
	"math"
	"sort"
	"strconv"

	"github.com/sidecar-kit/sidecar/roles/adapter/jq"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/page"
)

// Decode turns a body into a page, in json_exporter's order: families by name, series by the values of their labels. Metrics whose path finds nothing, or no number, are counted as Unreadable,
// but for those with allow_missing_key. The error is that of a body that is no JSON, or of paths that take too many steps.
func (m *Module) Decode(body []byte, lim model.Limits) (model.Page, model.Drops, error) {
	doc, err := jq.Parse(body, jq.Limits{})
	if err != nil {
		return model.Page{}, model.Drops{}, err
	}
	w := work{out: page.New(lim), walk: walk{left: mostSteps}}
	if sizes := m.sizes.Load(); sizes != nil {
		w.out.Expect(*sizes)
	}
	for i := range m.metrics {
		if err := w.metric(&m.metrics[i], doc.Root()); err != nil {
			return model.Page{}, model.Drops{}, err
		}
	}
	sizes := w.out.Sizes()
	m.sizes.Store(&sizes)
	p, drops := w.out.Page()
	arrange(&p)
	return p, drops, nil
}

type work struct {
	walk walk
	out  *page.Builder
}

// lost counts a metric that finds nothing, and passes on what ends the work.
func (w *work) lost(err error) error {
	if errors.Is(err, errSteps) {
		return err
	}
	w.out.Drop(model.Unreadable, 1)
	return nil
}

func (w *work) metric(m *metric, root jq.Value) error {
	at := make([]int, len(m.outputs))
	for i := range m.outputs {
		o := &m.outputs[i]
		at[i] = w.out.Family(o.family, o.kind, o.help, "")
	}
	if !m.object {
		return w.output(m, &m.outputs[0], at[0], root, nil)
	}
	if len(m.path.parts) != 1 || m.path.parts[0].nodes == nil {
		return w.lost(nil) // text is no list of objects
	}
	w.walk.allow = m.allow
	items, err := w.walk.find([]jq.Value{root}, m.path.parts[0].nodes)
	if err != nil {
		return w.lost(err)
	}
	var labels []model.Label
	for _, item := range items {
		labels = nil
		for i := range m.outputs {
			if labels == nil {
				if labels, err = w.labels(m, item); err != nil {
					return err
				}
			}
			if err := w.output(m, &m.outputs[i], at[i], item, labels); err != nil {
				return err
			}
		}
	}
	return nil
}

// labels are those of an item; one whose path finds nothing is left out.
func (w *work) labels(m *metric, item jq.Value) ([]model.Label, error) {
	list := w.out.Labels(len(m.labels))
	w.walk.allow = false
	for i := range m.labels {
		text, err := w.walk.text(m.labels[i].value, item)
		if errors.Is(err, errSteps) {
			return nil, err
		}
		if err == nil && text != "" {
			list = append(list, model.Label{Name: m.labels[i].name, Value: text})
		}
	}
	return list, nil
}

func (w *work) output(m *metric, o *output, at int, item jq.Value, labels []model.Label) error {
	path := o.value
	if path == nil {
		path = m.path
	}
	w.walk.allow = m.allow
	value, there, err := w.number(path, item)
	switch {
	case err != nil:
		return w.lost(err)
	case !there && m.allow:
		return nil
	case !there:
		return w.lost(nil)
	}
	if labels == nil {
		if labels, err = w.labels(m, item); err != nil {
			return err
		}
	}
	s := model.Sample{Suffix: o.suffix, Labels: labels, Value: value}
	if m.time != nil {
		w.walk.allow = m.allow
		ms, there, err := w.number(m.time, item)
		switch {
		case errors.Is(err, errSteps):
			return err
		case err != nil || !there && !m.allow:
			w.out.Drop(model.Unreadable, 1) // the sample stays, without its time
		case there && math.Abs(ms) < 1<<62:
			s.Time, s.Timed = int64(ms), true
		}
	}
	w.out.Add(at, s)
	return nil
}

var errNumber = errors.New("no number")

// number is what a pattern's text is worth; there is false when it is empty.
func (w *work) number(t *pattern, item jq.Value) (f float64, there bool, err error) {
	if t.plain {
		v, ok, err := w.walk.single(item, t.parts[0].nodes)
		if err != nil || !ok {
			return 0, false, err
		}
		if f, _, ok := v.Number(); ok {
			return f, true, nil
		}
		f, err := number(bare(printed(v)))
		return f, true, err
	}
	text, err := w.walk.text(t, item)
	if err != nil || text == "" {
		return 0, false, err
	}
	f, err = number(text)
	return f, true, err
}

// number reads what json_exporter does: numbers of Go, and words that strconv.ParseBool knows.
func number(text string) (float64, error) {
	if f, err := strconv.ParseFloat(text, 64); err == nil || math.IsInf(f, 0) && errors.Is(err, strconv.ErrRange) {
		return f, nil
	}
	switch yes, err := strconv.ParseBool(text); {
	case err == nil && yes:
		return 1, nil
	case err == nil:
		return 0, nil
	case text == "<nil>":
		return math.NaN(), nil
	}
	return 0, errNumber
}

// arrange puts a page into the order in which Prometheus' client library writes it.
func arrange(p *model.Page) {
	sort.Slice(p.Families, func(i, j int) bool { return fullName(&p.Families[i]) < fullName(&p.Families[j]) })
	for i := range p.Families {
		s := p.Families[i].Samples
		o := byLabels{s, make([]int32, len(s))}
		for j := range o.at {
			o.at[j] = int32(j)
		}
		if sort.IsSorted(o) {
			continue
		}
		sort.Sort(o)
		sorted := make([]model.Sample, len(s))
		for j, from := range o.at {
			sorted[j] = s[from]
		}
		p.Families[i].Samples = sorted
	}
}

// byLabels sorts numbers of samples, which are smaller than samples. Equal ones stay in their order.
type byLabels struct {
	samples []model.Sample
	at      []int32
}

func (o byLabels) Len() int      { return len(o.at) }
func (o byLabels) Swap(i, j int) { o.at[i], o.at[j] = o.at[j], o.at[i] }
func (o byLabels) Less(i, j int) bool {
	a, b := &o.samples[o.at[i]], &o.samples[o.at[j]]
	return before(a, b) || o.at[i] < o.at[j] && !before(b, a)
}

func fullName(f *model.Family) string { return f.Name + f.Samples[0].Suffix }

func before(a, b *model.Sample) bool {
	if len(a.Labels) != len(b.Labels) {
		return len(a.Labels) < len(b.Labels)
	}
	for i := range a.Labels {
		if a.Labels[i].Value != b.Labels[i].Value {
			return a.Labels[i].Value < b.Labels[i].Value
		}
	}
	return false
}
