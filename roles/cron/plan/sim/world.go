// Package sim lets a plan live through a year in which the clock is set, the machine sleeps and the process is killed, and compares each of its
// answers with what the manual says. The judge shares no code with the plan: it has the list of all instants of a job and decides from that.
// Used by the tests of plan and by bench.
package sim

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sidecar-kit/sidecar/roles/cron/job"
	"github.com/sidecar-kit/sidecar/roles/cron/plan"
)

// Job is one job of a world.
type Job struct {
	Text     string // for messages
	Schedule plan.Schedule
	Fixed    bool
	Instants Source
	Policy   Policy
}

// RandomPolicy is one of those that people write.
func RandomPolicy(r *rand.Rand) Policy {
	var p Policy
	switch r.IntN(4) {
	case 0:
		p.Last = true
	case 1:
		p.All = []int{1, 2, 5, 10, 12, 100, 2000}[r.IntN(7)]
	}
	if r.IntN(2) == 0 {
		p.Deadline = []time.Duration{30 * time.Second, time.Minute, 10 * time.Minute, time.Hour, 3 * time.Hour, 24 * time.Hour}[r.IntN(6)]
	}
	return p
}

func (p Policy) rules() plan.Rules {
	r := plan.Rules{Max: p.All, Deadline: p.Deadline}
	switch {
	case p.Last:
		r.Catchup = job.CatchupLast
	case p.All > 0:
		r.Catchup = job.CatchupAll
	}
	return r
}

// Options say what happens in a world.
type Options struct {
	Seed                      uint64
	From, To                  time.Time
	Steps, Suspends, Restarts int
}

// Tally is what happened.
type Tally struct {
	Looks, Runs, CaughtUp, Lost int
	Steps, Suspends, Restarts   int
	Killed                      int // restarts after a kill in the middle of a look
	Followed                    int // jobs that followed a clock set back
	Differences                 int
	First                       []string
	Jobs                        int
}

// Add sums up.
func (t *Tally) Add(o Tally) {
	t.Looks, t.Runs, t.CaughtUp, t.Lost = t.Looks+o.Looks, t.Runs+o.Runs, t.CaughtUp+o.CaughtUp, t.Lost+o.Lost
	t.Steps, t.Suspends, t.Restarts, t.Killed = t.Steps+o.Steps, t.Suspends+o.Suspends, t.Restarts+o.Restarts, t.Killed+o.Killed
	t.Followed, t.Differences, t.Jobs = t.Followed+o.Followed, t.Differences+o.Differences, t.Jobs+o.Jobs
	t.First = append(t.First, o.First...)
}

// world is the wall clock, the engine and what is on its disk.
type world struct {
	r      *rand.Rand
	jobs   []Job
	judges []*judge
	tally  Tally
	plan   *plan.Plan
	disk   []int64 // what the journal knows of each job; 0 is nothing
	wall   time.Time
	begin  time.Time
	gone   time.Duration // since the beginning, in real time
	away   bool
	// quarter is the usual time between two events, so that absences do not fill it all.
	quarter time.Duration
}

// Run lives through it.
func Run(o Options, jobs []Job) Tally {
	w := &world{r: rand.New(rand.NewPCG(o.Seed, 20260401)), jobs: jobs, disk: make([]int64, len(jobs)), wall: o.From, begin: o.From}
	w.tally.Jobs = len(jobs)
	for _, j := range jobs {
		w.judges = append(w.judges, &judge{fixed: j.Fixed, policy: j.Policy, source: j.Instants})
	}
	w.quarter = o.To.Sub(o.From) / time.Duration(o.Steps+o.Suspends+o.Restarts+1)
	w.boot()
	for _, e := range w.events(o) {
		w.until(e.at)
		e.do()
	}
	w.until(o.To.Sub(o.From))
	return w.tally
}

type event struct {
	at time.Duration
	do func()
}

// events are spread over the time; a third of them comes soon after another one.
func (w *world) events(o Options) []event {
	var list []event
	add := func(n int, do func()) {
		for range n {
			at := time.Duration(w.r.Int64N(int64(o.To.Sub(o.From))))
			if len(list) > 0 && w.r.IntN(3) == 0 {
				at = list[w.r.IntN(len(list))].at + w.around(10*time.Minute)
			}
			list = append(list, event{at, do})
		}
	}
	add(o.Steps, w.step)
	add(o.Suspends, w.suspend)
	add(o.Restarts, w.restart)
	slices.SortFunc(list, func(a, b event) int { return int(a.at - b.at) })
	return list
}

