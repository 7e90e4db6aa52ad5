package source

import (
	"os"
	"time"

	"github.com/sidecar-kit/sidecar/roles/logship/source/ident"
)

// beginSeek looks for a copy of a generation whose file has other content now, or is nowhere.
func (s *Set) beginSeek(g *gen) {
	g.seek = time.Now().Add(max(g.in.Quiet, settleTime+time.Second))
	s.put(g)
	s.seekCopy(g)
}

// seekCopy takes a copy that is known, or looks through the folder.
func (s *Set) seekCopy(g *gen) {
	if s.finished {
		g.seek = time.Unix(1, 0)
	}
	if s.takeSpooled(g) {
		return
	}
	if g.Ident.HeadLen == 0 && len(g.head) == 0 && s.furthest(g) == 0 {
		s.lose(g) // it was empty when it was seen: everything would be its copy. What it got since is found as a file that nobody knows
		return
	}
	// Plain ones first: while a rotator compresses a copy there are both, and beside a generation that is read from the archive the plain
	// one would be taken for a file of its own.
	if s.tryCopies(g, true) || s.tryCopies(g, false) {
		return
	}
	if time.Now().After(g.seek) {
		s.lose(g)
	}
}

// tryCopies tries what is known as a copy, then what nobody knows in the folder; plain: only files that are not compressed.
func (s *Set) tryCopies(g *gen, plain bool) bool {
	for _, e := range g.copies {
		if s.tryCopy(g, e, plain) {
			return true
		}
	}
	entries, err := os.ReadDir(g.folder.path)
	if err != nil {
		return false
	}
	for _, d := range entries {
		e := g.folder.names[d.Name()]
		if !d.Type().IsRegular() || e != nil && e.gen != nil && e.gen.stored || e != nil && e.copyOf != nil {
			continue
		}
		if s.tryCopy(g, &entry{folder: g.folder, name: d.Name()}, plain) {
			return true
		}
	}
	return false
}

// tryCopy looks whether a file has the content of a generation, and reads it from there if so.
func (s *Set) tryCopy(g *gen, e *entry, plain bool) bool {
	st, err := ident.Lstat(e.path())
	if err != nil || !st.Regular() || st.Size == 0 {
		return false
	}
	related := ident.Rotated(g.base(), e.name)
	if !related && g.Ident.HeadLen < ident.CheckLen || plain && ident.Packed(e.name) {
		return false
	}
	if o := s.byKey[st.Key]; o != nil && o.stored && o != g {
		return false
	}
	f, st, err := s.openFile(g.in, e.path())
	if err != nil {
		return false
	}
	kind, ok := s.isCopy(g, f, st.Size)
	if o := s.byKey[st.Key]; !ok || plain && kind != "" || o != nil && o.stored && o != g {
		f.Close()
		return false
	}
	s.takeCopy(g, e, kind, f)
	return true
}

// isCopy says whether an open file has what is known of a generation, and how it is compressed.
func (s *Set) isCopy(g *gen, f *os.File, size int64) (kind string, ok bool) {
	head := make([]byte, min(size, ident.HeadMax))
	if readFull(f, head, 0) != nil {
		return "", false
	}
	kind = magic(head)
	if kind != "" {
		var whole bool
		var err error
		if head, whole, err = headOf(f, kind); err != nil || !whole && len(head) < ident.HeadMax {
			return "", false
		}
	}
	n := int(g.Ident.HeadLen)
	return kind, len(head) >= n && ident.Hash(head[:n]) == g.Ident.Head && (kind != "" || s.fits(g, f, size))
}

// takeCopy goes on reading a generation from a copy of it, which is open: its name may be another file's by now. It has an end.
func (s *Set) takeCopy(g *gen, e *entry, kind string, f *os.File) {
	st, err := ident.Fstat(f)
	if err != nil {
		f.Close()
		return
	}
	if o := s.byKey[st.Key]; o != nil && o != g {
		s.forget(o) // it was not sure what it is
	}
	s.stats.CopiesUsed++
	s.log.Info().Str("path", e.path()).Str("of", g.Path).Hex("gen", g.hex()).Msg("reading on in a copy")
	g.dropCopy(e)
	s.shut(g)
	g.Ident.Dev, g.Ident.Ino, g.Ident.Born = st.Dev, st.Ino, st.Born
	g.Now, g.real, g.Compact, g.folder = e.path(), "", kind, e.folder
	g.seek, g.Lost, g.mark, g.gone, g.loose = time.Time{}, "", nil, false, true
	g.h = &handle{f: f, used: time.Now()}
	s.handles++
	s.stats.Opened++
	s.byKey[g.key()] = g
	e.key, e.gen, e.copyOf = st.Key, g, nil
	e.folder.names[e.name] = e
	s.pin(g)
	g.mtime, g.limit = st.Mtime, -1
	if kind == "" {
		s.shorter(g, st.Size)
		s.over(g, st.Size)
		return
	}
	g.Over = false
	s.put(g)
	s.readyAll(g)
}

// shorter counts what was seen of a file, is not in its copy, and was not read by some output in time.
func (s *Set) shorter(g *gen, size int64) {
	for _, r := range s.readers {
		if !r.wants(g) {
			continue
		}
		if lost := g.size - max(size, r.cursor(g).pos.Off); lost > 0 {
			s.stats.Gaps["truncated"] += lost
		}
	}
}

// lose gives up on what is nowhere.
func (s *Set) lose(g *gen) {
	size := max(g.size, g.Size, s.furthest(g))
	g.seek, g.Lost = time.Time{}, "truncated"
	if s.store.Low(g.ID) < size {
		s.stats.CopiesLost++
		s.log.Warn().Str("path", g.Path).Hex("gen", g.hex()).Int64("size", size).Msg("file began anew or was removed, and left no copy that could be found")
	}
	s.over(g, size)
}

// vanished notes that a generation has no name. Its pin may still have it.
func (s *Set) vanished(g *gen) {
	g.found = true
	if !g.stored {
		if !g.pinned && g.h == nil {
			s.forget(g)
		}
		return
	}
	if g.Lost != "" {
		s.readyAll(g)
	}
	if g.pinned || g.h != nil || g.seeking() || g.Lost != "" {
		return
	}
	if g.Over && s.read(g) {
		return
	}
	g.gone = true
	s.beginSeek(g)
}
