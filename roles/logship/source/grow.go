package source

import (
	"errors"
	"path/filepath"
	"time"

	"github.com/sidecar-kit/sidecar/roles/logship/source/engine"
	"github.com/sidecar-kit/sidecar/roles/logship/source/ident"
)

// grow takes in what a look at a file says: more bytes, fewer, or others.
func (s *Set) grow(g *gen, st ident.Stat) {
	if g.found && st.Size == g.size && st.Mtime == g.mtime && g.err == nil {
		return
	}
	if st.Size < g.size {
		s.truncated(g, st)
		return
	}
	if st.Size == 0 && !g.found && (g.Ident.HeadLen > 0 || s.furthest(g) > 0) {
		s.truncated(g, st)
		return
	}
	if st.Size == 0 {
		g.found = true
		if !g.stored && len(ident.Live(g.base())) == 0 {
			g.stored = true // it can be no copy, so it is known even if we are killed before it has bytes
			s.stats.Generations++
			s.put(g)
		}
		return
	}
	h, err := s.acquire(g)
	if err != nil {
		s.fault(g, err)
		return
	}
	defer s.release(h)
	if !g.found {
		if !s.resumes(g, h, st) {
			s.truncated(g, st)
			return
		}
		g.found = true
	}
	head, mark, err := s.peek(h.at(), g, st.Size)
	if err == nil {
		err = s.unchanged(g, h)
	}
	switch {
	case errors.Is(err, engine.ErrChanged) || errors.Is(err, engine.ErrShrunk):
		s.truncated(g, st)
		return
	case err != nil:
		s.fault(g, err)
		return
	}
	s.grew(g, st, head, mark)
}

// unchanged says whether the bytes that were seen first and last are still the same.
func (s *Set) unchanged(g *gen, h *handle) error {
	if g.Compact != "" {
		return nil
	}
	for _, part := range []struct {
		was []byte
		off int64
	}{{g.head, 0}, {g.mark, g.size - int64(len(g.mark))}} {
		now := s.scratch[:len(part.was)]
		if err := readFull(h.at(), now, part.off); err != nil {
			return err
		}
		if !ident.Agree(part.was, now) && (part.off > 0 || !s.punched(g, now)) {
			return engine.ErrChanged
		}
	}
	return nil
}

// recheck looks at the content of a generation once more, before something is compared with it.
func (s *Set) recheck(g *gen, h *handle) {
	st, err := h.stat()
	if err != nil {
		return
	}
	if err := s.unchanged(g, h); st.Size < g.size || errors.Is(err, engine.ErrChanged) || errors.Is(err, engine.ErrShrunk) {
		s.truncated(g, st)
	}
}

// PunchBehind is how far below what every output has room may be given back: so the bytes before a position stay, and that they are
// zero can only mean that somebody truncated the file and writes on where he was.
const PunchBehind = 4096

// punched says whether the first bytes are gone because everybody had them and their room was given back.
func (s *Set) punched(g *gen, now []byte) bool {
	if !s.conf.Punched[g.Input] {
		return false
	}
	for _, c := range now {
		if c != 0 {
			return false
		}
	}
	return g.stored && s.store.Low(g.ID) >= PunchBehind+int64(len(now))
}

// grew takes in that there is more to read.
func (s *Set) grew(g *gen, st ident.Stat, head, mark []byte) {
	more := st.Size > g.size
	g.err, g.faults = nil, 0
	if !g.stored && g.Compact == "" {
		g.head = head
	} else if g.Compact == "" && len(head) > len(g.head) {
		g.setHead(head)
		s.put(g)
	}
	g.size, g.mtime, g.mark = st.Size, st.Mtime, mark
	if more {
		g.grown = time.Now()
	}
	if !g.stored {
		s.decide(g, st)
		return
	}
	if g.Over && more && g.Compact == "" && g.Lost == "" && st.Size > g.Size {
		g.Over, g.limit = false, -1 // somebody still writes to a file that seemed to be over
		s.put(g)
	}
	if !g.Over && !s.finished {
		g.limit = -1
	}
	s.readyAll(g)
}

// resumes says whether a file that was known before the start still begins as it did.
func (s *Set) resumes(g *gen, h *handle, st ident.Stat) bool {
	if g.Compact != "" {
		if head, _, err := headOf(h.at(), g.Compact); err == nil && len(head) >= int(g.Ident.HeadLen) {
			g.setHead(head[:g.Ident.HeadLen])
		}
		return true
	}
	n := int64(g.Ident.HeadLen)
	if st.Size < n || st.Size < s.furthest(g) || g.Over && st.Size < g.Size {
		return false
	}
	head := make([]byte, n)
	if err := readFull(h.at(), head, 0); err != nil {
		return false
	}
	same := n == 0 || ident.Hash(head) == g.Ident.Head
	if !same && !s.punched(g, head) {
		return false
	}
	if same && n > 0 {
		g.setHead(head)
	}
	return true
}

// furthest is up to where some output has read.
func (s *Set) furthest(g *gen) int64 {
	far := int64(0)
	for _, r := range s.readers {
		if !r.wants(g) {
			continue
		}
		if c := r.cursors[g.ID]; c != nil {
			far = max(far, c.pos.Off)
		} else if at, _, ok := s.store.At(r.output, g.ID); ok {
			far = max(far, at.Off)
		}
	}
	return far
}

// truncated notes that a file begins anew. What its generation had is looked for in a copy; the file is the next generation.
func (s *Set) truncated(g *gen, st ident.Stat) {
	s.stats.Truncations++
	s.log.Info().Str("path", g.name()).Hex("gen", g.hex()).Int64("size", st.Size).Int64("before", g.size).Msg("file begins anew")
	path, real, f, loose := g.Now, g.real, g.folder, g.loose
	s.unpin(g)
	s.shut(g)
	if s.byKey[g.key()] == g {
		delete(s.byKey, g.key())
	}
	for name, e := range f.names {
		if e.gen == g {
			delete(f.names, name)
		}
	}
	g.Now, g.real, g.loose, g.found = "", "", true, true
	if !g.stored {
		s.forget(g)
	} else {
		s.beginSeek(g)
	}
	if path == "" {
		return // only a pin has it: what is written there now is nobody's
	}
	in := s.inputOf(path)
	if in == nil && !loose {
		in = g.in
	}
	if in != nil {
		s.adopt(in, f, filepath.Base(path), path, real, st)
	}
}
