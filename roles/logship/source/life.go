package source

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sidecar-kit/sidecar/roles/logship/source/ident"
)

// sweepEvery is in how many ticks each file is looked at without a hint, where inotify tells of everything.
const sweepEvery = 30

// tick does what is due now and then.
func (s *Set) tick(ctx context.Context) {
	if !s.ended {
		s.lookAtFolders(ctx)
		s.sweep()
	}
	s.settle()
	s.bound()
	now := time.Now()
	for _, g := range s.gens {
		switch {
		case g.seeking():
			s.seekCopy(g)
		case g.err != nil:
			s.readyAll(g)
		}
		s.review(g, now)
		s.end(g, now)
		s.rest(g, now)
	}
	for _, r := range s.readers {
		r.wakeUp()
	}
}

// lookAtFolders lists those folders that changed since.
func (s *Set) lookAtFolders(ctx context.Context) {
	for path, f := range s.folders {
		if path == s.conf.Spool {
			continue
		}
		st, err := ident.Lstat(path)
		if err != nil || st.Key != f.key || st.Mtime != f.mtime && (!f.watched || f.remote) || f.mtime == 0 {
			s.walk(ctx)
			return
		}
	}
	for i := range s.conf.Inputs {
		for _, dir := range s.conf.Inputs[i].bases() {
			if s.folders[dir] == nil || s.folders[dir].mtime == 0 {
				s.walk(ctx)
				return
			}
		}
	}
}

// sweep looks at some of the files: at those that no folder tells of each time, at the others in turn.
func (s *Set) sweep() {
	s.swept++
	for id, g := range s.gens {
		if g.Lost != "" || g.seeking() {
			continue
		}
		known := g.folder.watched && !g.folder.remote && g.Now != ""
		if known && (s.swept+int(id%sweepEvery))%sweepEvery != 0 {
			continue
		}
		s.glance(g)
	}
}

// glance looks at the file of a generation, wherever it is.
func (s *Set) glance(g *gen) {
	if g.Now != "" {
		s.look(g.folder, filepath.Base(g.Now))
		return
	}
	if g.spooled || s.read(g) {
		return
	}
	h, err := s.acquire(g)
	if err != nil {
		s.vanishedWhileClosed(g)
		return
	}
	defer s.release(h)
	if st, err := h.stat(); err == nil {
		s.grow(g, st)
	}
}

func (s *Set) vanishedWhileClosed(g *gen) {
	if g.stored && !s.read(g) && g.Lost == "" {
		g.gone = true
		s.beginSeek(g)
	}
}

// settle judges the files of which it was not sure what they are, and looks for copies again.
func (s *Set) settle() {
	for _, g := range s.gens {
		switch {
		case !g.stored && g.size > 0:
			if h, err := s.acquire(g); err == nil {
				st, err := h.stat()
				s.release(h)
				if err == nil {
					s.decide(g, st)
				}
			}
		case g.gone && g.stored && !g.seeking() && !s.read(g) && g.Lost == "":
			s.beginSeek(g)
		}
	}
}

// end ends a generation that nobody writes to any more.
func (s *Set) end(g *gen, now time.Time) {
	if !g.loose || g.seeking() || now.Sub(g.grown) < g.in.Quiet {
		return
	}
	if !g.stored {
		if g.Now == "" {
			s.forget(g)
		}
		return
	}
	if !g.Over && g.Compact == "" && s.caughtUp(g) {
		s.over(g, g.size)
	}
	if g.Over && s.read(g) {
		s.unpin(g)
		s.unspool(g)
		if g.pipe && g.Now != "" {
			s.complainIf("spool", g.Now, os.Remove(g.Now))
			g.Now = ""
		}
		if g.Now == "" && len(g.copies) == 0 {
			s.store.DropGen(g.ID)
			s.forget(g)
		}
	}
}

// over says that nothing will be added to a generation.
func (s *Set) over(g *gen, size int64) {
	g.Over, g.Size, g.limit = true, size, size
	if g.Compact == "" {
		g.size = size
	}
	s.put(g)
	s.readyAll(g)
}

