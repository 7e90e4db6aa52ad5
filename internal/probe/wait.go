package probe

import (
	"context"
	"sync"
	"time"

	"github.com/sidecar-kit/sidecar/internal/backoff"
)

// Waiter looks at several checks again and again until they are ok.
type Waiter struct {
	Any      bool          // one is enough; else every one, not necessarily at the same time
	Interval time.Duration // between the end of a look and the next one
	Timeout  time.Duration // of one look
	Stable   int           // successes in a row that make a check ok; 0 means 1

	// Seen, where set, is told each look, never two at once.
	Seen func(Seen)
}

// Seen is what is known of one of the checks.
type Seen struct {
	Index int    // in the list given to Wait
	Last  Result // of the last look that was not cut short, or else of the one that was
	Tries int    // looks so far
	Ready bool   // ok as often as was asked for
}

// Wait looks at all checks at once until enough of them are ok, or ctx ends. It
// returns what was seen of each, and whether it was enough. A check that is ok is not
// looked at again.
func (w Waiter) Wait(ctx context.Context, checks []*Check) ([]Seen, bool) {
	ctx, enough := context.WithCancel(ctx)
	defer enough()
	var (
		mu   sync.Mutex
		seen = make([]Seen, len(checks))
		todo = len(checks)
		all  sync.WaitGroup
	)
	if w.Any {
		todo = min(1, todo)
	}
	for i, check := range checks {
		seen[i].Index = i
		all.Go(func() {
			w.follow(ctx, check, func(r Result, ready, cut bool) {
				mu.Lock()
				defer mu.Unlock()
				if todo == 0 {
					return // another one was enough
				}
				if cut {
					if seen[i].Tries == 0 {
						seen[i].Last = r
					}
					return
				}
				seen[i] = Seen{i, r, seen[i].Tries + 1, ready}
				if w.Seen != nil {
					w.Seen(seen[i])
				}
				if !ready {
					return
				}
				if todo--; todo == 0 {
					enough()
				}
			})
		})
	}
	all.Wait()
	return seen, todo == 0
}

// follow looks at one check until it is ready or ctx ends.
func (w Waiter) follow(ctx context.Context, check *Check, report func(r Result, ready, cut bool)) {
	for streak := 0; ; {
		once, cancel := context.WithTimeout(ctx, w.Timeout)
		r := check.Do(once)
		cancel()
		if !r.OK && over(ctx) {
			report(r, false, true) // says little about the check
			<-ctx.Done()           // the caller reads from ctx why it ended
			return
		}
		streak++
		if !r.OK {
			streak = 0
		}
		ready := streak >= max(1, w.Stable)
		report(r, ready, false)
		if ready || !backoff.Sleep(ctx, w.Interval) {
			return
		}
	}
}

// over says whether ctx ended, or is just about to: the network looks at the deadline
// itself and may give up before the context's timer does.
func over(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}
