package relabel

import (
	"github.com/sidecar-kit/sidecar/roles/adapter/expo"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// regroup brings samples whose names have changed back into families.
type regroup struct {
	list    []model.Family
	touched []bool // its samples may be the same series; the list of samples is ours
	byName  map[string]int
	drops   *model.Drops
	last    int // the family of the last sample
}

func newRegroup(size int, drops *model.Drops) *regroup {
	return &regroup{list: make([]model.Family, 0, size), touched: make([]bool, 0, size), byName: make(map[string]int, size), drops: drops, last: -1}
}

// whole takes a family as it is.
func (g *regroup) whole(f model.Family) {
	if _, known := g.byName[f.Name]; !known {
		g.byName[f.Name] = len(g.list)
		g.list = append(g.list, f)
		g.touched = append(g.touched, false)
		return
	}
	if expo.Expand(&f) != nil {
		g.drops[model.Unstorable] += uint64(f.Len())
		return
	}
	for _, s := range f.Samples {
		g.add(&f, f.Name, s)
	}
}

// add takes a sample that comes from family f, and belongs to the family name now.
func (g *regroup) add(f *model.Family, name string, s model.Sample) {
	at := g.last
	if at < 0 || g.list[at].Name != name {
		var known bool
		if at, known = g.byName[name]; !known {
			at = len(g.list)
			g.byName[name] = at
			n := model.Family{Name: name, Help: f.Help, Unit: f.Unit, Type: f.Type}
			if s.Suffix == "" && len(suffixless(f.Type)) == 0 {
				n.Type = model.Unknown
			}
			g.list, g.touched = append(g.list, n), append(g.touched, false)
		}
		g.last = at
	}
	into := &g.list[at]
	if into.Block != "" {
		if expo.Expand(into) != nil {
			g.drops[model.Unstorable]++
			return
		}
	}
	if into.Type != f.Type && !(s.Suffix == "" && len(suffixless(into.Type)) > 0) {
		g.drops[model.Conflict]++
		return
	}
	if !g.touched[at] {
		g.touched[at] = true
		into.Samples = append(make([]model.Sample, 0, max(len(into.Samples), len(f.Samples))+8), into.Samples...)
	}
	into.Samples = append(into.Samples, s)
}

// suffixless is not empty for types whose samples may have no suffix.
func suffixless(t model.Type) string {
	switch t {
	case model.Unknown, model.Gauge, model.StateSet, model.Counter, model.Summary:
		return "y"
	}
	return ""
}

// families is the result: no two of one name, no series twice.
func (g *regroup) families() []model.Family {
	kept := g.list[:0]
	for i := range g.list {
		f := &g.list[i]
		if g.touched[i] {
			g.drops[model.Repeated] += uint64(expo.Distinct(f))
		}
		kept = append(kept, *f)
	}
	return kept
}