// caughtUp says that every output has read everything that was seen, but for a last line that is no whole one.
func (s *Set) caughtUp(g *gen) bool {
	for _, r := range s.readers {
		if !r.wants(g) {
			continue
		}
		if c := r.cursor(g); !c.last && (c.queued || c.busy || c.pos.Off+c.held < g.size) {
			return false
		}
	}
	return true
}

// delivered says that every output has read and is done with everything that was seen, so that nothing is missed should the file go.
func (s *Set) delivered(g *gen) bool {
	if !s.caughtUp(g) {
		return false
	}
	low := s.store.Low(g.ID)
	for _, r := range s.readers {
		if r.wants(g) && r.cursor(g).pos.Off > low {
			return false
		}
	}
	return true
}

// read says that every output is done with a generation that is over.
func (s *Set) read(g *gen) bool { return g.Over && s.store.Low(g.ID) >= g.Size }

// rest closes a file that nothing happens to.
func (s *Set) rest(g *gen, now time.Time) {
	if g.h == nil || g.h.refs > 0 || now.Sub(g.h.used) < g.in.CloseIdle || !s.mayClose(g) {
		return
	}
	if !g.pinned && !s.delivered(g) || g.Now == "" && !g.pinned && !g.Over {
		return
	}
	s.shut(g)
}

func (s *Set) unpin(g *gen) {
	if !g.pinned {
		return
	}
	err := s.pins.Unpin(g.folder.path, g.ID)
	s.complainIf("pin", g.folder.path, err)
	g.pinned = err != nil
}

// forget removes a generation from memory.
func (s *Set) forget(g *gen) {
	if !g.stored {
		s.store.DropGen(g.ID)
	}
	s.unpin(g)
	s.unspool(g)
	s.shut(g)
	delete(s.gens, g.ID)
	without(s.byPath, g.Path, g)
	for _, path := range g.relatives() {
		without(s.family, path, g)
	}
	if s.byKey[g.key()] == g {
		delete(s.byKey, g.key())
	}
	for name, e := range g.folder.names {
		if e.gen == g {
			delete(g.folder.names, name)
		}
	}
	for _, o := range s.gens {
		if o.prev == g {
			o.prev = nil
		}
	}
	for _, r := range s.readers {
		if c := r.cursors[g.ID]; c != nil && !c.busy {
			r.drop(c)
		}
		delete(r.cursors, g.ID)
	}
}

func without(index map[string][]*gen, path string, g *gen) {
	index[path] = slices.DeleteFunc(index[path], func(o *gen) bool { return o == g })
	if len(index[path]) == 0 {
		delete(index, path)
	}
}

// suspect is a generation of which a reader found other bytes than it should have, in an open file.
type suspect struct {
	g *gen
	h *handle
}

// checkSuspects treats what readers found. A generation that is read from another file by now is none of it.
func (s *Set) checkSuspects() {
	list := s.suspects
	s.suspects = nil
	for _, x := range list {
		switch g := x.g; {
		case s.gens[g.ID] != g || g.seeking() || g.Lost != "":
		case g.h != x.h:
			s.readyAll(g)
		default:
			if st, err := g.h.stat(); err == nil {
				s.truncated(g, st)
			}
		}
	}
}

// Finish says that what is in the files now is their end: readers read up to it, a last line without line end included, and then
// return io.EOF. It looks at everything once more.
func (s *Set) Finish(ctx context.Context) {
	select {
	case <-s.ready:
	case <-ctx.Done():
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range slices.Collect(maps.Values(s.pipes)) {
		p.drain()
	}
	for _, f := range s.folders {
		f.mtime = 0
	}
	s.finished = true
	s.walk(ctx)
	for _, g := range s.gens {
		if g.Now == "" {
			s.glance(g)
		}
	}
	s.settle()
	for _, g := range s.gens {
		if g.seeking() {
			s.seekCopy(g)
		}
		if g.limit < 0 && g.Compact == "" {
			g.limit = g.size
		}
		s.readyAll(g)
	}
	s.ended = true
	for _, r := range s.readers {
		r.wakeUp()
	}
}
