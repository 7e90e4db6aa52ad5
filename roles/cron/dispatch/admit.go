package dispatch

import (
	"encoding/binary"
	"hash/fnv"
	mathrand "math/rand/v2"
	"slices"
	"time"

	"github.com/sidecar-kit/sidecar/roles/cron/job"
	"github.com/sidecar-kit/sidecar/roles/cron/journal"
)

// admit takes a start that is due: it is put off, queued, skipped or made ready.
func (d *Dispatcher) admit(e *entry, scheduled time.Time, cause Cause) {
	if e == nil {
		return
	}
	if e.suspended && cause != Manual {
		d.skip(e, scheduled, cause, Suspended)
		return
	}
	if j := e.job.Policy.Jitter; j > 0 && cause != Manual {
		f := &flight{e: e, job: e.job, scheduled: scheduled, cause: cause, state: delayed}
		e.delayed = append(e.delayed, f)
		f.timer = time.AfterFunc(d.delay(e.job, j), func() {
			d.inbox.put(func() { d.undelay(f) })
		})
		return
	}
	d.overlap(e, scheduled, cause)
}

// delay is by how much a start is put off.
func (d *Dispatcher) delay(j *job.Job, most time.Duration) time.Duration {
	if !j.Policy.Stable {
		return time.Duration(mathrand.Int64N(int64(most)))
	}
	h := fnv.New64a()
	h.Write([]byte(d.o.Seed + "\x00" + j.Name))
	return time.Duration(h.Sum64() % uint64(most)) //nolint:gosec // most is positive
}

func (d *Dispatcher) undelay(f *flight) {
	if f.state != delayed {
		return // dropped meanwhile
	}
	f.state = landed
	f.e.delayed = remove(f.e.delayed, f)
	if d.draining || f.e.gone {
		d.skip(f.e, f.scheduled, f.cause, f.e.leaving())
		return
	}
	d.overlap(f.e, f.scheduled, f.cause)
}

// leaving is why what waits will not start.
func (e *entry) leaving() Reason {
	if e.gone {
		return Removed
	}
	return Stopping
}

// overlap applies the policy for a start while an earlier one goes on.
func (d *Dispatcher) overlap(e *entry, scheduled time.Time, cause Cause) {
	if len(e.flights) == 0 {
		d.board(e, scheduled, cause)
		return
	}
	switch p := e.job.Policy; p.Overlap {
	case job.Allow:
		d.board(e, scheduled, cause)
	case job.Queue:
		if len(e.queued) >= p.Queue {
			d.skip(e, scheduled, cause, QueueFull)
			return
		}
		e.queued = append(e.queued, pending{scheduled, cause})
	case job.Replace:
		for _, old := range e.queued {
			d.skip(e, old.scheduled, old.cause, Replaced)
		}
		e.queued = append(e.queued[:0], pending{scheduled, cause})
		for _, f := range append([]*flight(nil), e.flights...) {
			d.end(f, p.KillAfter, Replaced)
		}
	default:
		if p.Catchup == job.CatchupAll && (cause == CaughtUp || e.catchesUp()) { // all of them, one after the other
			e.queued = append(e.queued, pending{scheduled, cause})
			return
		}
		d.skip(e, scheduled, cause, Overlapping)
	}
}

// catchesUp tells whether a job still makes up for what it missed.
func (e *entry) catchesUp() bool {
	return len(e.queued) > 0 || slices.ContainsFunc(e.flights, func(f *flight) bool { return f.cause == CaughtUp })
}

// board makes a start a flight, which waits for its group and for room.
func (d *Dispatcher) board(e *entry, scheduled time.Time, cause Cause) {
	f := &flight{e: e, job: e.job, scheduled: scheduled, cause: cause, attempt: 1, id: newID(), fence: d.fence, moment: d.moment(scheduled)}
	e.flights = append(e.flights, f)
	d.acquire(f)
}

