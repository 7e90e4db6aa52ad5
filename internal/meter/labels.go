package meter

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// family is metrics that differ in the values of labels.
type family[T any] struct {
	desc *Desc
	make func() T

	mu   sync.Mutex
	all  map[string]T
	keys map[string][]string
}

func newFamily[T any](d *Desc, make func() T) family[T] {
	return family[T]{desc: d, make: make, all: map[string]T{}, keys: map[string][]string{}}
}

// With returns the metric with these values of labels, made at the first call. Keep it where it is used often.
func (f *family[T]) With(values ...string) T {
	if len(values) != len(f.desc.Labels) {
		panic(fmt.Sprintf("meter: %s has the labels %q, and was given %q", f.desc.Name, f.desc.Labels, values))
	}
	key := strings.Join(values, "\xff")
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.all[key]
	if !ok {
		m = f.make()
		f.all[key], f.keys[key] = m, slices.Clone(values)
	}
	return m
}

// Reset forgets all values.
func (f *family[T]) Reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.all)
	clear(f.keys)
}

// Describe implements Source.
func (f *family[T]) Describe() []*Desc { return []*Desc{f.desc} }

func (f *family[T]) each(fn func(values []string, m T)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, m := range f.all {
		fn(f.keys[key], m)
	}
}

// Counters are counters with labels.
type Counters struct{ family[*Counter] }

// NewCounters makes counters with labels. Their values have to be few.
func NewCounters(name, help string, labels ...string) *Counters {
	return &Counters{newFamily(&Desc{Name: name, Help: help, Kind: CounterKind, Labels: labels}, func() *Counter { return &Counter{} })}
}

// Collect implements Source.
func (c *Counters) Collect(put func(Sample)) {
	c.each(func(values []string, m *Counter) { put(Sample{Desc: c.desc, Values: values, Value: m.n.load()}) })
}

// Gauges are gauges with labels.
type Gauges struct{ family[*Gauge] }

// NewGauges makes gauges with labels. Their values have to be few.
func NewGauges(name, help string, labels ...string) *Gauges {
	return &Gauges{newFamily(&Desc{Name: name, Help: help, Kind: GaugeKind, Labels: labels}, func() *Gauge { return &Gauge{} })}
}

// Collect implements Source.
func (g *Gauges) Collect(put func(Sample)) {
	g.each(func(values []string, m *Gauge) { put(Sample{Desc: g.desc, Values: values, Value: m.n.load()}) })
}

// Histograms are histograms with labels.
type Histograms struct{ family[*Histogram] }

// NewHistograms makes histograms with labels, all with the same bounds.
func NewHistograms(name, help string, bounds []float64, labels ...string) *Histograms {
	d := &Desc{Name: name, Help: help, Kind: HistogramKind, Labels: labels}
	return &Histograms{newFamily(d, func() *Histogram { return newHistogram(d, bounds) })}
}

// Collect implements Source.
func (h *Histograms) Collect(put func(Sample)) {
	h.each(func(values []string, m *Histogram) {
		put(Sample{Desc: h.desc, Values: values, Times: m.distribution()})
	})
}
