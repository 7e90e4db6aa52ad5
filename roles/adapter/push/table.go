package push

import (
	"hash/maphash"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/statsmap"
)

// family is all series of a name. Its key is the name that counters and gauges are shown by.
type family struct {
	key, help, unit string
	total           bool // a counter whose samples end in _total, which the model keeps apart from the name
	kind            model.Type
	list            []*series
	sorted          bool
	change          uint64 // how often list got or lost series
}

// series is one counter or gauge, one histogram with all its buckets, or one sample of a page.
type series struct {
	family    *family
	hash      uint64
	next      *series // of the same hash
	labels    []model.Label
	suffix    string // of a sample that came in a page
	value     float64
	at        int64 // of the last delta, so that one that is sent twice does not count twice
	last, ttl int64 // nanoseconds
	dead      bool
	cost      int // samples of a page
	kept      observer
}

// observer is a histogram, a summary or a set.
type observer interface {
	observe(v float64, times uint64, now int64)
	samples(p *pageBuilder, s *series, now int64)
}

// want is a series that is looked for, and what it is made of if it is not there. Its strings may be those of a buffer that changes.
type want struct {
	key, suffix string
	labels      []model.Label
	kind        model.Type
	total       bool
	set         bool
	help, unit  string
	ttl         int64
	shape       *statsmap.Shape
}

// refusal says why there is no series.
type refusal uint8

const (
	found refusal = iota
	conflict
	overSeries
	overLabels
	negative
)

// refuse counts.
func (t *Table) refuse(r refusal) {
	switch r {
	case conflict:
		t.stats.Conflicts++
		t.drops[model.Conflict]++
	case overSeries:
		t.stats.Over++
		t.drops[model.OverSeries]++
	case negative:
		t.stats.Negative++
		t.drops[model.Unreadable]++
	case overLabels:
		t.stats.Oversized++
		t.drops[model.OverLabels]++
	}
}

// find looks a series up, and makes it if it is new.
func (t *Table) find(w *want, now int64) (*series, refusal) {
	tidy(w)
	f := t.families[w.key]
	if f != nil && f.kind != w.kind {
		return nil, conflict
	}
	hash := t.hash(w)
	for s := t.index[hash]; s != nil; s = s.next {
		if s.family.key == w.key && s.suffix == w.suffix && same(s.labels, w.labels) {
			s.ttl = w.ttl
			return s, found
		}
	}
	if r := t.check(w, f, now); r != found {
		return nil, r
	}
	return t.add(w, f, hash), found
}

// tidy sorts labels and removes empty ones.
func tidy(w *want) {
	kept := w.labels[:0]
	for _, l := range w.labels {
		if l.Value == "" {
			continue
		}
		kept = append(kept, l)
		for i := len(kept) - 1; i > 0 && kept[i].Name < kept[i-1].Name; i-- {
			kept[i], kept[i-1] = kept[i-1], kept[i]
		}
	}
	w.labels = kept
}

func (t *Table) hash(w *want) uint64 {
	var h maphash.Hash
	h.SetSeed(t.seed)
	_, _ = h.WriteString(w.key)
	_ = h.WriteByte(0xff)
	_, _ = h.WriteString(w.suffix)
	for _, l := range w.labels {
		_ = h.WriteByte(0xff)
		_, _ = h.WriteString(l.Name)
		_ = h.WriteByte(0xff)
		_, _ = h.WriteString(l.Value)
	}
	return h.Sum64()
}

func same(a, b []model.Label) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// check reports what speaks against a new series.
func (t *Table) check(w *want, f *family, now int64) refusal {
	lim := &t.opts.Limits
	if lim.Labels > 0 && len(w.labels) > lim.Labels || lim.Name > 0 && len(w.key) > lim.Name {
		return overLabels
	}
	for i, l := range w.labels {
		switch {
		case lim.Name > 0 && len(l.Name) > lim.Name, lim.Value > 0 && len(l.Value) > lim.Value:
			return overLabels
		case strings.HasPrefix(l.Name, "__"), w.shape != nil && l.Name == reserved(w.kind), i > 0 && l.Name == w.labels[i-1].Name:
			return conflict
		}
	}
	if f == nil {
		for _, suffix := range suffixes(w.kind) {
			if t.names[w.key+suffix] != nil {
				return conflict
			}
		}
	}
	if lim.Series > 0 && t.samples+cost(w) > lim.Series {
		if now-t.swept > 1e9 {
			t.sweep(now)
		}
		if t.samples+cost(w) > lim.Series {
			return overSeries
		}
	}
	return found
}

