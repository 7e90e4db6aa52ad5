package dispatch

import "time"

const (
	// reserve is the part of the drain time that is kept for ending what did not
	// end by itself: TERM, then KILL, then the last words of the log.
	reserve = 5 * time.Second
	// lastWords is the end of it, after KILL.
	lastWords = time.Second
)

// drain starts nothing any more, waits for what runs, and ends what does not
// end by itself.
func (d *Dispatcher) drain() {
	d.draining = true
	begin := time.Now()
	d.drop()
	room := min(reserve, d.o.Drain/2)
	words := min(lastWords, room/4)
	patience := d.o.Drain - room
	if d.o.StopAtOnce {
		patience = 0
	}
	if d.running > 0 {
		d.o.Log.Info().Int("runs", d.running).Stringer("patience", patience).Msg("waiting for what runs")
	}
	d.settleFor(patience)
	if d.running > 0 {
		grace := max(0, d.o.Drain-time.Since(begin)-2*words)
		d.o.Log.Warn().Int("runs", d.running).Stringer("kill_after", grace.Round(time.Millisecond)).Msg("ending what still runs")
		for _, e := range d.entries {
			for _, f := range append([]*flight(nil), e.flights...) {
				d.end(f, grace, Stopping)
			}
		}
		d.settleFor(max(0, d.o.Drain-time.Since(begin)-words/2))
	}
	if d.running > 0 {
		d.o.Log.Error().Int("runs", d.running).Msg("killed runs did not end in time")
	}
	d.write(true)
}

// drop lets go of everything that did not begin.
func (d *Dispatcher) drop() {
	for _, e := range d.entries {
		for _, f := range append([]*flight(nil), e.delayed...) {
			d.end(f, 0, Stopping)
		}
		for _, q := range e.queued {
			d.skip(e, q.scheduled, q.cause, Stopping)
		}
		e.queued = nil
	}
	for _, e := range d.entries {
		for _, f := range append([]*flight(nil), e.flights...) {
			if f.state != flying && f.state != starting {
				d.end(f, 0, Stopping)
			}
		}
	}
	// What was made ready by these ends does not begin either.
	for len(d.ready) > 0 {
		d.end(d.ready[0], 0, Stopping)
	}
}

// settleFor handles reports until nothing runs, or for a time.
func (d *Dispatcher) settleFor(patience time.Duration) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		for _, f := range d.inbox.take() {
			f()
		}
		for len(d.ready) > 0 {
			d.end(d.ready[0], 0, Stopping)
		}
		d.write(false)
		if d.running == 0 {
			return
		}
		select {
		case <-d.inbox.wake:
		case <-timer.C:
			return
		}
	}
}
