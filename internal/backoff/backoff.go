// Package backoff spaces out attempts: exponential delays with jitter, so that
// a thousand pods do not knock on a returning server in the same second.
// Used by notify, probe and gitsync.
package backoff

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Policy says how long to wait between attempts. A zero Factor means 2, a zero
// Max means no limit.
type Policy struct {
	Min    time.Duration
	Max    time.Duration
	Factor float64
	Jitter float64 // 0.2 spreads a delay over 80 % to 120 % of itself
}

// Delay is the wait after the given number of failures; it begins with Min at 1.
func (p Policy) Delay(attempt int) time.Duration {
	factor := p.Factor
	if factor == 0 {
		factor = 2
	}
	d := float64(p.Min) * math.Pow(factor, float64(max(attempt-1, 0)))
	limit := float64(p.Max)
	if p.Max == 0 {
		limit = float64(math.MaxInt64 / 2) // room for the jitter
	}
	d = min(d, limit)
	d *= 1 + p.Jitter*(2*rand.Float64()-1)
	return time.Duration(min(d, limit))
}

type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent marks an error that another attempt cannot cure.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanent{err}
}

// Retry calls fn until it returns nil or a Permanent error, or ctx ends. The
// error then tells both why it stopped and what the last attempt said.
func Retry(ctx context.Context, p Policy, fn func(context.Context) error) error {
	for attempt := 1; ; attempt++ {
		err := fn(ctx)
		if err == nil {
			return nil
		}
		if last, ok := errors.AsType[permanent](err); ok {
			return last.error
		}
		if !Sleep(ctx, p.Delay(attempt)) {
			return fmt.Errorf("%w after %d attempts: %w", context.Cause(ctx), attempt, err)
		}
	}
}

// Sleep waits for d and reports true, or false as soon as ctx ends.
func Sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
