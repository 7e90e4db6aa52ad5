package source

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/sidecar-kit/sidecar/roles/logship/source/engine"
	"github.com/sidecar-kit/sidecar/roles/logship/source/ident"
	"github.com/sidecar-kit/sidecar/roles/logship/state"
)

// retryAfter is how long a copy that failed is left alone.
const retryAfter = 10 * time.Second

// preserve copies what has no name and no pin any more, while its last handle is open. It is called with Set.mu, which it gives away
// while it copies.
func (s *Set) preserve(ctx context.Context) {
	if s.copies == nil {
		return
	}
	var list []*gen
	for _, g := range s.gens {
		if g.stored && g.Now == "" && !g.pinned && !g.pipe && g.Lost == "" && g.h != nil && g.h.f != nil {
			list = append(list, g)
		}
	}
	for _, g := range list {
		s.copyOut(ctx, g)
	}
}

// copyOut makes the copy of a generation complete, if there is room.
func (s *Set) copyOut(ctx context.Context, g *gen) {
	if g.h == nil || g.h.f == nil {
		return
	}
	if st, err := g.h.stat(); err == nil {
		s.grow(g, st) // it may have grown before it was removed
	}
	from, ok := s.missing(g)
	if !ok || g.h == nil || g.h.f == nil || time.Now().Before(g.retry) {
		return
	}
	h, size := g.h, g.size
	if !s.room(g, size-from) {
		s.notCopied(g, fmt.Errorf("%d bytes of it do not fit into the spool of %d bytes", size-from, s.conf.SpoolMax))
		return
	}
	if _, _, known := s.copies.Part(g.ID); !known {
		s.stats.Spooled++
		s.log.Info().Str("path", g.Path).Hex("gen", g.hex()).Int64("from", from).Int64("to", size).Msg("copying what is not delivered of a file that was removed")
	}
	h.refs++
	s.mu.Unlock()
	err := s.copyRange(g.ID, h.f, from, size)
	if err == nil {
		err = s.store.Sync(ctx) // nobody would know the copy otherwise
	}
	s.mu.Lock()
	s.release(h)
	switch {
	case s.gens[g.ID] != g:
		s.complainIf("spool", g.Path, s.copies.Remove(g.ID))
	case err != nil:
		s.notCopied(g, err)
	case g.Size < size && g.Compact == "" && !g.Over:
		g.Size = size // so that it is known after a kill whether the copy is all of it
		s.put(g)
	}
}

func (s *Set) notCopied(g *gen, err error) {
	first := g.retry.IsZero()
	g.retry = time.Now().Add(retryAfter)
	if first {
		s.complain("spool", g.Path, fmt.Errorf("what is not delivered of it is kept by the open file alone, and a kill would lose it: %w", err))
	}
}

// copyRange copies bytes of an open file, durably.
func (s *Set) copyRange(id uint64, f io.ReaderAt, from, to int64) error {
	buf := make([]byte, engine.BlockSize)
	for from < to {
		n := min(int64(len(buf)), to-from)
		if err := readFull(f, buf[:n], from); err != nil {
			return err
		}
		if err := s.copies.Append(id, from, buf[:n]); err != nil {
			return err
		}
		from += n
	}
	return s.copies.Sync(id)
}

// missing says from where on a generation has to be copied, so that every output can go on in the copy; false: it has not.
func (s *Set) missing(g *gen) (from int64, ok bool) {
	low := s.store.Low(g.ID)
	if g.Compact != "" {
		low = 0 // offsets are those of the content
		if s.read(g) {
			low = g.size
		}
	}
	_, end, known := s.copies.Part(g.ID)
	if known && low >= end {
		s.unspool(g) // it did its duty
		known = false
	}
	if low >= g.size {
		return 0, false
	}
	if known {
		return end, end < g.size
	}
	if g.Compact != "" || g.form.Enc.Wide() { // the encoding is known by the first bytes
		return 0, true
	}
	return max(0, low-ident.CheckLen), true
}

// isCopied says that a file may be closed because the spool has what is not delivered of it.
func (s *Set) isCopied(g *gen) bool {
	if s.copies == nil || g.Now != "" {
		return false
	}
	_, end, ok := s.copies.Part(g.ID)
	return ok && end >= g.size
}

// takeSpooled goes on reading a generation from its copy in the spool. It has an end.
func (s *Set) takeSpooled(g *gen) bool {
	if s.copies == nil || g.Lost != "" {
		return false
	}
	base, end, ok := s.copies.Part(g.ID)
	if !ok {
		return false
	}
	s.shut(g)
	if g.Ident.Born == 0 && s.byKey[g.key()] == g {
		delete(s.byKey, g.key()) // the next file may have the same number
	}
	g.spooled, g.goodAt, g.Now, g.real = true, 0, "", ""
	g.seek, g.mark, g.gone, g.loose, g.found = time.Time{}, nil, false, true, true
	if base > 0 {
		g.goodAt = base + ident.CheckLen
	}
	s.log.Info().Str("path", g.Path).Hex("gen", g.hex()).Int64("from", base).Int64("to", end).Msg("reading on in the copy that is in the spool")
	if g.Compact != "" {
		g.size = end
		s.put(g)
		s.readyAll(g)
		return true
	}
	s.headOfCopy(g, base, end)
	s.behind(g, end)
	s.over(g, end)
	return true
}

// headOfCopy finds out the encoding again.
func (s *Set) headOfCopy(g *gen, base, end int64) {
	if base > 0 || len(g.head) > 0 {
		return
	}
	c, err := s.copies.Open(g.ID)
	if err != nil {
		return
	}
	defer c.Close()
	head := make([]byte, min(end, ident.HeadMax))
	if readFull(c, head, 0) == nil {
		g.setHead(head)
	}
}

// behind tells what is lost because a copy is not all that was seen.
func (s *Set) behind(g *gen, end int64) {
	for _, r := range s.readers {
		if !r.wants(g) {
			continue
		}
		if from := max(end, r.cursor(g).pos.Off); from < g.Size {
			s.stats.Gaps["removed"] += g.Size - from
			s.store.Lost(state.Gap{Gen: g.ID, Output: r.output, Path: g.Path, From: from, To: g.Size, Reason: "removed", At: time.Now().UnixNano()})
			s.log.Error().Str("output", r.output).Str("path", g.Path).Int64("from", from).Int64("to", g.Size).Msg("bytes of a removed file are lost, they did not fit into the spool")
		}
	}
}

// unspool removes the copy of a generation.
func (s *Set) unspool(g *gen) {
	if s.copies == nil {
		return
	}
	if _, _, ok := s.copies.Part(g.ID); ok {
		s.complainIf("spool", g.Path, s.copies.Remove(g.ID))
	}
}

// findCopies removes copies of what the store does not know any more. The others are taken when their file is not found.
func (s *Set) findCopies() {
	if s.copies == nil {
		return
	}
	known := map[uint64]bool{}
	for _, g := range s.store.Gens() {
		known[g.ID] = true
	}
	for _, id := range s.copies.Gens() {
		if !known[id] {
			s.complainIf("spool", fmt.Sprintf("%016x", id), s.copies.Remove(id))
		}
	}
}
