// Package meter counts, and writes what was counted in the text format of Prometheus.
//
// It has what the roles need and no more: counters, gauges and histograms, with labels or without, and sources that are read at
// a scrape. Counting is an atomic addition; a value with labels is found once, by With, and kept. It is not a registry of the
// process: every role registers in the one that it was given. A library that does the same would take two megabytes of the
// binary for protocol buffers. Used by host, admin and every role.
package meter

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Kind is what a metric is.
type Kind uint8

// The kinds.
const (
	CounterKind Kind = iota
	GaugeKind
	HistogramKind
	SummaryKind
)

// String returns the word of the text format.
func (k Kind) String() string { return [...]string{"counter", "gauge", "histogram", "summary"}[k] }

// Desc describes a metric.
type Desc struct {
	Name, Help string
	Kind       Kind
	Labels     []string
}

// Sample is one value of a metric. Values belong to the labels of Desc, in their order.
type Sample struct {
	Desc   *Desc
	Values []string
	Value  float64
	Times  *Distribution // of a histogram, instead of Value

	suffix string // of summaries
	extra  string
}

// Distribution is what a histogram has seen.
type Distribution struct {
	Bounds []float64 // upper bounds, rising
	Counts []uint64  // one more than bounds: the last is for what is above all
	Sum    float64
}

// Source is what can be registered. Both methods may be called at any time, by several goroutines.
type Source interface {
	// Describe returns every metric that Collect may give, also those without a value yet.
	Describe() []*Desc
	// Collect gives the values of now.
	Collect(put func(Sample))
}

// Registerer is where a role registers its metrics.
type Registerer interface {
	// MustRegister panics where a name is wrong or taken: that is a mistake of the program.
	MustRegister(sources ...Source)
}

// Registry is a set of sources. The zero value works.
type Registry struct {
	mu      sync.Mutex
	sources []Source
	names   map[string]bool
}

// MustRegister implements Registerer.
func (r *Registry) MustRegister(sources ...Source) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.names == nil {
		r.names = map[string]bool{}
	}
	for _, s := range sources {
		for _, d := range s.Describe() {
			if !valid(d.Name) || slices.ContainsFunc(d.Labels, func(l string) bool { return !valid(l) || strings.Contains(l, ":") }) {
				panic(fmt.Sprintf("meter: %s or one of its labels %q is not a name", d.Name, d.Labels))
			}
			if r.names[d.Name] {
				panic("meter: " + d.Name + " is registered twice")
			}
			r.names[d.Name] = true
		}
		r.sources = append(r.sources, s)
	}
}

// Describe lists all metrics, by name.
func (r *Registry) Describe() []*Desc {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []*Desc
	for _, s := range r.sources {
		all = append(all, s.Describe()...)
	}
	slices.SortFunc(all, func(a, b *Desc) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func valid(name string) bool {
	for i, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '_' && c != ':' && (c < '0' || c > '9' || i == 0) {
			return false
		}
	}
	return name != ""
}

// number is a float64 that can be added to by several goroutines.
type number struct{ bits atomic.Uint64 }

func (n *number) load() float64 { return math.Float64frombits(n.bits.Load()) }
func (n *number) set(v float64) { n.bits.Store(math.Float64bits(v)) }

func (n *number) add(v float64) {
	for {
		old := n.bits.Load()
		if n.bits.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+v)) {
			return
		}
	}
}

// Counter only grows.
type Counter struct {
	single
	n number
}

// NewCounter makes a counter without labels. Its name should end in _total.
func NewCounter(name, help string) *Counter {
	c := &Counter{}
	c.single = single{&Desc{Name: name, Help: help, Kind: CounterKind}, &c.n}
	return c
}

// Inc adds one.
func (c *Counter) Inc() { c.n.add(1) }

// Add adds v, which must not be negative.
func (c *Counter) Add(v float64) {
	if v < 0 {
		panic(fmt.Sprintf("meter: %v is added to a counter", v))
	}
	c.n.add(v)
}

// Gauge goes up and down.
type Gauge struct {
	single
	n number
}

// NewGauge makes a gauge without labels.
func NewGauge(name, help string) *Gauge {
	g := &Gauge{}
	g.single = single{&Desc{Name: name, Help: help, Kind: GaugeKind}, &g.n}
	return g
}

// Set replaces the value.
func (g *Gauge) Set(v float64) { g.n.set(v) }

// Add adds v.
func (g *Gauge) Add(v float64) { g.n.add(v) }

// Value returns the current value.
func (g *Gauge) Value() float64 { return g.n.load() }

// Value returns the current value.
func (c *Counter) Value() float64 { return c.n.load() }

// single is one value as a source.
type single struct {
	desc *Desc
	n    *number
}

// Describe implements Source.
func (s single) Describe() []*Desc { return []*Desc{s.desc} }

// Collect implements Source.
func (s single) Collect(put func(Sample)) { put(Sample{Desc: s.desc, Value: s.n.load()}) }

// Histogram counts values by size.
type Histogram struct {
	desc   *Desc
	bounds []float64
	counts []atomic.Uint64
	sum    number
}

// NewHistogram makes a histogram without labels. Bounds are upper limits of buckets, rising.
func NewHistogram(name, help string, bounds ...float64) *Histogram {
	return newHistogram(&Desc{Name: name, Help: help, Kind: HistogramKind}, bounds)
}

func newHistogram(d *Desc, bounds []float64) *Histogram {
	return &Histogram{desc: d, bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+1)}
}

// Observe counts v.
func (h *Histogram) Observe(v float64) {
	i, _ := slices.BinarySearch(h.bounds, v)
	h.counts[i].Add(1)
	h.sum.add(v)
}

// Describe implements Source.
func (h *Histogram) Describe() []*Desc { return []*Desc{h.desc} }

// Collect implements Source.
func (h *Histogram) Collect(put func(Sample)) { put(Sample{Desc: h.desc, Times: h.distribution()}) }

func (h *Histogram) distribution() *Distribution {
	d := &Distribution{Bounds: h.bounds, Counts: make([]uint64, len(h.counts)), Sum: h.sum.load()}
	for i := range h.counts {
		d.Counts[i] = h.counts[i].Load()
	}
	return d
}
