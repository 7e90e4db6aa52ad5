package role

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestGraceOutlivesTheContextByTheDrainTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		grace, cancel := Env{Drain: 25 * time.Second}.Grace(ctx)
		defer cancel()
		time.Sleep(time.Hour)
		stop()
		time.Sleep(25*time.Second - 1)
		synctest.Wait()
		if grace.Err() != nil {
			t.Errorf("grace.Err() just before the deadline = %v; want nil", grace.Err())
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if got := context.Cause(grace); got != context.DeadlineExceeded {
			t.Errorf("Cause(grace) = %v; want deadline exceeded", got)
		}
	})
}

func TestGraceCanBeReleasedEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		grace, cancel := Env{Drain: time.Hour}.Grace(ctx)
		stop()
		cancel()
		synctest.Wait() // the bubble would report a goroutine that is still waiting
		if grace.Err() == nil {
			t.Error("grace.Err() after cancel = nil; want canceled")
		}
	})
}