// around is a random time: often short, at most most.
func (w *world) around(most time.Duration) time.Duration {
	limit := most
	switch w.r.IntN(4) {
	case 0:
		limit = min(most, 3*time.Second)
	case 1:
		limit = min(most, 2*time.Minute)
	}
	return time.Duration(w.r.Int64N(int64(limit)) + 1)
}

// pass lets real time pass.
func (w *world) pass(d time.Duration) { w.gone, w.wall = w.gone+d, w.wall.Add(d) }

// until runs undisturbed to a moment of real time.
func (w *world) until(end time.Duration) {
	for {
		wait := time.Duration(1 << 62)
		if next, ok := w.plan.Next(); ok {
			wait = max(0, next.Sub(w.wall)) + w.lateness()
		}
		if w.r.IntN(50) == 0 {
			wait = min(wait, w.around(10*time.Second)) // somebody asks something
		}
		if w.gone+wait >= end {
			w.pass(max(0, end-w.gone))
			return
		}
		w.pass(wait)
		w.look(0, -1)
	}
}

func (w *world) lateness() time.Duration {
	switch w.r.IntN(20) {
	case 0:
		return time.Duration(w.r.Int64N(int64(60*time.Second))) + 30*time.Second
	case 1, 2, 3:
		return time.Duration(w.r.Int64N(int64(3 * time.Second)))
	case 4:
		return []time.Duration{0, 0, 0, 60 * time.Second}[w.r.IntN(4)]
	}
	return time.Duration(w.r.Int64N(int64(5 * time.Millisecond)))
}

// step sets the clock.
func (w *world) step() {
	w.tally.Steps++
	by := w.shift()
	w.wall = w.wall.Add(by)
	w.pass(w.lateness())
	w.look(by, -1)
}

// shift is by how much the clock is set: it stays within a day of the truth.
func (w *world) shift() time.Duration {
	by := time.Duration(w.r.Int64N(int64(6 * time.Hour)))
	switch w.r.IntN(4) {
	case 0:
		by = []time.Duration{time.Minute, time.Minute + 1, 3 * time.Hour, 3*time.Hour + 1, time.Second}[w.r.IntN(5)]
	case 1:
		by = time.Duration(w.r.Int64N(int64(3 * time.Minute)))
	}
	if by < time.Second {
		by = time.Second // less is no step
	}
	wrong := w.wall.Sub(w.begin) - w.gone
	if wrong > 24*time.Hour || wrong > -24*time.Hour && w.r.IntN(2) == 0 {
		return -by
	}
	return by
}

// suspend puts the machine to sleep; sometimes the clock is set before the program gets to look.
func (w *world) suspend() {
	w.tally.Suspends++
	w.pass(w.around([]time.Duration{time.Minute, time.Hour, 4 * time.Hour, w.quarter}[w.r.IntN(4)]))
	var by time.Duration
	if w.r.IntN(5) == 0 {
		by = w.shift()
		w.wall = w.wall.Add(by)
	}
	w.pass(w.lateness())
	w.look(by, -1)
}

// restart kills the process, sometimes in the middle of a look, and begins another one.
func (w *world) restart() {
	w.tally.Restarts++
	if w.r.IntN(3) == 0 {
		if next, ok := w.plan.Next(); ok && next.Sub(w.wall) < time.Hour {
			w.pass(max(0, next.Sub(w.wall)) + w.lateness())
			w.tally.Killed++
			w.look(0, w.r.IntN(12))
		}
	}
	w.pass(w.around([]time.Duration{time.Minute, time.Minute, 10 * time.Minute, time.Hour, w.quarter, 6 * w.quarter}[w.r.IntN(6)]))
	if w.r.IntN(5) == 0 {
		w.wall = w.wall.Add(w.shift())
	}
	w.boot()
}

// boot is what the dispatcher does with its first table.
func (w *world) boot() {
	w.plan, w.away = plan.New(), true
	for i, j := range w.jobs {
		var told time.Time
		if w.disk[i] != 0 {
			told = time.Unix(w.disk[i], 0)
		}
		w.plan.Add(i, j.Schedule, j.Policy.rules(), plan.Cursor(j.Schedule, told, w.wall))
		w.judges[i].restart(w.wall)
	}
	w.pass(w.around(3 * time.Second))
	w.look(0, -1)
}
