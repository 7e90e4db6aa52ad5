package otlp

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/sidecar-kit/sidecar/internal/proto"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// decoder reads a body field by field, and holds no more of it than one point. Memory is bounded by the limit of series.
type decoder struct {
	o      Options
	lim    model.Limits
	drops  model.Drops
	pages  [2]paged // what is absolute, and deltas
	total  int      // samples of both
	bounds []float64
	les    []string

	target             []model.Label // job, instance and what is promoted, of the resource
	scope              []model.Label
	labels, attributes []model.Label // of the point
	sums               []uint64      // of its buckets
	raw                []uint64      // as they came
	limits             []float64
}

type paged struct {
	page model.Page
	at   map[string]*family
}

// family is a place in one of the pages; nil page: its name belongs to another type.
type family struct {
	page  *model.Page
	index int
}

func newDecoder(o Options, lim model.Limits) *decoder {
	d := &decoder{o: o, lim: lim, bounds: o.Bounds}
	if len(d.bounds) == 0 {
		for i := -20; i <= 20; i++ {
			d.bounds = append(d.bounds, math.Ldexp(1, i))
		}
	}
	for _, b := range d.bounds {
		d.les = append(d.les, float(b))
	}
	d.pages[0].at, d.pages[1].at = map[string]*family{}, map[string]*family{}
	return d
}

