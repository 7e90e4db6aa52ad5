package merge

import (
	"fmt"
	"hash/maphash"
	"math"
	"strconv"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/adapter/expo"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// mark is what has to be known of a sample of m.list while its family is put together.
type mark struct {
	source int32 // the input that it came from first
	added  int32 // how many sources' values it has
	metric int32 // policy Sum: the first sample of its metric
	shares int32 // policy Sum, on the first sample of a metric: how many sources have it
	last   int32 // policy Sum, likewise: the last of them
}

// index finds samples of m.list by a hash.
type index struct {
	table map[uint64]int32
	next  []int32 // of a place in m.list: another one with the same hash, -1
}

func (x *index) reset() {
	if x.table == nil {
		x.table = map[uint64]int32{}
	}
	clear(x.table)
	x.next = x.next[:0]
}

func (x *index) add(h uint64, at int32) {
	for len(x.next) <= int(at) {
		x.next = append(x.next, -1)
	}
	if before, ok := x.table[h]; ok {
		x.next[at] = before
	}
	x.table[h] = at
}

// samples fills m.list with the samples of all members.
func (m *merger) samples(g *group, lead *model.Family) error {
	bound := special(lead.Type)
	for n, r := range g.refs {
		f, err := m.expand[n].Expand(m.at(r))
		if err != nil {
			return fmt.Errorf("%s of source %q: %w", g.key, m.source(r), err)
		}
		for i := range f.Samples {
			s := f.Samples[i]
			if f.Name != lead.Name {
				full := f.Name + s.Suffix
				if !strings.HasPrefix(full, lead.Name) {
					m.drops[model.Conflict]++
					continue
				}
				s.Suffix = full[len(lead.Name):]
			}
			if m.policy == Label {
				s.Labels = m.labelled(s.Labels, m.source(r))
			}
			if m.policy == Sum {
				m.sum(&s, int32(r.input), lead.Type, bound)
				continue
			}
			if err := m.keep(&s, r, bound, g.key); err != nil {
				return err
			}
		}
	}
	if m.policy == Sum {
		m.settle(lead.Type)
	}
	return nil
}

// keep appends a sample, unless another source has its metric.
func (m *merger) keep(s *model.Sample, r ref, bound, name string) error {
	h := m.hash(s.Labels, "", bound)
	switch other := m.find(&m.metrics, h, s, bound, false); {
	case other < 0:
		m.metrics.add(h, m.push(s, int32(r.input)))
	case m.marks[other].source == int32(r.input):
		m.push(s, int32(r.input))
	case m.policy == Fail:
		return fmt.Errorf("sources %q and %q both have %s%s; filter one, or take another policy than fail",
			m.in[m.marks[other].source].Source, m.source(r), name, show(s.Labels))
	default:
		m.drops[model.Conflict]++
	}
	return nil
}

// special is the label that tells the samples of a metric apart.
func special(t model.Type) string {
	switch t {
	case model.Histogram, model.GaugeHistogram:
		return "le"
	case model.Summary:
		return "quantile"
	}
	return ""
}

// labelled is labels with that of the source in front. One that has the name already becomes exported_, as in Prometheus.
func (m *merger) labelled(labels []model.Label, source string) []model.Label {
	out := make([]model.Label, 0, len(labels)+1)
	if source != "" {
		out = append(out, model.Label{Name: m.label, Value: source})
	}
	out = append(out, labels...)
	for i := 1; i < len(out) && source != ""; i++ {
		if out[i].Name != m.label {
			continue
		}
		name := "exported_" + m.label
		for has(labels, name) {
			name = "exported_" + name
		}
		out[i].Name = name
	}
	return out
}

func has(labels []model.Label, name string) bool {
	for i := range labels {
		if labels[i].Name == name {
			return true
		}
	}
	return false
}

// push appends a sample.
func (m *merger) push(s *model.Sample, source int32) int32 {
	m.list = append(m.list, *s)
	m.marks = append(m.marks, mark{source: source, added: 1})
	return int32(len(m.list) - 1)
}

// find is the place of a sample in an index, which has its hash, its labels without except and, if that counts, its suffix; -1 if there is none.
func (m *merger) find(x *index, h uint64, s *model.Sample, except string, suffix bool) int32 {
	at, ok := x.table[h]
	for ; ok && at >= 0; at = x.next[at] {
		if (!suffix || m.list[at].Suffix == s.Suffix) && same(m.list[at].Labels, s.Labels, except) {
			return at
		}
	}
	return -1
}

// hash is the same for all orders of labels, and for all spellings of a bound.
func (m *merger) hash(labels []model.Label, suffix, except string) uint64 {
	h := maphash.String(m.seed, suffix)
	for i := range labels {
		l := &labels[i]
		if l.Name == except || l.Value == "" {
			continue
		}
		v := uint64(0)
		if b, ok := number(l); ok {
			v = math.Float64bits(b) * 0x9E3779B97F4A7C15
		} else {
			v = maphash.String(m.seed, l.Value)
		}
		h += (maphash.String(m.seed, l.Name) ^ v<<1) * (v>>7 | 1)
	}
	return h
}

// number is the value of le or quantile.
func number(l *model.Label) (float64, bool) {
	if l.Name != "le" && l.Name != "quantile" {
		return 0, false
	}
	v, err := strconv.ParseFloat(l.Value, 64)
	return v, err == nil && v == v
}

// same reports whether labels are equal, but for except.
func same(a, b []model.Label, except string) bool {
	n := 0
	for i := range a {
		if a[i].Name == except || a[i].Value == "" {
			continue
		}
		n++
		if !contains(b, &a[i]) {
			return false
		}
	}
	for i := range b {
		if b[i].Name != except && b[i].Value != "" {
			n--
		}
	}
	return n == 0
}

func contains(list []model.Label, l *model.Label) bool {
	for i := range list {
		if list[i].Name != l.Name {
			continue
		}
		if list[i].Value == l.Value {
			return true
		}
		a, okA := number(&list[i])
		b, okB := number(l)
		return okA && okB && a == b
	}
	return false
}

// show is labels for an error, not too many.
func show(labels []model.Label) string {
	if len(labels) == 0 {
		return ""
	}
	f := model.Family{Name: "x", Samples: []model.Sample{{Labels: labels[:min(len(labels), 8)]}}}
	w := expo.Writer{Dialect: model.Text, Quote: true}
	text, _ := w.Family(nil, &f)
	_, line, _ := strings.Cut(string(text), "\nx")
	line, _, _ = strings.Cut(line, "} ")
	return line + "}"
}