// reserved is the label that observers of a kind have themselves.
func reserved(kind model.Type) string {
	if kind == model.Histogram {
		return "le"
	}
	return "quantile"
}

// suffixes are what may follow the name of a family.
func suffixes(kind model.Type) []string {
	switch kind {
	case model.Histogram:
		return []string{"", "_bucket", "_sum", "_count"}
	case model.Summary:
		return []string{"", "_sum", "_count"}
	case model.GaugeHistogram:
		return []string{"", "_bucket", "_gsum", "_gcount"}
	case model.Info:
		return []string{"", "_info"}
	}
	return []string{""}
}

// cost is how many samples the new series has in a page.
func cost(w *want) int {
	if w.shape == nil || w.suffix != "" {
		return 1
	}
	switch w.kind {
	case model.Histogram:
		return len(w.shape.Buckets) + 3
	case model.Summary:
		return len(w.shape.Quantiles) + 2
	}
	return 1
}

// add makes a series, with copies of its strings.
func (t *Table) add(w *want, f *family, hash uint64) *series {
	if f == nil {
		f = &family{key: strings.Clone(w.key), help: strings.Clone(w.help), unit: strings.Clone(w.unit), kind: w.kind, total: w.total, sorted: true}
		if f.help == "" {
			f.help = t.opts.Help
		}
		t.families[f.key] = f
		for _, suffix := range suffixes(f.kind) {
			t.names[f.key+suffix] = f
		}
		t.sorted = nil
	}
	s := &series{family: f, hash: hash, next: t.index[hash], ttl: w.ttl, suffix: strings.Clone(w.suffix), cost: cost(w)}
	s.labels = make([]model.Label, len(w.labels))
	for i, l := range w.labels {
		s.labels[i] = model.Label{Name: strings.Clone(l.Name), Value: strings.Clone(l.Value)}
	}
	switch {
	case w.set:
		s.kept = newSet(t.opts.SetWindow)
	case w.shape != nil && w.kind == model.Histogram:
		s.kept = newHistogram(w.shape)
	case w.shape != nil && w.kind == model.Summary:
		s.kept = newSummary(w.shape, &t.scratch)
	}
	t.index[hash] = s
	if n := len(f.list); n > 0 && less(s, f.list[n-1]) {
		f.sorted = false
	}
	f.list = append(f.list, s)
	f.change++
	t.samples += s.cost
	t.count++
	return s
}

// sweep removes what is too old.
func (t *Table) sweep(now int64) {
	t.swept = now
	for key, f := range t.families {
		t.sweepFamily(f, now)
		if len(f.list) > 0 {
			continue
		}
		delete(t.families, key)
		for _, suffix := range suffixes(f.kind) {
			delete(t.names, key+suffix)
		}
		t.sorted = nil
	}
}

func (t *Table) sweepFamily(f *family, now int64) {
	kept := f.list[:0]
	for _, s := range f.list {
		if s.ttl == 0 || s.last+s.ttl >= now {
			kept = append(kept, s)
			continue
		}
		s.dead = true
		t.samples -= s.cost
		t.count--
		t.stats.Expired++
		t.unlink(s)
	}
	if len(kept) < len(f.list) {
		f.change++
	}
	clear(f.list[len(kept):])
	f.list = kept
}

func (t *Table) unlink(s *series) {
	at := t.index[s.hash]
	if at == s {
		if s.next == nil {
			delete(t.index, s.hash)
		} else {
			t.index[s.hash] = s.next
		}
		return
	}
	for at.next != s {
		at = at.next
	}
	at.next = s.next
}
