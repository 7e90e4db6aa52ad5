// Package model is what every format is turned into and written from: families of samples, in one page for each source. Strings
// of a page are parts of the body it was read from, so a body is never changed after it was decoded, and is kept as long as its page.
package model

// Type is what the samples of a family mean.
type Type uint8

// The types. The first is what a source that knows no types gives.
const (
	Unknown Type = iota
	Counter
	Gauge
	Histogram
	GaugeHistogram
	Summary
	Info
	StateSet
)

// String is the word of OpenMetrics.
func (t Type) String() string {
	return [...]string{"unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"}[t]
}

// Label is a name and its value.
type Label struct{ Name, Value string }

// Exemplar is an example of what a counter or a bucket counted.
type Exemplar struct {
	Labels []Label
	Value  float64
	Text   string  // the number as the source wrote it, "" when it was computed
	Time   float64 // seconds since 1970
	Timed  bool
}

// Sample is one number.
type Sample struct {
	Suffix   string  // what follows the family's name: "", _total, _created, _bucket, _sum, _count, _gsum, _gcount, _info
	Labels   []Label // in the order of the source, le and quantile among them; never two of one name, never an empty value
	Value    float64
	Text     string // the number as the source wrote it, where it says more than Value does, or the same; "" when it was computed
	Time     int64  // milliseconds since 1970
	Timed    bool
	Exemplar *Exemplar
}

// Dialect is one of the two text formats.
type Dialect uint8

// The dialects.
const (
	NoText      Dialect = iota
	Text                // Prometheus text 0.0.4
	OpenMetrics         // OpenMetrics 1.0
)

// Family is a metric with all its samples. A sample's full name is Name+Suffix. Name is the family's name as OpenMetrics has it: a counter
// foo_total is family foo with samples of suffix _total, in text 0.0.4, too. A counter of text 0.0.4 whose name does not end in _total has samples without suffix.
type Family struct {
	Name, Help, Unit string
	Type             Type
	Samples          []Sample

	// A family that was read from text, and that nothing has changed since, is the text itself: whole lines, HELP and TYPE among them.
	// Samples is nil then, until expo.Expand reads the block.
	Block   string
	Dialect Dialect
	Count   int // samples in Block
}

// Len is the number of samples, read or not.
func (f *Family) Len() int {
	if f.Block != "" {
		return f.Count
	}
	return len(f.Samples)
}

// Page is what one source said at one time. No two families have the same name; no two samples the same full name and labels.
type Page struct {
	Families []Family
	Body     string // the text that blocks of the families are parts of, "" where that is not known; other blocks may lie elsewhere
}

// Len is the number of samples.
func (p *Page) Len() int {
	n := 0
	for i := range p.Families {
		n += p.Families[i].Len()
	}
	return n
}

// Limits bound what a source may say. 0 is no limit.
type Limits struct {
	Series int // samples of a page
	Labels int // labels of a sample
	Name   int // bytes of a name of a metric or a label
	Value  int // bytes of a label's value
}

// Reason says why a sample is not there. Whoever leaves one out counts it in Drops; nothing is dropped without.
type Reason uint8

// The reasons.
const (
	OverSeries Reason = iota // more than Limits.Series
	OverLabels               // more labels, longer names or longer values than Limits has
	Repeated                 // the same series a second time
	Conflict                 // another source has the same series, or a family of that name with another type
	Unwanted                 // a relabelling rule, a filter or a mapping drops it: what the user asked for
	Unreadable               // one line or value among others that cannot be read (push listeners and mappings only)
	Unstorable               // the format that is written cannot carry it; the loss matrix says which
	Reasons                  // how many there are
)

// String is the value of the label "reason".
func (r Reason) String() string {
	return [...]string{"series-limit", "label-limit", "repeated", "conflict", "relabel", "unreadable", "unstorable", ""}[r]
}

// Drops counts samples that were left out.
type Drops [Reasons]uint64

// Add adds what other counted.
func (d *Drops) Add(other Drops) {
	for i, n := range other {
		d[i] += n
	}
}

// Sum is how many samples were left out.
func (d *Drops) Sum() uint64 {
	var n uint64
	for _, v := range d {
		n += v
	}
	return n
}
