package web

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// Rate limits the requests of each client address (IPv6: of each /64) by a
// token bucket. Its memory is bounded: when there are more clients than it can
// hold, the one that asked longest ago is forgotten.
type Rate struct {
	every time.Duration // per token
	burst time.Duration // burst * every
	seed  maphash.Seed
	start time.Time
	sets  []rateSet
}

const (
	rateWays = 4
	rateSets = 2048 // with 4 ways 8,192 clients, about 300 KB
)

// rateSet holds the clients whose addresses fall together.
type rateSet struct {
	mu   sync.Mutex
	used [rateWays]struct {
		addr netip.Addr
		full time.Duration // when the bucket is full again, from start
	}
}

// NewRate allows perSecond requests on average and burst at once, at least 1.
func NewRate(perSecond float64, burst int) *Rate {
	const most = 30 * 365 * 24 * time.Hour // beyond that it is once, and durations end at 292 years
	r := &Rate{every: time.Duration(min(float64(time.Second)/perSecond, float64(most))), seed: maphash.MakeSeed(), start: time.Now(), sets: make([]rateSet, rateSets)}
	r.burst = time.Duration(min(int64(max(burst, 1)), int64(2*most/max(r.every, 1)))) * r.every
	return r
}

// take takes a token of addr. It returns 0, or after which time there is one.
func (r *Rate) take(addr netip.Addr, at time.Time) time.Duration {
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		p, _ := addr.Prefix(64)
		addr = p.Addr()
	}
	now := at.Sub(r.start)
	set := &r.sets[maphash.Comparable(r.seed, addr)%rateSets]
	set.mu.Lock()
	defer set.mu.Unlock()
	oldest := 0
	for i := range set.used {
		if set.used[i].addr == addr {
			oldest = i
			break
		}
		if set.used[i].full < set.used[oldest].full {
			oldest = i
		}
	}
	u := &set.used[oldest]
	if u.addr != addr {
		u.addr, u.full = addr, 0
	}
	full := max(u.full, now) + r.every
	if over := full - now - r.burst; over > 0 {
		return over
	}
	u.full = full
	return 0
}
