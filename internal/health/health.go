// Package health collects what a role knows about itself, for the probes.
//
// Readiness is declared by named checks, liveness by heartbeats. Ready means
// "what the application needs from me exists", never "my upstream answers":
// a sidecar's readiness is the pod's readiness. Used by host, admin and every role.
package health

import (
	"fmt"
	"sync"
	"time"
)

// Set is all the checks and heartbeats of one process. The zero value works.
type Set struct {
	mu       sync.Mutex
	checks   []*Check
	beats    []*Beat
	started  bool
	draining bool
}

// Line is one condition in a Report.
type Line struct {
	Name   string
	OK     bool
	Detail string
}

// Report is the answer to one probe.
type Report struct {
	OK    bool
	Lines []Line
}

// Check is a readiness condition. It is not met until OK is called.
type Check struct {
	set  *Set
	name string
	met  bool
	err  error
}

// Beat is a liveness heartbeat. It is watched from its creation.
type Beat struct {
	set    *Set
	name   string
	max    time.Duration
	last   time.Time
	paused bool
}

// Check declares a readiness condition. The same name gives the same condition.
func (s *Set) Check(name string) *Check {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.checks {
		if c.name == name {
			return c
		}
	}
	c := &Check{set: s, name: name}
	s.checks = append(s.checks, c)
	return c
}

// OK says that the condition is met.
func (c *Check) OK() {
	c.set.mu.Lock()
	defer c.set.mu.Unlock()
	c.met, c.err = true, nil
}

// Fail says that the condition is not met, and why.
func (c *Check) Fail(err error) {
	c.set.mu.Lock()
	defer c.set.mu.Unlock()
	c.met, c.err = false, err
}

// Beat declares a heartbeat that must tick at least once per max. The same name
// gives the same heartbeat.
func (s *Set) Beat(name string, max time.Duration) *Beat {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.beats {
		if b.name == name {
			b.max = max
			return b
		}
	}
	b := &Beat{set: s, name: name, max: max, last: time.Now()}
	s.beats = append(s.beats, b)
	return b
}

// Tick says that the loop behind the heartbeat is alive.
func (b *Beat) Tick() {
	b.set.mu.Lock()
	defer b.set.mu.Unlock()
	b.last, b.paused = time.Now(), false
}

// Pause stops the watching until the next Tick, for a wait of unknown length.
func (b *Beat) Pause() {
	b.set.mu.Lock()
	defer b.set.mu.Unlock()
	b.paused = true
}

// Started makes the startup probe pass from now on.
func (s *Set) Started() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = true
}

// Draining makes the readiness probe fail from now on.
func (s *Set) Draining() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
}

// Startup reports whether the process has begun its work. It never depends on
// the application, which a native sidecar starts before.
func (s *Set) Startup() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return report([]Line{{Name: "started", OK: s.started}})
}

// Ready reports whether the application can use what this process provides.
func (s *Set) Ready() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := []Line{{Name: "started", OK: s.started}}
	if s.draining {
		lines = append(lines, Line{Name: "draining", Detail: "stopping"})
	}
	for _, c := range s.checks {
		line := Line{Name: c.name, OK: c.met}
		if !c.met {
			line.Detail = "not yet"
		}
		if c.err != nil {
			line.Detail = c.err.Error()
		}
		lines = append(lines, line)
	}
	return report(lines)
}

// Live reports whether every watched loop still turns.
func (s *Set) Live() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := []Line{{Name: "process", OK: true}}
	for _, b := range s.beats {
		age := time.Since(b.last)
		line := Line{Name: b.name, OK: b.paused || age <= b.max}
		switch {
		case b.paused:
			line.Detail = "paused"
		case !line.OK:
			line.Detail = fmt.Sprintf("last heartbeat %s ago, allowed %s", age.Round(time.Millisecond), b.max)
		}
		lines = append(lines, line)
	}
	return report(lines)
}

func report(lines []Line) Report {
	r := Report{OK: true, Lines: lines}
	for _, l := range lines {
		r.OK = r.OK && l.OK
	}
	return r
}
