package expo

import (
	"hash/maphash"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// Distinct leaves out samples of f that are the same series as one before, and returns how many. Samples that are kept are not changed; the list is a new
// one if any is left out.
func Distinct(f *model.Family) int {
	var t series
	t.reset(len(f.Samples))
	repeated := 0
	var kept []model.Sample
	for i := range f.Samples {
		s := &f.Samples[i]
		h := maphash.String(t.seed, s.Suffix)
		for j := range s.Labels {
			if l := &s.Labels[j]; l.Value != "" {
				h += mix(maphash.String(t.seed, l.Name), maphash.String(t.seed, l.Value))
			}
		}
		if t.add(h, i, func(at int) bool { return sameSeries(&f.Samples[at], s) }) {
			if repeated == 0 {
				kept = append(make([]model.Sample, 0, len(f.Samples)), f.Samples[:i]...)
			}
			repeated++
		} else if repeated > 0 {
			kept = append(kept, *s)
		}
	}
	if repeated > 0 {
		f.Samples = kept
	}
	return repeated
}

// sameSeries reports whether two samples of a family are one series.
func sameSeries(a, b *model.Sample) bool {
	if a.Suffix != b.Suffix {
		return false
	}
	n := 0
	for i := range a.Labels {
		if a.Labels[i].Value == "" {
			continue
		}
		n++
		if value(b.Labels, a.Labels[i].Name) != a.Labels[i].Value {
			return false
		}
	}
	for i := range b.Labels {
		if b.Labels[i].Value != "" {
			n--
		}
	}
	return n == 0
}
