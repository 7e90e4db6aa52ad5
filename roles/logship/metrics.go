package logship

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/meter"
	"github.com/sidecar-kit/sidecar/internal/order"
)

// filesShown is how many files have metrics of their own: those that are furthest behind.
const filesShown = 100

// metrics are what /metrics shows of the role. Most is read when it is scraped.
type metrics struct {
	took    *meter.Histograms
	reloads *meter.Counters
	valid   *meter.Gauge
}

func newMetrics(reg meter.Registerer, l *Logship) *metrics {
	m := &metrics{
		took:    meter.NewHistograms("sidecar_logship_request_seconds", "Time of one attempt to send a batch.", []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}, "output"),
		reloads: meter.NewCounters("sidecar_logship_reloads_total", "Times the configuration was read again, by result: changed, unchanged or invalid.", "result"),
		valid:   meter.NewGauge("sidecar_logship_config_valid", "1 while the configuration is valid; 0 while it is not and the last valid one stays in use."),
	}
	for _, r := range []string{"changed", "unchanged", "invalid"} {
		m.reloads.With(r)
	}
	m.valid.Set(1)
	reg.MustRegister(m.took, m.reloads, m.valid, &collector{live: l.live.Load})
	return m
}

// figure is one metric that is read at a scrape.
type figure struct {
	desc *meter.Desc
	read func(w *works, put func(v float64, labels ...string))
}

// collector reads the numbers of everything at work.
type collector struct{ live func() *works }

func (c *collector) Describe() (all []*meter.Desc) {
	for _, f := range figures() {
		all = append(all, f.desc)
	}
	return all
}

func (c *collector) Collect(put func(meter.Sample)) {
	w := c.live()
	if w == nil {
		return
	}
	for _, f := range figures() {
		f.read(w, func(v float64, labels ...string) { put(meter.Sample{Desc: f.desc, Values: labels, Value: v}) })
	}
}

func metric(name, help string, read func(w *works, put func(v float64, labels ...string)), labels ...string) figure {
	kind := meter.GaugeKind
	if strings.HasSuffix(name, "_total") {
		kind = meter.CounterKind
	}
	return figure{&meter.Desc{Name: "sidecar_logship_" + name, Help: help, Kind: kind, Labels: labels}, read}
}

type putter = func(v float64, labels ...string)

func figures() []figure {
	return slices.Concat(sourceFigures(), contentFigures(), outputFigures(), keepFigures())
}

func sourceFigures() []figure {
	return []figure{
		metric("files", "Contents of files that are known and not over and done.", func(w *works, put putter) { put(float64(w.set.Stats().Files)) }),
		metric("open_files", "Files that are open.", func(w *works, put putter) { put(float64(w.set.Stats().Open)) }),
		metric("read_bytes_total", "Bytes that were read, by all outputs.", func(w *works, put putter) { put(float64(w.set.Stats().Bytes)) }),
		metric("read_lines_total", "Lines that were read, by all outputs.", func(w *works, put putter) { put(float64(w.set.Stats().Lines)) }),
		metric("renames_total", "Files that got another name.", func(w *works, put putter) { put(float64(w.set.Stats().Renames)) }),
		metric("truncations_total", "Files that were truncated or written anew in place.", func(w *works, put putter) { put(float64(w.set.Stats().Truncations)) }),
		metric("copies_total", "Copies of truncated files, by what became of the rest: read, or lost because none was found.", func(w *works, put putter) {
			st := w.set.Stats()
			put(float64(st.CopiesUsed), "read")
			put(float64(st.CopiesLost), "lost")
		}, "result"),
		metric("nul_bytes_total", "NUL bytes that were skipped, which a truncation under a writer leaves.", func(w *works, put putter) { put(float64(w.set.Stats().NULs)) }),
		metric("long_lines_total", "Lines that were longer than max-line.", func(w *works, put putter) { put(float64(w.set.Stats().LongLines)) }),
		metric("refused_files_total", "Compressed files that were not read to their end because their content is more than 1000 times as large.", func(w *works, put putter) { put(float64(w.set.Stats().Refused)) }),
		metric("read_errors_total", "Files and folders that could not be read, by kind.", func(w *works, put putter) {
			for kind, n := range w.set.Stats().Errors {
				put(float64(n), kind)
			}
		}, "kind"),
		metric("lost_bytes_total", "Bytes that no output gets any more, by reason.", func(w *works, put putter) {
			_, lost := w.store.Gaps()
			for reason, n := range lost {
				put(float64(n), reason)
			}
		}, "reason"),
		metric("pinned_bytes", "Sizes of removed files that links and open files keep for outputs that lack them.", func(w *works, put putter) { put(float64(w.set.Stats().HeldBytes)) }),
		metric("spooled_bytes", "Bytes in the spool: copies of removed files that could not be pinned, and what pipes said and is not delivered.", func(w *works, put putter) { put(float64(w.set.Stats().SpoolBytes)) }),
		metric("spooled_files_total", "Removed files that were copied into the spool.", func(w *works, put putter) { put(float64(w.set.Stats().Spooled)) }),
		metric("given_up_bytes_total", "Bytes that were dropped because more was kept for outputs than may be, by reason: pin-max or spool-max.", func(w *works, put putter) {
			for _, reason := range []string{"pin-max", "spool-max"} {
				put(float64(w.set.Stats().Dropped[reason]), reason)
			}
		}, "reason"),
		metric("lag_bytes", "Bytes that an output lacks.", func(w *works, put putter) {
			for name, b := range w.behind() {
				put(float64(b.bytes), name)
			}
		}, "output"),
		metric("lag_seconds", "Age of the oldest bytes that an output lacks.", func(w *works, put putter) {
			for name, b := range w.behind() {
				put(b.seconds(time.Now()), name)
			}
		}, "output"),
		metric("file_lag_bytes", "Bytes of a file that an output lacks, of the 100 files that are furthest behind.", func(w *works, put putter) {
			for _, f := range w.furthest() {
				put(float64(f.bytes), f.path, f.output)
			}
		}, "path", "output"),
		metric("file_lag_seconds", "Age of the oldest bytes of a file that an output lacks, of the 100 files that are furthest behind.", func(w *works, put putter) {
			now := time.Now()
			for _, f := range w.furthest() {
				put(f.seconds(now), f.path, f.output)
			}
		}, "path", "output"),
	}
}

