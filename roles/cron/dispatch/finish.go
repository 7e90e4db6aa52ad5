package dispatch

import (
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/backoff"
	"github.com/sidecar-kit/sidecar/roles/cron/journal"
	"github.com/sidecar-kit/sidecar/roles/cron/run"
)

// Record is a run that has ended, for the history.
type Record struct {
	Run       string
	Scheduled time.Time
	Started   time.Time
	Took      time.Duration
	Cause     Cause
	Outcome   Outcome
	Code      int
	Signal    string
	Attempts  int
	Err       string
	Tail      []byte
	CPU       time.Duration
}

// ended is the report that an attempt has ended, or could not start.
func (d *Dispatcher) ended(f *flight, r run.Result) {
	if f.begun.IsZero() {
		f.result = &r // before the worker's own report
		return
	}
	d.running--
	f.e.stats().LinesDropped += r.Dropped
	outcome := f.outcome(r)
	if d.again(f, outcome, r) {
		return
	}
	d.settle(f, outcome, r)
	d.release(f)
	f.state = landed
	f.e.flights = remove(f.e.flights, f)
	d.next(f.e)
}

func (f *flight) outcome(r run.Result) Outcome {
	success := f.job.Policy.Success
	switch {
	case f.stopper == nil:
		return NotStarted
	case r.TimedOut:
		return TimedOut
	case r.Stopped:
		return Stopped
	case r.Err != nil || r.Signal != 0:
		return Failure
	case len(success) == 0 && r.Code == 0 || slices.Contains(success, r.Code):
		return Success
	}
	return Failure
}

// again plans another attempt if there is to be one.
func (d *Dispatcher) again(f *flight, outcome Outcome, r run.Result) bool {
	p := f.job.Policy
	wanted := outcome != Success && outcome != Stopped && f.attempt <= p.Retry && !f.stopped &&
		(len(p.RetryOn) == 0 || slices.Contains(p.RetryOn, r.Code))
	if !wanted || d.draining || f.e.gone {
		return false
	}
	wait := backoff.Policy{Min: p.RetryDelay, Max: max(p.RetryMax, p.RetryDelay), Jitter: 0.1}.Delay(f.attempt)
	d.tell(d.o.Log.Warn(), f, outcome, r).Stringer("retry", wait.Round(time.Millisecond)).Msg("job failed and is tried again")
	f.e.stats().Retries++
	d.release(f)
	f.state, f.result, f.begun, f.stopper = retrying, nil, time.Time{}, nil
	f.attempt++
	f.timer = time.AfterFunc(wait, func() {
		d.inbox.put(func() {
			if f.state == retrying {
				d.acquire(f)
			}
		})
	})
	return true
}

// settle counts, records and tells the end of a run.
func (d *Dispatcher) settle(f *flight, outcome Outcome, r run.Result) {
	e, s := f.e, f.e.stats()
	s.Runs[outcome]++
	s.LastEnd, s.LastOutcome, s.LastCode, s.LastTook = time.Now(), outcome, r.Code, r.Took
	if outcome == Success {
		s.LastSuccess, s.Failures = s.LastEnd, 0
	} else {
		s.Failures++
	}
	if f.recorded() && d.journal != nil {
		d.records = append(d.records, journal.Record{Kind: journal.End, Job: f.job.Name, At: f.scheduled})
	}
	level, text := d.o.Log.Info(), "job succeeded"
	if outcome != Success {
		level, text = d.o.Log.Error(), "job failed"
	}
	if outcome == Stopped {
		level, text = d.o.Log.Warn(), "job was stopped"
	}
	d.tell(level, f, outcome, r).Msg(text)
	d.ping(f, Event{Result: r, OK: outcome == Success})
	rec := Record{
		Run: f.id, Scheduled: f.scheduled, Started: f.begun, Took: r.Took, Cause: f.cause, Outcome: outcome,
		Code: r.Code, Attempts: f.attempt, Tail: r.Tail, CPU: r.CPU,
	}
	if r.Signal != 0 {
		rec.Signal = r.Signal.String()
	}
	if r.Err != nil {
		rec.Err = r.Err.Error()
	}
	if d.o.Ended != nil {
		d.o.Ended(f.job.Name, rec)
	}
	d.keep(e, &rec)
}

