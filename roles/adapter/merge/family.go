package merge

import (
	"fmt"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/adapter/expo"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// family makes one family of a group.
func (m *merger) family(g *group) (model.Family, error) {
	if len(g.refs) == 1 {
		return *m.at(g.refs[0]), nil
	}
	lead, err := m.lead(g)
	if err != nil {
		return model.Family{}, err
	}
	if len(g.refs) == 1 {
		return lead, nil
	}
	dialect := m.at(g.refs[0]).Dialect
	size := 0
	for _, r := range g.refs {
		f := m.at(r)
		if f.Block == "" || f.Dialect != dialect {
			dialect = model.NoText
		}
		size += len(f.Block)
	}
	if dialect != model.NoText && m.policy == Label && m.canInsert(g) {
		return m.insert(g, lead, dialect, size), nil
	}
	if dialect != model.NoText && m.canJoin(g, lead.Type) {
		return m.join(g, lead, dialect, size), nil
	}
	m.list, m.marks = m.list[:0], m.marks[:0]
	m.metrics.reset()
	m.series.reset()
	if err := m.samples(g, &lead); err != nil {
		return model.Family{}, err
	}
	lead.Block, lead.Dialect, lead.Count = "", model.NoText, 0
	if dialect == model.NoText {
		lead.Samples = copied(m.list)
		return lead, nil
	}
	// Text again, so that samples live no longer than this family takes: pages of many series would be several times their size.
	lead.Samples = m.list
	w := &m.writer[dialect]
	w.Dialect = dialect
	text, drops := w.Family(make([]byte, 0, size+size/8), &lead)
	m.drops.Add(drops)
	lead.Count = len(m.list) - int(drops.Sum())
	lead.Samples, lead.Block, lead.Dialect = nil, expo.View(text), dialect
	return lead, nil
}

// copied is a list that outlives the memory of m.
func copied(list []model.Sample) []model.Sample {
	n := 0
	for i := range list {
		n += len(list[i].Labels)
	}
	labels := make([]model.Label, 0, n)
	out := append(make([]model.Sample, 0, len(list)), list...)
	for i := range out {
		from := len(labels)
		labels = append(labels, out[i].Labels...)
		out[i].Labels = labels[from:len(labels):len(labels)]
	}
	return out
}

// lead is the family's name, type, help and unit: those of the first source that knows any. Members that cannot be brought together with it leave the group.
func (m *merger) lead(g *group) (model.Family, error) {
	first := g.refs[0]
	for _, r := range g.refs {
		if m.at(r).Type != model.Unknown && fits(m.at(first).Type, m.at(r).Type) {
			first = r
			break
		}
	}
	lead := *m.at(first)
	kept := g.refs[:0:0]
	for _, r := range g.refs {
		f := m.at(r)
		if !fits(lead.Type, f.Type) {
			if m.policy == Fail {
				return lead, fmt.Errorf("%s is a %s in source %q and a %s in source %q; filter or rename one, or take another policy than fail",
					g.key, lead.Type, m.source(first), f.Type, m.source(r))
			}
			m.drops[model.Conflict] += uint64(f.Len())
			continue
		}
		if lead.Help == "" {
			lead.Help = f.Help
		}
		if lead.Unit == "" && strings.HasSuffix(lead.Name, "_"+f.Unit) {
			lead.Unit = f.Unit
		}
		kept = append(kept, r)
	}
	if help := m.at(kept[0]).Help; help != "" {
		lead.Help = help
	}
	g.refs = kept
	if len(kept) == 1 {
		return *m.at(kept[0]), nil
	}
	return lead, nil
}

// fits reports whether families of two types can be one.
func fits(a, b model.Type) bool {
	if a > b {
		a, b = b, a
	}
	switch {
	case a == b:
		return true
	case a == model.Unknown:
		return b == model.Counter || b == model.Gauge
	case a == model.Gauge:
		return b == model.Info || b == model.StateSet // what these are in text
	}
	return false
}

// canInsert reports whether the label can be put into the lines of all members as they are.
func (m *merger) canInsert(g *group) bool {
	if !m.alike(g) {
		return false
	}
	for i, r := range g.refs {
		name := m.source(r)
		if strings.Contains(m.at(r).Block, m.label) || name == "" || !expo.IsLabel(m.label) {
			return false
		}
		for _, other := range g.refs[:i] {
			if m.source(other) == name {
				return false
			}
		}
	}
	return true
}

// alike reports whether all members have one name and one type.
func (m *merger) alike(g *group) bool {
	first := m.at(g.refs[0])
	for _, r := range g.refs {
		if m.at(r).Name != first.Name || m.at(r).Type != first.Type {
			return false
		}
	}
	return true
}

// canJoin reports whether no two members have a metric in common, so that their lines can stand together as they are.
func (m *merger) canJoin(g *group, t model.Type) bool {
	if m.policy == Label || !m.alike(g) {
		return false
	}
	m.blocks = m.blocks[:0]
	for _, r := range g.refs {
		m.blocks = append(m.blocks, m.at(r))
	}
	return m.metric.Disjoint(m.blocks, special(t))
}

// join joins the lines of all members.
func (m *merger) join(g *group, lead model.Family, d model.Dialect, size int) model.Family {
	w := &m.writer[d]
	w.Dialect = d
	text := w.Header(make([]byte, 0, size+len(lead.Help)), &lead)
	lead.Count = 0
	for _, r := range g.refs {
		text = expo.AppendLines(text, m.at(r))
		lead.Count += m.at(r).Count
	}
	lead.Block, lead.Dialect, lead.Samples = expo.View(text), d, nil
	return lead
}

// insert joins the lines of all members, each with its label.
func (m *merger) insert(g *group, lead model.Family, d model.Dialect, size int) model.Family {
	for _, r := range g.refs {
		size += m.at(r).Count * (len(m.label) + len(m.source(r)) + 6)
	}
	w := &m.writer[d]
	w.Dialect = d
	text := w.Header(make([]byte, 0, size+len(lead.Help)), &lead)
	lead.Count = 0
	for _, r := range g.refs {
		text = expo.AppendLabelled(text, m.at(r), m.label, m.source(r))
		lead.Count += m.at(r).Count
	}
	lead.Block, lead.Dialect, lead.Samples = expo.View(text), d, nil
	return lead
}
