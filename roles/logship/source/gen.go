package source

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/sidecar-kit/sidecar/roles/logship/record"
	"github.com/sidecar-kit/sidecar/roles/logship/source/engine"
	"github.com/sidecar-kit/sidecar/roles/logship/source/ident"
	"github.com/sidecar-kit/sidecar/roles/logship/state"
)

// gen is a generation while the role runs. Everything in it is guarded by Set.mu.
type gen struct {
	state.Gen
	in     *Input
	file   *record.File
	form   engine.Form
	folder *folder

	durable bool      // a kill does not forget it: only then its pin is of use
	waits   bool      // in Set.toPin
	lag     bool      // outputs lack bytes that are not new any more
	lagAt   time.Time // since then at the latest, up to lagTo
	lagTo   int64
	calm    int64  // no output lacked anything when it had this size
	stored  bool   // outputs may know it; before that it has no bytes, or may be a copy
	found   bool   // since the start its file was seen, or that there is none
	sniffed bool   // the encoding is known
	head    []byte // first bytes, as far as they were looked at
	mark    []byte // bytes before size
	size    int64  // the largest that was seen
	mtime   int64
	grown   time.Time // when it grew last, or lost its name
	real    string    // where Now leads to when it is a link
	loose   bool      // what is at Path is another file, or nothing
	gone    bool      // no name and no pin: only an open handle has it
	seek    time.Time // it was truncated or is nowhere: a copy is looked for until then
	limit   int64     // nothing behind it is read; -1: it may grow
	prev    *gen      // what was at Path before: read first
	pinned  bool
	spooled bool      // it has no file any more: the spool has what is left of it
	goodAt  int64     // that copy has what is from here on
	retry   time.Time // not copied again before that
	pipe    bool      // a file of the spool, ours to remove
	h       *handle
	copies  []*entry // other files with the same content
	err     error
	faults  int
}

// handle is an open file, closed when nobody uses it and it was let go.
type handle struct {
	f    *os.File
	copy Copy // instead of f: what the spool has
	refs int  // of readers; the generation's own is not counted
	used time.Time
	free bool // closed with the last reference
}

// at is what the handle reads from.
func (h *handle) at() io.ReaderAt {
	if h.f == nil {
		return h.copy
	}
	return h.f
}

// stat looks at the open file. A copy has none.
func (h *handle) stat() (ident.Stat, error) {
	if h.f == nil {
		return ident.Stat{}, errors.New("it is a copy in the spool")
	}
	return ident.Fstat(h.f)
}

func (h *handle) close() {
	if h.f != nil {
		h.f.Close()
		return
	}
	h.copy.Close()
}

// seeking says that reading waits for a copy to be found.
func (g *gen) seeking() bool { return !g.seek.IsZero() }

// name is what messages call it.
func (g *gen) name() string {
	if g.Now != "" {
		return g.Now
	}
	return g.Path
}

// where is the path to open it at.
func (g *gen) where() string {
	if g.real != "" {
		return g.real
	}
	return g.Now
}

// acquire opens a generation for a reader, or for a look. release has to follow.
func (s *Set) acquire(g *gen) (*handle, error) {
	if g.h == nil {
		h, err := s.open(g)
		if err != nil {
			return nil, err
		}
		g.h = h
		s.handles++
		s.stats.Opened++
		if g.stored && g.Now != "" {
			s.pin(g) // it was moved to another folder while it was closed
		}
	}
	g.h.refs++
	g.h.used = time.Now()
	s.spare(g)
	return g.h, nil
}

func (s *Set) release(h *handle) {
	h.refs--
	if h.free && h.refs == 0 {
		h.close()
	}
}

// shut lets go of the open file of a generation.
func (s *Set) shut(g *gen) {
	if g.h == nil {
		return
	}
	g.h.free = true
	if g.h.refs == 0 {
		g.h.close()
	}
	g.h = nil
	s.handles--
	s.stats.Closed++
}

// open finds the file of a generation: at its name, else by its pin, else its copy in the spool.
func (s *Set) open(g *gen) (*handle, error) {
	var first error
	if where := g.where(); where != "" {
		f, st, err := s.openFile(g.in, where)
		if err == nil && st.Is(g.Ident) {
			return &handle{f: f}, nil
		}
		if err == nil {
			f.Close()
			err = fmt.Errorf("open %s: another file is there by now", where)
		}
		first = err
	}
	if g.pinned {
		f, err := s.pins.Open(g.folder.path, g.ID)
		if err == nil {
			st, err := ident.Fstat(f)
			if err == nil && st.Is(g.Ident) {
				return &handle{f: f}, nil
			}
			f.Close()
		} else if first == nil {
			first = err
		}
	}
	if g.Now == "" && g.spooled {
		c, err := s.copies.Open(g.ID)
		if err == nil {
			return &handle{copy: c}, nil
		}
		first = err
	}
	if first == nil {
		first = fmt.Errorf("open %s: the file is gone", g.Path)
	}
	return nil, first
}

