package source

import (
	"cmp"
	"slices"
	"time"

	"github.com/sidecar-kit/sidecar/internal/order"
)

// What goes first when more is kept for outputs that are away than may be.
const (
	DropOldest = "drop-oldest"
	DropNewest = "drop-newest"
)

// The reasons of gaps that bounds make.
const (
	overPins  = "pin-max"
	overSpool = "spool-max"
)

// room makes room for a copy, if the policy allows it, and says whether there is enough.
func (s *Set) room(g *gen, need int64) bool {
	limit := s.conf.SpoolMax
	if limit == 0 || s.spooled()+need <= limit {
		return true
	}
	if s.conf.SpoolDrop != DropOldest || need > limit {
		return false
	}
	for _, o := range s.byAge(func(o *gen) bool {
		_, _, ok := s.copies.Part(o.ID)
		return ok && o != g && o.Now == ""
	}) {
		s.giveUp(o, overSpool)
		if s.spooled()+need <= limit {
			return true
		}
	}
	return false
}

// spooled is how many bytes the spool has: copies, and what pipes said and is not delivered.
func (s *Set) spooled() int64 {
	total := int64(0)
	if s.copies != nil {
		total = s.copies.Used()
	}
	for path := range s.pipes {
		for _, g := range s.byPath[path] {
			total += max(0, g.size-s.store.Low(g.ID))
		}
	}
	return total
}

// byAge lists some generations, the oldest first.
func (s *Set) byAge(which func(*gen) bool) (list []*gen) {
	for _, g := range s.gens {
		if which(g) {
			list = append(list, g)
		}
	}
	order.Sort(list, func(a, b *gen) int { return cmp.Or(cmp.Compare(a.Made, b.Made), cmp.Compare(a.ID, b.ID)) })
	return list
}

// bound sees how much room pins and open files take that nobody else knows of, and gives up what is too much.
func (s *Set) bound() {
	list := s.byAge(s.keptAlive)
	s.held = 0
	for _, g := range list {
		s.held += g.size
	}
	limit := s.conf.PinMax
	if limit == 0 || s.held <= limit {
		s.overfull = false
		return
	}
	if s.conf.PinDrop == "" {
		if !s.overfull {
			s.overfull = true
			s.log.Warn().Int64("bytes", s.held).Int64("pin_max", limit).Msg("removed files that outputs still lack take more room than they should; nothing is dropped")
		}
		return
	}
	if s.conf.PinDrop == DropNewest {
		slices.Reverse(list)
	}
	for _, g := range list {
		if s.held <= limit {
			break
		}
		s.held -= g.size
		if g.pinned || !s.isCopied(g) || !s.takeSpooled(g) {
			s.giveUp(g, overPins)
		}
	}
}

// keptAlive says that a generation takes room for no other reason than that an output lacks it.
func (s *Set) keptAlive(g *gen) bool {
	if !g.stored || g.Now != "" || g.pipe || g.Lost != "" || g.seeking() || !g.pinned && (g.h == nil || g.h.f == nil) {
		return false
	}
	if g.Compact != "" {
		return !s.read(g)
	}
	return s.store.Low(g.ID) < g.size
}

// giveUp drops what outputs lack of a generation. Each is told by a gap.
func (s *Set) giveUp(g *gen, reason string) {
	size := max(g.size, s.furthest(g))
	if g.Compact != "" {
		size = max(g.Size, s.furthest(g), s.contentSize(g))
	}
	lacked := max(0, size-s.store.Low(g.ID))
	s.stats.Dropped[reason] += lacked
	s.log.Error().Str("path", g.Path).Hex("gen", g.hex()).Int64("bytes", lacked).Str("why", reason).
		Msg("dropping what outputs lack of a removed file, because more is kept than may be")
	s.unpin(g)
	s.unspool(g)
	s.shut(g)
	g.Lost, g.seek, g.gone, g.spooled, g.loose = reason, time.Time{}, false, false, true
	s.over(g, size)
}

// contentSize is how large the content of a compressed file is, as far as it says so.
func (s *Set) contentSize(g *gen) int64 {
	h, err := s.acquire(g)
	if err != nil {
		return 0
	}
	defer s.release(h)
	n, _ := unzippedSize(h.at(), g.Compact, g.size)
	return n
}
