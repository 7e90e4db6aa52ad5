package cron

import (
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/meter"
	"github.com/sidecar-kit/sidecar/roles/cron/dispatch"
	"github.com/sidecar-kit/sidecar/roles/cron/ping"
)

// metrics are what /metrics shows of the role. What belongs to a job is read
// from the dispatcher when it is scraped: vectors for ten thousand jobs would
// cost more memory than the jobs.
type metrics struct {
	late    *meter.Histogram
	reloads *meter.Counters
	valid   *meter.Gauge
}

func newMetrics(reg meter.Registerer) *metrics {
	m := &metrics{
		late:    meter.NewHistogram("sidecar_cron_start_delay_seconds", "Time between the instant of the schedule and the start, without jitter and waiting.", .001, .0025, .005, .01, .025, .05, .1, .5, 1, 5, 60),
		reloads: meter.NewCounters("sidecar_cron_reloads_total", "Times the table was read again, by result: changed, unchanged or invalid.", "result"),
		valid:   meter.NewGauge("sidecar_cron_table_valid", "1 while the files are valid; 0 while they are not and the last valid table stays in use."),
	}
	reg.MustRegister(m.late, m.reloads, m.valid)
	for _, r := range []string{"changed", "unchanged", "invalid"} {
		m.reloads.With(r)
	}
	return m
}

// jobCollector reads the numbers of every job at a scrape.
type jobCollector struct {
	list  func() ([]dispatch.Info, dispatch.Totals, error)
	stats func() ping.Stats

	pings, jobs, running, waiting, leading, steps, journal, claims           *meter.Desc
	runs, skipped, missed, retries, dropped, failures, code, took            *meter.Desc
	lastStart, lastEnd, lastSuccess, next, suspended, jobRunning, jobWaiting *meter.Desc
}

func newJobCollector(list func() ([]dispatch.Info, dispatch.Totals, error), stats func() ping.Stats) *jobCollector {
	desc := func(name, help string, labels ...string) *meter.Desc {
		kind := meter.GaugeKind
		if strings.HasSuffix(name, "_total") {
			kind = meter.CounterKind
		}
		return &meter.Desc{Name: "sidecar_cron_" + name, Help: help, Kind: kind, Labels: labels}
	}
	return &jobCollector{
		list:        list,
		stats:       stats,
		pings:       desc("pings_total", "Dead-man pings, by result: sent, failed or dropped.", "result"),
		jobs:        desc("jobs", "Jobs in the table."),
		running:     desc("running", "Runs that are under way."),
		waiting:     desc("waiting", "Starts that wait for jitter, a queue, a group, room or their next attempt."),
		leading:     desc("leading", "1 while jobs start here; 0 while another replica is the leader."),
		steps:       desc("clock_steps_total", "Times the clock was set, by direction: forward or back.", "direction"),
		journal:     desc("journal_errors_total", "Writes of the journal that failed."),
		claims:      desc("lease_claim_errors_total", "Writes of the lease that failed, so that nothing was started."),
		runs:        desc("job_runs_total", "Runs that ended, by outcome: success, failure, timeout, stopped or not started.", "job", "outcome"),
		skipped:     desc("job_skipped_total", "Starts that were not made, by reason: overlap, queue full, replaced, suspended, removed, stopping or claimed.", "job", "reason"),
		missed:      desc("job_missed_total", "Starts whose time passed while the program, the machine or the leader was away, and that were not made up for.", "job"),
		retries:     desc("job_retries_total", "Attempts after a failed one.", "job"),
		dropped:     desc("job_output_lines_dropped_total", "Lines of output beyond max-log-lines.", "job"),
		failures:    desc("job_consecutive_failures", "Runs without success since the last success.", "job"),
		code:        desc("job_last_exit_code", "Exit code of the last run; -1 when a signal ended it.", "job"),
		took:        desc("job_last_duration_seconds", "Duration of the last run.", "job"),
		lastStart:   desc("job_last_start_timestamp_seconds", "Time of the last start, in seconds since 1970.", "job"),
		lastEnd:     desc("job_last_end_timestamp_seconds", "Time of the end of the last run, in seconds since 1970.", "job"),
		lastSuccess: desc("job_last_success_timestamp_seconds", "Time of the end of the last successful run, in seconds since 1970.", "job"),
		next:        desc("job_next_start_timestamp_seconds", "Time of the next start, in seconds since 1970; absent when there is none.", "job"),
		suspended:   desc("job_suspended", "1 while the job is suspended.", "job"),
		jobRunning:  desc("job_running", "Runs of the job that are under way.", "job"),
		jobWaiting:  desc("job_waiting", "Starts of the job that wait.", "job"),
	}
}

