package dispatch

import (
	"reflect"
	"slices"
	"time"

	"github.com/sidecar-kit/sidecar/roles/cron/job"
	"github.com/sidecar-kit/sidecar/roles/cron/journal"
	"github.com/sidecar-kit/sidecar/roles/cron/plan"
)

// Change is what a Load did.
type Change struct{ Added, Changed, Removed, Same int }

// Load gives the first table, and the journal that knows what earlier processes
// did of it; nil is none. It is called once, before Run,
// which must follow: who asks for something waits for it.
func (d *Dispatcher) Load(jobs []*job.Job, book *journal.Journal) Change {
	d.journal = book
	c := d.load(jobs, true)
	d.begun.Store(true)
	return c
}

// Reload replaces the table. Jobs that are the same keep everything; changed
// ones keep their history and what runs; what runs of a removed one goes on.
func (d *Dispatcher) Reload(jobs []*job.Job) (c Change) {
	d.do(func() { c = d.load(jobs, false) })
	return c
}

func (d *Dispatcher) load(jobs []*job.Job, first bool) (c Change) {
	now := time.Now()
	listed := make(map[string]bool, len(jobs))
	for _, j := range jobs {
		listed[j.Name] = true
		e := d.names[j.Name]
		switch {
		case e == nil:
			c.Added++
			d.add(j, now, first)
		case same(e.job, j):
			c.Same++
			e.job = j
		default:
			c.Changed++
			d.change(e, j, now)
		}
	}
	for name, e := range d.names {
		if !listed[name] {
			c.Removed++
			d.unlist(name, e)
		}
	}
	return c
}

// same compares all but the line a job stands in.
func same(a, b *job.Job) bool {
	x, y := *a, *b
	x.Where, y.Where = "", ""
	x.When, y.When = nil, nil
	return a.When.String() == b.When.String() && a.When.Zone().String() == b.When.Zone().String() && reflect.DeepEqual(x, y)
}

func (d *Dispatcher) add(j *job.Job, now time.Time, first bool) {
	d.lastID++
	e := &entry{id: d.lastID, job: j}
	d.entries[e.id], d.names[j.Name] = e, e
	cursor := now
	if d.journal != nil {
		s := d.journal.State(j.Name)
		e.suspended = s.Suspended
		if first {
			cursor = plan.Cursor(j.When, s.Last, now)
			d.interrupted(e, s)
		}
	}
	if !first {
		e.from = now
	}
	d.schedule(e, cursor)
}

// interrupted closes what an earlier process started and did not see the end of.
func (d *Dispatcher) interrupted(e *entry, s journal.State) {
	if len(s.Open) == 0 {
		return
	}
	d.o.Log.Warn().Str("job", e.job.Name).Int("runs", len(s.Open)).Time("scheduled", s.Open[len(s.Open)-1]).
		Msg("an earlier process did not see these runs end; they are not made again")
	for _, at := range s.Open {
		d.records = append(d.records, journal.Record{Kind: journal.End, Job: e.job.Name, At: at})
	}
}

// schedule plans a job from a cursor, if it is to be planned.
func (d *Dispatcher) schedule(e *entry, cursor time.Time) {
	if e.job.Disabled || e.job.When.Reboot() || e.gone {
		d.plan.Remove(e.id)
		return
	}
	d.plan.Add(e.id, e.job.When, e.rules(), cursor)
}

func (d *Dispatcher) change(e *entry, j *job.Job, now time.Time) {
	cursor := now
	if next, ok := d.plan.NextOf(e.id); ok && !next.After(now) && (d.leading || d.paused) {
		cursor = next.Add(-time.Second) // due in this very turn
	}
	e.job, e.from = j, cursor
	d.schedule(e, cursor)
}

func (d *Dispatcher) unlist(name string, e *entry) {
	delete(d.names, name)
	d.plan.Remove(e.id)
	e.gone = true
	for _, q := range e.queued {
		d.skip(e, q.scheduled, q.cause, Removed)
	}
	e.queued = nil
	d.unsure = slices.DeleteFunc(d.unsure, func(one plan.Due) bool {
		if one.ID == e.id {
			d.skip(e, one.Scheduled, Scheduled, Removed)
		}
		return one.ID == e.id
	})
	for _, f := range slices.Concat(e.delayed, e.flights) {
		if f.state != flying && f.state != starting {
			d.end(f, 0, Removed)
		}
	}
	if len(e.flights) == 0 {
		delete(d.entries, e.id)
	}
}

// reboot starts the jobs of @reboot, once in the life of the program: at its
// start, or when it leads for the first time.
func (d *Dispatcher) reboot(now time.Time) {
	if d.rebooted {
		return
	}
	d.rebooted = true
	now = now.Round(0).Truncate(time.Second)
	for id := 1; id <= d.lastID; id++ {
		if e := d.entries[id]; e != nil && e.job.When.Reboot() && !e.job.Disabled {
			d.admit(e, now, Rebooted)
		}
	}
}
