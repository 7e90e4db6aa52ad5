package relabel

import (
	"strings"

	"github.com/sidecar-kit/sidecar/roles/adapter/expo"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// change does rename, type, scale, help, unit and labels.
func (p *Program) change(page *model.Page, drops *model.Drops) error {
	out := newRegroup(len(page.Families), drops)
	for i := range page.Families {
		f := page.Families[i]
		if err := p.renamed(&f); err != nil {
			return err
		}
		if err := p.retyped(&f); err != nil {
			return err
		}
		if err := p.described(&f); err != nil {
			return err
		}
		if err := p.labelled(&f); err != nil {
			return err
		}
		out.whole(f)
	}
	page.Families = out.families()
	return nil
}

// renamed gives f its new name.
func (p *Program) renamed(f *model.Family) error {
	text := expo.TextName(f)
	for i := range p.rename {
		r := &p.rename[i]
		to, ok := r.apply(text)
		if ok && text != f.Name {
			if err := expo.Expand(f); err != nil {
				return err
			}
			f.Samples = append([]model.Sample{}, f.Samples...)
			rebase(f, text, to)
			return nil
		}
		if !ok {
			to, ok = r.apply(f.Name)
		}
		if !ok {
			continue
		}
		if err := expo.Expand(f); err != nil {
			return err
		}
		f.Name = to
		return nil
	}
	return nil
}

func (r *renaming) apply(name string) (string, bool) {
	if r.regex == nil {
		return r.to, r.from == name
	}
	at := r.regex.FindStringSubmatchIndex(name)
	if at == nil {
		return "", false
	}
	to := string(r.regex.ExpandString(nil, r.to, name, at))
	return to, to != ""
}

// rebase renames a counter or info whose name in text was from and becomes to.
func rebase(f *model.Family, from, to string) {
	suffix := strings.TrimPrefix(from, f.Name)
	base, ok := strings.CutSuffix(to, suffix)
	if !ok || base == "" {
		base = to
		if f.Type == model.Info {
			f.Type = model.Gauge
		}
		for i := range f.Samples {
			if f.Samples[i].Suffix == suffix {
				f.Samples[i].Suffix = ""
			}
		}
	}
	f.Name = base
}

// retyped gives f the type that the configuration says.
func (p *Program) retyped(f *model.Family) error {
	if len(p.types) == 0 {
		return nil
	}
	text := expo.TextName(f)
	key := text
	t, ok := p.types[text]
	if !ok {
		key = f.Name
		t, ok = p.types[f.Name]
	}
	if at := strings.LastIndexByte(text, '_'); !ok && at > 0 {
		key = text[:at]
		t, ok = p.types[key]
		ok = ok && partOf(t, text[at:])
	}
	if !ok || t == f.Type {
		return nil
	}
	if err := expo.Expand(f); err != nil {
		return err
	}
	switch t {
	case model.Counter:
		key = strings.TrimSuffix(key, "_total")
	case model.Info:
		key = strings.TrimSuffix(key, "_info")
	case model.Unknown, model.Gauge, model.StateSet:
		key = text
	}
	samples := append([]model.Sample{}, f.Samples...)
	for i := range samples {
		if rest, ok := strings.CutPrefix(f.Name+samples[i].Suffix, key); ok {
			samples[i].Suffix = rest
		}
	}
	f.Name, f.Samples, f.Type = key, samples, t
	return nil
}

// partOf reports whether a family of a type has samples of a suffix.
func partOf(t model.Type, suffix string) bool {
	switch t {
	case model.Histogram:
		return suffix == "_bucket" || suffix == "_sum" || suffix == "_count" || suffix == "_created"
	case model.GaugeHistogram:
		return suffix == "_bucket" || suffix == "_gsum" || suffix == "_gcount"
	case model.Summary:
		return suffix == "_sum" || suffix == "_count" || suffix == "_created"
	case model.Counter:
		return suffix == "_total" || suffix == "_created"
	}
	return t == model.Info && suffix == "_info"
}

// described does help, unit and scale.
func (p *Program) described(f *model.Family) error {
	text := expo.TextName(f)
	help, hasHelp := lookup(p.help, text, f.Name)
	unit, hasUnit := lookup(p.unit, text, f.Name)
	factor, scales := p.scale[text]
	if !scales {
		factor, scales = p.scale[f.Name]
	}
	if !hasHelp && !hasUnit && !scales {
		return nil
	}
	if err := expo.Expand(f); err != nil {
		return err
	}
	if hasHelp {
		f.Help = help
	}
	if hasUnit {
		f.Unit = unit
	}
	if scales {
		scale(f, factor)
	}
	return nil
}

func lookup(m map[string]string, a, b string) (string, bool) {
	if v, ok := m[a]; ok {
		return v, true
	}
	v, ok := m[b]
	return v, ok
}

// scale multiplies values: of histograms the bounds and the sum, of summaries the quantiles' values and the sum.
func scale(f *model.Family, factor float64) {
	samples := append([]model.Sample{}, f.Samples...)
	for i := range samples {
		s := &samples[i]
		exemplar := false
		switch {
		case f.Type == model.Info, f.Type == model.StateSet, s.Suffix == "_created", s.Suffix == "_count", s.Suffix == "_gcount":
			continue
		case s.Suffix == "_bucket":
			s.Labels = bounds(s.Labels, factor)
			exemplar = true
		default:
			s.Value, s.Text = s.Value*factor, ""
			exemplar = true
		}
		if exemplar && s.Exemplar != nil {
			x := *s.Exemplar
			x.Value, x.Text = x.Value*factor, ""
			s.Exemplar = &x
		}
	}
	f.Samples = samples
}

// bounds is labels with le multiplied.
func bounds(labels []model.Label, factor float64) []model.Label {
	out := append([]model.Label{}, labels...)
	for i := range out {
		if out[i].Name != "le" {
			continue
		}
		if v, err := parseFloat(out[i].Value); err == nil {
			out[i].Value = string(expo.AppendValue(nil, v*factor))
		}
	}
	return out
}

// labelled adds the constant labels; one that is there already becomes exported_, as in Prometheus.
func (p *Program) labelled(f *model.Family) error {
	if len(p.labels) == 0 {
		return nil
	}
	insert := f.Block != ""
	for i := range p.labels {
		insert = insert && p.labels[i].Value != "" && !mentions(f.Block, p.labels[i].Name)
	}
	if insert {
		for i := len(p.labels) - 1; i >= 0; i-- {
			w := expo.Writer{Dialect: f.Dialect}
			text := w.Header(make([]byte, 0, len(f.Block)+f.Count*(len(p.labels[i].Name)+len(p.labels[i].Value)+6)), f)
			f.Block = expo.View(expo.AppendLabelled(text, f, p.labels[i].Name, p.labels[i].Value))
		}
		return nil
	}
	if err := expo.Expand(f); err != nil {
		return err
	}
	samples := append([]model.Sample{}, f.Samples...)
	for i := range samples {
		samples[i].Labels = p.withLabels(samples[i].Labels)
	}
	f.Samples = samples
	return nil
}

func (p *Program) withLabels(labels []model.Label) []model.Label {
	out := make([]model.Label, 0, len(labels)+len(p.labels))
	for _, l := range p.labels {
		if l.Value != "" {
			out = append(out, l)
		}
	}
	for _, l := range labels {
		for has(p.labels, l.Name) || strings.HasPrefix(l.Name, "exported_") && has(out, l.Name) {
			l.Name = "exported_" + l.Name
		}
		out = append(out, l)
	}
	return out
}
