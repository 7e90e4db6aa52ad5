// Package dispatch starts jobs when they are due and under their rules: overlap,
// groups, the cap on all runs, jitter, retries, and what becomes of starts that
// were missed. One goroutine owns all of its state; everybody else sends it
// functions. Nothing in it waits for a job, and an idle dispatcher sleeps until
// the next start.
//
// It promises that a start which is on record is not made twice, that a start
// which is not made is counted with its reason, and that after a request to
// stop nothing starts. Used by cron.
package dispatch

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/roles/cron/job"
	"github.com/sidecar-kit/sidecar/roles/cron/journal"
	"github.com/sidecar-kit/sidecar/roles/cron/plan"
	"github.com/sidecar-kit/sidecar/roles/cron/run"
	"github.com/sidecar-kit/sidecar/roles/cron/timer"
)

// Stopper ends a run: TERM now, KILL after grace. It does not wait.
type Stopper interface{ Stop(grace time.Duration) }

// Starter starts a run and returns; done is called once when it has ended.
type Starter func(t run.Task, done func(run.Result)) (Stopper, error)

// Leader says whether this process may start jobs.
type Leader interface {
	// Held is false when another process leads or may lead by now.
	Held() (fence int64, ok bool)
	// Last is the newest instant that any leader claimed, zero for none.
	Last() time.Time
	// Claim records an instant where the next leader finds it, before its jobs start.
	Claim(ctx context.Context, at time.Time) error
}

// Event is told to Options.Ping when a run starts and when it has ended.
type Event struct {
	Job     *job.Job
	Run     string
	Started bool // it starts; otherwise it ended
	Result  run.Result
	OK      bool
}

// Options are what a Dispatcher needs.
type Options struct {
	Log        zerolog.Logger
	Start      Starter
	Timer      timer.Timer
	Leader     Leader               // nil is always leading
	Ping       func(Event)          // nil is none; must not block
	Late       func(time.Duration)  // observes the delay of a start
	Ended      func(string, Record) // observes the end of a run, by job
	MaxRunning int                  // the sum of the weights of what runs; 0 is no limit
	History    int                  // ended runs kept per job
	Seed       string               // what stable delays are made from beside the job's name
	Drain      time.Duration
	StopAtOnce bool // a request to stop ends runs at once, else it waits for them first
	Workers    int  // how many starts are under way at once; 0 is 4
}

// Dispatcher owns the jobs that were loaded.
type Dispatcher struct {
	o     Options
	inbox inbox
	begun atomic.Bool
	lapse skipNote // records that the journal did not take; of the goroutine in Run

	// All below is touched by the goroutine in Run only.
	journal   *journal.Journal // nil keeps no record
	plan      *plan.Plan
	entries   map[int]*entry
	names     map[string]*entry
	lastID    int
	groups    map[string]*group
	used      int       // weights of what runs
	waiting   []*flight // for the cap, oldest first
	ready     []*flight // to be started in this turn
	records   []journal.Record
	leading   bool
	fence     int64
	led       bool       // there was a term, that of fence
	unsure    []plan.Due // given back to the plan: their claim may stand or not
	away      bool       // nobody looked at the plan until now
	rebooted  bool
	paused    bool // a claim failed; the next one comes in a moment
	draining  bool
	running   int // flights that were handed to the workers and have not ended
	counters  Counters
	tails     []*Record // with output, oldest first
	tailBytes int
	work      *runway
	lastAt    time.Time // of lastText
	lastText  string
}

// Counters are totals that belong to no job.
type Counters struct {
	StepsForward, StepsBack int64
	JournalErrors           int64
	ClaimErrors             int64
}

// New makes a Dispatcher. Load gives it jobs.
func New(o Options) *Dispatcher {
	if o.Workers <= 0 {
		o.Workers = 4
	}
	return &Dispatcher{
		o: o, inbox: inbox{wake: make(chan struct{}, 1)}, plan: plan.New(), entries: map[int]*entry{}, names: map[string]*entry{},
		groups: map[string]*group{}, leading: o.Leader == nil, away: true, work: newRunway(),
	}
}

// inbox holds functions for the goroutine in Run. It has no bound, so that
// whoever reports the end of a run never waits.
type inbox struct {
	mu     sync.Mutex
	list   []func()
	closed bool
	wake   chan struct{}
}

