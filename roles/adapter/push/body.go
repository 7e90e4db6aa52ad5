package push

import (
	"math"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// put merges a page into the table. Samples of a delta page are added, those of others take the place of what is there.
func (t *Table) put(page *model.Page, delta bool, now int64) {
	for i := range page.Families {
		f := &page.Families[i]
		w := want{key: f.Name, kind: f.Type, help: f.Help, unit: f.Unit, ttl: int64(t.opts.TTL)}
		for j := range f.Samples {
			if f.Samples[j].Suffix == "_total" && f.Type == model.Counter {
				w.key, w.total = f.Name+"_total", true
				break
			}
		}
		for j := range f.Samples {
			t.putSample(&w, &f.Samples[j], delta, now)
		}
	}
}

func (t *Table) putSample(w *want, s *model.Sample, delta bool, now int64) {
	if w.total {
		if s.Suffix != "_total" { // _created: pages of the table say nothing of the past
			t.drops[model.Unstorable]++
			return
		}
	} else if s.Suffix == "_created" {
		t.drops[model.Unstorable]++
		return
	} else {
		w.suffix = s.Suffix
	}
	if delta && !(s.Value >= 0 || w.kind == model.Gauge || w.kind == model.Unknown || strings.HasSuffix(w.suffix, "sum")) || delta && math.IsInf(s.Value, 0) {
		t.stats.Negative++
		t.drops[model.Unreadable]++
		return
	}
	labels := append(t.reader.labels[:0], s.Labels...)
	w.labels = labels
	to, why := t.find(w, now)
	t.reader.labels = labels
	if why != found {
		t.refuse(why)
		return
	}
	to.last = now
	if !delta {
		to.value = s.Value
	} else if s.Timed && s.Time == to.at && to.at != 0 {
		t.stats.Repeated++
		t.drops[model.Repeated]++
		return
	} else {
		to.value += s.Value
		to.at = s.Time
	}
	t.stats.Decoded++
}
