package answer

import "sync/atomic"

// latch stays true once it was.
type latch struct{ on atomic.Bool }

func (l *latch) pass(v bool) bool {
	if v {
		l.on.Store(true)
	}
	return l.on.Load()
}
