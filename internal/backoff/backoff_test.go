package backoff

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

func TestDelayGrowsToTheLimit(t *testing.T) {
	p := Policy{Min: time.Second, Max: 10 * time.Second}
	for attempt, want := range []time.Duration{
		0: time.Second, 1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second,
		4: 8 * time.Second, 5: 10 * time.Second,
	} {
		if got := p.Delay(attempt); got != want {
			t.Errorf("Delay(%d) = %s; want %s", attempt, got, want)
		}
	}
	for _, attempt := range []int{63, 64, 5000} {
		if got := p.Delay(attempt); got != 10*time.Second {
			t.Errorf("Delay(%d) = %s; want the limit", attempt, got)
		}
		if got := (Policy{Min: time.Second, Jitter: 1}).Delay(attempt); got < 0 {
			t.Errorf("Delay(%d) without a limit = %s; want no overflow", attempt, got)
		}
	}
}

func TestDelayJitterStaysInItsBand(t *testing.T) {
	p := Policy{Min: time.Second, Max: time.Minute, Factor: 1, Jitter: 0.2}
	seen := map[time.Duration]bool{}
	for range 200 {
		d := p.Delay(1)
		seen[d] = true
		if d < 800*time.Millisecond || d > 1200*time.Millisecond {
			t.Fatalf("Delay(1) = %s; want 0.8s to 1.2s", d)
		}
	}
	if len(seen) < 2 {
		t.Error("Delay(1) never differs; want jitter")
	}
}

func TestRetryStopsAtSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin, n := time.Now(), 0
		err := Retry(t.Context(), Policy{Min: time.Second}, func(context.Context) error {
			if n++; n < 4 {
				return io.EOF
			}
			return nil
		})
		if took := time.Since(begin); err != nil || n != 4 || took != 7*time.Second {
			t.Errorf("Retry = %v after %d calls and %s; want nil, 4, 7s", err, n, took)
		}
	})
}

func TestRetryStopsAtPermanent(t *testing.T) {
	err := Retry(t.Context(), Policy{Min: time.Hour}, func(context.Context) error {
		return fmt.Errorf("attempt: %w", Permanent(io.EOF))
	})
	if !errors.Is(err, io.EOF) {
		t.Errorf("Retry = %v; want EOF", err)
	}
	if Permanent(nil) != nil {
		t.Error("Permanent(nil) is not nil")
	}
}

func TestRetryStopsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		err := Retry(ctx, Policy{Min: time.Minute, Factor: 1}, func(context.Context) error { return io.EOF })
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, io.EOF) {
			t.Errorf("Retry = %v; want the deadline and the last error", err)
		}
	})
}
