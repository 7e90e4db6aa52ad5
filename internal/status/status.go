// Package status holds what a role shows about itself on the admin page: facts,
// short histories and the last events. It keeps a bounded amount and no text
// that was not given to it, so callers redact before they hand something over.
// Used by admin and every role.
package status

import (
	"sync"
	"time"
)

const (
	points = 120 // of a series: two minutes at one poll a second, 20 at ten
	events = 20
)

// Board is the notice board of one role. The zero value works, and a nil Board
// takes everything and shows nothing, so that tests need none.
type Board struct {
	mu     sync.Mutex
	facts  []Fact
	live   func() []Fact
	series []*Series
	events []Event
}

// Fact is one named value.
type Fact struct{ Name, Value string }

// Event is one thing that happened.
type Event struct {
	Time  time.Time
	Level string
	Text  string
}

// Point is one value of a series.
type Point struct {
	Value  float64
	Failed bool
}

// Series is the recent history of one number.
type Series struct {
	board  *Board
	name   string
	unit   string
	points []Point
}

// History is a copy of a series, oldest point first.
type History struct {
	Name   string
	Unit   string
	Points []Point
}

// Snapshot is a copy of the whole board. Facts are in the order of first use,
// events newest first.
type Snapshot struct {
	Facts  []Fact
	Series []History
	Events []Event
}

// Fact sets or replaces a named value.
func (b *Board) Fact(name, value string) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.facts {
		if b.facts[i].Name == name {
			b.facts[i].Value = value
			return
		}
	}
	b.facts = append(b.facts, Fact{name, value})
}

// Live makes fn give facts of the moment, which follow those of Fact. It is called whenever somebody looks.
func (b *Board) Live(fn func() []Fact) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.live = fn
}

// Series returns the series of that name, made at first use.
func (b *Board) Series(name, unit string) *Series {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.series {
		if s.name == name {
			return s
		}
	}
	s := &Series{board: b, name: name, unit: unit}
	b.series = append(b.series, s)
	return s
}

// Add appends a point; failed marks an attempt that did not succeed.
func (s *Series) Add(v float64, failed bool) {
	if s == nil {
		return
	}
	s.board.mu.Lock()
	defer s.board.mu.Unlock()
	s.points = appendRing(s.points, Point{v, failed}, points)
}

// Event records that something happened now. Level is info, warn or error.
func (b *Board) Event(level, text string) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = appendRing(b.events, Event{time.Now(), level, text}, events)
}

// Snapshot copies the board.
func (b *Board) Snapshot() Snapshot {
	if b == nil {
		return Snapshot{}
	}
	b.mu.Lock()
	live := b.live
	b.mu.Unlock()
	var now []Fact
	if live != nil {
		now = live() // it may use the board
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	snap := Snapshot{Facts: append(append([]Fact(nil), b.facts...), now...)}
	for _, s := range b.series {
		snap.Series = append(snap.Series, History{s.name, s.unit, append([]Point(nil), s.points...)})
	}
	for i := len(b.events) - 1; i >= 0; i-- {
		snap.Events = append(snap.Events, b.events[i])
	}
	return snap
}

// appendRing appends in place and drops the oldest beyond max.
func appendRing[T any](ring []T, v T, max int) []T {
	if len(ring) == max {
		copy(ring, ring[1:])
		ring[max-1] = v
		return ring
	}
	return append(ring, v)
}
