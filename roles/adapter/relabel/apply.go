package relabel

import (
	"path"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/adapter/expo"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// Apply does the program to a page. The slice of families is the caller's; samples and labels are not changed in place, for other pages may have
// them, too. An error means that a block was not made by expo.Decode.
func (p *Program) Apply(page *model.Page) (model.Drops, error) {
	var drops model.Drops
	if p == nil {
		return drops, nil
	}
	if len(p.keep)+len(p.drop) > 0 {
		p.filter(page, &drops)
	}
	if len(p.rules) > 0 {
		if err := p.relabel(page, &drops); err != nil {
			return drops, err
		}
	}
	if len(p.rename)+len(p.types)+len(p.scale)+len(p.help)+len(p.unit)+len(p.labels) > 0 {
		if err := p.change(page, &drops); err != nil {
			return drops, err
		}
	}
	return drops, p.limit(page, &drops)
}

// filter does keep and drop.
func (p *Program) filter(page *model.Page, drops *model.Drops) {
	kept := page.Families[:0]
	for i := range page.Families {
		f := &page.Families[i]
		if len(p.keep) > 0 && !matches(p.keep, f) || matches(p.drop, f) {
			drops[model.Unwanted] += uint64(f.Len())
			continue
		}
		kept = append(kept, *f)
	}
	page.Families = kept
}

func matches(globs []string, f *model.Family) bool {
	text := expo.TextName(f)
	for _, g := range globs {
		a, _ := path.Match(g, f.Name)
		b, _ := path.Match(g, text)
		if a || b {
			return true
		}
	}
	return false
}

// relabel does the rules.
func (p *Program) relabel(page *model.Page, drops *model.Drops) error {
	families := page.Families
	out := newRegroup(len(families), drops)
	for i := range families {
		f := families[i]
		from, gone := 0, false
		if f.Block != "" {
			names := fullNames(&f)
			for ; from < len(p.rules); from++ {
				t := p.rules[from].onBlock(&f, names)
				if t == some {
					break
				}
				if gone = t == dropAll; gone {
					break
				}
			}
		}
		switch {
		case gone:
			drops[model.Unwanted] += uint64(f.Len())
			continue
		case from == len(p.rules):
			out.whole(f)
			continue
		}
		if err := expo.Expand(&f); err != nil {
			return err
		}
		p.samples(&f, p.rules[from:], out)
	}
	page.Families = out.families()
	return nil
}

// fullNames are the names that samples of a block can have.
func fullNames(f *model.Family) []string {
	list := []string{expo.TextName(f)}
	var more string
	switch f.Type {
	case model.Histogram, model.Summary:
		more = "_sum _count _bucket"
		if f.Dialect == model.OpenMetrics {
			more += " _created"
		}
	case model.GaugeHistogram:
		more = "_gsum _gcount _bucket"
	case model.Counter:
		if f.Dialect == model.OpenMetrics {
			more = "_created"
		}
	}
	for suffix := range strings.FieldsSeq(more) {
		list = append(list, f.Name+suffix)
	}
	return list
}

// samples does rules to the samples of a family.
func (p *Program) samples(f *model.Family, rules []rule, out *regroup) {
	var l labels
	var base []model.Label
	for i := range f.Samples {
		s := f.Samples[i]
		full := f.Name + s.Suffix
		base = append(append(base[:0], model.Label{Name: nameLabel, Value: full}), s.Labels...)
		l.reset(base)
		keep := true
		for j := range rules {
			if keep = rules[j].apply(&l); !keep {
				break
			}
		}
		name := l.get(nameLabel)
		if !keep || name == "" {
			out.drops[model.Unwanted]++
			continue
		}
		if len(l.add)+len(l.del) > 0 {
			s.Labels = l.result(make([]model.Label, 0, len(base)+len(l.add)))
		}
		if name == full {
			out.add(f, f.Name, s)
			continue
		}
		family, suffix := split(name, s.Suffix)
		s.Suffix = suffix
		out.add(f, family, s)
	}
}

// split finds the family's new name in the new name of a sample. One without the suffix of its family becomes a family of its own.
func split(name, suffix string) (base, rest string) {
	if base, ok := strings.CutSuffix(name, suffix); ok && base != "" {
		return base, suffix
	}
	return name, ""
}

// limit does limits.
func (p *Program) limit(page *model.Page, drops *model.Drops) error {
	lim := p.lim
	if lim == (model.Limits{}) {
		return nil
	}
	total := 0
	kept := page.Families[:0]
	for i := range page.Families {
		f := &page.Families[i]
		looks := lim.Labels+lim.Name+lim.Value > 0
		if f.Block != "" && looks && !expo.Over(f, lim) {
			looks = false
		}
		if looks || lim.Series > 0 && total+f.Len() > lim.Series {
			if lim.Series > 0 && total >= lim.Series && !looks {
				drops[model.OverSeries] += uint64(f.Len())
				continue
			}
			if err := expo.Expand(f); err != nil {
				return err
			}
			f.Samples = within(f, lim, &total, drops)
			if len(f.Samples) == 0 {
				continue
			}
		} else {
			total += f.Len()
		}
		kept = append(kept, *f)
	}
	page.Families = kept
	return nil
}

// within is the samples of f that the limits leave.
func within(f *model.Family, lim model.Limits, total *int, drops *model.Drops) []model.Sample {
	kept := make([]model.Sample, 0, len(f.Samples))
	for i := range f.Samples {
		s := &f.Samples[i]
		switch {
		case over(f, s, lim):
			drops[model.OverLabels]++
		case lim.Series > 0 && *total >= lim.Series:
			drops[model.OverSeries]++
		default:
			*total++
			kept = append(kept, *s)
		}
	}
	return kept
}

func over(f *model.Family, s *model.Sample, lim model.Limits) bool {
	if lim.Labels > 0 && len(s.Labels) > lim.Labels || lim.Name > 0 && len(f.Name)+len(s.Suffix) > lim.Name {
		return true
	}
	for i := range s.Labels {
		if lim.Name > 0 && len(s.Labels[i].Name) > lim.Name || lim.Value > 0 && len(s.Labels[i].Value) > lim.Value {
			return true
		}
	}
	return false
}
