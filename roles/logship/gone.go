package logship

import (
	"context"
	"time"
)

// gone returns a channel that is closed when every check of --stop-when has been true, or somebody asked to quit. Without checks
// it is closed by the latter alone.
func (l *Logship) gone(ctx context.Context, w *works) <-chan struct{} {
	c := make(chan struct{})
	go func() {
		defer close(c)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-l.env.Quit:
				return
			case <-tick.C:
			}
			if len(w.plan.stopWhen) > 0 && l.allTrue(ctx, w) {
				return
			}
		}
	}()
	return c
}

func (l *Logship) allTrue(ctx context.Context, w *works) bool {
	for _, check := range w.plan.stopWhen {
		if !check.Do(ctx).OK {
			return false
		}
	}
	return true
}