// tailsMost bounds the output that the histories of all jobs keep: the oldest goes first.
const tailsMost = 8 << 20

func (d *Dispatcher) keep(e *entry, rec *Record) {
	if d.o.History <= 0 {
		return
	}
	_ = e.stats() // there is a past now
	h := &e.past.history
	if len(*h) >= d.o.History {
		d.tailBytes -= len((*h)[0].Tail)
		(*h)[0].Tail = nil
		*h = (*h)[1:]
	}
	*h = append(*h, rec)
	if len(rec.Tail) == 0 {
		return
	}
	d.tails = append(d.tails, rec)
	d.tailBytes += len(rec.Tail)
	for d.tailBytes > tailsMost || len(d.tails) > 0 && d.tails[0].Tail == nil {
		d.tailBytes -= len(d.tails[0].Tail)
		d.tails[0].Tail = nil
		d.tails = d.tails[1:]
	}
}

func (d *Dispatcher) tell(ev *zerolog.Event, f *flight, outcome Outcome, r run.Result) *zerolog.Event {
	ev = ev.Str("job", f.job.Name).Str("run", f.id).Stringer("took", r.Took.Round(time.Microsecond)).Int("code", r.Code)
	if f.attempt > 1 {
		ev = ev.Int("attempt", f.attempt)
	}
	if f.cause != Scheduled {
		ev = ev.Stringer("cause", f.cause)
	}
	if outcome != Success && outcome != Failure {
		ev = ev.Stringer("outcome", outcome)
	}
	if r.Signal != 0 {
		ev = ev.Str("signal", r.Signal.String())
	}
	if r.Dropped > 0 {
		ev = ev.Int64("lines_dropped", r.Dropped)
	}
	return ev.AnErr("err", r.Err)
}

func (d *Dispatcher) ping(f *flight, ev Event) {
	if d.o.Ping == nil || f.job.Policy.Ping == "" {
		return
	}
	ev.Job, ev.Run = f.job, f.id
	d.o.Ping(ev)
}

// next starts what waited for the end of a run, if all of them have ended.
func (d *Dispatcher) next(e *entry) {
	if len(e.flights) > 0 {
		return
	}
	if e.gone && len(e.delayed) == 0 {
		delete(d.entries, e.id)
		return
	}
	if len(e.queued) == 0 || d.draining {
		return
	}
	first := e.queued[0]
	e.queued = e.queued[1:]
	if e.suspended && first.cause != Manual {
		d.skip(e, first.scheduled, first.cause, Suspended)
		d.next(e)
		return
	}
	d.board(e, first.scheduled, first.cause)
}

// end stops a flight, wherever it is, and there is no further attempt. why is
// the reason if it did not begin.
func (d *Dispatcher) end(f *flight, grace time.Duration, why Reason) {
	switch f.state {
	case flying:
		if !f.stopped || grace < f.grace {
			f.stopper.Stop(grace)
		}
		f.stopped, f.grace = true, grace
		return
	case starting:
		if !slices.Contains(d.ready, f) { // a worker has it
			f.stopped, f.grace = true, grace
			return
		}
		d.ready = remove(d.ready, f)
	case landed:
		return
	}
	if f.timer != nil {
		f.timer.Stop()
	}
	begun := f.attempt > 1
	d.release(f)
	f.state = landed
	f.e.flights = remove(f.e.flights, f)
	f.e.delayed = remove(f.e.delayed, f)
	if begun {
		s := f.e.stats()
		s.Runs[Stopped]++
		s.LastOutcome, s.LastEnd = Stopped, time.Now()
		s.Failures++
	} else {
		d.skip(f.e, f.scheduled, f.cause, why)
	}
	d.next(f.e)
}