// spare closes the file that was not used for longest when there are too many.
func (s *Set) spare(but *gen) {
	if s.handles <= s.conf.MaxOpen {
		s.crowded = false
		return
	}
	var oldest *gen
	safest := false
	for _, g := range s.gens {
		if g == but || g.h == nil || g.h.refs > 0 || !s.mayClose(g) {
			continue
		}
		safe := g.pinned || g.Now == "" || s.delivered(g) // nothing is lost should it be removed meanwhile
		if oldest == nil || safe && !safest || safe == safest && g.h.used.Before(oldest.h.used) {
			oldest, safest = g, safe
		}
	}
	switch {
	case oldest != nil && !oldest.pinned && oldest.Now == "" && !s.read(oldest):
		s.takeSpooled(oldest)
	case oldest != nil:
		s.shut(oldest)
	case !s.crowded:
		s.crowded = true
		s.complain("max-open", "", fmt.Errorf("%d files are open, more than %d: they have no name any more and no pin or copy, so closing them would lose what is in them", s.handles, s.conf.MaxOpen))
	}
}

// mayClose says that the file can be opened again, or that there is no need to.
func (s *Set) mayClose(g *gen) bool {
	return g.stored && (g.pinned || g.Now != "" || s.read(g) || s.isCopied(g))
}

// look reads what tells a file from another: its head and the bytes before size.
func (s *Set) peek(f io.ReaderAt, g *gen, size int64) (head, mark []byte, err error) {
	head = g.head
	if want := int(min(size, ident.HeadMax)); len(head) < want {
		head = make([]byte, want)
		if err := readFull(f, head, 0); err != nil {
			return nil, nil, err
		}
		if !ident.Agree(g.head, head) {
			return nil, nil, engine.ErrChanged
		}
	}
	mark = make([]byte, min(size, ident.CheckLen))
	return head, mark, readFull(f, mark, size-int64(len(mark)))
}

// readFull reads all of p, or says that the file is shorter.
func readFull(f io.ReaderAt, p []byte, off int64) error {
	n, err := f.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF { //nolint:errorlint // ReaderAt promises io.EOF itself
		return engine.ErrShrunk
	}
	return err
}

// setHead takes the first bytes as the ones to know the file by.
func (g *gen) setHead(head []byte) {
	if !g.sniffed && g.in.Encoding != "utf-8" {
		g.form.Enc, g.sniffed = engine.Detect(head, g.form.Enc)
	}
	g.head = head
	g.Ident.HeadLen, g.Ident.Head = int32(len(head)), ident.Hash(head) //nolint:gosec // at most HeadMax
}

// newGen makes a generation of a file that was just found.
func (s *Set) newGen(in *Input, f *folder, path string, st ident.Stat) *gen {
	g := &gen{
		Gen: state.Gen{
			ID: s.newID(), Input: in.Name, Path: path, Now: path, Made: time.Now().UnixNano(),
			Ident: state.Identity{Dev: st.Dev, Ino: st.Ino, Born: st.Born},
		},
		found: true, calm: -1, folder: f, grown: time.Now(), limit: -1,
	}
	s.complete(g, in)
	return g
}

// complete sets what follows from the input.
func (s *Set) complete(g *gen, in *Input) {
	enc, _ := engine.Lookup(in.Encoding) // was checked
	g.in = in
	g.form = engine.Form{MaxLine: in.MaxLine, Cut: in.LongLines == "cut", Enc: enc}
	if g.Mid {
		g.form.Skip = g.Start
	}
	g.file = &record.File{Path: g.Path, Input: g.Input, Gen: g.ID}
}

// put stores what is known of a generation.
func (s *Set) put(g *gen) {
	if g.stored {
		s.store.PutGen(g.Gen)
	}
}

func (g *gen) base() string { return filepath.Base(g.Path) }

// hex is the id as logs show it.
func (g *gen) hex() []byte { return binary.BigEndian.AppendUint64(nil, g.ID) }
