package adapter

import (
	"slices"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/meter"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/push"
	"github.com/sidecar-kit/sidecar/roles/adapter/source"
	"github.com/sidecar-kit/sidecar/roles/adapter/statsd"
	"github.com/sidecar-kit/sidecar/roles/adapter/view"
)

// metrics are what /metrics of the admin endpoint shows of the role. Most is read when it is scraped.
type metrics struct {
	reloads *meter.Counters
	valid   *meter.Gauge
	last    *meter.Gauge
}

func newMetrics(reg meter.Registerer, a *Adapter) *metrics {
	m := &metrics{
		reloads: meter.NewCounters("sidecar_adapter_reloads_total", "Times the configuration was read again, by result: changed or invalid.", "result"),
		valid:   meter.NewGauge("sidecar_adapter_config_valid", "1 while the configuration is valid; 0 while it is not and the last valid one stays in use."),
		last:    meter.NewGauge("sidecar_adapter_config_loaded_timestamp_seconds", "When the configuration that is in force was read."),
	}
	for _, r := range []string{"changed", "invalid"} {
		m.reloads.With(r)
	}
	m.valid.Set(1)
	m.reloaded()
	reg.MustRegister(m.reloads, m.valid, m.last, &collector{live: a.live.Load})
	return m
}

func (m *metrics) reloaded() { m.last.Set(float64(time.Now().Unix())) }

// figure is one metric that is read at a scrape.
type figure struct {
	desc *meter.Desc
	read func(w *works, put putter)
}

type putter = func(v float64, labels ...string)

// collector reads the numbers of everything at work.
type collector struct{ live func() *works }

// Describe implements meter.Source.
func (c *collector) Describe() (all []*meter.Desc) {
	for _, f := range figures() {
		all = append(all, f.desc)
	}
	return all
}

// Collect implements meter.Source.
func (c *collector) Collect(put func(meter.Sample)) {
	w := c.live()
	if w == nil {
		return
	}
	for _, f := range figures() {
		f.read(w, func(v float64, labels ...string) { put(meter.Sample{Desc: f.desc, Values: labels, Value: v}) })
	}
}

func metric(name, help string, read func(w *works, put putter), labels ...string) figure {
	kind := meter.GaugeKind
	if strings.HasSuffix(name, "_total") {
		kind = meter.CounterKind
	}
	return figure{&meter.Desc{Name: "sidecar_adapter_" + name, Help: help, Kind: kind, Labels: labels}, read}
}

func figures() []figure {
	return slices.Concat(sourceFigures(), pushFigures(), lossFigures(), viewFigures(), emitFigures(), checkFigures())
}

// ofSources is a figure that sources have that are asked.
func ofSources(name, help string, read func(s source.Stats) float64) figure {
	return metric(name, help, func(w *works, put putter) {
		for _, f := range w.sources {
			if f.pull != nil {
				put(read(f.pull.Stats()), f.plan.name)
			}
		}
	}, "source")
}

func sourceFigures() []figure {
	return []figure{
		ofSources("source_up", "1 when the last answer of a source could be used.", func(s source.Stats) float64 { return number(!s.Last.At.IsZero() && s.Last.Err == nil) }),
		ofSources("source_requests_total", "Times something wanted to know what a source says.", func(s source.Stats) float64 { return float64(s.Asked) }),
		ofSources("source_joined_total", "Of these, those that waited for an answer that was under way.", func(s source.Stats) float64 { return float64(s.Joined) }),
		ofSources("source_cached_total", "Of these, those that the cache answered.", func(s source.Stats) float64 { return float64(s.Cached) }),
		ofSources("source_fetches_total", "Times a source was asked.", func(s source.Stats) float64 { return float64(s.Fetched) }),
		ofSources("source_failures_total", "Times a source gave nothing that could be used.", func(s source.Stats) float64 { return float64(s.Failed) }),
		ofSources("source_stale_total", "Times an old answer stood in for an error.", func(s source.Stats) float64 { return float64(s.Stale) }),
		ofSources("source_bytes_total", "Bytes that came from a source, as they came.", func(s source.Stats) float64 { return float64(s.Bytes) }),
		ofSources("source_seconds", "How long the last answer of a source took, decoding included.", func(s source.Stats) float64 { return s.Last.Took.Seconds() }),
		metric("dropped_samples_total", "Samples of a source that were left out, by reason: series-limit, label-limit, repeated, conflict, relabel, unreadable or unstorable.", func(w *works, put putter) {
			for _, f := range w.sources {
				drops := f.dropped()
				for r := range model.Reasons {
					put(float64(drops[r]), f.plan.name, r.String())
				}
			}
		}, "source", "reason"),
	}
}

// ofTables is a figure that sources have that are sent to.
func ofTables(name, help string, read func(s *push.Stats) float64) figure {
	return metric(name, help, func(w *works, put putter) {
		for _, f := range w.sources {
			if f.table != nil {
				s := f.table.Stats()
				put(read(&s), f.plan.name)
			}
		}
	}, "source")
}

