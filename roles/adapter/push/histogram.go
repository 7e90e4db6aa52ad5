package push

import (
	"strconv"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/statsmap"
)

type histogram struct {
	bounds []float64
	les    []string
	counts []uint64 // one more than bounds
	sum    float64
	count  uint64
}

func newHistogram(shape *statsmap.Shape) *histogram {
	h := &histogram{bounds: shape.Buckets, counts: make([]uint64, len(shape.Buckets)+1), les: make([]string, len(shape.Buckets)+1)}
	for i, b := range h.bounds {
		h.les[i] = strconv.FormatFloat(b, 'g', -1, 64)
	}
	h.les[len(h.bounds)] = "+Inf"
	return h
}

func (h *histogram) observe(v float64, times uint64, _ int64) {
	low, high := 0, len(h.bounds)
	for low < high {
		mid := (low + high) / 2
		if h.bounds[mid] < v {
			low = mid + 1
		} else {
			high = mid
		}
	}
	h.counts[low] += times
	h.count += times
	h.sum += v * float64(times)
}

func (h *histogram) samples(p *pageBuilder, s *series, _ int64) {
	var n uint64
	for i, le := range h.les {
		n += h.counts[i]
		p.add(model.Sample{Suffix: "_bucket", Labels: p.with(s.labels, "le", le), Value: float64(n)})
	}
	p.add(model.Sample{Suffix: "_sum", Labels: s.labels, Value: h.sum})
	p.add(model.Sample{Suffix: "_count", Labels: s.labels, Value: float64(h.count)})
}
