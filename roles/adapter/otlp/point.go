package otlp

import (
	"encoding/hex"
	"errors"
	"math"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/order"
	"github.com/sidecar-kit/sidecar/internal/proto"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// point is a data point of any type.
type point struct {
	value     float64
	has       bool // value
	sum       float64
	hasSum    bool
	count     uint64
	time      uint64
	flags     uint64
	scale     int
	zero      uint64
	threshold float64
	positive  []byte
	negative  []byte
	exemplars []model.Exemplar
}

// mostExemplars is how many of a point are looked at.
const mostExemplars = 1000

func (d *decoder) point(f *family, m *metric, body []byte) error {
	d.attributes = d.attributes[:0]
	d.raw, d.limits = d.raw[:0], d.limits[:0]
	number := 7
	switch m.shape {
	case 9:
		number = 9
	case 10:
		number = 1
	}
	var p point
	err := proto.Each(body, func(field int, n uint64, value []byte) (err error) {
		switch {
		case field == number && value != nil:
			d.attributes, err = appendAttribute(d.attributes, value)
		case field == 3:
			p.time = n
		case m.shape == 5 || m.shape == 7:
			err = d.number(&p, field, n, value)
		case m.shape == 9:
			err = d.histogram(&p, field, n, value)
		case m.shape == 10:
			err = exponential(&p, field, n, value)
		case m.shape == 11:
			err = d.summary(&p, field, n, value)
		}
		return err
	})
	if err != nil {
		return err
	}
	if p.flags&1 != 0 { // no value was recorded: the series ends here
		return nil
	}
	d.names()
	return d.keep(f, m, &p)
}

// names makes labels of attributes. What the resource and the scope say is stronger. Samples keep the list, so it is a new one.
func (d *decoder) names() {
	order.Sort(d.attributes, func(a, b model.Label) int { return strings.Compare(a.Name, b.Name) })
	labels := make([]model.Label, 0, len(d.attributes)+len(d.target)+len(d.scope)+1) // and le
	for _, a := range d.attributes {
		if a.Value != "" {
			labels = addLabel(labels, labelName(a.Name), a.Value)
		}
	}
	for _, fixed := range [2][]model.Label{d.target, d.scope} {
		for _, l := range fixed {
			if l.Value != "" {
				labels = setLabel(labels, l)
			}
		}
	}
	d.labels = labels
}

func (d *decoder) number(p *point, field int, number uint64, value []byte) error {
	switch {
	case field == 4 && value == nil:
		p.value, p.has = math.Float64frombits(number), true
	case field == 6 && value == nil:
		p.value, p.has = float64(int64(number)), true //nolint:gosec // two's complement
	case field == 5 && value != nil:
		return p.exemplar(value)
	case field == 8:
		p.flags = number
	}
	return nil
}

func (d *decoder) histogram(p *point, field int, number uint64, value []byte) error {
	switch {
	case field == 4:
		p.count = number
	case field == 5:
		p.sum, p.hasSum = math.Float64frombits(number), true
	case field == 6:
		return fixeds(number, value, func(n uint64) { d.raw = append(d.raw, n) })
	case field == 7:
		return fixeds(number, value, func(n uint64) { d.limits = append(d.limits, math.Float64frombits(n)) })
	case field == 8 && value != nil:
		return p.exemplar(value)
	case field == 10:
		p.flags = number
	}
	return nil
}

func exponential(p *point, field int, number uint64, value []byte) error {
	switch {
	case field == 4:
		p.count = number
	case field == 5:
		p.sum, p.hasSum = math.Float64frombits(number), true
	case field == 6:
		p.scale = int(int32(number>>1) ^ -int32(number&1)) //nolint:gosec // zigzag
	case field == 7:
		p.zero = number
	case field == 8:
		p.positive = value
	case field == 9:
		p.negative = value
	case field == 10:
		p.flags = number
	case field == 11 && value != nil:
		return p.exemplar(value)
	case field == 14:
		p.threshold = math.Float64frombits(number)
	}
	return nil
}

// summary keeps quantiles in limits and their values, as bits, in raw.
func (d *decoder) summary(p *point, field int, number uint64, value []byte) error {
	switch {
	case field == 4:
		p.count = number
	case field == 5:
		p.sum, p.hasSum = math.Float64frombits(number), true
	case field == 6 && value != nil:
		var q, v uint64
		err := proto.Each(value, func(field int, number uint64, _ []byte) error {
			switch field {
			case 1:
				q = number
			case 2:
				v = number
			}
			return nil
		})
		d.limits, d.raw = append(d.limits, math.Float64frombits(q)), append(d.raw, v)
		return err
	case field == 8:
		p.flags = number
	}
	return nil
}

// fixeds reads a repeated field of eight bytes each, packed or not.
func fixeds(number uint64, value []byte, fn func(uint64)) error {
	if value == nil {
		fn(number)
		return nil
	}
	if len(value)%8 != 0 {
		return errors.New("a packed field is not a multiple of 8 bytes")
	}
	for ; len(value) > 0; value = value[8:] {
		var n uint64
		for i := range 8 {
			n |= uint64(value[i]) << (8 * i)
		}
		fn(n)
	}
	return nil
}

func (p *point) exemplar(body []byte) error {
	if len(p.exemplars) == mostExemplars {
		return nil
	}
	var e model.Exemplar
	var own []model.Label
	err := proto.Each(body, func(field int, number uint64, value []byte) (err error) {
		switch field {
		case 2:
			e.Time, e.Timed = float64(number)/1e9, number != 0
		case 3:
			e.Value = math.Float64frombits(number)
		case 6:
			e.Value = float64(int64(number)) //nolint:gosec // two's complement
		case 4:
			own = setLabel(own, model.Label{Name: "span_id", Value: hex.EncodeToString(value)})
		case 5:
			own = setLabel(own, model.Label{Name: "trace_id", Value: hex.EncodeToString(value)})
		case 7:
			e.Labels, err = appendAttribute(e.Labels, value)
		}
		return err
	})
	if err != nil {
		return err
	}
	attributes := e.Labels
	e.Labels = nil
	for _, a := range attributes {
		own = addLabel(own, labelName(a.Name), a.Value)
	}
	runes := 0 // OpenMetrics has 128 for all; what comes last is left out
	for _, l := range own {
		if l.Value == "" {
			continue
		}
		if runes += len([]rune(l.Name)) + len([]rune(l.Value)); runes > 128 {
			break
		}
		e.Labels = append(e.Labels, l)
	}
	p.exemplars = append(p.exemplars, e)
	return nil
}

// stamp is when a point was measured.
func (p *point) stamp(s model.Sample) model.Sample {
	if p.time != 0 {
		s.Time, s.Timed = int64(p.time/1e6), true //nolint:gosec // divided
	}
	return s
}

// keep makes samples of a point.
func (d *decoder) keep(f *family, m *metric, p *point) error {
	switch m.shape {
	case 5, 7:
		if !p.has {
			d.drops[model.Unreadable]++
			return nil
		}
		s := p.stamp(model.Sample{Labels: d.labels, Value: p.value})
		if m.kind == model.Counter {
			s.Suffix = "_total"
			if n := len(p.exemplars); n > 0 {
				s.Exemplar = &p.exemplars[n-1]
			}
		}
		if d.room(f, 1) {
			d.add(f, s)
		}
		return nil
	case 9:
		return d.keepHistogram(f, p)
	case 10:
		if err := d.fold(p); err != nil {
			return err
		}
		d.keepBuckets(f, p, d.bounds, d.les)
		return nil
	}
	if !d.room(f, len(d.limits)+2) {
		return nil
	}
	for i, q := range d.limits {
		d.add(f, p.stamp(model.Sample{Labels: d.with("quantile", float(q)), Value: math.Float64frombits(d.raw[i])}))
	}
	d.add(f, p.stamp(model.Sample{Suffix: "_sum", Labels: d.labels, Value: p.sum}))
	d.add(f, p.stamp(model.Sample{Suffix: "_count", Labels: d.labels, Value: float64(p.count)}))
	return nil
}

// with is the labels and one more; one of that name is replaced.
func (d *decoder) with(name, value string) []model.Label {
	return setLabel(append(make([]model.Label, 0, len(d.labels)+1), d.labels...), model.Label{Name: name, Value: value})
}
