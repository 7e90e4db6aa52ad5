package source

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/sidecar-kit/sidecar/roles/logship/source/ident"
)

// look finds out what a name of a folder is now.
func (s *Set) look(f *folder, name string) {
	if name == PinFolder || s.ended {
		return
	}
	path := filepath.Join(f.path, name)
	st, err := ident.Lstat(path)
	real := ""
	if err == nil && st.Mode&fs.ModeSymlink != 0 && s.inputOf(path) != nil {
		if real, err = s.follow(path); err == nil {
			st, err = ident.Lstat(real)
		}
		if err != nil {
			s.complain("link", path, err)
			s.left(f, name)
			return
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		s.left(f, name)
		return
	}
	if err != nil {
		s.complain("stat", path, err)
		return
	}
	if st.Mode.IsDir() {
		s.newFolder(f, path)
		return
	}
	s.lookAt(f, name, path, real, st)
}

// newFolder has the folders walked again when one appeared that a pattern may lead to.
func (s *Set) newFolder(f *folder, path string) {
	if known := s.folders[path]; known == nil && s.started {
		f.mtime = 0
	}
}

func (s *Set) lookAt(f *folder, name, path, real string, st ident.Stat) {
	e := f.names[name]
	if e != nil && e.key != st.Key {
		s.left(f, name)
		e = nil
	}
	if e != nil && e.copyOf != nil {
		s.lookAtCopy(e, st)
		return
	}
	if g := s.known(st); g != nil {
		s.foundAt(g, f, name, path, real, st)
		return
	}
	in := s.inputOf(path)
	if in == nil {
		in = s.implied(f, name, path, st)
	}
	if in == nil {
		return
	}
	s.adopt(in, f, name, path, real, st)
}

// known returns the generation whose file that is.
func (s *Set) known(st ident.Stat) *gen {
	g := s.byKey[st.Key]
	if g == nil && !s.started && st.Born != 0 {
		for _, o := range s.gens { // the device may have another number since
			if !o.found && o.Ident.Ino == st.Ino && o.Ident.Born == st.Born {
				o.Ident.Dev = st.Dev
				s.byKey[st.Key] = o
				return o
			}
		}
	}
	if g != nil && !st.Is(g.Ident) {
		delete(s.byKey, st.Key) // the number of the inode was used again
		s.vanished(g)
		return nil
	}
	return g
}

// foundAt notes that a generation is at a name, and looks whether it grew.
func (s *Set) foundAt(g *gen, f *folder, name, path, real string, st ident.Stat) {
	e := f.names[name]
	if e == nil || e.gen != g {
		f.names[name] = &entry{folder: f, name: name, key: st.Key, gen: g}
		if g.Now == "" || g.folder.names[filepath.Base(g.Now)] == nil || path == g.Path {
			if g.Now != path && g.found {
				s.stats.Renames++
			}
			s.moveTo(g, f, path, real)
		}
	}
	s.grow(g, st)
}

func (s *Set) moveTo(g *gen, f *folder, path, real string) {
	if g.pinned && g.folder != f {
		if err := s.pins.Unpin(g.folder.path, g.ID); err == nil {
			g.pinned = false
		}
	}
	if g.h != nil && g.h.f == nil {
		s.shut(g) // the file is there again
	}
	g.folder, g.Now, g.real, g.gone, g.spooled, g.goodAt = f, path, real, false, false, 0
	g.loose = path != g.Path
	if g.loose {
		g.grown = time.Now()
	}
	if !g.pinned && g.stored {
		s.pin(g)
	}
	s.put(g)
}

// left notes that a name is no longer what it was.
func (s *Set) left(f *folder, name string) {
	e := f.names[name]
	if e == nil {
		return
	}
	delete(f.names, name)
	if o := e.copyOf; o != nil {
		o.dropCopy(e)
		return
	}
	g := e.gen
	if g == nil {
		return
	}
	if e.path() == g.Path {
		g.loose = true
		g.grown = time.Now()
	}
	if e.path() != g.Now {
		return
	}
	g.Now, g.real, g.loose, g.grown = "", "", true, time.Now()
	for _, other := range f.names {
		if other.gen == g { // it was seen at its new name before it was missed at the old one
			s.moveTo(g, f, other.path(), "")
			return
		}
	}
	s.put(g)
	if g.stored {
		s.pin(g) // it may have a name elsewhere
	}
	if g.pinned {
		return
	}
	if g.h != nil {
		s.nudgeRun() // to copy it
		return
	}
	g.gone = true
}

// inputOf returns the first input that a path belongs to.
func (s *Set) inputOf(path string) *Input {
	for i := range s.conf.Inputs {
		if in := &s.conf.Inputs[i]; in.matches(path) {
			return in
		}
	}
	return nil
}

// implied returns the input of a file that no pattern names but that can only be a piece of one that is named: it has the name of a
// rotated file whose live name is known, and is younger than the oldest generation that is known of that.
func (s *Set) implied(f *folder, name, path string, st ident.Stat) *Input {
	if !st.Regular() {
		return nil
	}
	for _, live := range ident.Live(name) {
		for _, g := range s.byPath[filepath.Join(f.path, live)] {
			if !g.stored || g.in.excluded(path) || !g.in.matches(g.Path) {
				continue
			}
			since := g.Made
			if g.Ident.Born != 0 { // of a copy, if it is read from one: later than when it was found
				since = min(since, g.Ident.Born)
			}
			born := st.Born
			if born == 0 {
				born = st.Mtime
			}
			if born > since {
				return g.in
			}
		}
	}
	return nil
}

// adopt begins a generation with a file that nobody knows.
func (s *Set) adopt(in *Input, f *folder, name, path, real string, st ident.Stat) {
	if st.Mode&fs.ModeNamedPipe != 0 && in.FIFO {
		s.openPipe(in, f, name, path)
		return
	}
	if !st.Regular() {
		s.complain("kind", path, fmt.Errorf("it is no plain file but %s, and is not read%s", kindOf(st.Mode), hintOf(st.Mode)))
		return
	}
	if in.IgnoreOlder > 0 && st.Age(time.Now()) > in.IgnoreOlder {
		return
	}
	where := path
	if real != "" {
		where = real
	}
	file, opened, err := s.openFile(in, where)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.complain("open", path, err)
		}
		return
	}
	if opened.Key != st.Key {
		file.Close() // swapped meanwhile; the next look sees it
		return
	}
	delete(s.told, path)
	g := s.newGen(in, f, path, opened)
	g.real = real
	g.h = &handle{f: file, used: time.Now()}
	s.handles++
	s.stats.Opened++
	s.add(g)
	f.names[name] = &entry{folder: f, name: name, key: st.Key, gen: g}
	s.pin(g)
	s.follows(g)
	if !s.started && in.Start == "end" && len(s.byPath[path]) == 1 {
		s.startAtEnd(g, opened.Size)
	}
	s.grow(g, opened)
	s.spare(g)
}

