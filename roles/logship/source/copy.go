package source

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/sidecar-kit/sidecar/roles/logship/source/ident"
)

// settleTime is how long a file that may become a copy has to be unchanged before it is judged by what it has.
const settleTime = 2 * time.Second

// verdict is what a new file is.
type verdict uint8

const (
	fresh  verdict = iota // a generation of its own
	copied                // a copy of a known one
	unsure                // more bytes are needed to say
)

// decide makes a generation of a file that has bytes, unless it is a copy of one.
func (s *Set) decide(g *gen, st ident.Stat) {
	if g.stored || g.size == 0 {
		return
	}
	kind := magic(g.head)
	head, whole := g.head, false
	if kind != "" {
		if !g.in.Compressed {
			s.complain("compressed", g.Path, errCompressed)
			s.forget(g)
			return
		}
		var err error
		if head, whole, err = s.unzipHead(g, kind); err != nil && len(head) < ident.HeadMax {
			if time.Since(time.Unix(0, st.Mtime)) < settleTime {
				return // somebody still writes it
			}
			if len(head) == 0 {
				s.complain("compressed", g.Path, err)
				s.forget(g)
				return
			}
		}
	}
	complete := whole || time.Since(time.Unix(0, st.Mtime)) > settleTime || s.finished
	o, v := s.judge(g, head, kind, complete)
	switch v {
	case unsure: // later, or it is another's file by now
	case copied:
		s.attach(o, g, kind)
	case fresh:
		g.Compact = kind
		g.setHead(head)
		g.stored = true
		s.log.Debug().Str("path", g.name()).Hex("gen", g.hex()).Str("compressed", kind).Msg("new file")
		s.stats.Generations++
		s.put(g)
		s.readyAll(g)
	}
}

var errCompressed = errors.New("it is compressed, and the input says compressed: false")

// judge says whether a new file is a copy of a generation whose rotated name it has.
func (s *Set) judge(g *gen, head []byte, kind string, complete bool) (*gen, verdict) {
	maybe := false
	for _, live := range ident.Live(g.base()) {
		for _, o := range s.at(g.folder, live, kind) {
			if o == g || !o.stored {
				continue
			}
			switch s.compare(o, g, head, kind, complete) {
			case copied:
				return o, copied
			case unsure:
				maybe = true
			case fresh:
			}
		}
	}
	if maybe {
		return nil, unsure
	}
	return nil, fresh
}

// at lists the generations that a file may be a copy of which once had a name, the youngest first. Of a compressed file these are
// all that may ever have had it: it is named after what its generation was called when it was compressed.
func (s *Set) at(f *folder, name, kind string) []*gen {
	var list []*gen
	if e := f.names[name]; e != nil && e.gen != nil {
		list = append(list, e.gen)
	}
	all := s.byPath[filepath.Join(f.path, name)]
	if kind != "" {
		all = s.family[filepath.Join(f.path, name)]
	}
	for i := len(all) - 1; i >= 0; i-- {
		list = append(list, all[i])
	}
	return list
}

// compare says whether g, of which head is known, has the content of o.
func (s *Set) compare(o, g *gen, head []byte, kind string, complete bool) verdict {
	if kind == "" {
		if !s.mayCopy(o, g) {
			return fresh
		}
	}
	s.knowHead(o)
	n := min(len(head), int(o.Ident.HeadLen))
	switch {
	case o.Ident.HeadLen == 0 && len(o.head) == 0:
		return fresh // nothing is known of it: everything would be a copy of an empty file
	case len(o.head) >= n:
		if !bytes.Equal(head[:n], o.head[:n]) {
			return fresh
		}
	case len(head) >= int(o.Ident.HeadLen):
		if ident.Hash(head[:o.Ident.HeadLen]) != o.Ident.Head {
			return fresh
		}
	case !complete:
		return unsure
	default:
		return fresh
	}
	if n < int(o.Ident.HeadLen) && !complete {
		return unsure
	}
	if kind == "" {
		return s.compareAll(o, g)
	}
	if n < int(o.Ident.HeadLen) || !s.compareSize(o, g, kind) {
		return fresh
	}
	return copied
}

// knowHead looks at the beginning of a generation that was empty when it was looked at last: it may have been written, renamed and compressed
// since.
func (s *Set) knowHead(o *gen) {
	if o.Ident.HeadLen > 0 || len(o.head) > 0 || o.seeking() || o.Lost != "" || o.Compact != "" {
		return
	}
	h, err := s.acquire(o)
	if err != nil {
		return // its file is gone, and nothing of it was read
	}
	defer s.release(h)
	st, err := h.stat()
	if err != nil || st.Size == 0 {
		return
	}
	head := make([]byte, min(st.Size, ident.HeadMax))
	if readFull(h.at(), head, 0) == nil {
		o.setHead(head)
		s.put(o)
	}
}

// compareSize says whether a compressed file has as many bytes as the generation, as far as that is known.
func (s *Set) compareSize(o, g *gen, kind string) bool {
	h, err := s.acquire(g)
	if err != nil {
		return false
	}
	defer s.release(h)
	size, known := unzippedSize(h.at(), kind, g.size)
	switch {
	case !known || o.Compact != "":
		return true
	case o.Over:
		return size == o.Size
	case o.loose && !o.seeking():
		return size >= o.size
	}
	return true
}

