// Package page puts single samples together into a page that keeps the promises of model: one family of a name, one sample of a name and labels, no
// empty label values, nothing beyond the limits, and every sample that is left out counted. For decoders of formats whose samples come one by one; those that have
// whole families (expo) do it themselves. Used by jsonmap, textmap and compat/jsonexporter.
package page

import (
	"hash/maphash"
	"math"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// Builder collects samples. It is for one goroutine.
type Builder struct {
	lim    model.Limits
	page   model.Page
	drops  model.Drops
	count  int
	names  map[string]int // which family owns a name, and those that its samples have
	seen   map[uint64]ref
	labels []model.Label // room for those to come
	seed   maphash.Seed
}

type ref struct{ family, sample uint32 }

// New begins a page within lim.
func New(lim model.Limits) *Builder {
	return &Builder{lim: lim, names: map[string]int{}, seen: map[uint64]ref{}, seed: maphash.MakeSeed()}
}

// Drop counts samples that the caller leaves out.
func (b *Builder) Drop(why model.Reason, n int) { b.drops[why] += uint64(n) }

// Drops is what was left out so far.
func (b *Builder) Drops() model.Drops { return b.drops }

// Page is what was collected. Families that got no sample are not in it.
func (b *Builder) Page() (model.Page, model.Drops) {
	kept := b.page.Families[:0]
	for _, f := range b.page.Families {
		if len(f.Samples) > 0 {
			kept = append(kept, f)
		}
	}
	return model.Page{Families: kept}, b.drops
}

// Split is the family that a sample of that name and type belongs to, and the sample's suffix: foo_total of a counter is foo and _total.
func Split(name string, t model.Type) (family, suffix string) {
	for _, s := range suffixes(t) {
		if cut, ok := strings.CutSuffix(name, s); ok && cut != "" {
			return cut, s
		}
	}
	return name, ""
}

func suffixes(t model.Type) []string {
	switch t {
	case model.Counter:
		return []string{"_total", "_created"}
	case model.Histogram:
		return []string{"_bucket", "_count", "_sum", "_created"}
	case model.GaugeHistogram:
		return []string{"_bucket", "_gcount", "_gsum"}
	case model.Summary:
		return []string{"_count", "_sum", "_created"}
	case model.Info:
		return []string{"_info"}
	}
	return nil
}

// Family is the number of a family for Add, which is made when there is none of that name. It is -1 when another type has the name, or the name of one of its
// samples: what belongs there is a conflict.
func (b *Builder) Family(name string, t model.Type, help, unit string) int {
	if i, ok := b.names[name]; ok {
		if f := &b.page.Families[i]; f.Name == name && f.Type == t {
			return i
		}
		return -1
	}
	for _, s := range suffixes(t) {
		if _, taken := b.names[name+s]; taken {
			return -1
		}
	}
	i := len(b.page.Families)
	b.page.Families = append(b.page.Families, model.Family{Name: name, Type: t, Help: help, Unit: unit})
	b.names[name] = i
	for _, s := range suffixes(t) {
		b.names[name+s] = i
	}
	return i
}

// Labels is an empty list with room for n.
func (b *Builder) Labels(n int) []model.Label {
	if cap(b.labels)-len(b.labels) < n {
		b.labels = make([]model.Label, 0, max(1024, n))
	}
	at := len(b.labels)
	b.labels = b.labels[:at+n]
	return b.labels[at : at : at+n]
}

// Add puts s into a family, and returns false when it is left out, which is counted. Labels with empty values must not be among s.Labels, which stays with the page.
func (b *Builder) Add(family int, s model.Sample) bool {
	if family < 0 {
		b.drops[model.Conflict]++
		return false
	}
	if b.lim.Series > 0 && b.count >= b.lim.Series {
		b.drops[model.OverSeries]++
		return false
	}
	f := &b.page.Families[family]
	if b.over(len(f.Name)+len(s.Suffix), s.Labels) {
		b.drops[model.OverLabels]++
		return false
	}
	h := b.hash(uint64(family), &s)
	for {
		r, taken := b.seen[h]
		if !taken {
			break
		}
		if int(r.family) == family && same(&f.Samples[r.sample], &s) {
			b.drops[model.Repeated]++
			return false
		}
		h++
	}
	if math.IsInf(s.Value, 0) || math.IsNaN(s.Value) {
		s.Text = "" // 1e999 is a number of JSON, and none of Prometheus
	}
	b.seen[h] = ref{uint32(family), uint32(len(f.Samples))}
	f.Samples = append(f.Samples, s)
	b.count++
	return true
}

func (b *Builder) over(name int, labels []model.Label) bool {
	if b.lim.Name > 0 && name > b.lim.Name || b.lim.Labels > 0 && len(labels) > b.lim.Labels {
		return true
	}
	for i := range labels {
		if b.lim.Name > 0 && len(labels[i].Name) > b.lim.Name || b.lim.Value > 0 && len(labels[i].Value) > b.lim.Value {
			return true
		}
	}
	return false
}

// hash does not depend on the order of labels.
func (b *Builder) hash(family uint64, s *model.Sample) uint64 {
	h := family*0x9e3779b97f4a7c15 + maphash.String(b.seed, s.Suffix)
	for i := range s.Labels {
		h += maphash.String(b.seed, s.Labels[i].Name) ^ maphash.String(b.seed, s.Labels[i].Value)*0xff51afd7ed558ccd
	}
	return h
}

func same(a, b *model.Sample) bool {
	if a.Suffix != b.Suffix || len(a.Labels) != len(b.Labels) {
		return false
	}
	for i := range a.Labels {
		if a.Labels[i] != b.Labels[i] && !has(b.Labels, a.Labels[i]) {
			return false
		}
	}
	return true
}

func has(list []model.Label, l model.Label) bool {
	for i := range list {
		if list[i] == l {
			return true
		}
	}
	return false
}

// IsName is whether s is the name of a metric, or, without colons, of a label, by the older rules of Prometheus: what every format can carry.
func IsName(s string, colons bool) bool {
	for i := range len(s) {
		if !nameByte(s[i], i > 0, colons) {
			return false
		}
	}
	return s != ""
}

func nameByte(c byte, digits, colons bool) bool {
	return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' || digits && c >= '0' && c <= '9' || colons && c == ':'
}

// Name makes a name of any text: every run of other characters becomes one underscore, at the ends none, and one stands before a leading digit. It is "_" for a text without
// any that may stay.
func Name(text string) string {
	if IsName(text, true) {
		return text
	}
	b := make([]byte, 0, len(text)+1)
	gap := false
	for i := range len(text) {
		if !nameByte(text[i], true, true) {
			gap = true
			continue
		}
		if gap && len(b) > 0 || len(b) == 0 && text[i] >= '0' && text[i] <= '9' {
			b = append(b, '_')
		}
		gap = false
		b = append(b, text[i])
	}
	if len(b) == 0 {
		return "_"
	}
	return string(b)
}
