package link

import (
	"io"
	"sync"
)

// Pool keeps connections between two batches. The zero value works.
type Pool[T io.Closer] struct {
	mu     sync.Mutex
	idle   []T
	closed bool
}

// Get takes the connection that was used last, if there is one.
func (p *Pool[T]) Get() (conn T, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle) - 1
	if n < 0 {
		return conn, false
	}
	conn, p.idle = p.idle[n], p.idle[:n]
	return conn, true
}

// Put gives a connection back. There are never more than were taken at the same time.
func (p *Pool[T]) Put(conn T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = conn.Close()
		return
	}
	p.idle = append(p.idle, conn)
}

// Close closes what is idle, and what is given back later.
func (p *Pool[T]) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, conn := range p.idle {
		_ = conn.Close() // nothing is under way on it
	}
	p.idle = nil
	return nil
}
