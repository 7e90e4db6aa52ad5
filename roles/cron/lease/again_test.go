package lease

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sidecar-kit/sidecar/roles/cron/lease/leasetest"
)

// TestAnUnsureClaimIsFoundInItsTerm gives up waiting for the answer of a claim that was written: the same claim is made again with success, or a
// renewal has found it and Last tells.
func TestAnUnsureClaimIsFoundInItsTerm(t *testing.T) {
	for name, wait := range map[string]time.Duration{"claimed again at once": 0, "after a renewal": 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			var s leasetest.Server
			var slow atomic.Bool
			a := join(t, &s, "a", func(*http.Request) leasetest.Fault {
				if slow.Load() {
					return leasetest.Fault{After: 3 * time.Second}
				}
				return leasetest.Fault{}
			})
			term := <-a.terms
			time.Sleep(100 * time.Millisecond)
			instant := time.Now().UTC().Truncate(time.Second)
			slow.Store(true)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err := a.Claim(ctx, instant)
			cancel()
			slow.Store(false)
			if err == nil || !a.Last().IsZero() {
				t.Errorf("%s: Claim = %v, Last = %s; want an error and nothing known", name, err, a.Last())
			}
			time.Sleep(wait)
			if wait == 0 {
				err = a.Claim(t.Context(), instant)
			} else {
				err = nil
			}
			fence, held := a.Held(time.Now())
			if err != nil || !a.Last().Equal(instant) || !held || fence != term.Fence {
				t.Errorf("%s: %v, Last = %s, fence %d, held %v; want %s in the same term", name, err, a.Last(), fence, held, instant)
			}
			a.stop()
			time.Sleep(time.Minute) // the server ends what it was asked
		})
	}
}
