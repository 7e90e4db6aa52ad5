package otlp

import (
	"math"

	"github.com/sidecar-kit/sidecar/internal/proto"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

func (d *decoder) keepHistogram(f *family, p *point) error {
	if len(d.raw) == 0 && len(d.limits) == 0 {
		d.raw = append(d.raw, p.count)
	}
	if len(d.raw) != len(d.limits)+1 {
		d.drops[model.Unreadable]++
		return nil
	}
	les := make([]string, len(d.limits))
	for i, b := range d.limits {
		if math.IsNaN(b) || i > 0 && b <= d.limits[i-1] {
			d.drops[model.Unreadable]++
			return nil
		}
		les[i] = float(b)
	}
	d.sums = append(d.sums[:0], d.raw...)
	if n := len(d.limits); n > 0 && math.IsInf(d.limits[n-1], 1) {
		d.sums[n-1] += d.sums[n]
		d.sums, d.limits, les = d.sums[:n], d.limits[:n-1], les[:n-1]
	}
	d.keepBuckets(f, p, d.limits, les)
	return nil
}

// keepBuckets writes the sums of buckets, which are one more than there are bounds.
func (d *decoder) keepBuckets(f *family, p *point, bounds []float64, les []string) {
	if !d.room(f, len(bounds)+2+btoi(p.hasSum)) {
		return
	}
	var n uint64
	low := math.Inf(-1)
	for i, count := range d.sums {
		n += count
		high, le := math.Inf(1), "+Inf"
		if i < len(bounds) {
			high, le = bounds[i], les[i]
		}
		s := p.stamp(model.Sample{Suffix: "_bucket", Labels: d.with("le", le), Value: float64(n)})
		for j := range p.exemplars {
			if e := &p.exemplars[j]; e.Value > low && e.Value <= high {
				s.Exemplar = e
			}
		}
		d.add(f, s)
		low = high
	}
	if p.hasSum {
		d.add(f, p.stamp(model.Sample{Suffix: "_sum", Labels: d.labels, Value: p.sum}))
	}
	d.add(f, p.stamp(model.Sample{Suffix: "_count", Labels: d.labels, Value: float64(n)}))
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// fold puts the buckets of an exponential histogram into the fixed ones: each into the first that has all of it.
func (d *decoder) fold(p *point) error {
	d.sums = append(d.sums[:0], make([]uint64, len(d.bounds)+1)...)
	d.sums[d.first(p.threshold)] += p.zero
	if err := eachBucket(p.positive, func(index int64, n uint64) {
		d.sums[d.first(power(index+1, p.scale))] += n
	}); err != nil {
		return err
	}
	return eachBucket(p.negative, func(index int64, n uint64) {
		d.sums[d.first(-power(index, p.scale))] += n
	})
}

// power is 2^(index * 2^-scale).
func power(index int64, scale int) float64 {
	return math.Exp2(math.Ldexp(float64(index), -scale))
}

// first is the bucket whose bound is v or the next above. Powers are not exact, so a bit less than a bound is above it, too.
func (d *decoder) first(v float64) int {
	if v > 0 {
		v *= 1 - 1e-12
	} else {
		v *= 1 + 1e-12
	}
	low, high := 0, len(d.bounds)
	for low < high {
		mid := (low + high) / 2
		if d.bounds[mid] < v {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// eachBucket reads the message Buckets.
func eachBucket(body []byte, fn func(index int64, n uint64)) error {
	var offset int64
	err := proto.Each(body, func(field int, number uint64, _ []byte) error {
		if field == 1 {
			offset = int64(int32(number>>1) ^ -int32(number&1)) //nolint:gosec // zigzag
		}
		return nil
	})
	if err != nil {
		return err
	}
	take := func(n uint64) {
		if n > 0 {
			fn(offset, n)
		}
		offset++
	}
	return proto.Each(body, func(field int, number uint64, value []byte) error {
		if field != 2 {
			return nil
		}
		if value == nil {
			take(number)
			return nil
		}
		return varints(value, take)
	})
}
