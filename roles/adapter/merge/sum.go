package merge

import "github.com/sidecar-kit/sidecar/roles/adapter/model"

// sum adds a sample to the one that has the same labels, or appends it.
func (m *merger) sum(s *model.Sample, source int32, t model.Type, bound string) {
	metric := int32(-1)
	group := uint64(0)
	if bound != "" {
		group = m.hash(s.Labels, "", bound)
		metric = m.find(&m.metrics, group, s, bound, false)
	}
	h := m.hash(s.Labels, s.Suffix, "")
	at := m.find(&m.series, h, s, "", true)
	if at < 0 {
		at = m.push(s, source)
		m.series.add(h, at)
	} else {
		add(&m.list[at], s, t)
		m.marks[at].added++
	}
	if bound == "" {
		return
	}
	if metric < 0 {
		metric = at
		m.metrics.add(group, at)
		m.marks[at].shares, m.marks[at].last = 1, source
	}
	m.marks[at].metric = metric
	if first := &m.marks[metric]; first.last != source {
		first.shares++
		first.last = source
	}
}

// settle leaves out what cannot be added: buckets that not all sources of a histogram have (the others stay true, for buckets are cumulative), and quantiles.
func (m *merger) settle(t model.Type) {
	if special(t) == "" {
		return
	}
	kept := m.list[:0]
	for i := range m.list {
		mk := &m.marks[i]
		shares := m.marks[mk.metric].shares
		if shares > 1 && (mk.added < shares || t == model.Summary && m.list[i].Suffix == "") {
			m.drops[model.Conflict] += uint64(mk.added)
			continue
		}
		kept = append(kept, m.list[i])
	}
	m.list = kept
}

// add adds the value of s to that of into.
func add(into, s *model.Sample, t model.Type) {
	switch {
	case t == model.Info:
		return
	case t == model.StateSet:
		if s.Value > into.Value {
			into.Value, into.Text = s.Value, s.Text
		}
	case s.Suffix == "_created":
		if s.Value < into.Value {
			into.Value, into.Text = s.Value, s.Text
		}
	default:
		into.Value += s.Value
		into.Text = ""
	}
	into.Timed = into.Timed && s.Timed
	into.Time = max(into.Time, s.Time)
}
