package gitsync

import (
	"github.com/sidecar-kit/sidecar/internal/meter"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// metrics are what /metrics shows of the role.
type metrics struct {
	passes    *meter.Counters
	last      *meter.Gauge
	lastGood  *meter.Gauge
	failures  *meter.Gauge
	phases    *meter.Histograms
	bytes     *meter.Counter
	objects   *meter.Counter
	hooks     *meter.Counters
	rebuilds  *meter.Counters
	prunes    *meter.Counter
	compacts  *meter.Counter
	info      *meter.Gauges
	behind    *meter.Gauge
	mu        sync.Mutex
	want, has string
}

// unseenMetrics is for runs that nobody scrapes.
func unseenMetrics() meter.Registerer { return new(meter.Registry) }

func newMetrics(reg meter.Registerer) *metrics {
	counter := func(name, help string) *meter.Counter {
		return meter.NewCounter("sidecar_sync_"+name, help)
	}
	counters := func(name, help string, labels ...string) *meter.Counters {
		return meter.NewCounters("sidecar_sync_"+name, help, labels...)
	}
	gauge := func(name, help string) *meter.Gauge {
		return meter.NewGauge("sidecar_sync_"+name, help)
	}
	m := &metrics{
		passes:   counters("passes_total", "Looks at the repository, by result: unchanged, published or failed.", "result"),
		last:     gauge("last_pass_timestamp_seconds", "Time of the last look at the repository, in seconds since 1970."),
		lastGood: gauge("last_success_timestamp_seconds", "Time of the last look that did not fail, in seconds since 1970."),
		failures: gauge("consecutive_failures", "Failures since the last success."),
		phases:   meter.NewHistograms("sidecar_sync_phase_duration_seconds", "Time of each phase: watch, fetch, materialise, sync and publish.", []float64{.001, .005, .025, .1, .5, 2, 10, 60}, "phase"),
		bytes:    counter("fetched_bytes_total", "Bytes of the packs that were fetched."),
		objects:  counter("fetched_objects_total", "Objects in the packs that were fetched."),
		hooks:    counters("hook_runs_total", "Attempts to tell somebody or to ask a program, by kind and result.", "kind", "result"),
		rebuilds: counters("rebuilds_total", "What was found missing or touched, and made again: link, tree, files, objects or repository.", "what"),
		prunes:   counter("trees_removed_total", "Replaced trees that were removed."),
		compacts: counter("compactions_total", "Times that objects of old commits were dropped."),
		info:     meter.NewGauges("sidecar_sync_published_info", "The published commit; always 1.", "commit"),
		behind:   gauge("behind", "1 while the repository's commit is not the published one."),
	}
	reg.MustRegister(m.passes, m.last, m.lastGood, m.failures, m.phases, m.bytes, m.objects, m.hooks, m.rebuilds,
		m.prunes, m.compacts, m.info, m.behind)
	for _, result := range []string{"unchanged", "published", "failed"} {
		m.passes.With(result)
	}
	return m
}

func (m *metrics) pass(changed bool, took time.Duration, err error) {
	now := float64(time.Now().UnixMilli()) / 1000
	m.last.Set(now)
	if err != nil {
		m.passes.With("failed").Inc()
		m.failures.Add(1)
		return
	}
	m.failures.Set(0)
	m.lastGood.Set(now)
	if changed {
		m.passes.With("published").Inc()
		return
	}
	m.passes.With("unchanged").Inc()
}

// phase measures fn.
func (m *metrics) phase(name string, fn func() error) error {
	start := time.Now()
	err := fn()
	m.observe(name, time.Since(start))
	return err
}

func (m *metrics) observe(name string, took time.Duration) {
	m.phases.With(name).Observe(took.Seconds())
}

func (m *metrics) fetched(bytes int64, objects int) {
	m.bytes.Add(float64(bytes))
	m.objects.Add(float64(objects))
}

func (m *metrics) hook(kind string, err error) {
	result := "ok"
	if err != nil {
		result = "failed"
	}
	m.hooks.With(kind, result).Inc()
}

func (m *metrics) rebuilt(what string) { m.rebuilds.With(what).Inc() }
func (m *metrics) pruned(n int)        { m.prunes.Add(float64(n)) }
func (m *metrics) compacted()          { m.compacts.Inc() }

func (m *metrics) seen(commit plumbing.Hash) { m.compare(commit.String(), "") }

func (m *metrics) published(commit string) {
	m.info.Reset()
	m.info.With(commit).Set(1)
	m.compare("", commit)
}

// compare notes what the repository has or what is published, and whether the two differ.
func (m *metrics) compare(want, has string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if want != "" {
		m.want = want
	}
	if has != "" {
		m.has = has
	}
	v := 0.0
	if m.want != "" && m.want != m.has {
		v = 1
	}
	m.behind.Set(v)
}
