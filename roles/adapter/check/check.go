// Package check looks at things again and again and keeps what was seen last, so that whoever asks is answered from memory: a
// database that hangs cannot hang a probe. It knows no kinds of checks; it is given functions.
//
// It promises: a check never runs twice at once; a look that outlives its timeout counts as failed when the timeout passes, whatever
// the look does; a result that is older than the check's greatest age counts as failed.
package check

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Result is what one look saw.
type Result struct {
	OK     bool
	Detail string // for people; holds no secret
	Value  string // the number or text that was observed, where there is one
}

// Doer looks once. It should return when ctx ends.
type Doer func(ctx context.Context) Result

// Spec is a check.
type Spec struct {
	Name    string
	Kind    string // mysql, http and so on, for people and metrics
	Target  string // for people; holds no secret
	Every   time.Duration
	Timeout time.Duration
	MaxAge  time.Duration
	Rise    int // successes in a row that make it well
	Fall    int // failures in a row that make it not well
	Groups  []string
	Remote  bool // it looks at something that the application does not contain
	Do      Doer
}

// late is why the context of a look ends.
type late time.Duration

// Error implements error.
func (l late) Error() string {
	return fmt.Sprintf("no answer within %s (timeout of the check)", time.Duration(l))
}

// Timeout makes it an error of the network, as those who look for these know it.
func (l late) Timeout() bool { return true }

// State is what is known of a check. It does not change.
type State struct {
	Spec   *Spec
	OK     bool   // after Rise and Fall
	Known  bool   // there was a look
	Last   Result // of the last look
	At     time.Time
	Took   time.Duration
	Since  time.Time // of the last change of OK
	Looks  uint64
	Failed uint64
	run    int // looks in a row with the outcome of the last one
}

// Well says whether the check counts as well at a time, and why not.
func (s *State) Well(now time.Time) (bool, string) {
	switch age := now.Sub(s.At); {
	case !s.Known:
		return false, "not looked at yet"
	case age > s.Spec.MaxAge:
		return false, fmt.Sprintf("the last look was %s ago, max-age is %s", age.Round(time.Millisecond), s.Spec.MaxAge)
	default:
		return s.OK, s.Last.Detail
	}
}

// Board knows the state of several checks.
type Board struct {
	specs  []*Spec
	states []atomic.Pointer[State]

	mu      sync.Mutex
	changed chan struct{}
	notice  func(st State, turned bool)
}

// New makes a board. What other knew of checks that are the same object in specs is kept; other may be nil. notice is told each change of
// OK, and each look that fails of a check that stays failed, one at a time; nil is nobody.
func New(specs []*Spec, other *Board, notice func(st State, turned bool)) *Board {
	b := &Board{specs: specs, states: make([]atomic.Pointer[State], len(specs)), changed: make(chan struct{}), notice: notice}
	for i, s := range specs {
		first := &State{Spec: s}
		if other != nil {
			for j, o := range other.specs {
				if o.Name == s.Name && o == s {
					first = other.states[j].Load()
				}
			}
		}
		b.states[i].Store(first)
	}
	return b
}

// States returns what is known, in the order of the specs.
func (b *Board) States() []*State {
	all := make([]*State, len(b.states))
	for i := range b.states {
		all[i] = b.states[i].Load()
	}
	return all
}

// Changed is closed when some check's OK has changed since it was called.
func (b *Board) Changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

// Run looks at everything until ctx ends.
func (b *Board) Run(ctx context.Context) {
	var all sync.WaitGroup
	for i := range b.specs {
		all.Go(func() { b.watch(ctx, i) })
	}
	all.Wait()
}

// watch turns the loop of one check. Until the first success it looks in quick succession, so that a pod is ready when its application is.
func (b *Board) watch(ctx context.Context, i int) {
	s := b.specs[i]
	quick := min(50*time.Millisecond, s.Every)
	slot := make(chan struct{}, 1) // a look that does not return keeps the next ones away
	for {
		b.look(ctx, i, slot)
		st := b.states[i].Load()
		wait := s.Every
		if !st.Known || st.Looks == st.Failed {
			wait, quick = quick, min(quick*3/2, s.Every)
		} else {
			wait += time.Duration((rand.Float64() - 0.5) * 0.1 * float64(wait)) //nolint:gosec // it spreads load, no secret
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (b *Board) look(ctx context.Context, i int, slot chan struct{}) {
	s := b.specs[i]
	begun := time.Now()
	select {
	case slot <- struct{}{}:
	default:
		b.record(i, Result{Detail: "the look before has not ended"}, begun, 0)
		return
	}
	limited, cancel := context.WithTimeoutCause(ctx, s.Timeout, late(s.Timeout))
	defer cancel()
	seen := make(chan Result, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				seen <- Result{Detail: fmt.Sprintf("the check panicked: %v", p)}
			}
			<-slot
		}()
		seen <- s.Do(limited)
	}()
	over := time.NewTimer(s.Timeout + 50*time.Millisecond) // what keeps to its context says more than we do
	defer over.Stop()
	select {
	case r := <-seen:
		if ctx.Err() == nil {
			b.record(i, r, begun, time.Since(begun))
		}
	case <-over.C:
		b.record(i, Result{Detail: late(s.Timeout).Error()}, begun, time.Since(begun))
	case <-ctx.Done():
	}
}

// record makes the next state. A look counts from its end, since that is when it was true.
func (b *Board) record(i int, r Result, begun time.Time, took time.Duration) {
	s, old := b.specs[i], b.states[i].Load()
	next := *old
	next.Last, next.At, next.Took, next.Known, next.Looks = r, begun.Add(took), took, true, old.Looks+1
	if !r.OK {
		next.Failed++
	}
	if old.Known && old.Last.OK == r.OK {
		next.run++
	} else {
		next.run = 1
	}
	switch {
	case r.OK && next.run >= s.Rise:
		next.OK = true
	case !r.OK && next.run >= s.Fall:
		next.OK = false
	}
	turned := next.OK != old.OK || !old.Known
	if turned {
		next.Since = next.At
	}
	b.states[i].Store(&next)
	if !turned && (next.OK || r.OK) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if turned {
		close(b.changed)
		b.changed = make(chan struct{})
	}
	if b.notice != nil {
		b.notice(next, turned)
	}
}
