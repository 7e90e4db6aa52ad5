package source

import (
	"context"
	"errors"
	"io/fs"
	"time"
)

// lagMax is how long an output may lack bytes before their file gets a hard link: with one, rotators may not take it.
const lagMax = 2 * time.Second

// pin keeps the file of a generation alive.
func (s *Set) pin(g *gen) {
	if s.pins == nil || g.pipe || g.h == nil || g.h.f == nil || g.pinned || g.Over && s.read(g) {
		return
	}
	if !g.durable {
		if !g.waits {
			g.waits = true
			s.toPin = append(s.toPin, g)
			s.nudgeRun()
		}
		return
	}
	if !s.wantsPin(g) {
		return
	}
	err := s.pins.Pin(g.folder.path, g.h.f, g.ID)
	if err == nil {
		g.pinned = true
	} else if !errors.Is(err, fs.ErrNotExist) { // what has no name at all is copied
		s.complain("pin", g.folder.path, err)
	}
}

// pinAll pins what was found. A pin that the store does not know is worth nothing after a kill, so it comes second. It is called with
// Set.mu, which it gives away while the store writes.
func (s *Set) pinAll(ctx context.Context) {
	list := s.toPin
	s.toPin = nil
	if len(list) == 0 {
		return
	}
	for _, g := range list {
		if sg := g.Gen; !g.stored && s.gens[g.ID] == g {
			sg.Unsure = true
			s.store.PutGen(sg)
		}
	}
	s.mu.Unlock()
	err := s.store.Sync(ctx)
	s.mu.Lock()
	if err != nil {
		s.toPin = append(list, s.toPin...) // with the next tick
		s.complain("state", "", err)
		return
	}
	for _, g := range list {
		if g.durable = true; s.gens[g.ID] == g {
			s.pin(g)
		}
	}
}

// wantsPin says whether a generation should have a hard link.
func (s *Set) wantsPin(g *gen) bool {
	switch g.in.Pin {
	case "always":
		return true
	case "never":
		return false
	}
	return g.lag || (g.loose || s.closing) && s.lacks(g)
}

// lacks says whether some output is not done with what there is of a generation, but for a last line that is no whole one.
func (s *Set) lacks(g *gen) bool {
	if g.Compact != "" {
		return !s.read(g)
	}
	held := int64(0)
	for _, r := range s.readers {
		if c := r.cursors[g.ID]; c != nil {
			held = max(held, c.held)
		}
	}
	return s.store.Low(g.ID) < g.size-held
}

// review pins a file of which some output lacks bytes for a while, and takes the pin away when none does any more.
func (s *Set) review(g *gen, now time.Time) {
	if g.in.Pin != "auto" || s.pins == nil || !g.stored || g.pipe || g.Lost != "" || g.calm == g.size && !g.pinned {
		return
	}
	if !s.lacks(g) {
		g.calm, g.lag, g.lagAt = g.size, false, time.Time{}
		if g.Now != "" {
			s.unpin(g)
		}
		return
	}
	low := s.store.Low(g.ID)
	if g.lagAt.IsZero() || low >= g.lagTo {
		g.lagAt, g.lagTo = now, g.size // what was lacked then has arrived
	}
	g.lag = g.lag || now.Sub(g.lagAt) >= lagMax
	if g.pinned || !s.wantsPin(g) || g.Now == "" && g.h == nil {
		return
	}
	if h, err := s.acquire(g); err == nil {
		s.pin(g)
		s.release(h)
	}
}

// pinLast pins what outputs lack when Run ends: nobody looks after it then.
func (s *Set) pinLast() {
	s.closing = true
	for _, g := range s.gens {
		if s.pins == nil || g.in.Pin == "never" || g.pinned || !g.stored || g.pipe || g.spooled || g.Lost != "" || !s.lacks(g) {
			continue
		}
		if h, err := s.acquire(g); err == nil {
			s.pin(g)
			s.release(h)
		}
	}
	s.pinAll(context.Background())
}
