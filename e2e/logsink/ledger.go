// Package logsink has strict receivers of log events, for tests: they refuse and note what is not as the protocol says, and count what
// arrived by its number and by its id.
package logsink

import (
	"errors"
	"fmt"
	"sync"

	"github.com/sidecar-kit/sidecar/e2e/logline"
)

// Ledger counts events. The zero value is ready.
type Ledger struct {
	mu    sync.Mutex // guards what follows
	seen  map[int]string
	ids   map[string]int
	again int // events that came again with the id they had
	wrong []error
	asked int
}

// Wrong notes what should not be.
func (l *Ledger) Wrong(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.wrong) < 10 {
		l.wrong = append(l.wrong, err)
	}
	return err
}

// Take counts an event. An id may be empty where a protocol has none: then the same number is the same event.
func (l *Ledger) Take(text []byte, id string) {
	seq, ok := logline.Seq(text)
	if !ok {
		_ = l.Wrong("an event without a number: %.200q", text)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil {
		l.seen, l.ids = map[int]string{}, map[string]int{}
	}
	old, was := l.seen[seq]
	switch {
	case was && old == id:
		l.again++
	case was:
		l.wrong = append(l.wrong, fmt.Errorf("number %d came with the ids %q and %q", seq, old, id))
	case id != "" && l.ids[id] != 0:
		l.wrong = append(l.wrong, fmt.Errorf("numbers %d and %d have the id %q", seq, l.ids[id], id))
	}
	l.seen[seq] = id
	if id != "" {
		l.ids[id] = seq
	}
}

// Ask counts a request and returns how many there were.
func (l *Ledger) Ask() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	return l.asked
}

// Again is how many events came more than once.
func (l *Ledger) Again() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.again
}

// Has is nil when the numbers from 1 to n are there, and no others.
func (l *Ledger) Has(n int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.wrong) > 0 {
		return errors.Join(l.wrong...)
	}
	missing, first := 0, 0
	for seq := 1; seq <= n; seq++ {
		if _, ok := l.seen[seq]; !ok {
			if missing++; first == 0 {
				first = seq
			}
		}
	}
	if missing > 0 || len(l.seen) != n {
		return fmt.Errorf("%d different numbers; want %d; %d are missing, the first is %d", len(l.seen), n, missing, first)
	}
	return nil
}
