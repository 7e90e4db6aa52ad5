package dispatch

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sidecar-kit/sidecar/roles/cron/plan"
)

// ErrClaimed is a Leader's answer when the instant or a later one was claimed before.
var ErrClaimed = errors.New("claimed before")

const (
	// claimTimeout is how long the writing of a lease may keep everything else waiting.
	claimTimeout = 5 * time.Second
	claimAgain   = time.Second
)

// lead tells whether this process may start jobs.
func (d *Dispatcher) lead(now time.Time) bool {
	if d.o.Leader == nil {
		return true
	}
	fence, held := d.o.Leader.Held()
	switch {
	case !held:
		if d.leading {
			d.o.Log.Warn().Msg("no longer the leader: jobs do not start here")
		}
		d.leading = false
	case !d.led || fence != d.fence:
		d.leading, d.led, d.fence, d.away, d.paused = true, true, fence, true, false
		d.takeOver(d.o.Leader.Last(), now)
	default:
		d.leading = !d.paused
	}
	return d.leading
}

// takeOver goes on after the last instant that any leader claimed; when that lies
// ahead of this clock, from now, and claim sees to it that nothing starts twice.
func (d *Dispatcher) takeOver(last, now time.Time) {
	for _, one := range d.unsure {
		if e := d.entries[one.ID]; e != nil && !one.Scheduled.After(last) {
			d.skip(e, one.Scheduled, Scheduled, Claimed)
		}
	}
	d.unsure = nil
	if last.IsZero() {
		return // a new lease: nobody started anything
	}
	if last.After(now) {
		last = now
	}
	for _, e := range d.names {
		cursor := last
		if e.from.After(last) && e.from.Before(now) {
			cursor = e.from
		}
		d.schedule(e, cursor)
	}
}

// claim tells the next leader how far this one came, before anything starts, and
// returns the starts that may be made. When it is false the claim could not be
// written: the starts are due again, under this term or the next.
func (d *Dispatcher) claim(due []plan.Due) ([]plan.Due, bool) {
	unsure := d.unsure
	d.unsure = nil // the plan gave them again, or has counted them as missed
	if d.o.Leader == nil || len(due) == 0 {
		return due, true
	}
	last := d.o.Leader.Last()
	if fence, held := d.o.Leader.Held(); !held || fence != d.fence {
		unsure = nil // last may be another leader's
	}
	var ours, fresh []plan.Due
	var newest time.Time
	for _, one := range due {
		if !one.Scheduled.After(last) {
			if slices.ContainsFunc(unsure, func(u plan.Due) bool { return u.ID == one.ID && u.Scheduled.Equal(one.Scheduled) }) {
				ours = append(ours, one) // the claim stands: a renewal has found it
				continue
			}
			d.skip(d.entries[one.ID], one.Scheduled, Scheduled, Claimed)
			continue
		}
		fresh, newest = append(fresh, one), one.Scheduled
	}
	if len(fresh) == 0 {
		return ours, true
	}
	ctx, cancel := context.WithTimeout(context.Background(), claimTimeout)
	defer cancel()
	err := d.o.Leader.Claim(ctx, newest)
	switch {
	case errors.Is(err, ErrClaimed):
		for _, one := range fresh {
			d.skip(d.entries[one.ID], one.Scheduled, Scheduled, Claimed)
		}
		return ours, true
	case err != nil:
		d.counters.ClaimErrors++
		d.o.Log.Error().AnErr("err", err).Time("scheduled", newest).Msg("jobs do not start here yet: the lease could not be written")
		d.plan.Again(fresh)
		d.unsure = fresh
		d.leading, d.paused = false, true
		time.AfterFunc(claimAgain, func() { d.inbox.put(func() { d.paused = false }) })
		return ours, false
	}
	return append(ours, fresh...), true
}

// Wake makes the dispatcher look again, as when the leader has changed.
func (d *Dispatcher) Wake() { d.inbox.put(func() {}) }