// moment is the variable that tells a job its instant, made once for all jobs of one instant.
func (d *Dispatcher) moment(at time.Time) string {
	if d.lastText == "" || !at.Equal(d.lastAt) {
		d.lastAt, d.lastText = at, "SIDECAR_CRON_SCHEDULED="+at.UTC().Format(time.RFC3339)
	}
	return d.lastText
}

// group is a mutex across jobs.
type group struct {
	holder  *flight
	waiting []*flight
}

// acquire gets a flight its group and its room, now or later.
func (d *Dispatcher) acquire(f *flight) {
	if name := f.job.Policy.Group; name != "" && !f.inGroup {
		g := d.groups[name]
		if g == nil {
			g = &group{}
			d.groups[name] = g
		}
		if g.holder != nil {
			f.state = grouped
			g.waiting = append(g.waiting, f)
			return
		}
		g.holder, f.inGroup = f, true
	}
	f.weight = max(1, f.job.Policy.Weight)
	if d.o.MaxRunning > 0 && d.used > 0 && (len(d.waiting) > 0 || d.used+f.weight > d.o.MaxRunning) {
		f.state = capped
		d.waiting = append(d.waiting, f)
		return
	}
	d.clear(f)
}

// clear makes a flight ready to start in this turn.
func (d *Dispatcher) clear(f *flight) {
	d.used += f.weight
	f.state = starting
	d.ready = append(d.ready, f)
}

// release gives back what a flight held, and lets others go on.
func (d *Dispatcher) release(f *flight) {
	if f.state == starting || f.state == flying {
		d.used -= f.weight
	}
	d.waiting = remove(d.waiting, f)
	if g := d.groups[f.job.Policy.Group]; g != nil {
		g.waiting = remove(g.waiting, f)
		if g.holder == f {
			g.holder, f.inGroup = nil, false
			if len(g.waiting) > 0 {
				next := g.waiting[0]
				g.waiting = g.waiting[1:]
				d.acquire(next)
			} else {
				delete(d.groups, f.job.Policy.Group)
			}
		}
	}
	for len(d.waiting) > 0 && (d.used == 0 || d.used+d.waiting[0].weight <= d.o.MaxRunning) {
		next := d.waiting[0]
		d.waiting = d.waiting[1:]
		d.clear(next)
	}
}

// skipNote bounds what is said of skipped starts.
type skipNote struct {
	said  time.Time
	count int
}

// quiet is how long skips of one job are counted before they are told again.
const quiet = time.Minute

// skip counts a start that is not made.
func (d *Dispatcher) skip(e *entry, scheduled time.Time, cause Cause, why Reason) {
	e.stats().Skipped[why]++
	if cause != Manual && cause != Rebooted && why != Stopping && !e.waits() {
		d.record(journal.Skip, e, scheduled)
	}
	e.past.skips.count++
	if now := time.Now(); now.Sub(e.past.skips.said) >= quiet {
		d.o.Log.Warn().Str("job", e.job.Name).Time("scheduled", scheduled).Str("reason", why.String()).
			Int("starts", e.past.skips.count).Msg("skipped")
		e.past.skips = skipNote{said: now}
	}
}

// waits tells whether an earlier start of the job has not begun. Until it has, no
// later one that is skipped goes on record: the newest record is where the next
// process goes on, and that has to see the earlier one as missed.
func (e *entry) waits() bool {
	return len(e.delayed)+len(e.queued) > 0 || slices.ContainsFunc(e.flights, func(f *flight) bool {
		return (f.state == grouped || f.state == capped) && f.attempt == 1
	})
}

func (d *Dispatcher) record(kind journal.Kind, e *entry, at time.Time) {
	if d.journal != nil {
		d.records = append(d.records, journal.Record{Kind: kind, Job: e.job.Name, At: at})
	}
}

const hexDigits = "0123456789abcdef"

// newID is a random UUID: dead-man services want that form. It is no secret, and
// thousands are made at once.
func newID() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], mathrand.Uint64())
	binary.BigEndian.PutUint64(b[8:], mathrand.Uint64())
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	var text [36]byte
	for i, at := range [...]int{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34} {
		text[at], text[at+1] = hexDigits[b[i]>>4], hexDigits[b[i]&15]
	}
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}