func perOutput(name, help string, read func(ln *lane) float64) figure {
	return metric(name, help, func(w *works, put putter) {
		for _, ln := range w.lanes {
			put(read(ln), ln.spec.Name)
		}
	}, "output")
}

func outputFigures() []figure {
	return []figure{
		perOutput("events_total", "Events that were delivered.", func(ln *lane) float64 { return float64(ln.pipe.Stats().Events) }),
		perOutput("sent_bytes_total", "Bytes of the events that were delivered, encoded and not compressed.", func(ln *lane) float64 { return float64(ln.pipe.Stats().Bytes) }),
		perOutput("batches_total", "Batches that were delivered.", func(ln *lane) float64 { return float64(ln.pipe.Stats().Batches) }),
		perOutput("requests_total", "Attempts to send a batch.", func(ln *lane) float64 { return float64(ln.pipe.Stats().Requests) }),
		perOutput("retries_total", "Attempts that failed as a whole and are made again.", func(ln *lane) float64 { return float64(ln.pipe.Stats().Retries) }),
		perOutput("resent_events_total", "Events that were sent again because the output took others of the batch and not them.", func(ln *lane) float64 { return float64(ln.pipe.Stats().Again) }),
		perOutput("splits_total", "Batches that were halved because the output found them too large.", func(ln *lane) float64 { return float64(ln.pipe.Stats().Splits) }),
		perOutput("rejected_total", "Events that the output will never take: they are dead letters.", func(ln *lane) float64 { return float64(ln.pipe.Stats().Rejected) }),
		perOutput("in_flight", "Batches that are under way or wait to be.", func(ln *lane) float64 { return float64(ln.pipe.Stats().InFlight) }),
		perOutput("in_flight_allowed", "Batches that may be sent at once; fewer when the output has too much to do.", func(ln *lane) float64 { return float64(ln.pipe.Stats().Allowed) }),
		perOutput("paused", "1 while the output needs a person: credentials, permission, an index.", func(ln *lane) float64 { return flag(ln.pipe.Stats().Paused) }),
		perOutput("failing", "1 while the last attempt failed, or what became of it cannot be written down.", func(ln *lane) float64 { return flag(ln.pipe.Stats().Problem != "") }),
		perOutput("last_success_timestamp_seconds", "When a batch was delivered last; 0: never.", func(ln *lane) float64 {
			at := ln.pipe.Stats().LastDone
			if at.IsZero() {
				return 0
			}
			return float64(at.UnixNano()) / 1e9
		}),
		metric("dropped_total", "Events that were not sent because the configuration says so, by reason.", func(w *works, put putter) {
			for _, ln := range w.lanes {
				for reason, n := range ln.pipe.Stats().Dropped {
					put(float64(n), ln.spec.Name, reason)
				}
			}
		}, "output", "reason"),
	}
}

