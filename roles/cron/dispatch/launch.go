package dispatch

import (
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/sidecar-kit/sidecar/roles/cron/journal"
	"github.com/sidecar-kit/sidecar/roles/cron/run"
)

// runway holds what is to be started, for the workers. It has no bound, so that
// a turn never waits.
type runway struct {
	mu     sync.Mutex
	more   sync.Cond
	list   []*flight
	first  int // of list that nobody took
	closed bool
}

func newRunway() *runway {
	w := &runway{}
	w.more.L = &w.mu
	return w
}

// put takes all that is ready at once: thousands of jobs can be due in one second.
func (w *runway) put(flights []*flight) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.first == len(w.list) {
		w.list, w.first = w.list[:0], 0
	}
	w.list = append(w.list, flights...)
	w.more.Broadcast()
}

// take waits for a flight; nil says that there will be no more.
func (w *runway) take() *flight {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.first == len(w.list) {
		if w.closed {
			return nil
		}
		w.more.Wait()
	}
	f := w.list[w.first]
	w.list[w.first] = nil
	w.first++
	return f
}

func (w *runway) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.more.Broadcast()
}

// launchers starts the workers, which keep the dispatcher free while the system
// makes processes, and returns what ends them.
func (d *Dispatcher) launchers() func() {
	var wg sync.WaitGroup
	for range d.o.Workers {
		wg.Go(func() {
			for f := d.work.take(); f != nil; f = d.work.take() {
				d.start(f)
			}
		})
	}
	return func() { d.work.close(); wg.Wait() }
}

// launch records what is ready, then starts it.
func (d *Dispatcher) launch() {
	for _, f := range d.ready {
		if f.attempt == 1 && f.recorded() {
			d.records = append(d.records, journal.Record{Kind: journal.Start, Job: f.job.Name, At: f.scheduled})
		}
	}
	d.write(len(d.ready) > 0)
	ready := slices.DeleteFunc(d.ready, func(f *flight) bool { return f.state != starting }) // stopped in the same turn
	if len(ready) > 0 {
		d.running += len(ready)
		d.work.put(ready)
		clear(ready)
	}
	d.ready = d.ready[:0]
}

// recorded tells whether the journal knows of a flight: only instants of the
// schedule must not be repeated.
func (f *flight) recorded() bool { return f.cause == Scheduled || f.cause == CaughtUp }

// write brings records to the journal. A journal that fails does not stop the
// jobs: that they run matters more than that a restart knows it.
func (d *Dispatcher) write(sync bool) {
	if d.journal == nil || len(d.records) == 0 {
		d.records = nil
		return
	}
	if err := d.journal.Write(sync, d.records...); err != nil {
		d.counters.JournalErrors++
		d.lapsed(err)
	}
	d.records = d.records[:0]
}

// lapsed tells of records that are lost, at most once in a while: a full disk stays full.
func (d *Dispatcher) lapsed(err error) {
	d.lapse.count += len(d.records)
	if now := time.Now(); now.Sub(d.lapse.said) >= quiet {
		d.o.Log.Error().AnErr("err", err).Int("records", d.lapse.count).
			Msg("starts are not on record; after a restart they may be made again")
		d.lapse = skipNote{said: now}
	}
}

// start runs in a worker.
func (d *Dispatcher) start(f *flight) {
	begun := time.Now()
	if d.o.Late != nil && f.cause == Scheduled && f.attempt == 1 {
		d.o.Late(begun.Round(0).Sub(f.scheduled))
	}
	task := run.Task{Job: f.job, ID: f.id, Scheduled: f.scheduled, Attempt: f.attempt, Env: f.env()}
	stopper, err := d.o.Start(task, func(r run.Result) {
		d.inbox.put(func() { d.ended(f, r) })
	})
	d.inbox.put(func() { d.started(f, begun, stopper, err) })
}

// env is what a job may want to know of its run, beside its id.
func (f *flight) env() []string {
	env := make([]string, 0, 4)
	env = append(env, "SIDECAR_CRON_JOB="+f.job.Name, f.moment, "SIDECAR_CRON_ATTEMPT="+strconv.Itoa(f.attempt))
	if f.fence != 0 {
		env = append(env, "SIDECAR_CRON_FENCE="+strconv.FormatInt(f.fence, 10))
	}
	return env
}

// started is the report of a worker.
func (d *Dispatcher) started(f *flight, begun time.Time, stopper Stopper, err error) {
	f.begun, f.stopper = begun, stopper
	if f.attempt == 1 {
		f.e.stats().LastStart = begun
		d.ping(f, Event{Started: true})
	}
	if err != nil {
		d.ended(f, run.Result{Code: startCode(err), Err: err, Started: begun, Took: time.Since(begun)})
		return
	}
	f.state = flying
	d.o.Log.Debug().Str("job", f.job.Name).Str("run", f.id).Int("attempt", f.attempt).
		Time("scheduled", f.scheduled).Stringer("cause", f.cause).Msg("job started")
	if f.stopped {
		stopper.Stop(f.grace)
	}
	if f.result != nil {
		d.ended(f, *f.result)
	}
}

func startCode(err error) int {
	if e, ok := errors.AsType[*run.StartError](err); ok {
		return e.Code
	}
	return 125
}
