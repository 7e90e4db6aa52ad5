// Package plan decides which starts are due. It is a pure state machine: it is
// told what time it is, also when that time jumps, and answers with the
// instants that are to run and those that are lost. It reads no clock, sleeps
// never, and is used by the dispatcher of the cron role alone.
//
// The rules, which the manual repeats:
//
//   - A start that is noticed at most Late after its instant is late, not
//     missed. It runs whatever the policy, the newest Burst of them per job.
//   - While the program was running, through a suspend or a clock that was set
//     forward, the newest missed start of a fixed-time job runs when it is at
//     most Jump old and no newer one is late. Wild-card jobs go on from the new time.
//   - The job's catch-up policy runs the newest one (last) or the newest Max
//     (all), late ones among them, that are not older than its deadline, whatever the cause.
//   - A clock set back by up to Late repeats nothing. Set back by more, wild-card
//     jobs follow the new time, and jobs with fixed times do not run again what
//     they ran already. Set back by more than Jump, it was wrong before: every
//     job follows the new time. What passed before the clock was set and was not
//     looked at is late or missed as ever.
package plan

import (
	"slices"
	"time"

	"github.com/sidecar-kit/sidecar/roles/cron/job"
)

const (
	// Late is how far behind its instant a start is still on time.
	Late = time.Minute
	// Burst is how many late starts of one job run at once at most.
	Burst = 10
	// Jump is the largest change of the clock that jobs with fixed times bridge:
	// beyond it the clock was wrong before.
	Jump = 3 * time.Hour
	// countMost bounds the counting of lost starts: who was away for a year does
	// not want every second of it looked at.
	countMost = 1000
)

// Schedule is what a plan has to know of a schedule.
type Schedule interface {
	Next(time.Time) time.Time // first instant after t; zero is never
	Prev(time.Time) time.Time // last instant at or before t; zero is never
	Wildcard() bool
}

// Rules are the catch-up policy of a job.
type Rules struct {
	Catchup  job.Catchup
	Max      int           // of CatchupAll
	Deadline time.Duration // 0 is no limit
}

// Due is a start that is to be made.
type Due struct {
	ID        int
	Scheduled time.Time
	Missed    bool // it is made up for, later than Late
}

// Lost is a number of starts that are not made.
type Lost struct {
	ID          int
	Count       int // counted up to 1000
	First, Last time.Time
}

// Plan holds every job that has a next start.
type Plan struct {
	items map[int]*item
	heap  queue
}

type item struct {
	id    int
	place int // in the heap, -1 outside
	s     Schedule
	rules Rules
}

// New returns an empty plan.
func New() *Plan { return &Plan{items: map[int]*item{}} }

// Add plans a job from the first instant after cursor. An id that is known is replaced.
func (p *Plan) Add(id int, s Schedule, r Rules, cursor time.Time) {
	p.Remove(id)
	it := &item{id: id, place: -1, s: s, rules: r}
	p.items[id] = it
	p.move(it, s.Next(cursor))
}

// Remove forgets a job.
func (p *Plan) Remove(id int) {
	if it := p.items[id]; it != nil {
		p.take(it)
		delete(p.items, id)
	}
}

// Next returns the earliest instant of all; false when nothing will ever be due.
func (p *Plan) Next() (time.Time, bool) {
	if len(p.heap) == 0 {
		return time.Time{}, false
	}
	return time.Unix(p.heap[0].next, 0), true
}

// NextOf returns the next instant of one job; false when it has none.
func (p *Plan) NextOf(id int) (time.Time, bool) {
	it := p.items[id]
	if it == nil || it.place < 0 {
		return time.Time{}, false
	}
	return time.Unix(p.heap[it.place].next, 0), true
}

// Advance reports everything up to now, in the order of the instants and, at
// one instant, of the ids. away says that the program was not running before:
// what was due then is a matter of the catch-up policy, but for what is Late.
func (p *Plan) Advance(now time.Time, away bool) (due []Due, lost []Lost) {
	sec := now.Unix()
	behind := false
	for len(p.heap) > 0 && p.heap[0].next <= sec {
		it := p.heap[0].it
		at := time.Unix(p.heap[0].next, 0)
		next := it.s.Next(at)
		if !next.IsZero() && next.Unix() <= sec || now.Sub(at) > Late {
			d, l := it.behind(at, now, away)
			due, lost = append(due, d...), append(lost, l...)
			behind = true
			next = it.s.Next(now)
		} else {
			due = append(due, Due{ID: it.id, Scheduled: at})
		}
		p.move(it, next)
	}
	if behind {
		sortDue(due)
	}
	return due, lost
}

// behind sorts out the starts of one job in [first, now], of which there is
// more than one or an old one.
func (it *item) behind(first, now time.Time, away bool) ([]Due, []Lost) {
	var due []Due
	most := it.most()
	at := it.s.Prev(now)
	for i := 0; i < most && !at.IsZero() && !at.Before(first); i++ {
		if !it.runs(i, now.Sub(at), away) {
			break // each limit is on both count and age, so nothing older runs either
		}
		due = append(due, Due{ID: it.id, Scheduled: at, Missed: now.Sub(at) > Late})
		at = it.s.Prev(at.Add(-time.Second))
	}
	l := Lost{ID: it.id, First: first, Last: at}
	for !at.IsZero() && !at.Before(first) && l.Count < countMost {
		l.Count++
		at = it.s.Prev(at.Add(-time.Second))
	}
	if l.Count == 0 {
		return due, nil
	}
	return due, []Lost{l}
}

// most is how many starts any rule lets run.
func (it *item) most() int {
	if it.rules.Catchup == job.CatchupAll {
		return max(Burst, it.rules.Max)
	}
	return Burst
}

// runs tells whether the i-th newest start, that old, is to run.
func (it *item) runs(i int, age time.Duration, away bool) bool {
	inTime := it.rules.Deadline == 0 || age <= it.rules.Deadline
	switch {
	case i < Burst && age <= Late:
		return true
	case i == 0 && !away && !it.s.Wildcard() && age <= Jump:
		return true
	case it.rules.Catchup == job.CatchupLast:
		return i == 0 && inTime
	case it.rules.Catchup == job.CatchupAll:
		return i < it.rules.Max && inTime
	}
	return false
}

// Again takes starts back that Advance gave and that could not be made: they are
// due again, and what became too old meanwhile is missed by the rules.
func (p *Plan) Again(due []Due) {
	for _, d := range due {
		if it := p.items[d.ID]; it != nil && (it.place < 0 || d.Scheduled.Unix() < p.heap[it.place].next) {
			p.move(it, d.Scheduled)
		}
	}
}

// SetBack follows a clock that was set back by some time, to now, and returns
// the jobs that follow. What passed since the last Advance, as in a sleep before
// the clock was set, stays passed.
func (p *Plan) SetBack(by time.Duration, now time.Time) (moved []int) {
	for id, it := range p.items {
		if !follows(it.s, by) {
			continue
		}
		if next := it.s.Next(now); !next.IsZero() && (it.place < 0 || next.Unix() < p.heap[it.place].next) {
			p.move(it, next)
			moved = append(moved, id)
		}
	}
	slices.Sort(moved)
	return moved
}

// follows tells whether a job goes back with the clock.
func follows(s Schedule, by time.Duration) bool {
	return by > Late && s.Wildcard() || by > Jump
}

// Cursor is where a new process goes on with a job: after the newest start on
// record, zero for none. How far that lies ahead of now is how far the clock was
// set back since then.
func Cursor(s Schedule, last, now time.Time) time.Time {
	if last.IsZero() || follows(s, last.Sub(now)) {
		return now
	}
	return last
}
