package lease

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sidecar-kit/sidecar/roles/cron/lease/leasetest"
)

// storm is three replicas that are killed, stopped, cut off and paused, on a server with faults.
type storm struct {
	t      *testing.T
	server leasetest.Server

	mu     sync.Mutex
	random *rand.Rand
	terms  int
	live   map[*Elector]bool
	claims map[int64]int64 // instant -> fence
	last   time.Time
	fence  int64
}

// TestNoInstantIsClaimedTwice counts terms; LEASE_TERMS=5000 makes it longer.
func TestNoInstantIsClaimedTwice(t *testing.T) {
	terms := 200
	if n, err := strconv.Atoi(os.Getenv("LEASE_TERMS")); err == nil {
		terms = n
	}
	synctest.Test(t, func(t *testing.T) {
		s := &storm{t: t, random: rand.New(rand.NewPCG(1, uint64(terms))), live: map[*Elector]bool{}, claims: map[int64]int64{}}
		s.server.Fault = s.fault
		began := time.Now()
		ctx, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for slot := range 3 {
			all.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					s.life(ctx, fmt.Sprintf("replica-%d_%d", slot, n))
				}
			})
		}
		for s.count() < terms {
			time.Sleep(250 * time.Millisecond)
			s.oneLeader("by the clock")
		}
		stop()
		all.Wait()
		took := time.Since(began)
		time.Sleep(time.Minute) // for requests that nobody waits for
		t.Logf("%d terms, %d claims in %s, %d requests", s.terms, len(s.claims), took, s.server.Served())
		if seconds := int(took / time.Second); len(s.claims) < seconds/4 {
			t.Errorf("%d claims in %d s; want the storm to let more through", len(s.claims), seconds)
		}
	})
}

func (s *storm) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.terms
}

// chance is true n times in 1000.
func (s *storm) chance(n int) bool { return s.below(1000) < n }

func (s *storm) below(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.random.IntN(n)
}

func (s *storm) fault(*http.Request) leasetest.Fault {
	part := time.Duration(s.below(12000)) * time.Millisecond
	switch n := s.below(100); n {
	case 0, 1:
		return leasetest.Fault{Status: 500 + s.below(5)}
	case 2, 3:
		return leasetest.Fault{Status: http.StatusConflict}
	case 4, 5:
		return leasetest.Fault{Drop: true}
	case 6:
		return leasetest.Fault{Before: part}
	case 7:
		return leasetest.Fault{After: part}
	case 8:
		return leasetest.Fault{Status: http.StatusTooManyRequests, RetryAfter: "1"}
	case 9:
		return leasetest.Fault{Body: "<html>bad gateway</html>"}
	case 10:
		return leasetest.Fault{Refuse: true}
	}
	return leasetest.Fault{}
}

// life is the life of one replica: it ends tidily or by a crash, and may be paused.
func (s *storm) life(ctx context.Context, name string) {
	var crashed atomic.Bool
	var resume atomic.Int64
	e, err := New(Options{
		Name: "jobs", Namespace: "default", Identity: name, Server: "http://fake", Account: "/none",
		Client: s.server.Client(func(*http.Request) leasetest.Fault {
			if pause := time.Until(time.Unix(0, resume.Load())); pause > 0 {
				time.Sleep(pause) // nothing is sent by a process that does not run
			}
			return leasetest.Fault{Refuse: crashed.Load()}
		}),
	})
	if err != nil {
		s.t.Error(err)
		return
	}
	e.skew = time.Duration(s.below(7200)-3600) * time.Second
	s.mu.Lock()
	s.live[e] = true
	s.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	time.AfterFunc(time.Duration(1+s.below(60))*time.Second, func() {
		crashed.Store(s.chance(500))
		cancel()
	})
	e.Run(ctx, func(ctx context.Context, term Term) { s.lead(ctx, e, term, &resume) })
	s.mu.Lock()
	delete(s.live, e)
	s.mu.Unlock()
}

// lead claims every second, as a dispatcher does.
func (s *storm) lead(ctx context.Context, e *Elector, term Term, resume *atomic.Int64) {
	s.mu.Lock()
	s.terms++
	if term.Fence <= s.fence || term.Last.Before(s.last) {
		s.t.Errorf("term %+v after fence %d, last %s", term, s.fence, s.last)
	}
	s.fence = term.Fence
	s.mu.Unlock()
	for last := term.Last; ctx.Err() == nil; {
		next := time.Now().Truncate(time.Second).Add(time.Second)
		if !next.After(last) {
			next = last.Add(time.Second)
		}
		select {
		case <-time.After(time.Until(next)):
		case <-ctx.Done():
			return
		}
		if s.chance(10) {
			until := time.Now().Add(time.Duration(s.below(40)) * time.Second)
			resume.Store(until.UnixNano())
			time.Sleep(time.Until(until))
		}
		_, held := e.Held(time.Now())
		err := e.Claim(ctx, next)
		if err == nil && !held {
			s.t.Errorf("claimed %s without holding", next)
		}
		if err == nil {
			s.claimed(e, next, term)
			last = next
		}
	}
}

func (s *storm) claimed(e *Elector, instant time.Time, term Term) {
	s.oneLeader("at a claim")
	if fence, ok := e.Held(time.Now()); !ok || fence != term.Fence {
		s.t.Errorf("Held after a claim = %d, %v; want %d", fence, ok, term.Fence)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if fence, twice := s.claims[instant.Unix()]; twice {
		s.t.Errorf("%s claimed by fence %d and by %d", instant, fence, term.Fence)
	}
	if instant.Before(s.last) {
		s.t.Errorf("%s claimed after %s", instant, s.last)
	}
	s.claims[instant.Unix()], s.last = term.Fence, instant
}

func (s *storm) oneLeader(when string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	leaders := 0
	for e := range s.live {
		if _, ok := e.Held(time.Now()); ok {
			leaders++
		}
	}
	if leaders > 1 {
		s.t.Errorf("%s: %d leaders", when, leaders)
	}
}
