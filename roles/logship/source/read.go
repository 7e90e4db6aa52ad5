package source

import (
	"errors"
	"time"

	"github.com/sidecar-kit/sidecar/roles/logship/source/engine"
	"github.com/sidecar-kit/sidecar/roles/logship/source/ident"
	"github.com/sidecar-kit/sidecar/roles/logship/state"
)

// read reads some lines of a file. It is called with Set.mu, which it gives away while it reads.
func (r *Reader) read(c *cursor, h *handle) *Block {
	s, g := r.set, c.g
	limit, end := g.limit, engine.Open
	if limit >= 0 {
		end = engine.Final
	}
	if h.f == nil && c.pos.Off < g.goodAt {
		s.release(h)
		return r.leap(c)
	}
	if limit >= 0 && c.pos.Off >= limit && g.Compact == "" { // nothing more: say that it is the end
		s.release(h)
		return r.ends(c)
	}
	if g.Compact != "" {
		limit, end = -1, engine.Final
	} else if due := c.held > 0 && g.in.PartialAfter > 0 && time.Since(c.heldAt) >= g.in.PartialAfter; due && limit < 0 {
		limit, end = c.pos.Off+c.held, engine.Final
	}
	if err := r.open(c, h); err != nil {
		s.release(h)
		s.fault(g, err)
		return nil
	}
	b := s.block(g)
	c.busy = true
	s.mu.Unlock()
	err := c.src.Read(&b.Chunk, limit, end)
	b.Read = time.Now().UnixNano()
	s.mu.Lock()
	c.busy = false
	s.release(h)
	if err == nil && c.zip == nil && !s.begins(g, b.Start()) {
		err = engine.ErrChanged
	}
	if s.gens[g.ID] != g || err != nil && g.h != h {
		b.Release() // it was forgotten, or is read from another file by now
		r.drop(c)
		if s.gens[g.ID] == g {
			r.push(g)
		}
		return nil
	}
	if err != nil {
		b.Release()
		r.failed(c, err)
		return nil
	}
	return r.took(c, b)
}

// begins says whether the first bytes of a file, if they were read, are those of the generation.
func (s *Set) begins(g *gen, start []byte) bool {
	n := min(len(start), len(g.head))
	return ident.Agree(g.head[:n], start[:n]) || s.punched(g, start[:n])
}

// open makes the engine of a cursor read an open file.
func (r *Reader) open(c *cursor, h *handle) error {
	if c.src != nil && c.from == h {
		return nil
	}
	r.drop(c)
	g := c.g
	src := h.at()
	if g.Compact != "" {
		c.zip = &unzipAt{f: h.at(), kind: g.Compact}
		src = c.zip
		r.packed = c
	}
	check, known := c.check, c.known
	if len(c.tail) > 0 {
		check, known = ident.Hash(c.tail), int64(len(c.tail)) == min(c.pos.Off, ident.CheckLen)
	}
	c.from = h
	if g.in.Engine != "tail" || g.Compact != "" || g.limit >= 0 {
		c.src = engine.NewBlocks(src, &g.form, &r.set.mem, c.pos, check, known)
		return nil
	}
	tail, err := engine.NewTail(h.f, &g.form, &r.set.mem, c.pos, check, known, func() { r.wakeFor(c) })
	if err != nil {
		return err
	}
	c.src = tail
	return nil
}

// wakeFor is called by an engine that has lines.
func (r *Reader) wakeFor(c *cursor) {
	r.wokenMu.Lock()
	r.woken = append(r.woken, c)
	r.wokenMu.Unlock()
	r.wakeUp()
}

func (r *Reader) takeWoken() {
	r.wokenMu.Lock()
	list := r.woken
	r.woken = nil
	r.wokenMu.Unlock()
	for _, c := range list {
		if r.cursors[c.g.ID] == c {
			r.requeue(c)
		}
	}
}

