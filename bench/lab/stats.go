package lab

import (
	"fmt"
	"math"
	"slices"
)

// Sample is one measured run: named figures.
type Sample map[string]float64

// Pair is the two tools measured one after the other, so that a slow minute of the
// machine meets both.
type Pair struct{ A, B Sample }

// Pairs runs a and b interleaved: one warm-up that is thrown away, then n pairs. Every
// other pair starts with b, so that neither always finds the warmer cache.
func Pairs(n int, a, b func() (Sample, error)) ([]Pair, error) {
	var pairs []Pair
	for i := range n + 1 {
		var p Pair
		var err error
		first, second := a, b
		if i%2 == 1 {
			first, second = b, a
		}
		x, err := first()
		if err != nil {
			return nil, err
		}
		y, err := second()
		if err != nil {
			return nil, err
		}
		p.A, p.B = x, y
		if i%2 == 1 {
			p.A, p.B = y, x
		}
		if i > 0 {
			pairs = append(pairs, p)
		}
	}
	return pairs, nil
}

// Compare gives the median of a, of b, and of the ratios a/b pair by pair.
func Compare(pairs []Pair, figure string) (a, b, ratio float64) {
	var as, bs, ratios []float64
	for _, p := range pairs {
		as = append(as, p.A[figure])
		bs = append(bs, p.B[figure])
		ratios = append(ratios, p.A[figure]/p.B[figure])
	}
	return Quantile(as, 0.5), Quantile(bs, 0.5), Quantile(ratios, 0.5)
}

// Quantile is the q-th quantile by the nearest rank; the mean of the middle two for an
// even median.
func Quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	v := slices.Sorted(slices.Values(values))
	if q == 0.5 && len(v)%2 == 0 {
		return (v[len(v)/2-1] + v[len(v)/2]) / 2
	}
	return v[min(len(v)-1, max(0, int(math.Ceil(q*float64(len(v))))-1))]
}

// MS prints seconds as milliseconds, with the digits that mean something.
func MS(seconds float64) string {
	ms := seconds * 1000
	switch {
	case ms < 1:
		return fmt.Sprintf("%.3f ms", ms)
	case ms < 100:
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

// MB prints bytes as megabytes (10^6).
func MB(bytes float64) string { return fmt.Sprintf("%.1f MB", bytes/1e6) }

// Ratio prints a/b.
func Ratio(r float64) string { return fmt.Sprintf("%.2fx", r) }

// Sample turns a usage into figures.
func (u Usage) Sample() Sample {
	return Sample{"cpu": u.CPU.Seconds(), "wall": u.Wall.Seconds(), "rss": float64(u.PeakRSS)}
}
