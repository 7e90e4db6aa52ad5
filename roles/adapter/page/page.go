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
	table  []ref          // by hash, next to it when that is taken; a power of two, at most three quarters full
	labels []model.Label  // room for those to come
	seed   maphash.Seed

	// Of the labels that came last, which are often those of the next sample, too.
	last     []model.Label
	lastHash uint64
	lastOver bool

	expect map[string]int
	room   []model.Sample // for the samples that are expected
}

type ref struct {
	hash   uint32
	family uint32
	sample uint32 // and one; 0 is a free place
}

// New begins a page within lim.
func New(lim model.Limits) *Builder {
	return &Builder{lim: lim, names: map[string]int{}, table: make([]ref, 64), seed: maphash.MakeSeed()}
}

// Expect says how many samples families will have, by their names, so that room for them is made at once; Sizes of the page before is a good guess.
// The page is still empty.
func (b *Builder) Expect(sizes map[string]int) {
	b.expect = sizes
	b.names = make(map[string]int, len(sizes))
	b.page.Families = make([]model.Family, 0, len(sizes))
	all := 0
	for _, n := range sizes {
		all += n
	}
	b.room = make([]model.Sample, all)
	for all > len(b.table)/4*3 {
		b.grow()
	}
}

// Sizes are the samples of each family, for Expect of the next page. The map must not be changed.
func (b *Builder) Sizes() map[string]int {
	if b.asExpected() {
		return b.expect
	}
	sizes := make(map[string]int, len(b.page.Families))
	for i := range b.page.Families {
		sizes[b.page.Families[i].Name] = len(b.page.Families[i].Samples)
	}
	return sizes
}

func (b *Builder) asExpected() bool {
	if len(b.expect) != len(b.page.Families) {
		return false
	}
	for i := range b.page.Families {
		if n, ok := b.expect[b.page.Families[i].Name]; !ok || n != len(b.page.Families[i].Samples) {
			return false
		}
	}
	return true
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
	if n := min(b.expect[name], len(b.room)); n > 0 {
		b.page.Families[i].Samples, b.room = b.room[:0:n], b.room[n:]
	}
	b.names[name] = i
	for _, s := range suffixes(t) {
		b.names[name+s] = i
	}
	return i
}

// Labels is an empty list with room for n.
func (b *Builder) Labels(n int) []model.Label {
	if cap(b.labels)-len(b.labels) < n {
		b.labels = make([]model.Label, 0, max(min(2*cap(b.labels), 1024), 32, n))
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
	b.look(s.Labels)
	if b.lastOver || b.lim.Name > 0 && len(f.Name)+len(s.Suffix) > b.lim.Name {
		b.drops[model.OverLabels]++
		return false
	}
	at, taken := b.place(uint32(family), &s)
	if taken {
		b.drops[model.Repeated]++
		return false
	}
	if math.IsInf(s.Value, 0) || math.IsNaN(s.Value) {
		s.Text = "" // 1e999 is a number of JSON, and none of Prometheus
	}
	f.Samples = append(f.Samples, s)
	b.count++
	at.sample = uint32(len(f.Samples))
	if b.count > len(b.table)/4*3 {
		b.grow()
	}
	return true
}

// look finds the hash of labels, which does not depend on their order, and whether they are over the limits.
func (b *Builder) look(labels []model.Label) {
	if len(labels) == len(b.last) && (len(labels) == 0 || &labels[0] == &b.last[0]) && b.last != nil {
		return
	}
	b.last, b.lastHash = labels, 0
	b.lastOver = b.lim.Labels > 0 && len(labels) > b.lim.Labels
	for i := range labels {
		l := &labels[i]
		b.lastOver = b.lastOver || b.lim.Name > 0 && len(l.Name) > b.lim.Name || b.lim.Value > 0 && len(l.Value) > b.lim.Value
		b.lastHash += (maphash.String(b.seed, l.Name) ^ maphash.String(b.seed, l.Value)*0xff51afd7ed558ccd) * 0x9e3779b97f4a7c15
	}
}

// place is where the reference to a sample belongs, and whether one like it has it. The labels of s were looked at last.
func (b *Builder) place(family uint32, s *model.Sample) (at *ref, taken bool) {
	h := (b.lastHash + uint64(family)<<8 + uint64(len(s.Suffix))) * 0x9e3779b97f4a7c15
	hash := uint32(h >> 32)
	mask := uint32(len(b.table) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		r := &b.table[i]
		if r.sample == 0 {
			r.hash, r.family = hash, family
			return r, false
		}
		if r.hash == hash && r.family == family && same(&b.page.Families[family].Samples[r.sample-1], s) {
			return r, true
		}
	}
}

func (b *Builder) grow() {
	old := b.table
	b.table = make([]ref, 4*len(old))
	mask := uint32(len(b.table) - 1)
	for _, r := range old {
		if r.sample == 0 {
			continue
		}
		i := r.hash & mask
		for b.table[i].sample != 0 {
			i = (i + 1) & mask
		}
		b.table[i] = r
	}
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