func pushFigures() []figure {
	return []figure{
		ofTables("push_packets_total", "Datagrams that were received.", func(s *push.Stats) float64 { return float64(s.Packets) }),
		ofTables("push_bytes_total", "Bytes that were received.", func(s *push.Stats) float64 { return float64(s.Bytes) }),
		ofTables("push_kernel_drops_total", "Datagrams that the kernel threw away because they came faster than they were read.", func(s *push.Stats) float64 { return float64(s.KernelDrops) }),
		ofTables("push_truncated_total", "Datagrams that were longer than 64 KiB.", func(s *push.Stats) float64 { return float64(s.Truncated) }),
		ofTables("push_refused_total", "Datagrams and connections of senders that are not allowed.", func(s *push.Stats) float64 { return float64(s.Refused) }),
		ofTables("push_connections", "Connections that are open.", func(s *push.Stats) float64 { return float64(s.Open) }),
		ofTables("push_connections_total", "Connections that were taken in.", func(s *push.Stats) float64 { return float64(s.Connections) }),
		ofTables("push_connection_errors_total", "Connections that broke off.", func(s *push.Stats) float64 { return float64(s.ConnectionErrors) }),
		ofTables("push_long_lines_total", "Lines that were too long, each of which ended its connection.", func(s *push.Stats) float64 { return float64(s.LongLines) }),
		ofTables("push_lines_total", "Lines of StatsD that were received.", func(s *push.Stats) float64 { return float64(s.Lines) }),
		ofTables("push_events_total", "DogStatsD events and service checks, which are no metrics.", func(s *push.Stats) float64 { return float64(s.Events + s.ServiceChecks) }),
		ofTables("push_samples_total", "Samples of StatsD that were received.", func(s *push.Stats) float64 { return float64(s.Samples) }),
		ofTables("push_samples_used_total", "Samples of StatsD that are in the table.", func(s *push.Stats) float64 { return float64(s.Used) }),
		ofTables("push_bodies_total", "Bodies of other formats that were read.", func(s *push.Stats) float64 { return float64(s.Bodies) }),
		ofTables("push_bad_bodies_total", "Bodies of other formats that were refused.", func(s *push.Stats) float64 { return float64(s.BadBodies) }),
		ofTables("push_decoded_samples_total", "Samples of those bodies that are in the table.", func(s *push.Stats) float64 { return float64(s.Decoded) }),
		ofTables("push_series", "Series in the table.", func(s *push.Stats) float64 { return float64(s.Series) }),
		ofTables("push_expired_total", "Series that were not sent for as long as ttl says.", func(s *push.Stats) float64 { return float64(s.Expired) }),
		ofTables("push_mapped_total", "Samples whose name a rule of the mapping matched.", func(s *push.Stats) float64 { return float64(s.Mapped) }),
		ofTables("push_tag_errors_total", "Tags that were left out of a sample because they could not be read.", func(s *push.Stats) float64 { return float64(s.TagErrors) }),
	}
}

// lossFigures say what became of samples of StatsD that are not in the table. With those that are, they sum up to all that were received.
func lossFigures() []figure {
	return []figure{metric("push_samples_refused_total", "Samples and lines of StatsD that are not in the table, by reason.", func(w *works, put putter) {
		for _, f := range w.sources {
			if f.table == nil {
				continue
			}
			s := f.table.Stats()
			for _, r := range []struct {
				why string
				n   uint64
			}{{"negative", s.Negative}, {"conflict", s.Conflicts}, {"series-limit", s.Over}, {"label-limit", s.Oversized}, {"mapping", s.Dropped}, {"nameless", s.Nameless}} {
				put(float64(r.n), f.plan.name, r.why)
			}
			for why := range statsd.Faults {
				if name := why.String(); name != "" {
					put(float64(s.Faults[why]), f.plan.name, name)
				}
			}
		}
	}, "source", "reason")}
}

func ofViews(name, help string, read func(s view.Stats) float64) figure {
	return metric(name, help, func(w *works, put putter) {
		for _, v := range w.views {
			put(read(v.Stats()), v.Path())
		}
	}, "view")
}

func viewFigures() []figure {
	return []figure{
		ofViews("view_requests_total", "Requests for a view.", func(s view.Stats) float64 { return float64(s.Requests) }),
		ofViews("view_joined_total", "Of these, those that got an answer that was being made for another.", func(s view.Stats) float64 { return float64(s.Joined) }),
		ofViews("view_partial_total", "Answers that lack what some source says.", func(s view.Stats) float64 { return float64(s.Partial) }),
		ofViews("view_failed_total", "Answers without anything of any source, or with an error.", func(s view.Stats) float64 { return float64(s.Failed) }),
		ofViews("view_bytes_total", "Bytes of answers that were made.", func(s view.Stats) float64 { return float64(s.Bytes) }),
		ofViews("view_series", "Samples in the last answer.", func(s view.Stats) float64 { return float64(s.Series) }),
		ofViews("view_seconds", "How long the last answer took, its sources included.", func(s view.Stats) float64 { return s.Took.Seconds() }),
		metric("view_dropped_samples_total", "Samples that a view left out, by reason, as for sources.", func(w *works, put putter) {
			for _, v := range w.views {
				drops := v.Stats().Drops
				for r := range model.Reasons {
					put(float64(drops[r]), v.Path(), r.String())
				}
			}
		}, "view", "reason"),
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
