package expo

import (
	"hash/maphash"
	"math"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// ordering watches over the order of the samples of one family of OpenMetrics: the samples of a metric, which are those whose labels are the same but for le, quantile or
// the state, have to be together, and their values have to fit.
type ordering struct {
	any   bool
	group uint64
	timed bool
	time  float64
	hist  histogram
}

// histogram is what was read of one histogram.
type histogram struct {
	bound, value, count         float64
	bounded, counted, sum, gsum bool // a bucket, _count or _gcount, _sum, _gsum were there
	negativeSum, negativeBound  bool
}

// check looks at the sample in r.s, the next one of family f.
func (o *ordering) check(r *Reader, f *family) string {
	s := &r.s
	suffix := s.name[len(f.name):]
	special, bound, wrong := specialLabel(f, s, suffix)
	if wrong != "" {
		return wrong
	}
	value := parse(s.value)
	if !possible(f.typ, suffix, value) {
		return badValue
	}
	group := uint64(0)
	if f.typ != model.Info {
		group = r.groupOf(special)
	}
	timed := s.time != ""
	time := 0.0
	if timed {
		time = parse(s.time)
	}
	same := o.any && group == o.group
	if same && (timed != o.timed || f.typ != model.Info && time < o.time) {
		return mixedTimes
	}
	isHistogram := f.typ == model.Histogram || f.typ == model.GaugeHistogram
	if isHistogram && o.any && (!same || time != o.time) {
		if wrong := o.end(f.typ); wrong != "" {
			return wrong
		}
		o.hist = histogram{}
	}
	if !same {
		h := group ^ mix(maphash.String(r.groups.seed, f.name), 3)
		if r.groups.add(h, 0, func(int) bool { return true }) {
			return notTogether
		}
	}
	o.any, o.group, o.timed, o.time = true, group, timed, time
	if isHistogram {
		return o.hist.add(suffix, bound, value)
	}
	return ""
}

// groupOf is a hash of all labels but one.
func (r *Reader) groupOf(special string) uint64 {
	h := uint64(7)
	for i := range r.s.labels {
		l := &r.s.labels[i]
		if l.Name != special && l.Value != "" {
			h += mix(maphash.String(r.groups.seed, l.Name), maphash.String(r.groups.seed, unescape(l.Value)))
		}
	}
	return h
}

// specialLabel is the label that tells the samples of one metric apart, and the bound of a bucket.
func specialLabel(f *family, s *sample, suffix string) (name string, bound float64, wrong string) {
	switch {
	case f.typ == model.StateSet:
		if _, ok := s.label(f.name); !ok {
			return "", 0, noTypeLabel
		}
		return f.name, 0, ""
	case f.typ == model.Summary && suffix == "":
		v, ok := s.label("quantile")
		if !ok {
			return "", 0, noTypeLabel
		}
		if q := parse(v); !isNumber(v) || !(q >= 0 && q <= 1) {
			return "", 0, notInRange
		}
		return "quantile", 0, ""
	case suffix == "_bucket" && (f.typ == model.Histogram || f.typ == model.GaugeHistogram):
		v, ok := s.label("le")
		if !ok {
			return "", 0, noTypeLabel
		}
		b := parse(v)
		if !isNumber(v) || b != b || (math.IsInf(b, 1) && v != "+Inf") {
			return "", 0, notInRange
		}
		return "le", b, ""
	}
	return "", 0, ""
}

// possible reports whether a sample may have a value.
func possible(t model.Type, suffix string, v float64) bool {
	switch suffix {
	case "":
		return t == model.StateSet && (v == 0 || v == 1) || t == model.Summary && !(v < 0) || t == model.Unknown || t == model.Gauge
	case "_info":
		return v == 1
	case "_total", "_sum", "_count", "_bucket", "_gcount":
		return v >= 0
	case "_gsum":
		return v == v
	}
	return true
}

// add takes one sample in.
func (h *histogram) add(suffix string, b, value float64) string {
	switch suffix {
	case "_bucket":
		if h.bounded && (b <= h.bound || value < h.value) {
			return badHistogram
		}
		h.negativeBound = h.negativeBound || b < 0
		h.bounded, h.bound, h.value = true, b, value
	case "_count", "_gcount":
		h.counted, h.count = true, value
	case "_sum":
		h.sum = true
	case "_gsum":
		h.gsum, h.negativeSum = true, value < 0
	}
	return ""
}

// end ends a histogram.
func (o *ordering) end(t model.Type) string {
	h := &o.hist
	if !o.any || (t != model.Histogram && t != model.GaugeHistogram) {
		return ""
	}
	switch {
	case !h.bounded || !math.IsInf(h.bound, 1),
		h.counted && h.value != h.count,
		(h.sum || h.gsum) != h.counted,
		h.negativeBound && h.sum,
		!h.negativeBound && h.negativeSum:
		return badHistogram
	}
	return ""
}
