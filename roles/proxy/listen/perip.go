package listen

import (
	"net/netip"
	"sync"
)

// perIP counts open connections per client. It is asked once per connection,
// never per request. nil has no limit.
type perIP struct {
	limit int

	mu   sync.Mutex
	open map[netip.Addr]int
}

func newPerIP(limit int) *perIP {
	if limit <= 0 {
		return nil
	}
	return &perIP{limit: limit, open: make(map[netip.Addr]int)}
}

// enter counts a; the address it returns is to be given to leave.
func (p *perIP) enter(a netip.Addr) (netip.Addr, bool) {
	if p == nil || !a.IsValid() {
		return netip.Addr{}, true
	}
	a = client(a)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open[a] >= p.limit {
		return netip.Addr{}, false
	}
	p.open[a]++
	return a, true
}

func (p *perIP) leave(a netip.Addr) {
	if p == nil || !a.IsValid() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open[a]--; p.open[a] <= 0 {
		delete(p.open, a)
	}
}

// client is the address to count for: whoever has one IPv6 address has its /64.
func client(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}