// mayCopy says whether a plain file can be a copy at all: cp makes a younger file, and the first stays where it is.
func (s *Set) mayCopy(o, g *gen) bool {
	if o.Ident.Born != 0 && g.Ident.Born != 0 && g.Ident.Born < o.Ident.Born {
		return false
	}
	return o.seeking() || o.Lost != "" || !o.loose
}

// compareAll compares the bytes of a plain file with those of the generation, as far as they are to be had.
func (s *Set) compareAll(o, g *gen) verdict {
	copyOf, err := s.acquire(g)
	if err != nil {
		return unsure
	}
	defer s.release(copyOf)
	if o.seeking() || o.Lost != "" {
		return s.compareRead(o, g, copyOf.at())
	}
	first, err := s.acquire(o)
	if err != nil {
		return unsure
	}
	defer s.release(first)
	s.recheck(o, first)
	switch {
	case s.gens[g.ID] != g: // it was taken as the copy
		return unsure
	case o.seeking() || o.Lost != "":
		return s.compareRead(o, g, copyOf.at())
	case o.loose:
		return fresh
	}
	for _, off := range []int64{0, g.size/2 - sample/2, g.size - sample} {
		off = max(0, off)
		n := min(sample, g.size-off)
		a, b := make([]byte, n), make([]byte, n)
		if readFull(copyOf.at(), a, off) != nil || readFull(first.at(), b, off) != nil || !bytes.Equal(a, b) {
			return fresh
		}
	}
	return copied
}

// compareRead compares a plain file with what was read of a generation whose own file is gone.
func (s *Set) compareRead(o, g *gen, f io.ReaderAt) verdict {
	if s.fits(o, f, g.size) {
		return copied
	}
	return fresh
}

// sample is how many bytes of a copy are compared at its start, middle and end.
const sample = 16 << 10

// fits says whether a file has what outputs read last of a generation, at the same place. One that is shorter may fit: what is
// behind its end was read before the file was truncated.
func (s *Set) fits(o *gen, f io.ReaderAt, size int64) bool {
	for _, r := range s.readers {
		if !r.wants(o) {
			continue
		}
		c := r.cursor(o)
		if c.pos.Off == 0 || c.pos.Off > size {
			continue
		}
		b := make([]byte, min(c.pos.Off, ident.CheckLen))
		if readFull(f, b, c.pos.Off-int64(len(b))) != nil || !c.agrees(b) {
			return false
		}
	}
	return true
}

// attach makes a new file a copy of a generation: it is none of its own.
func (s *Set) attach(o, g *gen, kind string) {
	e := g.folder.names[filepath.Base(g.Now)]
	if e == nil {
		s.forget(g) // it is elsewhere by now, and will be seen there
		return
	}
	if o.seeking() {
		if h, err := s.acquire(g); err == nil {
			if f, err := reopen(h.f); err == nil {
				s.takeCopy(o, e, kind, f)
			}
			s.release(h)
			return
		}
	}
	s.forget(g)
	e.gen, e.copyOf, e.size, e.mtime = nil, o, g.size, g.mtime
	g.folder.names[e.name] = e
	o.copies = append(o.copies, e)
	s.stats.Copies++
	s.log.Debug().Str("path", e.path()).Str("of", o.Path).Hex("gen", o.hex()).Msg("copy, not read")
}

func (g *gen) dropCopy(e *entry) {
	for i, c := range g.copies {
		if c == e {
			g.copies = append(g.copies[:i], g.copies[i+1:]...)
			return
		}
	}
}

// lookAtCopy sees whether a copy became something else.
func (s *Set) lookAtCopy(e *entry, st ident.Stat) {
	if e.size == st.Size && e.mtime == st.Mtime {
		return
	}
	o := e.copyOf
	o.dropCopy(e)
	delete(e.folder.names, e.name)
	in := s.inputOf(e.path())
	if in == nil {
		in = o.in
	}
	s.adopt(in, e.folder, e.name, e.path(), "", st)
}

// findPinned opens what pins keep of the generations that the store knows, and removes pins of those that it does not.
func (s *Set) findPinned() {
	if s.pins == nil {
		return
	}
	folders := map[*folder]bool{}
	for _, g := range s.gens {
		folders[g.folder] = true
	}
	for f := range folders {
		ids, err := s.pins.List(f.path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.complain("pin", f.path, err)
		}
		for _, id := range ids {
			g := s.gens[id]
			if g == nil {
				s.log.Info().Str("path", f.path).Uint64("gen", id).Msg("a hard link of another process, or of a state that is no more, stays")
			}
			if g == nil || g.folder != f {
				continue // of an input that is no more, or of another process; the sweep is the role's
			}
			s.foundPin(g)
		}
	}
}

func (s *Set) foundPin(g *gen) {
	f, err := s.pins.Open(g.folder.path, g.ID)
	if err != nil {
		return
	}
	defer f.Close()
	st, err := ident.Fstat(f)
	if err != nil {
		return
	}
	old := g.key()
	if s.byKey[old] == g {
		delete(s.byKey, old)
	}
	g.Ident.Dev, g.Ident.Ino, g.Ident.Born = st.Dev, st.Ino, st.Born
	g.pinned = true
	s.byKey[g.key()] = g
	s.grow(g, st)
}