// Describe implements meter.Source.
func (c *jobCollector) Describe() []*meter.Desc {
	return []*meter.Desc{
		c.pings, c.jobs, c.running, c.waiting, c.leading, c.steps, c.journal, c.claims, c.runs, c.skipped, c.missed, c.retries, c.dropped,
		c.failures, c.code, c.took, c.lastStart, c.lastEnd, c.lastSuccess, c.next, c.suspended, c.jobRunning, c.jobWaiting,
	}
}

// Collect implements meter.Source.
func (c *jobCollector) Collect(give func(meter.Sample)) {
	jobs, t, err := c.list()
	if err != nil {
		return // the program is ending
	}
	put := func(d *meter.Desc, v float64, labels ...string) {
		give(meter.Sample{Desc: d, Values: labels, Value: v})
	}
	put(c.jobs, float64(t.Jobs))
	put(c.running, float64(t.Running))
	put(c.waiting, float64(t.Waiting))
	put(c.leading, truth(t.Leading))
	put(c.steps, float64(t.StepsForward), "forward")
	put(c.steps, float64(t.StepsBack), "back")
	put(c.journal, float64(t.JournalErrors))
	put(c.claims, float64(t.ClaimErrors))
	p := c.stats()
	put(c.pings, float64(p.Sent), "sent")
	put(c.pings, float64(p.Failed), "failed")
	put(c.pings, float64(p.Dropped), "dropped")
	for _, j := range jobs {
		c.job(put, j)
	}
}

func (c *jobCollector) job(put func(*meter.Desc, float64, ...string), j dispatch.Info) {
	name, s := j.Job.Name, &j.Stats
	if !j.Next.IsZero() {
		put(c.next, seconds(j.Next), name)
	}
	put(c.suspended, truth(j.Suspended), name)
	put(c.jobRunning, float64(j.Running), name)
	put(c.jobWaiting, float64(j.Waiting), name)
	put(c.missed, float64(s.Missed), name)
	for _, o := range dispatch.Outcomes() {
		if o <= dispatch.Failure || s.Runs[o] > 0 {
			put(c.runs, float64(s.Runs[o]), name, o.String())
		}
	}
	for _, r := range dispatch.Reasons() {
		if r == dispatch.Overlapping || s.Skipped[r] > 0 {
			put(c.skipped, float64(s.Skipped[r]), name, r.String())
		}
	}
	if s.LastStart.IsZero() {
		return // the rest would be lies
	}
	put(c.lastStart, seconds(s.LastStart), name)
	put(c.retries, float64(s.Retries), name)
	put(c.dropped, float64(s.LinesDropped), name)
	put(c.failures, float64(s.Failures), name)
	if !s.LastEnd.IsZero() {
		put(c.lastEnd, seconds(s.LastEnd), name)
		put(c.code, float64(s.LastCode), name)
		put(c.took, s.LastTook.Seconds(), name)
	}
	if !s.LastSuccess.IsZero() {
		put(c.lastSuccess, seconds(s.LastSuccess), name)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// unseenMetrics is for runs that nobody scrapes.
func unseenMetrics() meter.Registerer { return new(meter.Registry) }