func float(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// each is proto.Each for the fields that are messages or strings.
func each(data []byte, fn func(field int, value []byte) error) error {
	return proto.Each(data, func(field int, _ uint64, value []byte) error {
		if value == nil {
			return nil
		}
		return fn(field, value)
	})
}

func (d *decoder) request(body []byte) error {
	return each(body, func(field int, value []byte) error {
		if field != 1 {
			return nil
		}
		return d.resourceMetrics(value)
	})
}

func (d *decoder) resourceMetrics(body []byte) error {
	var attributes []model.Label
	err := each(body, func(field int, value []byte) error {
		if field != 1 {
			return nil
		}
		return each(value, func(field int, value []byte) (err error) {
			if field == 1 {
				attributes, err = appendAttribute(attributes, value)
			}
			return err
		})
	})
	if err != nil {
		return err
	}
	d.resource(attributes)
	return each(body, func(field int, value []byte) error {
		if field != 2 {
			return nil
		}
		return d.scopeMetrics(value)
	})
}

// resource finds job and instance, and writes target_info about all others.
func (d *decoder) resource(attributes []model.Label) {
	var name, space, instance string
	var info []model.Label
	d.target = d.target[:0]
	for _, a := range attributes {
		switch a.Name {
		case "service.name":
			name = a.Value
		case "service.namespace":
			space = a.Value + "/"
		case "service.instance.id":
			instance = a.Value
		default:
			info = addLabel(info, labelName(a.Name), a.Value)
		}
		for _, p := range d.o.Promote {
			if p == a.Name {
				d.target = addLabel(d.target, labelName(a.Name), a.Value)
			}
		}
	}
	if name == "" {
		space = ""
	}
	own := []model.Label{{Name: "job", Value: space + name}, {Name: "instance", Value: instance}}
	for _, l := range own {
		if l.Value != "" {
			info, d.target = setLabel(info, l), setLabel(d.target, l)
		}
	}
	if !d.o.NoTarget && len(d.target) > 0 && len(info) > len(d.target) {
		d.labels = info
		d.scope = d.scope[:0]
		if f := d.family(0, "target", "Target metadata", "", model.Info); d.room(f, 1) {
			d.add(f, model.Sample{Suffix: "_info", Labels: info, Value: 1})
		}
	}
}

// addLabel adds an attribute; of two whose names have become equal the values are joined, as Prometheus does.
func addLabel(labels []model.Label, name, value string) []model.Label {
	for i := range labels {
		if labels[i].Name == name {
			labels[i].Value += ";" + value
			return labels
		}
	}
	return append(labels, model.Label{Name: name, Value: value})
}

// setLabel sets a label.
func setLabel(labels []model.Label, l model.Label) []model.Label {
	for i := range labels {
		if labels[i].Name == l.Name {
			labels[i].Value = l.Value
			return labels
		}
	}
	return append(labels, l)
}

func (d *decoder) scopeMetrics(body []byte) error {
	d.scope = d.scope[:0]
	if d.o.Scopes {
		err := each(body, func(field int, value []byte) error {
			if field != 1 {
				return nil
			}
			return each(value, func(field int, value []byte) error {
				if field == 1 || field == 2 {
					d.scope = setLabel(d.scope, model.Label{Name: []string{"", "otel_scope_name", "otel_scope_version"}[field], Value: valid(value)})
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
	}
	return each(body, func(field int, value []byte) error {
		if field != 2 {
			return nil
		}
		return d.metric(value)
	})
}

// metric is what a message says of all its points.
type metric struct {
	name, help, unit string
	kind             model.Type
	data             []byte
	shape            int // the field it came in
	delta            bool
	unknown          bool // neither delta nor cumulative
}

func (d *decoder) metric(body []byte) error {
	var m metric
	err := each(body, func(field int, value []byte) error {
		switch field {
		case 1:
			m.name = valid(value)
		case 2:
			m.help = valid(value)
		case 3:
			m.unit = valid(value)
		case 5, 7, 9, 10, 11:
			m.shape, m.data = field, value
		}
		return nil
	})
	if err != nil || m.shape == 0 {
		return err
	}
	if m.name == "" {
		return errors.New("a metric has no name")
	}
	if err := m.temporality(); err != nil {
		return fmt.Errorf("metric %.100q: %w", m.name, err)
	}
	name, word := d.o.name(m.name, m.unit, m.kind)
	which := 0
	if m.delta {
		which = 1
	}
	var f *family
	err = each(m.data, func(field int, value []byte) error {
		if field != 1 {
			return nil
		}
		if m.unknown {
			d.drops[model.Unreadable]++
			return nil
		}
		if f == nil {
			f = d.family(which, name, m.help, word, m.kind)
		}
		return d.point(f, &m, value)
	})
	if err != nil {
		return fmt.Errorf("metric %.100q: %w", m.name, err)
	}
	return nil
}

// temporality reads the type of a metric.
func (m *metric) temporality() error {
	var temporality, monotonic uint64
	err := proto.Each(m.data, func(field int, number uint64, _ []byte) error {
		switch field {
		case 2:
			temporality = number
		case 3:
			monotonic = number
		}
		return nil
	})
	switch m.shape {
	case 5:
		m.kind = model.Gauge
		return err
	case 7:
		m.kind = model.Gauge
		if monotonic != 0 {
			m.kind = model.Counter
		}
	case 9, 10:
		m.kind = model.Histogram
	case 11:
		m.kind = model.Summary
		return err
	}
	m.delta, m.unknown = temporality == 1, temporality != 1 && temporality != 2
	return err
}

// family finds a family or makes it.
func (d *decoder) family(page int, name, help, unit string, kind model.Type) *family {
	p := &d.pages[page]
	f := p.at[name]
	if f == nil {
		f = &family{&p.page, len(p.page.Families)}
		p.at[name] = f
		p.page.Families = append(p.page.Families, model.Family{Name: name, Help: help, Unit: unit, Type: kind})
	} else if p.page.Families[f.index].Type != kind {
		return &family{}
	}
	return f
}

// room reports whether n more samples with the labels of the point may be kept; it counts them if not.
func (d *decoder) room(f *family, n int) bool {
	reason := model.Reasons
	switch {
	case f.page == nil:
		reason = model.Conflict
	case d.lim.Series > 0 && d.total+n > d.lim.Series:
		reason = model.OverSeries
	case d.lim.Labels > 0 && len(d.labels) > d.lim.Labels, d.lim.Name > 0 && len(f.page.Families[f.index].Name) > d.lim.Name:
		reason = model.OverLabels
	}
	for _, l := range d.labels {
		if d.lim.Name > 0 && len(l.Name) > d.lim.Name || d.lim.Value > 0 && len(l.Value) > d.lim.Value {
			reason = model.OverLabels
		}
	}
	if reason == model.Reasons {
		d.total += n
		return true
	}
	d.drops[reason] += uint64(n) //nolint:gosec // a length
	return false
}

// add adds a sample; there must be room.
func (d *decoder) add(f *family, s model.Sample) {
	to := &f.page.Families[f.index]
	to.Samples = append(to.Samples, s)
}
