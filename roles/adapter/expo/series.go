package expo

import (
	"hash/maphash"
	"unicode/utf8"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// series is a set of the series of a body, as hashes and the places of their lines. The seed is random, so that no source can make them clash on purpose;
// hashes that are equal are looked at again.
type series struct {
	seed  maphash.Seed
	slots []slot
	used  int
}

type slot struct {
	hash uint64
	line uint32 // its offset plus one
}

func (t *series) reset(size int) {
	want := 1 << 10
	for want < size*2 && want < 1<<22 {
		want *= 2
	}
	t.used = 0
	if len(t.slots) < want || len(t.slots) > want*8 {
		t.slots = make([]slot, want)
		t.seed = maphash.MakeSeed()
		return
	}
	clear(t.slots)
}

// find returns the slot of a hash: the one that has it, or the empty one where it belongs. from is 0, or a slot after which to look on.
func (t *series) find(hash uint64, from int) int {
	mask := len(t.slots) - 1
	i := int(hash) & mask
	if from > 0 {
		i = from & mask
	}
	for t.slots[i].line != 0 && t.slots[i].hash != hash {
		i = (i + 1) & mask
	}
	return i
}

func (t *series) grow() {
	old := t.slots
	t.slots = make([]slot, 2*len(old))
	mask := len(t.slots) - 1
	for _, s := range old {
		if s.line == 0 {
			continue
		}
		i := int(s.hash) & mask
		for t.slots[i].line != 0 {
			i = (i + 1) & mask
		}
		t.slots[i] = s
	}
}

// add adds the series of the line at offset; same says whether the line at another offset is the same series. It returns whether it was there.
func (t *series) add(hash uint64, line int, same func(line int) bool) bool {
	i := t.find(hash, 0)
	for t.slots[i].line != 0 {
		if same(int(t.slots[i].line - 1)) {
			return true
		}
		i = t.find(hash, i+1)
	}
	t.slots[i] = slot{hash, uint32(line + 1)}
	t.used++
	if t.used*2 > len(t.slots) {
		t.grow()
	}
	return false
}

// hash is the same for each order of the labels, and with or without empty ones.
func (t *series) hash(s *sample) uint64 {
	h := maphash.String(t.seed, s.name)
	for i := range s.labels {
		l := &s.labels[i]
		v := l.Value
		if v == "" {
			continue
		}
		if s.escaped {
			v = unescape(v)
		}
		h += mix(maphash.String(t.seed, l.Name), maphash.String(t.seed, v))
	}
	return h
}

func mix(name, value uint64) uint64 {
	value ^= value >> 31
	return (name ^ value<<1) * (value | 1)
}

// equal reports whether two lines are one series.
func equal(a, b *sample) bool {
	if a.name != b.name {
		return false
	}
	n := 0
	for i := range a.labels {
		value := unescape(a.labels[i].Value)
		if value == "" {
			continue
		}
		n++
		if other, ok := b.label(a.labels[i].Name); !ok || other != value {
			return false
		}
	}
	for i := range b.labels {
		if b.labels[i].Value != "" {
			n--
		}
	}
	return n == 0
}

// label is the value of a label, its escapes resolved.
func (s *sample) label(name string) (string, bool) {
	for i := range s.labels {
		if s.labels[i].Name == name {
			return unescape(s.labels[i].Value), true
		}
	}
	return "", false
}

// over reports whether a line is more than the limits allow.
func (s *sample) over(lim *model.Limits) bool {
	if lim.Labels > 0 && len(s.labels) > lim.Labels || lim.Name > 0 && len(s.name) > lim.Name {
		return true
	}
	for i := range s.labels {
		if lim.Name > 0 && len(s.labels[i].Name) > lim.Name || lim.Value > 0 && len(s.labels[i].Value) > lim.Value {
			return true
		}
	}
	return false
}

// checkExemplar says what is wrong with the labels of an exemplar.
func checkExemplar(labels []model.Label) string {
	runes := 0
	for i, l := range labels {
		if l.Name == "" {
			return noLabel
		}
		runes += utf8.RuneCountInString(l.Name) + utf8.RuneCountInString(unescape(l.Value))
		for j := range i {
			if labels[j].Name == l.Name {
				return twoLabels
			}
		}
		if runes > 128 {
			return badExemplar
		}
	}
	return ""
}

// suffixes are what the samples of a type have behind the family's name, in OpenMetrics; one of them may be nothing.
func suffixes(t model.Type) string {
	return [...]string{
		model.Unknown: "", model.Gauge: "", model.StateSet: "",
		model.Counter: "_total _created", model.Histogram: "_bucket _sum _count _created", model.GaugeHistogram: "_bucket _gsum _gcount",
		model.Summary: "_sum _count _created", model.Info: "_info",
	}[t]
}

// parts are those of text 0.0.4.
func parts(t model.Type) string {
	switch t {
	case model.Histogram, model.GaugeHistogram:
		return "_bucket _sum _count"
	case model.Summary:
		return "_sum _count"
	}
	return ""
}
