package dispatch

import (
	"slices"
	"time"

	"github.com/sidecar-kit/sidecar/roles/cron/job"
	"github.com/sidecar-kit/sidecar/roles/cron/plan"
	"github.com/sidecar-kit/sidecar/roles/cron/run"
)

// Cause is why a run is made.
type Cause int

// The causes.
const (
	Scheduled Cause = iota
	CaughtUp        // it was missed
	Manual          // somebody asked
	Rebooted        // @reboot
)

func (c Cause) String() string { return [...]string{"schedule", "catch-up", "manual", "reboot"}[c] }

// Reason is why a start was not made.
type Reason int

// The reasons.
const (
	Overlapping Reason = iota
	QueueFull
	Replaced // by a newer start before it began
	Suspended
	Removed  // the job left the table while it waited
	Stopping // the program was told to stop while it waited
	Claimed  // its instant was claimed before, by another leader or by a write without an answer
	reasons
)

func (r Reason) String() string {
	return [...]string{"overlap", "queue full", "replaced", "suspended", "removed", "stopping", "claimed"}[r]
}

// Reasons lists every Reason.
func Reasons() []Reason {
	return []Reason{Overlapping, QueueFull, Replaced, Suspended, Removed, Stopping, Claimed}
}

// Outcome is how a run ended.
type Outcome int

// The outcomes.
const (
	Success Outcome = iota
	Failure
	TimedOut
	Stopped    // by a request, a newer run or the end of the program
	NotStarted // there is no such program, or the system refused
	outcomes
)

func (o Outcome) String() string {
	return [...]string{"success", "failure", "timeout", "stopped", "not started"}[o]
}

// Outcomes lists every Outcome.
func Outcomes() []Outcome { return []Outcome{Success, Failure, TimedOut, Stopped, NotStarted} }

// entry is a job and what happened to it.
type entry struct {
	id        int
	job       *job.Job
	flights   []*flight // under way, also those that wait for a group or a retry
	delayed   []*flight // put off by jitter
	queued    []pending // by overlap
	suspended bool
	newest    int       // the last of its starts in what is due at once
	gone      bool      // left the table; what runs goes on
	from      time.Time // up to here nothing is due whatever others claimed: it was not in the table, or was counted as missed
	past      *past
}

// past is what an entry has once anything happened to it: most of ten thousand
// jobs have none for hours.
type past struct {
	stats   Stats
	history []*Record
	skips   skipNote
}

type pending struct {
	scheduled time.Time
	cause     Cause
}

// Stats are the numbers of one job since the program began.
type Stats struct {
	Runs         [outcomes]int64
	Skipped      [reasons]int64
	Missed       int64
	Retries      int64
	LinesDropped int64
	LastStart    time.Time
	LastEnd      time.Time
	LastSuccess  time.Time
	LastOutcome  Outcome
	LastCode     int
	LastTook     time.Duration
	Failures     int64 // since the last success
}

// stats makes the numbers at first use.
func (e *entry) stats() *Stats {
	if e.past == nil {
		e.past = &past{}
	}
	return &e.past.stats
}

func (e *entry) rules() plan.Rules {
	p := e.job.Policy
	return plan.Rules{Catchup: p.Catchup, Max: p.CatchupMax, Deadline: p.Deadline}
}

// state is where a flight is.
type state int

const (
	delayed  state = iota // by jitter
	grouped               // waits for its group
	capped                // waits for room under the cap
	starting              // handed to a worker
	flying                // it runs
	retrying              // waits for its next attempt
	landed
)

func (s state) String() string {
	return [...]string{"delayed", "waiting for its group", "waiting for room", "starting", "running", "waiting to retry", "ended"}[s]
}

// flight is one start on its way, with all its attempts.
type flight struct {
	e         *entry
	job       *job.Job // as it was when the start was due
	scheduled time.Time
	cause     Cause
	moment    string // of Dispatcher.moment
	id        string
	attempt   int
	state     state
	timer     *time.Timer // of delayed and retrying
	stopper   Stopper
	weight    int
	inGroup   bool
	stopped   bool // no retry, and Stop as soon as there is something to stop
	grace     time.Duration
	begun     time.Time
	fence     int64
	result    *run.Result // came before the start was reported
}

func remove[T comparable](list []T, x T) []T {
	if i := slices.Index(list, x); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return list
}
