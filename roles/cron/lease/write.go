package lease

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sidecar-kit/sidecar/internal/backoff"
)

// write renews the Lease, and with an instant claims it.
//
// When an answer is lost the write may have happened, or may still happen. So the same write is tried again: it has the same resource version, thus at
// most one of them takes effect, and when an earlier one did, the conflict leads to a look which finds what was to be written.
func (e *Elector) write(ctx context.Context, instant *time.Time) error {
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-e.turn }()
	e.mu.Lock()
	rec, first := e.rec, time.Now()
	held, until := e.holds(first), e.sent.Add(e.o.RenewDeadline)
	last, fence := e.term.Last, e.term.Fence
	e.mu.Unlock()
	if !held {
		return ErrNotLeader
	}
	if instant != nil && !instant.After(last) {
		return fmt.Errorf("%s was: %w", last.Format(time.RFC3339), ErrClaimed)
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	sent := first
	for {
		next := rec
		next.renewed = e.stamp(rec.renewed)
		if instant != nil {
			next.last = *instant
		}
		got, err := e.api.put(ctx, next)
		switch {
		case err == nil:
			e.written(got, sent, instant)
			return nil
		case changed(err):
			got, done, err := e.lookAgain(ctx, fence, instant)
			if err != nil {
				return err
			}
			if done {
				e.written(got, first, instant) // which of the attempts it was is unknown
				return nil
			}
			rec = got
		case instant == nil || !transient(err):
			return err
		default:
			e.complain(err)
			if !backoff.Sleep(ctx, min(delay(err, e.o.Retry/8), e.o.Retry)) {
				return err
			}
		}
		sent = time.Now()
	}
}

// lookAgain finds out what a conflict means: another leader, a write of ours whose answer was lost (done), or somebody who put a label on the Lease.
func (e *Elector) lookAgain(ctx context.Context, fence int64, instant *time.Time) (got record, done bool, err error) {
	got, err = e.api.get(ctx)
	switch {
	case err == nil && got.holder == e.o.Identity && got.transitions == fence:
	case err == nil || changed(err):
		e.drop()
		return got, false, fmt.Errorf("the Lease went to %q: %w", got.holder, ErrNotLeader)
	default:
		return got, false, err
	}
	if instant == nil || got.last.Before(*instant) {
		return got, false, nil
	}
	if got.last.Equal(*instant) {
		return got, true, nil
	}
	return got, false, fmt.Errorf("%s was: %w", got.last.Format(time.RFC3339), ErrClaimed)
}

// written takes over what the server confirmed.
func (e *Elector) written(got record, sent time.Time, instant *time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rec, e.sent = got, sent
	if instant != nil {
		e.term.Last = *instant
	}
	if got.last.After(e.term.Last) {
		e.term.Last = got.last
	}
}

// drop ends the term at once.
func (e *Elector) drop() {
	e.mu.Lock()
	e.held = false
	e.mu.Unlock()
	select {
	case e.lost <- struct{}{}:
	default:
	}
}

// stamp is the time to write. It tells nothing to anybody but that it differs from the one before: clocks of nodes differ.
func (e *Elector) stamp(before string) string {
	now := time.Now().Add(e.skew).UTC()
	text := now.Format(microTime)
	if text == before {
		text = now.Add(time.Microsecond).Format(microTime)
	}
	return text
}

// complain logs an error when it is not the one before.
func (e *Elector) complain(err error) {
	e.mu.Lock()
	again := e.told == err.Error()
	e.told = err.Error()
	e.mu.Unlock()
	level := e.o.Log.Warn()
	if again {
		level = e.o.Log.Debug()
	}
	level.AnErr("err", err).Str("lease", e.o.Name).Msg("cannot use the lease")
}

func (e *Elector) praise() {
	e.mu.Lock()
	told := e.told
	e.told = ""
	e.mu.Unlock()
	if told != "" {
		e.o.Log.Info().Str("lease", e.o.Name).Msg("the lease works again")
	}
}

// delay is how long to wait after an error: what the server asks for, up to half a minute, or about d.
func delay(err error, d time.Duration) time.Duration {
	if refused, ok := errors.AsType[*statusError](err); ok && refused.after > d {
		d = min(refused.after, 30*time.Second)
	}
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}