// drop lets go of the engine of a cursor.
func (r *Reader) drop(c *cursor) {
	if c.src != nil {
		_ = c.src.Close() // nothing was written
		c.src = nil
	}
	if c.zip != nil {
		c.zip.close()
		c.zip = nil
	}
	if r.packed == c {
		r.packed = nil
	}
}

// took takes in what was read.
func (r *Reader) took(c *cursor, b *Block) *Block {
	s, g := r.set, c.g
	c.pos, c.tail = b.To, append(c.tail[:0], c.src.Tail()...)
	c.known = false
	if b.Held != c.held || b.Held == 0 {
		c.held, c.heldAt = b.Held, time.Now()
	}
	s.stats.Bytes += b.To.Off - b.From.Off
	s.stats.Lines += int64(len(b.Lines))
	s.stats.NULs += b.NULs
	s.stats.LongLines += int64(b.Long)
	s.stats.Lossy += int64(b.Lossy)
	c.credit -= int(b.To.Off - b.From.Off)
	if g.Compact != "" && b.EOF && !g.Over {
		s.over(g, c.pos.Off)
	}
	if !b.EOF {
		r.requeue(c)
		if g.limit >= 0 && g.Compact == "" && c.pos.Off >= g.limit {
			b.Last, c.last = true, true
		}
		return b
	}
	if g.limit >= 0 && c.pos.Off >= g.limit {
		b.Last, c.last = true, true
		r.drop(c)
		return b
	}
	if b.To != b.From {
		return b
	}
	b.Release()
	return nil
}

// ends tells the end of a generation of which nothing is left to read.
func (r *Reader) ends(c *cursor) *Block {
	c.last = true
	r.drop(c)
	b := r.set.block(c.g)
	b.From, b.To, b.Last, b.EOF = c.pos, c.pos, true, true
	return b
}

// failed decides what an error of reading means.
func (r *Reader) failed(c *cursor, err error) {
	s, g := r.set, c.g
	r.drop(c)
	changed := errors.Is(err, engine.ErrChanged) || errors.Is(err, engine.ErrShrunk)
	switch {
	case changed && g.Compact == "" && !g.Over:
		s.suspects = append(s.suspects, suspect{g: g, h: g.h})
		s.nudgeRun()
	case changed || g.Compact != "":
		s.broken(r, c, err)
	default:
		s.fault(g, err)
	}
}

// broken gives up on the rest of a generation that can only be read from a file that has it not.
func (s *Set) broken(r *Reader, c *cursor, err error) {
	g := c.g
	g.faults++
	if g.Compact != "" && g.faults < 5 && !s.finished && !errors.Is(err, errRatio) && time.Since(time.Unix(0, g.mtime)) < g.in.Quiet {
		g.err = err // it may still be written
		return
	}
	s.complain("damaged", g.name(), err)
	g.Lost = "damaged"
	if errors.Is(err, errRatio) {
		g.Lost = "ratio"
		s.stats.Refused++
	}
	s.over(g, max(c.pos.Off, g.Size))
	r.push(g)
}

// leap tells that the start of what a reader lacks is not in the spool.
func (r *Reader) leap(c *cursor) *Block {
	r.drop(c)
	b := r.set.block(c.g)
	b.From, b.To, b.Gap = c.pos, state.Pos{Off: c.g.goodAt}, "removed"
	r.set.stats.Gaps[b.Gap] += b.To.Off - b.From.Off
	c.pos, c.tail, c.known = b.To, c.tail[:0], false
	r.requeue(c)
	return b
}

// gap tells what is lost of a generation, then its end.
func (r *Reader) gap(c *cursor) *Block {
	g := c.g
	if c.last {
		return nil
	}
	b := r.ends(c)
	if c.pos.Off < g.Size {
		b.Gap = g.Lost
		b.To = state.Pos{Off: g.Size}
		r.set.stats.Gaps[g.Lost] += g.Size - c.pos.Off
		c.pos = b.To
	}
	return b
}
