// Package points makes pages of single points, as line formats say them: no families, any order, the same series again. Of points of one series the last one
// counts, for a later line is a later value; the others are counted as repeated. Used by influx and graphite.
package points

import (
	"hash/maphash"

	"github.com/sidecar-kit/sidecar/roles/adapter/expo"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// Builder collects points.
type Builder struct {
	lim    model.Limits
	page   model.Page
	byName map[string]int
	seed   maphash.Seed
	series map[uint64]place
	labels []model.Label
	total  int
	drops  model.Drops
}

// place is where the series of a hash is.
type place struct{ family, sample int32 }

// New makes a Builder.
func New(lim model.Limits) *Builder {
	return &Builder{lim: lim, byName: map[string]int{}, seed: maphash.MakeSeed(), series: map[uint64]place{}}
}

// Add takes a point: s is a sample without suffix; its labels are copied. Labels without a value, and __name__, are left out; of two with the same name the last one stays.
func (b *Builder) Add(name string, s model.Sample) {
	if b.lim.Name > 0 && len(name) > b.lim.Name || b.lim.Labels > 0 && len(s.Labels) > b.lim.Labels {
		b.drops[model.OverLabels]++
		return
	}
	for _, l := range s.Labels {
		if b.lim.Name > 0 && len(l.Name) > b.lim.Name || b.lim.Value > 0 && len(l.Value) > b.lim.Value {
			b.drops[model.OverLabels]++
			return
		}
	}
	s.Labels = b.keep(s.Labels)
	h := b.hash(name, s.Labels)
	for {
		at, known := b.series[h]
		if !known {
			break
		}
		f := &b.page.Families[at.family]
		if old := &f.Samples[at.sample]; f.Name == name && same(old.Labels, s.Labels) {
			*old = s
			b.drops[model.Repeated]++
			return
		}
		h++ // another series with the same hash
	}
	if b.lim.Series > 0 && b.total >= b.lim.Series {
		b.drops[model.OverSeries]++
		return
	}
	i, known := b.byName[name]
	if !known {
		i = len(b.page.Families)
		b.byName[name] = i
		b.page.Families = append(b.page.Families, model.Family{Name: name})
	}
	f := &b.page.Families[i]
	b.series[h] = place{int32(i), int32(len(f.Samples))}
	f.Samples = append(f.Samples, s)
	b.total++
}

// Drop counts n samples that are left out.
func (b *Builder) Drop(why model.Reason, n int) { b.drops[why] += uint64(n) }

// Page is what was collected.
func (b *Builder) Page() (model.Page, model.Drops) { return b.page, b.drops }

// keep copies labels into memory that many samples share.
func (b *Builder) keep(list []model.Label) []model.Label {
	if len(b.labels)+len(list) > cap(b.labels) {
		b.labels = make([]model.Label, 0, min(max(2*cap(b.labels), 64, len(list)), max(4096, len(list))))
	}
	from := len(b.labels)
next:
	for i, l := range list {
		if l.Value == "" || l.Name == "__name__" {
			continue
		}
		for _, later := range list[i+1:] {
			if later.Name == l.Name {
				continue next
			}
		}
		b.labels = append(b.labels, l)
	}
	if len(b.labels) == from {
		return nil
	}
	return b.labels[from:len(b.labels):len(b.labels)]
}

func (b *Builder) hash(name string, list []model.Label) uint64 {
	h := maphash.String(b.seed, name)
	for i := range list {
		v := maphash.String(b.seed, list[i].Value)
		h += (maphash.String(b.seed, list[i].Name) ^ v<<1) * (v>>7 | 1)
	}
	return h
}

func same(a, b []model.Label) bool {
	if len(a) != len(b) {
		return false
	}
next:
	for i := range a {
		for j := range b {
			if a[i] == b[j] {
				continue next
			}
		}
		return false
	}
	return true
}

// Name is s as the name of a metric: what is not allowed becomes an underscore.
func Name(s string) string {
	if expo.IsName(s) {
		return s
	}
	return clean(s, true)
}

// Label is s as the name of a label.
func Label(s string) string {
	if expo.IsLabel(s) {
		return s
	}
	return clean(s, false)
}

func clean(s string, colon bool) string {
	out := make([]byte, 0, len(s)+1)
	for i, c := range s {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == ':' && colon
		number := c >= '0' && c <= '9'
		switch {
		case number && i == 0:
			out = append(out, '_', byte(c))
		case letter || number:
			out = append(out, byte(c))
		default:
			out = append(out, '_')
		}
	}
	if len(out) == 0 {
		return "_"
	}
	return string(out)
}

// Each calls fn with every sample of a page and its full name. Blocks are read, but not changed.
func Each(p *model.Page, fn func(name string, f *model.Family, s *model.Sample)) (unread int) {
	var x expo.Expander
	for i := range p.Families {
		f, err := x.Expand(&p.Families[i])
		if err != nil {
			unread += p.Families[i].Len()
			continue
		}
		for j := range f.Samples {
			s := &f.Samples[j]
			name := f.Name
			if s.Suffix != "" {
				name += s.Suffix
			}
			fn(name, &f, s)
		}
	}
	return unread
}
