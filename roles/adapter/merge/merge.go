// Package merge makes one page of those of several sources. A family that only one source has stays the block that it is; one that several have gets one HELP and
// one TYPE, those of the first source that says any, and its samples by a policy. Families keep the order of the first source; new ones
// of the others follow in theirs. The result depends on nothing but the input.
package merge

import (
	"fmt"
	"hash/maphash"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/expo"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// Input is the page of one source.
type Input struct {
	Source string // the value of the label of Policy Label, and what errors call it
	Page   *model.Page
}

// Policy says what becomes of a family that several sources have. A metric is the set of its labels without le and quantile.
type Policy uint8

// The policies. Families with the same name and different types, and names that are parts of another source's histogram, cannot be brought
// together: Fail refuses them, the others keep the first and count the rest as conflicts.
const (
	Fail  Policy = iota // two sources with the same metric are an error
	Label               // each sample gets a label with the name of its source, if several sources have the family; one of that name becomes exported_
	First               // the metric of the source that comes first
	Sum                 // values are added; of histograms the buckets that all have, of summaries no quantiles; info stays, stateset is the maximum, _created the minimum
)

// ParsePolicy reads fail, label, first or sum.
func ParsePolicy(s string) (Policy, error) {
	for p, word := range []string{"fail", "label", "first", "sum"} {
		if s == word {
			return Policy(p), nil
		}
	}
	return Fail, fmt.Errorf("%q is none of fail, label, first, sum", s)
}

// Options are what a configuration says of merging. The zero value is Fail.
type Options struct {
	Policy Policy
	Label  string // the label of policy Label, "" for source
}

// Keys are the keys that Parse reads.
func Keys() []string { return []string{"on-conflict", "conflict-label"} }

// Parse reads a mapping with some of Keys.
func Parse(v draft.Value) (Options, error) {
	var o Options
	return o, v.Each(Keys(), func(key string, v draft.Value) error {
		if key == "conflict-label" {
			if err := v.Word(&o.Label); err != nil {
				return err
			}
			if !expo.IsLabel(o.Label) || o.Label == "le" || o.Label == "quantile" || o.Label == "__name__" {
				return v.Errorf("%q cannot be the name of a label for sources", o.Label)
			}
			return nil
		}
		var word string
		err := v.OneOf(&word, "fail", "label", "first", "sum")
		if err == nil {
			o.Policy, err = ParsePolicy(word)
		}
		return err
	})
}

// ref is a family of an input.
type ref struct{ input, family int }

// group is what the sources have under one name.
type group struct {
	key  string // the name in text 0.0.4
	refs []ref
	one  [1]ref // where refs is, mostly
	gone bool
}

// merger has what one call of Merge needs.
type merger struct {
	in      []Input
	policy  Policy
	label   string
	byKey   map[string]int
	groups  []group
	drops   model.Drops
	seed    maphash.Seed
	writer  [3]expo.Writer  // by dialect
	expand  []expo.Expander // one for each input, so that all samples of a family are there at once
	list    []model.Sample  // of the family at hand
	marks   []mark          // likewise
	metrics index           // samples of list by their metric
	series  index           // and by all their labels and the suffix
	metric  expo.Metrics    // of the blocks of one family
	blocks  []*model.Family
}

// Merge makes one page of those of in, which are not changed. label is the name of the label of policy Label, "source" if it is empty.
// An error comes only with policy Fail, and names the family and both sources.
func Merge(in []Input, policy Policy, label string) (model.Page, model.Drops, error) {
	total, pages := 0, 0
	for _, i := range in {
		if i.Page != nil && len(i.Page.Families) > 0 {
			total += len(i.Page.Families)
			pages++
		}
	}
	if label == "" {
		label = "source"
	}
	m := merger{in: in, policy: policy, label: label}
	out := model.Page{Families: make([]model.Family, 0, total)}
	if pages < 2 {
		for _, i := range in {
			if i.Page != nil && len(i.Page.Families) > 0 {
				out.Body = i.Page.Body
				out.Families = append(out.Families, i.Page.Families...)
			}
		}
		return out, m.drops, nil
	}
	m.collect(total)
	if err := m.clashes(); err != nil {
		return model.Page{}, m.drops, err
	}
	m.seed = maphash.MakeSeed()
	m.expand = make([]expo.Expander, len(in))
	for i := range m.groups {
		g := &m.groups[i]
		if g.gone {
			continue
		}
		f, err := m.family(g)
		if err != nil {
			return model.Page{}, m.drops, err
		}
		out.Families = append(out.Families, m.named(g, f))
	}
	return out, m.drops, nil
}

// collect finds which sources have which families.
func (m *merger) collect(total int) {
	m.byKey = make(map[string]int, total)
	m.groups = make([]group, 0, total)
	for i := range m.in {
		if m.in[i].Page == nil {
			continue
		}
		for j := range m.in[i].Page.Families {
			key := expo.TextName(&m.in[i].Page.Families[j])
			at, known := m.byKey[key]
			if !known {
				at = len(m.groups)
				m.byKey[key] = at
				m.groups = append(m.groups, group{key: key})
				g := &m.groups[at]
				g.refs = g.one[:0:1]
			}
			g := &m.groups[at]
			g.refs = append(g.refs, ref{i, j})
		}
	}
}

func (m *merger) at(r ref) *model.Family { return &m.in[r.input].Page.Families[r.family] }

// clashes finds families whose names are parts of another source's histogram or summary.
func (m *merger) clashes() error {
	for i := range m.groups {
		g := &m.groups[i]
		var parts []string
		switch m.at(g.refs[0]).Type {
		case model.Histogram, model.GaugeHistogram:
			parts = []string{"_bucket", "_sum", "_count", "_gsum", "_gcount"}
		case model.Summary:
			parts = []string{"_sum", "_count"}
		}
		for _, part := range parts {
			j, ok := m.byKey[g.key+part]
			if !ok {
				continue
			}
			if m.policy == Fail {
				return fmt.Errorf("%s of source %q is a part of %s of source %q; rename one, or take another policy than fail",
					g.key+part, m.source(m.groups[j].refs[0]), g.key, m.source(g.refs[0]))
			}
			m.remove(&m.groups[max(i, j)])
		}
	}
	return nil
}

func (m *merger) source(r ref) string { return m.in[r.input].Source }

func (m *merger) remove(g *group) {
	if g.gone {
		return
	}
	g.gone = true
	for _, r := range g.refs {
		m.drops[model.Conflict] += uint64(m.at(r).Len())
	}
}

// named is f, called as it is in text where another family has its name: a counter foo_total from one source beside a gauge foo from another.
func (m *merger) named(g *group, f model.Family) model.Family {
	if f.Name == g.key {
		return f
	}
	if other, taken := m.byKey[f.Name]; !taken || m.groups[other].gone {
		return f
	}
	if f.Block != "" && f.Dialect == model.Text {
		f.Name = g.key
		return f
	}
	if expo.Expand(&f) != nil {
		return f
	}
	kept := make([]model.Sample, 0, len(f.Samples))
	for _, s := range f.Samples {
		if f.Name+s.Suffix != g.key {
			m.drops[model.Conflict]++ // _created
			continue
		}
		s.Suffix = ""
		kept = append(kept, s)
	}
	f.Name, f.Samples = g.key, kept
	if f.Type == model.Info {
		f.Type = model.Gauge
	}
	return f
}
