package expo

import (
	"hash/maphash"
	"math"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/order"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// grouping puts the samples of each metric together.
type grouping struct {
	seen  series
	ranks []rank
}

// rank is where a sample belongs: its metric, then its bound for buckets.
type rank struct {
	at, metric int
	bound      float64 // -Inf for what comes before buckets, +Inf and rest for what comes after
	rest       bool
}

// openFamily writes a family of samples in OpenMetrics.
func (w *Writer) openFamily(f *model.Family, sure bool) {
	name, t := f.Name, f.Type
	main := ""
	switch t {
	case model.Counter:
		main = "_total"
		if TextName(f) == name && strings.HasSuffix(name, "_total") {
			// Text 0.0.4 allows a counter foo_total beside another foo; here their names would clash.
			if base := strings.TrimSuffix(name, "_total"); base != "" && !w.page[base] && !w.names[w.name(base)] {
				name = base
			} else {
				t, main = model.Unknown, ""
			}
		}
	case model.Info:
		main = "_info"
	}
	plain := *f
	plain.Name, plain.Type, plain.Block = name, t, ""
	name = w.name(name)
	if !w.claim(&plain, name) {
		return
	}
	w.header(name, t.String(), f.Help)
	if f.Unit != "" && strings.HasSuffix(name, "_"+f.Unit) && t != model.Info && t != model.StateSet {
		w.dst = append(w.dst, "# UNIT "...)
		w.metaName(name)
		w.dst = append(w.dst, ' ')
		w.dst = append(w.dst, f.Unit...)
		w.dst = append(w.dst, '\n')
	}
	samples := f.Samples
	if made := w.made[f.Name]; made != nil {
		samples = append(samples[:len(samples):len(samples)], made.Samples...)
	}
	if suffixes(t) == "" && t != model.StateSet || t == model.Info {
		for i := range samples {
			w.openSample(name, t, main, f, &samples[i], sure)
		}
		return
	}
	for _, r := range w.group.order(samples, t, f.Name) {
		if r.at < 0 {
			w.infinite(name, &samples[-r.at-1], sure)
			continue
		}
		w.openSample(name, t, main, f, &samples[r.at], sure)
	}
}

// openSample writes one sample, or counts it.
func (w *Writer) openSample(name string, t model.Type, main string, f *model.Family, s *model.Sample, sure bool) {
	suffix := s.Suffix
	if (t == model.Counter || f.Type == model.Counter) && (suffix == "" || suffix == "_total") {
		suffix = main
	}
	le, ok := "", owns(t, "", suffix)
	switch {
	case suffix == "_bucket":
		v := value(s.Labels, "le")
		b, finite := bound(v)
		ok = ok && v != "" && finite
		if math.IsInf(b, 1) {
			le = "+Inf"
		}
	case t == model.Summary && suffix == "":
		q, finite := bound(value(s.Labels, "quantile"))
		ok = ok && finite && q >= 0 && q <= 1
	case t == model.StateSet:
		ok = ok && value(s.Labels, f.Name) != ""
	}
	if !ok || !w.sample(name, suffix, s, le, sure) {
		w.drops[model.Unstorable]++
		return
	}
	w.openEnd(s, exemplary(t, suffix), sure)
}

// infinite writes the bucket +Inf that a histogram lacks; count is its _count.
func (w *Writer) infinite(name string, count *model.Sample, sure bool) {
	if value(count.Labels, "le") != "" {
		return
	}
	s := *count
	s.Labels = append(append([]model.Label{}, count.Labels...), model.Label{Name: "le", Value: "+Inf"})
	if w.sample(name, "_bucket", &s, "", sure) {
		w.openEnd(&s, false, sure)
	}
}

func value(list []model.Label, name string) string {
	for i := range list {
		if list[i].Name == name {
			return list[i].Value
		}
	}
	return ""
}

// bound reads the value of le or quantile.
func bound(s string) (float64, bool) {
	if !isNumber(s) {
		return 0, false
	}
	v := parse(s)
	return v, v == v
}

// order is the order in which the samples of a family have to be written. A negative place stands for the bucket +Inf that belongs before the _count at -at-1.
func (g *grouping) order(samples []model.Sample, t model.Type, name string) []rank {
	special := ""
	switch t {
	case model.Histogram, model.GaugeHistogram:
		special = "le"
	case model.Summary:
		special = "quantile"
	case model.StateSet:
		special = name
	}
	g.seen.reset(len(samples))
	g.ranks = g.ranks[:0]
	metrics, sorted := 0, true
	infinite := map[int]bool{}
	for i := range samples {
		r := rank{at: i, metric: g.metric(samples[i].Labels, special, &metrics)}
		if special == "le" {
			r.rest, r.bound = true, 0
			if samples[i].Suffix == "_bucket" {
				b, _ := bound(value(samples[i].Labels, "le"))
				r.rest, r.bound = false, b
				infinite[r.metric] = infinite[r.metric] || math.IsInf(b, 1)
			}
		}
		sorted = sorted && (i == 0 || compare(g.ranks[i-1], r) <= 0)
		g.ranks = append(g.ranks, r)
	}
	for i := range samples {
		if s := samples[i].Suffix; special == "le" && (s == "_count" || s == "_gcount") && !infinite[g.ranks[i].metric] {
			g.ranks = append(g.ranks, rank{at: -i - 1, metric: g.ranks[i].metric, bound: math.Inf(1)})
			sorted = false
		}
	}
	if !sorted {
		order.Sort(g.ranks, compare)
	}
	return g.ranks
}

func compare(a, b rank) int {
	switch {
	case a.metric != b.metric:
		return a.metric - b.metric
	case a.rest != b.rest && b.rest:
		return -1
	case a.rest != b.rest:
		return 1
	case a.bound < b.bound:
		return -1
	case a.bound > b.bound:
		return 1
	}
	return 0
}

// metric numbers metrics in the order of their first samples.
func (g *grouping) metric(labels []model.Label, special string, count *int) int {
	h := uint64(1)
	for i := range labels {
		if labels[i].Name != special {
			h += mix(maphash.String(g.seen.seed, labels[i].Name), maphash.String(g.seen.seed, labels[i].Value))
		}
	}
	n := *count
	if g.seen.add(h, n, func(line int) bool { n = line; return true }) {
		return n
	}
	*count++
	return n
}

// fold finds families of gauges that are called as the _created of another family of the page, which OpenMetrics does not allow beside it; their
// samples become samples of the other family.
func (w *Writer) fold(p *model.Page) {
	at := map[string]int{}
	for i := range p.Families {
		if f := &p.Families[i]; strings.HasSuffix(f.Name, "_created") && (f.Type == model.Gauge || f.Type == model.Unknown) {
			at[f.Name] = i
		}
	}
	if len(at) == 0 {
		return
	}
	w.made, w.skip = map[string]*model.Family{}, map[string]bool{}
	for i := range p.Families {
		f := &p.Families[i]
		switch f.Type {
		case model.Counter, model.Histogram, model.Summary:
		default:
			continue
		}
		j, ok := at[f.Name+"_created"]
		if !ok || f.Block != "" && f.Dialect == model.OpenMetrics {
			continue
		}
		g := p.Families[j]
		if Expand(&g) != nil {
			continue
		}
		g.Samples = append([]model.Sample{}, g.Samples...)
		for k := range g.Samples {
			g.Samples[k].Suffix = "_created"
		}
		w.made[f.Name], w.skip[g.Name] = &g, true
	}
}
