// Package timer wakes the dispatcher of the cron role at an instant of the wall
// clock and tells when that clock was set. On Linux it is one timerfd on the
// real-time clock that the kernel cancels when somebody sets the clock, so an
// idle program sleeps until the next start, however far away. Elsewhere, and
// under a fake clock in tests, it is a timer that looks again every 30 s.
package timer

import (
	"time"
)

// slack is how far the clock may differ from the time that passed before it
// counts as set: the kernel's own slewing stays far below.
const slack = 500 * time.Millisecond

// Timer is one alarm. Only one goroutine may use it.
type Timer interface {
	// Set replaces the instant of the alarm; the zero time is never.
	Set(at time.Time)
	// C delivers a value when the instant came or the clock was set. Values that
	// nobody has read are merged.
	C() <-chan struct{}
	// Look returns the time, and by how much the wall clock was set forward
	// (or, negative, back) since the last Look. A suspend is no such step.
	Look() (now time.Time, step time.Duration)
	Close() error
}

// watch compares two clocks.
type watch struct {
	wall    time.Time
	elapsed time.Duration
}

func (w *watch) look(wall time.Time, elapsed time.Duration) time.Duration {
	step := wall.Round(0).Sub(w.wall) - (elapsed - w.elapsed)
	w.wall, w.elapsed = wall.Round(0), elapsed
	if step > -slack && step < slack {
		return 0
	}
	return step
}

// portable sleeps in pieces, because a timer of the runtime does not notice
// that the wall clock was set.
type portable struct {
	begin time.Time
	watch watch
	timer *time.Timer
	c     chan struct{}
}

// piece is how late a start can be after the clock was set forward.
const piece = 30 * time.Second

// Portable returns a Timer that works everywhere.
func Portable() Timer {
	now := time.Now()
	p := &portable{begin: now, watch: watch{wall: now.Round(0)}, c: make(chan struct{}, 1)}
	p.timer = time.AfterFunc(piece, p.fire)
	return p
}

func (p *portable) fire() {
	select {
	case p.c <- struct{}{}:
	default:
	}
}

func (p *portable) Set(at time.Time) {
	d := piece
	if !at.IsZero() {
		d = min(d, max(0, at.Round(0).Sub(time.Now().Round(0))))
	}
	p.timer.Reset(d)
}

func (p *portable) C() <-chan struct{} { return p.c }

func (p *portable) Look() (time.Time, time.Duration) {
	now := time.Now()
	return now, p.watch.look(now, now.Sub(p.begin))
}

func (p *portable) Close() error {
	p.timer.Stop()
	return nil
}
