package initcopy

import "github.com/sidecar-kit/sidecar/internal/meter"

// metrics are what /metrics shows, where --admin is given: for long copies.
type metrics struct {
	runs    *meter.Counters
	files   *meter.Counters
	bytes   *meter.Counter
	seconds *meter.Gauge
}

// unseenMetrics is for runs that nobody scrapes.
func unseenMetrics() meter.Registerer { return new(meter.Registry) }

func newMetrics(reg meter.Registerer) *metrics {
	m := &metrics{
		runs:    meter.NewCounters("sidecar_initcopy_runs_total", "Runs, by result: published, unchanged, planned (a dry run) or failed.", "result"),
		files:   meter.NewCounters("sidecar_initcopy_entries_total", "Entries, by what was done: copied, unchanged, removed or skipped.", "done"),
		bytes:   meter.NewCounter("sidecar_initcopy_copied_bytes_total", "Bytes of content that were written."),
		seconds: meter.NewGauge("sidecar_initcopy_last_run_duration_seconds", "How long the last run took."),
	}
	reg.MustRegister(m.runs, m.files, m.bytes, m.seconds)
	return m
}

func (m *metrics) finished(r *report) {
	m.runs.With(r.Result).Inc()
	for done, n := range map[string]int{"copied": r.Copied, "unchanged": r.Unchanged, "removed": r.Removed, "skipped": r.Skipped} {
		m.files.With(done).Add(float64(n))
	}
	m.bytes.Add(float64(r.Bytes))
	m.seconds.Set(r.Seconds)
}
