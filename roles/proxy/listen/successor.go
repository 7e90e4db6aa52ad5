package listen

import "time"

// Successor returns a socket that takes the same address over with other options: no connection is refused, also not one that
// waits in the kernel's queue. s stops accepting when Serve of the successor is called; until then, and when that never
// happens, nothing changes. Connections that s serves go on. Network, address, mode and owner stay those of s.
func (s *Socket) Successor(c Config) *Socket {
	next := &Socket{config: c, inner: s.inner, file: s.file, from: s, limiter: newPerIP(c.MaxPerIP), closing: make(chan struct{}), looped: make(chan struct{})}
	if c.MaxConns > 0 {
		next.slots = make(chan struct{}, c.MaxConns)
	}
	return next
}

// deadliner is a listener whose Accept can be woken.
type deadliner interface{ SetDeadline(t time.Time) error }

// succeed makes the socket before stop accepting, and waits for it.
func (s *Socket) succeed() {
	if s.from == nil {
		return
	}
	inner, ok := s.inner.(deadliner)
	s.from.close.Do(func() {
		close(s.from.closing)
		if ok {
			_ = inner.SetDeadline(time.Unix(1, 0))
		}
	})
	<-s.from.looped
	if ok {
		_ = inner.SetDeadline(time.Time{})
	}
	s.from = nil
}
