package dispatch

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sidecar-kit/sidecar/roles/cron/job"
	"github.com/sidecar-kit/sidecar/roles/cron/journal"
)

// Info is a job as others see it.
type Info struct {
	Job       *job.Job
	Next      time.Time // zero is never
	Suspended bool
	Running   int
	Waiting   int // put off, queued, or waiting for a group, for room or to be tried again
	Stats     Stats

	order int
}

// Totals are what belongs to no job.
type Totals struct {
	Counters
	Jobs, Running, Waiting int
	Leading                bool
}

// ErrUnknown says that there is no such job.
var ErrUnknown = errors.New("unknown job")

// ErrEnded says that the dispatcher has ended.
var ErrEnded = errors.New("no jobs are run at this moment: the program starts or stops")

// List returns every job, in the order of the table.
func (d *Dispatcher) List() (list []Info, t Totals, err error) {
	ok := d.do(func() {
		list = make([]Info, 0, len(d.names))
		for _, e := range d.names {
			list = append(list, d.info(e))
		}
		t = Totals{Counters: d.counters, Jobs: len(d.names), Running: d.running, Leading: d.leading}
	})
	if !ok {
		return nil, t, ErrEnded
	}
	slices.SortFunc(list, func(a, b Info) int { return a.order - b.order })
	for i := range list {
		t.Waiting += list[i].Waiting
	}
	return list, t, nil
}

func (d *Dispatcher) info(e *entry) Info {
	i := Info{Job: e.job, Suspended: e.suspended, Waiting: len(e.delayed) + len(e.queued), order: e.id}
	i.Next, _ = d.plan.NextOf(e.id)
	for _, f := range e.flights {
		if f.state == flying || f.state == starting {
			i.Running++
		} else {
			i.Waiting++
		}
	}
	if e.past != nil {
		i.Stats = e.past.stats
	}
	return i
}

// Find returns one job and its ended runs, oldest first.
func (d *Dispatcher) Find(name string) (i Info, history []Record, err error) {
	err = d.with(name, func(e *entry) error {
		if i = d.info(e); e.past == nil {
			return nil
		}
		for _, r := range e.past.history {
			history = append(history, *r)
		}
		return nil
	})
	return i, history, err
}

// Trigger makes a run now, under the overlap policy of the job. It returns the
// id of the run, or "" when the run waits in the job's queue.
func (d *Dispatcher) Trigger(name string) (id string, err error) {
	err = d.with(name, func(e *entry) error {
		before, skipped := len(e.flights), e.stats().Skipped
		d.admit(e, time.Now().Truncate(time.Second), Manual)
		if len(e.flights) > before {
			id = e.flights[len(e.flights)-1].id
			return nil
		}
		for _, r := range []Reason{Overlapping, QueueFull} {
			if e.stats().Skipped[r] > skipped[r] {
				if r == QueueFull {
					return fmt.Errorf("%s is still running, and its queue is full", name)
				}
				return fmt.Errorf("%s is still running, and overlap=forbid", name)
			}
		}
		return nil
	})
	return id, err
}

// Suspend pauses a job or lets it go on. With a journal that survives a restart.
func (d *Dispatcher) Suspend(name string, on bool) error {
	return d.with(name, func(e *entry) error {
		if e.suspended == on {
			return nil
		}
		e.suspended = on
		kind := journal.Resume
		if on {
			kind = journal.Suspend
		}
		d.records = append(d.records, journal.Record{Kind: kind, Job: name, At: time.Now()})
		d.write(true)
		d.o.Log.Info().Str("job", name).Bool("suspended", on).Msg("job was told to pause or to go on")
		return nil
	})
}

// StopRuns ends what runs of a job.
func (d *Dispatcher) StopRuns(name string) (n int, err error) {
	err = d.with(name, func(e *entry) error {
		for _, f := range slices.Clone(e.flights) {
			d.end(f, e.job.Policy.KillAfter, Replaced)
			n++
		}
		return nil
	})
	return n, err
}

func (d *Dispatcher) with(name string, f func(*entry) error) error {
	var err error
	ok := d.do(func() {
		e := d.names[name]
		if e == nil {
			err = fmt.Errorf("%w %q", ErrUnknown, name)
			return
		}
		err = f(e)
	})
	if !ok {
		return ErrEnded
	}
	return err
}
