package lease

import (
	"context"
	"errors"
	"time"

	"github.com/sidecar-kit/sidecar/internal/backoff"
)

// Run competes for the Lease until ctx ends, and calls lead with every term. The context of lead ends with the term; lead must return soon then,
// for until it does this replica does not compete again. When ctx ends lead may finish what it has begun: the Lease is renewed until it returns, and
// then given back, so that another replica takes over within a second.
func (e *Elector) Run(ctx context.Context, lead func(context.Context, Term)) {
	for ctx.Err() == nil {
		term, ok := e.acquire(ctx)
		if !ok {
			return
		}
		e.o.Log.Info().Str("lease", e.o.Name).Int64("fence", term.Fence).Time("last", term.Last).Msg("leading")
		lost := e.serve(ctx, term, lead)
		if lost {
			e.o.Log.Warn().Str("lease", e.o.Name).Int64("fence", term.Fence).Str("holder", e.Holder()).Msg("lost the lease")
			continue
		}
		e.release(context.WithoutCancel(ctx))
		if ctx.Err() == nil && !backoff.Sleep(ctx, e.o.Duration) { // lead gave up: let others
			return
		}
	}
}

// seen is a state of the Lease and since when, by our clock, nothing in it moved.
type seen struct {
	holder, renewed, acquired string
	transitions               int64
}

// acquire waits until the Lease can be had, and takes it.
func (e *Elector) acquire(ctx context.Context) (Term, bool) {
	var known seen
	var since time.Time
	for {
		wait := delay(nil, e.o.Retry/3)
		rec, err := e.api.get(ctx)
		if err == nil || missing(err) {
			// Time begins to count when the answer is there, whenever it was written: later than the holder's own count.
			if now := (seen{rec.holder, rec.renewed, rec.acquired, rec.transitions}); now != known || since.IsZero() {
				known, since = now, time.Now()
			}
			free := missing(err) || rec.holder == "" || rec.holder == e.o.Identity || time.Since(since) >= max(rec.duration, e.o.Duration)
			var term Term
			var ok bool
			if term, ok, err = e.take(ctx, rec, missing(err), free); ok {
				e.praise()
				return term, true
			}
		}
		switch {
		case ctx.Err() != nil:
			return Term{}, false
		case err == nil || changed(err): // it is held, or another one was faster
			e.praise()
		default:
			e.complain(err)
			wait = delay(err, e.o.Retry)
		}
		if !backoff.Sleep(ctx, wait) {
			return Term{}, false
		}
	}
}

// take writes this replica into a free Lease.
func (e *Elector) take(ctx context.Context, rec record, missing, free bool) (Term, bool, error) {
	e.mu.Lock()
	// What this replica knows survives a Lease that was deleted: the fence grows on, and no instant is forgotten.
	rec.transitions = max(rec.transitions, e.term.Fence)
	if e.term.Last.After(rec.last) {
		rec.last = e.term.Last
	}
	e.rec = rec
	e.mu.Unlock()
	if !free {
		return Term{}, false, nil
	}
	rec.holder, rec.duration = e.o.Identity, e.o.Duration
	rec.transitions++
	rec.renewed = e.stamp(rec.renewed)
	rec.acquired = rec.renewed
	write := e.api.put
	if missing {
		write = e.api.post
	}
	sent := time.Now()
	got, err := write(ctx, rec)
	if err != nil {
		return Term{}, false, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.lost: // of the term before
	default:
	}
	e.held, e.sent, e.rec = true, sent, got
	e.term = Term{got.transitions, got.last}
	return e.term, true, nil
}

// serve renews the Lease while lead works. It returns true when the Lease is lost.
func (e *Elector) serve(ctx context.Context, term Term, lead func(context.Context, Term)) (lost bool) {
	within, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		lead(within, term)
	}()
	defer func() {
		cancel()
		<-done
	}()
	again := time.NewTimer(delay(nil, e.o.Retry))
	defer again.Stop()
	for {
		select {
		case <-done:
			return false
		case <-e.lost:
			return true
		case <-again.C:
		}
		wait, ok := e.renew(context.WithoutCancel(ctx))
		if !ok {
			e.drop()
			return true
		}
		again.Reset(wait)
	}
}

// renew returns when to renew next, and false when the Lease is lost.
func (e *Elector) renew(ctx context.Context) (time.Duration, bool) {
	if wait := e.due(); wait > e.o.Retry/4 { // a claim has renewed it
		return wait, true
	}
	err := e.write(ctx, nil)
	switch {
	case err == nil:
		e.praise()
		return e.due(), true
	case errors.Is(err, ErrNotLeader):
		return 0, false
	}
	e.complain(err)
	e.mu.Lock()
	defer e.mu.Unlock()
	left := e.o.RenewDeadline - time.Since(e.sent)
	return max(min(delay(err, e.o.Retry/4), left), 0), e.holds(time.Now())
}

// due is when to renew, counted from when the last write was sent: a slow answer must not use up the time twice.
func (e *Elector) due() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return max(delay(nil, e.o.Retry)-time.Since(e.sent), e.o.Retry/10)
}

// release gives the Lease back. When that fails others wait until it is over.
func (e *Elector) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, e.o.Retry)
	defer cancel()
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		e.drop()
		return
	}
	defer func() { <-e.turn }()
	e.mu.Lock()
	rec := e.rec
	e.held = false // before it is written: from then on another one may hold it
	e.mu.Unlock()
	for try := 0; ; try++ {
		rec.holder, rec.renewed = "", e.stamp(rec.renewed)
		got, err := e.api.put(ctx, rec)
		if err == nil {
			e.mu.Lock()
			e.rec = got
			e.mu.Unlock()
			e.o.Log.Info().Str("lease", e.o.Name).Msg("gave the lease back")
			return
		}
		if got, getErr := e.api.get(ctx); getErr == nil && changed(err) && got.holder == e.o.Identity && try == 0 {
			rec = got
			continue
		}
		e.complain(err)
		return
	}
}