// startAtEnd leaves out what a file has, and of a line that is half written then its rest.
func (s *Set) startAtEnd(g *gen, size int64) {
	var last [1]byte
	g.Start = size
	if size > 0 && readFull(g.h.f, last[:], size-1) == nil && last[0] != '\n' {
		g.Mid, g.form.Skip = true, size
	}
}

// follows finds what was at the same path before: it is read first.
func (s *Set) follows(g *gen) {
	for _, o := range s.byPath[g.Path] {
		if o != g && (g.prev == nil || o.Made > g.prev.Made) {
			g.prev = o
		}
	}
}

// fault notes that a file cannot be read now; it is tried again.
func (s *Set) fault(g *gen, err error) {
	g.err = err
	g.faults++
	if g.faults == 1 {
		s.complain("read", g.name(), err)
	}
}

// complain counts an error, and logs the first of a place.
func (s *Set) complain(kind, place string, err error) {
	s.stats.Errors[kind]++
	if s.told[kind+place] {
		return
	}
	if len(s.told) > 10_000 {
		clear(s.told)
	}
	s.told[kind+place] = true
	s.log.Warn().Str("path", place).AnErr("err", err).Msg(troubleOf(kind))
}

// troubleOf says what an error of a kind means.
func troubleOf(kind string) string {
	switch kind {
	case "pin":
		return "files here cannot be kept alive by hard links: what is removed while logship is down is lost, what is removed otherwise is copied to the spool if an output lacks it"
	case "spool":
		return "the spool cannot be used for this"
	case "state":
		return "what was found cannot be kept alive before the state is written; it is tried again"
	case "damaged":
		return "the rest of this file cannot be read, and is left out"
	case "max-open":
		return "more files are open than may be"
	}
	return "cannot read here"
}

func (s *Set) complainIf(kind, place string, err error) {
	if err != nil {
		s.complain(kind, place, err)
	}
}

func kindOf(m fs.FileMode) string {
	switch {
	case m&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeSymlink != 0:
		return "a link"
	}
	return "a device"
}

func hintOf(m fs.FileMode) string {
	if m&fs.ModeNamedPipe != 0 {
		return "; set fifo: true if it is meant to be"
	}
	return ""
}
