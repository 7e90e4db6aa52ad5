package link

import (
	"sync"
	"time"
)

const (
	restMin = time.Second
	restMax = 30 * time.Second
)

// Hosts takes turns among the hosts that answer.
type Hosts struct {
	mu   sync.Mutex
	all  []host
	next int
}

type host struct {
	fails int
	until time.Time // it rests until then
}

// NewHosts knows hosts by their numbers, from 0 to n-1.
func NewHosts(n int) *Hosts { return &Hosts{all: make([]host, n)} }

// Pick returns the next host that does not rest; when all do, the one that has rested most.
func (h *Hosts) Pick(now time.Time) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	best := h.next % len(h.all)
	for i := range h.all {
		n := (h.next + i) % len(h.all)
		if !h.all[n].until.After(now) {
			best = n
			break
		}
		if h.all[n].until.Before(h.all[best].until) {
			best = n
		}
	}
	h.next = best + 1
	return best
}

// Tell says how it went. A host that fails rests, longer each time.
func (h *Hosts) Tell(n int, well bool, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if well {
		h.all[n].fails, h.all[n].until = 0, time.Time{}
		return
	}
	rest := min(restMax, restMin<<min(h.all[n].fails, 6))
	h.all[n].fails++
	h.all[n].until = now.Add(rest)
}
