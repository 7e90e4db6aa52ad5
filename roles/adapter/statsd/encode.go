package statsd

import (
	"bytes"
	"math"
	"strconv"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// Style is how labels are written.
type Style uint8

// The styles.
const (
	DogStatsD Style = iota // name:1|c|#label:value
	InfluxDB               // name,label=value:1|c
	Librato                // name#label=value:1|c
	SignalFX               // name[label=value]:1|c
	NoTags                 // name.label.value:1|c
)

// Encoder writes pages as lines of StatsD, as what changed since the page before. Counters, and buckets, sums and counts of histograms and summaries are
// written as counters by how much they grew; one that shrank began again, so all of it is new. What the first page has is only remembered, for nobody
// knows since when it counts; a series that comes later counts from 0. All else, quantiles among it, is written as gauges.
//
// What StatsD cannot carry: help, unit and type beyond counter and gauge, times, exemplars, NaN and infinite numbers (counted as unstorable). In tags the
// characters | , : @ # = [ ] and control characters become an underscore where the style gives them a meaning.
type Encoder struct {
	Style  Style
	Prefix string                    // before every name
	Expand func(*model.Family) error // reads blocks of text

	pages int
	last  map[string]counted
	key   []byte
}

type counted struct {
	value float64
	page  int
}

// mostPages is for how many pages a series is remembered that is not there.
const mostPages = 360

// Encode appends lines.
func (e *Encoder) Encode(dst []byte, p *model.Page) ([]byte, model.Drops) {
	var drops model.Drops
	if e.last == nil {
		e.last = map[string]counted{}
	}
	e.pages++
	for i := range p.Families {
		f := p.Families[i]
		if f.Block != "" && (e.Expand == nil || e.Expand(&f) != nil) {
			drops[model.Unstorable] += uint64(f.Len()) //nolint:gosec // a length
			continue
		}
		for j := range f.Samples {
			dst = e.sample(dst, &f, &f.Samples[j], &drops)
		}
	}
	if e.pages%mostPages == 0 {
		for key, c := range e.last {
			if e.pages-c.page > mostPages {
				delete(e.last, key)
			}
		}
	}
	return dst, drops
}

func (e *Encoder) sample(dst []byte, f *model.Family, s *model.Sample, drops *model.Drops) []byte {
	value := s.Value
	if math.IsNaN(value) || math.IsInf(value, 0) || s.Suffix == "_created" {
		drops[model.Unstorable]++
		return dst
	}
	e.key = e.name(e.key[:0], f.Name+s.Suffix, s.Labels)
	if !counts(f.Type, s.Suffix) {
		if value < 0 { // a sign means a change of the gauge
			dst = e.line(dst, 0, 'g', s.Labels)
		}
		return e.line(dst, value, 'g', s.Labels)
	}
	delta, first := value, e.pages == 1
	if before, ok := e.last[string(e.key)]; ok && value >= before.value {
		delta -= before.value
	} else if !ok && first {
		delta = 0
	}
	e.last[string(e.key)] = counted{value, e.pages}
	if delta == 0 {
		return dst
	}
	return e.line(dst, delta, 'c', s.Labels)
}

// counts reports whether samples of a type and suffix only grow.
func counts(kind model.Type, suffix string) bool {
	switch kind {
	case model.Counter, model.Histogram:
		return true
	case model.Summary:
		return suffix != ""
	}
	return false
}

// name appends all in front of the colon, and tags at the end after a zero byte if they belong there: the key of a series.
func (e *Encoder) name(dst []byte, name string, labels []model.Label) []byte {
	dst = clean(append(dst, e.Prefix...), name, ":|@#,[]=")
	if len(labels) == 0 {
		return dst
	}
	before, equals, between, stop := ",", byte('='), byte(','), ""
	switch e.Style {
	case DogStatsD:
		before, equals = "\x00|#", ':'
	case Librato:
		before = "#"
	case SignalFX:
		before, stop = "[", "]"
	case NoTags:
		before, equals, between = ".", '.', '.'
	}
	dst = append(dst, before...)
	for i, l := range labels {
		if i > 0 {
			dst = append(dst, between)
		}
		dst = append(clean(dst, l.Name, ":|@#,[]=."), equals)
		switch e.Style {
		case DogStatsD:
			dst = clean(dst, l.Value, "|,")
		case NoTags:
			dst = clean(dst, l.Value, ":|@#,[]=.")
		default:
			dst = clean(dst, l.Value, ":|@#,[]=")
		}
	}
	return append(dst, stop...)
}

// clean appends text without the characters of bad and without control characters.
func clean(dst []byte, text, bad string) []byte {
	for i := range len(text) {
		c := text[i]
		if c < ' ' || c == 0x7f || strings.IndexByte(bad, c) >= 0 {
			c = '_'
		}
		dst = append(dst, c)
	}
	return dst
}

// line appends a line for the series that key has.
func (e *Encoder) line(dst []byte, value float64, kind byte, labels []model.Label) []byte {
	name, tags := e.key, []byte(nil)
	if e.Style == DogStatsD && len(labels) > 0 {
		i := bytes.IndexByte(name, 0)
		name, tags = name[:i], name[i+1:]
	}
	dst = append(append(dst, name...), ':')
	dst = strconv.AppendFloat(dst, value, 'f', -1, 64)
	dst = append(append(dst, '|', kind), tags...)
	return append(dst, '\n')
}