// put is false when the dispatcher has ended.
func (in *inbox) put(f func()) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return false
	}
	in.list = append(in.list, f)
	select {
	case in.wake <- struct{}{}:
	default:
	}
	return true
}

func (in *inbox) take() []func() {
	in.mu.Lock()
	defer in.mu.Unlock()
	list := in.list
	in.list = nil
	return list
}

func (in *inbox) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
}

// do runs f in the dispatcher's goroutine and waits for it. It is false when
// the dispatcher has not begun or has ended.
func (d *Dispatcher) do(f func()) bool {
	if !d.begun.Load() {
		return false
	}
	done := make(chan struct{})
	if !d.inbox.put(func() { f(); close(done) }) {
		return false
	}
	<-done
	return true
}

// Run dispatches until ctx ends and everything that ran has ended or was ended.
// busy is told when a turn begins and when it is over; nil is nobody. Between
// turns it sleeps, and nothing but an event wakes it.
func (d *Dispatcher) Run(ctx context.Context, busy func(bool)) error {
	if busy == nil {
		busy = func(bool) {}
	}
	defer d.shut()
	stop := d.launchers()
	defer stop()
	for ctx.Err() == nil {
		busy(true)
		d.turn()
		busy(false)
		select {
		case <-ctx.Done():
		case <-d.o.Timer.C():
		case <-d.inbox.wake:
		}
	}
	d.drain()
	return nil
}

// shut answers what is in the inbox and closes it.
func (d *Dispatcher) shut() {
	d.inbox.close()
	for _, f := range d.inbox.take() {
		f()
	}
}

// turn handles what there is to do now, and sets the alarm. What comes meanwhile
// is for the next turn: claims can be slow, and ctx is looked at between turns.
func (d *Dispatcher) turn() {
	for _, f := range d.inbox.take() {
		f()
	}
	d.advance()
	d.launch()
	next, ok := d.plan.Next()
	if !ok || !d.leading {
		next = time.Time{}
	}
	d.o.Timer.Set(next)
}

// advance looks at the clock and admits what is due.
func (d *Dispatcher) advance() {
	now, step := d.o.Timer.Look()
	switch {
	case step < 0:
		d.counters.StepsBack++
		d.o.Log.Warn().Stringer("by", -step).Msg("the clock was set back")
		for _, id := range d.plan.SetBack(-step, now) {
			d.record(journal.Back, d.entries[id], now)
		}
	case step > 0:
		d.counters.StepsForward++
		d.o.Log.Warn().Stringer("by", step).Msg("the clock was set forward")
	}
	if d.lead(now) {
		d.reboot(now)
		d.due(now)
	}
}

// due admits everything up to now that may start here.
func (d *Dispatcher) due(now time.Time) {
	due, lost := d.plan.Advance(now, d.away)
	for _, l := range lost {
		d.lost(d.entries[l.ID], l)
	}
	due, ok := d.claim(due)
	d.away = d.away && !ok
	for i, one := range due {
		if e := d.entries[one.ID]; e != nil {
			e.newest = i
		}
	}
	for i, one := range due {
		e, cause := d.entries[one.ID], Scheduled
		if one.Missed {
			cause = CaughtUp
		}
		if e != nil && i < e.newest && e.onlyNewest(cause) {
			d.skip(e, one.Scheduled, cause, Overlapping)
			continue
		}
		d.admit(e, one.Scheduled, cause)
		if d.journal == nil && len(d.ready) >= handful {
			d.launch() // with a journal all of them are on record first, by one write
		}
	}
}

// handful is how many starts do not wait for the others of their instant.
const handful = 32

// onlyNewest tells whether of several starts that are due at once the newest is
// the one to make: a job that never overlaps would run the oldest and skip the rest.
func (e *entry) onlyNewest(cause Cause) bool {
	p := e.job.Policy
	return (p.Overlap == job.Forbid || p.Overlap == job.Replace) && (cause != CaughtUp || p.Catchup != job.CatchupAll)
}

func (d *Dispatcher) lost(e *entry, l plan.Lost) {
	e.stats().Missed += int64(l.Count)
	e.from = l.Last
	if !e.waits() {
		d.record(journal.Skip, e, l.Last) // so that the next process does not count them again
	}
	ev := d.o.Log.Warn().Str("job", e.job.Name).Int("starts", l.Count).Time("first", l.First)
	if l.Last.After(l.First) {
		ev = ev.Time("last", l.Last)
	}
	ev.Msg("missed")
}
