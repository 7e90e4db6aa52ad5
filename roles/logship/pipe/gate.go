package pipe

import (
	"context"
	"sync"
)

// patience is how many batches have to be taken before one more is sent at once.
const patience = 8

// gate says how many batches may be sent at once: half as many whenever the other side says that it has too much to do, one more
// after a while without that.
type gate struct {
	mu     sync.Mutex // guards all
	max    int
	limit  int
	inside int
	good   int
	free   chan struct{} // closed and replaced when somebody leaves
}

func newGate(limit int) *gate { return &gate{max: limit, limit: limit, free: make(chan struct{})} }

// enter waits for a place.
func (g *gate) enter(ctx context.Context) error {
	for {
		g.mu.Lock()
		if g.inside < g.limit {
			g.inside++
			g.mu.Unlock()
			return nil
		}
		free := g.free
		g.mu.Unlock()
		select {
		case <-free:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// leave gives the place back. slow says that the other side has too much to do.
func (g *gate) leave(slow, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	switch {
	case slow:
		g.limit, g.good = max(1, g.limit/2), 0
	case ok && g.limit < g.max:
		if g.good++; g.good >= patience {
			g.limit, g.good = g.limit+1, 0
		}
	}
	close(g.free)
	g.free = make(chan struct{})
}

func (g *gate) allowed() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.limit
}
