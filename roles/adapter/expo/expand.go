package expo

import (
	"math"
	"strconv"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// Expand reads the block of a family into samples. It does nothing to a family that has no block; an error means that the block was not made by Decode.
func Expand(f *model.Family) error {
	if f.Block == "" {
		return nil
	}
	var e Expander
	e.samples = make([]model.Sample, 0, f.Count)
	out, err := e.Expand(f)
	if err == nil {
		*f = out
	}
	return err
}

// Expander reads blocks into memory that it uses again. The zero value works.
type Expander struct {
	s       sample
	samples []model.Sample
	labels  []model.Label
}

// Expand returns f with samples instead of a block. They are valid until the next call; f itself is not changed.
func (e *Expander) Expand(f *model.Family) (model.Family, error) {
	out := *f
	if f.Block == "" {
		return out, nil
	}
	e.samples, e.labels = e.samples[:0], e.labels[:0]
	b := f.Block
	for i := 0; i < len(b); {
		if f.Dialect == model.Text {
			i = blank(b, i)
		}
		if b[i] == '#' || b[i] == '\n' {
			i += strings.IndexByte(b[i:], '\n') + 1
			continue
		}
		next, wrong := 0, ""
		if f.Dialect == model.Text {
			next, wrong = e.s.readText(b, i)
		} else {
			next, wrong = e.s.readOpen(b, i)
		}
		if wrong != "" || !strings.HasPrefix(e.s.name, f.Name) {
			return out, errBlock
		}
		e.add(f)
		i = next
	}
	out.Samples, out.Block, out.Dialect, out.Count = e.samples, "", model.NoText, 0
	return out, nil
}

// add appends the sample of e.s.
func (e *Expander) add(f *model.Family) {
	s := &e.s
	if len(e.labels)+len(s.labels) > cap(e.labels) {
		e.labels = make([]model.Label, 0, max(2*cap(e.labels), len(s.labels)*min(f.Count, 512), 64)) // what was given out stays where it is
	}
	from := len(e.labels)
	for _, l := range s.labels {
		if l.Value == "" {
			continue
		}
		if s.escaped {
			l.Value = unescape(l.Value)
		}
		e.labels = append(e.labels, l)
	}
	m := model.Sample{Suffix: s.name[len(f.Name):], Value: parse(s.value), Text: s.value}
	if len(e.labels) > from {
		m.Labels = e.labels[from:len(e.labels):len(e.labels)]
	}
	if s.time != "" {
		m.Timed = true
		if f.Dialect == model.Text {
			m.Time, _ = strconv.ParseInt(s.time, 10, 64)
		} else {
			m.Time = fromSeconds(parse(s.time))
		}
	}
	if s.exemplar != "" {
		m.Exemplar = s.readOut()
	}
	e.samples = append(e.samples, m)
}

// fromSeconds is what Prometheus makes of a timestamp, but bounded.
func fromSeconds(t float64) int64 {
	t *= 1000
	if t >= math.MaxInt64 {
		return math.MaxInt64
	}
	if t <= math.MinInt64 {
		return math.MinInt64
	}
	return int64(t)
}

// parse is the value of a number that was checked.
func parse(s string) float64 {
	if len(s) < 16 {
		n := 0
		i := 0
		for i < len(s) && is(s[i], digit) {
			n = n*10 + int(s[i]-'0')
			i++
		}
		if i == len(s) {
			return float64(n)
		}
	}
	v, _ := strconv.ParseFloat(s, 64)
	return v
}

// readOut is the exemplar of a line that was checked.
func (s *sample) readOut() *model.Exemplar {
	line := s.exemplar + "\n"
	labels, i, _ := s.openLabels(line, 1, nil, false)
	for j := range labels {
		labels[j].Value = unescape(labels[j].Value)
	}
	value, time, timed := strings.Cut(s.exemplar[i+1:], " ")
	x := &model.Exemplar{Labels: labels, Value: parse(value), Text: value, Timed: timed}
	if timed {
		x.Time = parse(time)
	}
	return x
}

// LabelNames calls fn with the names of the labels of a block, each at least once, until fn returns false.
func LabelNames(f *model.Family, fn func(name string) bool) {
	var last []string
	scan(f, new(sample), func(s *sample) bool {
		for i := range s.labels {
			name := s.labels[i].Name
			if i < len(last) && last[i] == name {
				continue
			}
			last = append(last[:min(i, len(last))], name)
			if !fn(name) {
				return false
			}
		}
		return true
	})
}

// Over reports whether a sample of a block is more than the limits allow.
func Over(f *model.Family, lim model.Limits) bool {
	over := false
	scan(f, new(sample), func(s *sample) bool {
		over = s.over(&lim)
		return !over
	})
	return over
}

// scan calls fn with the samples of a block, which it reads into s.
func scan(f *model.Family, s *sample, fn func(s *sample) bool) {
	s.name = ""
	b := f.Block
	for i := 0; i < len(b); {
		if f.Dialect == model.Text {
			i = blank(b, i)
		}
		if b[i] == '#' || b[i] == '\n' {
			i += strings.IndexByte(b[i:], '\n') + 1
			continue
		}
		var wrong string
		if f.Dialect == model.Text {
			i, wrong = s.readText(b, i)
		} else {
			i, wrong = s.readOpen(b, i)
		}
		if wrong != "" || !fn(s) {
			return
		}
	}
}
