package proxy

import (
	"sync/atomic"
	"time"

	"github.com/sidecar-kit/sidecar/internal/meter"
)

// histogram counts durations without a lock. Its buckets are those of Prometheus' clients, and finer below.
type histogram struct {
	buckets [15]atomic.Int64
	sum     atomic.Int64 // nanoseconds
}

// bounds of the buckets.
func bounds() [14]time.Duration {
	const ms = time.Millisecond
	return [14]time.Duration{ms / 2, ms, 2500 * time.Microsecond, 5 * ms, 10 * ms, 25 * ms, 50 * ms, 100 * ms, 250 * ms, 500 * ms, 1000 * ms, 2500 * ms, 10000 * ms, 60000 * ms}
}

func (h *histogram) observe(d time.Duration) {
	i := 0
	for _, b := range bounds() {
		if d <= b {
			break
		}
		i++
	}
	h.buckets[i].Add(1)
	h.sum.Add(int64(d))
}

// read returns what was observed, in seconds.
func (h *histogram) read() *meter.Distribution {
	d := &meter.Distribution{Sum: time.Duration(h.sum.Load()).Seconds()}
	for _, b := range bounds() {
		d.Bounds = append(d.Bounds, b.Seconds())
	}
	for i := range h.buckets {
		d.Counts = append(d.Counts, uint64(h.buckets[i].Load())) //nolint:gosec // counts only grow
	}
	return d
}
