package probe

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// waiterOf makes checks out of lists of answers; the last one repeats.
func waiterOf(answers ...[]bool) []*Check {
	var checks []*Check
	for _, list := range answers {
		n := 0
		checks = append(checks, &Check{look: func(ctx context.Context) (string, error) {
			ok := list[min(n, len(list)-1)]
			n++
			if !ok {
				return "", errors.New("not yet")
			}
			return "fine", nil
		}})
	}
	return checks
}

func TestWait(t *testing.T) {
	const no, yes = false, true
	tests := []struct {
		name   string
		waiter Waiter
		checks []*Check
		limit  time.Duration
		ok     bool
		took   time.Duration
		tries  []int
	}{
		{"at once", Waiter{}, waiterOf([]bool{yes}, []bool{yes}), time.Minute, true, 0, []int{1, 1}},
		{"every one", Waiter{}, waiterOf([]bool{yes}, []bool{no, no, yes}), time.Minute, true, 2 * time.Second, []int{1, 3}},
		{"any", Waiter{Any: true}, waiterOf([]bool{no}, []bool{no, yes}), time.Minute, true, time.Second, nil},
		{"stable", Waiter{Stable: 2}, waiterOf([]bool{yes, no, yes, yes}), time.Minute, true, 3 * time.Second, []int{4}},
		{"time is over", Waiter{}, waiterOf([]bool{yes}, []bool{no}), 1500 * time.Millisecond, false, 1500 * time.Millisecond, []int{1, 2}},
		{"nothing", Waiter{Any: true}, nil, time.Minute, true, 0, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.waiter.Interval, tt.waiter.Timeout = time.Second, time.Second
				ctx, cancel := context.WithTimeout(t.Context(), tt.limit)
				defer cancel()
				begin := time.Now()
				seen, ok := tt.waiter.Wait(ctx, tt.checks)
				if took := time.Since(begin); ok != tt.ok || took != tt.took {
					t.Errorf("Wait = %v after %s; want %v after %s", ok, took, tt.ok, tt.took)
				}
				for i, want := range tt.tries {
					if seen[i].Tries != want || seen[i].Index != i {
						t.Errorf("check %d was looked at %d times; want %d", i, seen[i].Tries, want)
					}
				}
			})
		})
	}
}

// A look that the end cuts short says nothing about what it looked at.
func TestWaitKeepsWhatWasSeenLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		slow := &Check{look: func(ctx context.Context) (string, error) {
			if n++; n == 1 {
				return "", errors.New("refused")
			}
			<-ctx.Done()
			return "", &late{"no answer"}
		}}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		seen, ok := Waiter{Interval: time.Second, Timeout: time.Minute}.Wait(ctx, []*Check{slow})
		if ok || seen[0].Last.Detail != "refused" || seen[0].Tries != 1 {
			t.Errorf("Wait = %+v, %v; want the first look", seen[0], ok)
		}
	})
}

// lagging is a context whose time is over before it has noticed.
type lagging struct {
	context.Context
	deadline time.Time
}

func (l lagging) Deadline() (time.Time, bool) { return l.deadline, true }

// The caller asks ctx why Wait ended, so it must have ended.
func TestWaitEndsAfterItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		ctx := lagging{inner, time.Now()}
		seen, ok := Waiter{Interval: time.Second, Timeout: time.Minute}.Wait(ctx, waiterOf([]bool{false}))
		if ok || ctx.Err() == nil || seen[0].Tries != 0 {
			t.Errorf("Wait = %+v, %v with ctx.Err() = %v; want it ended and nothing seen", seen, ok, ctx.Err())
		}
	})
}