func contentFigures() []figure {
	return []figure{
		metric("decode_failures_total", "Lines that the decoder did not understand; they are sent as they are.", func(w *works, put putter) { put(float64(w.content.Failed.Load())) }),
		metric("bad_times_total", "Events whose time could not be read or not be believed.", func(w *works, put putter) { put(float64(w.content.BadTime.Load())) }),
		metric("moved_keys_total", "Keys of applications that are logship's own and went under a prefix.", func(w *works, put putter) { put(float64(w.content.Moved.Load())) }),
		metric("redacted_total", "Texts that were made unreadable.", func(w *works, put putter) { put(float64(w.content.Redacted.Load())) }),
	}
}

func keepFigures() []figure {
	return []figure{
		metric("dead_letters_dropped_total", "Dead letters that had to go because their file was full.", func(w *works, put putter) { put(float64(w.dead.Dropped())) }),
		metric("journal_bytes", "Size of the journal in the state folder.", func(w *works, put putter) { put(float64(w.store.Stats().Bytes)) }),
		metric("journal_syncs_total", "Times the journal was made durable.", func(w *works, put putter) { put(float64(w.store.Stats().Syncs)) }),
		metric("journal_failures_total", "Times the journal could not be written.", func(w *works, put putter) { put(float64(w.store.Stats().Failures)) }),
		metric("deleted_files_total", "Rotated files that were removed because every output has them.", func(w *works, put putter) { put(float64(w.keeper.Deleted.Load())) }),
		metric("punched_bytes_total", "Bytes that were given back at the front of files that go on.", func(w *works, put putter) { put(float64(w.keeper.Punched.Load())) }),
		metric("rotated_files_total", "Files that were rotated.", func(w *works, put putter) { put(float64(w.keeper.Rotated.Load())) }),
		metric("housekeeping_errors_total", "Times housekeeping failed.", func(w *works, put putter) { put(float64(w.keeper.Errors.Load())) }),
	}
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// lag is what an output lacks.
type lag struct {
	path, output string
	bytes        int64
	since        time.Time
}

func (b lag) seconds(now time.Time) float64 {
	if b.bytes == 0 || b.since.IsZero() {
		return 0
	}
	return max(0, now.Sub(b.since).Seconds())
}

// lags lists what is behind, file by file.
func (w *works) lags() (all []lag) {
	waiting := map[string]map[uint64]int64{}
	for _, ln := range w.lanes {
		waiting[ln.spec.Name] = w.store.Waiting(ln.spec.Name)
	}
	files := w.set.Files()
	for i := range files {
		f := &files[i]
		if f.Compressed != "" {
			continue
		}
		for _, p := range f.Outputs {
			if n := f.Size - w.store.LowOf(p.Output, f.Gen); n > 0 {
				all = append(all, lag{path: f.Path, output: p.Output, bytes: n, since: w.since(f, p, waiting[p.Output])})
			}
		}
	}
	return all
}

// behind is what each output lacks in all.
func (w *works) behind() map[string]lag {
	sums := map[string]lag{}
	for _, ln := range w.lanes {
		sums[ln.spec.Name] = lag{}
	}
	for _, b := range w.lags() {
		sum := sums[b.output]
		sum.bytes += b.bytes
		if sum.since.IsZero() || !b.since.IsZero() && b.since.Before(sum.since) {
			sum.since = b.since
		}
		sums[b.output] = sum
	}
	return sums
}

// furthest are the files with the most bytes to go, one for each path and output.
func (w *works) furthest() []lag {
	sums := map[[2]string]lag{}
	for _, b := range w.lags() {
		key := [2]string{b.path, b.output}
		if old, ok := sums[key]; ok {
			b.bytes += old.bytes
			if b.since.IsZero() || !old.since.IsZero() && old.since.Before(b.since) {
				b.since = old.since
			}
		}
		sums[key] = b
	}
	list := slices.Collect(maps.Values(sums))
	order.Sort(list, func(a, b lag) int {
		return cmp.Or(cmp.Compare(b.bytes, a.bytes), cmp.Compare(a.path, b.path), cmp.Compare(a.output, b.output))
	})
	return list[:min(len(list), filesShown)]
}
