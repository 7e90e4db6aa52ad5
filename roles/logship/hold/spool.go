package hold

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// ErrFull means that the spool has no room.
var ErrFull = errors.New("the spool is full")

// Spool keeps copies of parts of generations in a folder, up to a number of bytes. A copy is the end of a generation as far as
// it was copied: one file named GENERATION-OFFSET.
type Spool struct {
	dir string
	max int64

	mu    sync.Mutex // guards all below
	used  int64
	parts map[uint64]*part
}

type part struct {
	base, size int64
	file       *os.File // for appending; nil until it is needed
	fresh      bool     // its name is not durable yet
}

// Reader reads a copy at the offsets of its generation.
type Reader = interface {
	io.ReaderAt
	io.Closer
}

// OpenSpool makes the folder if needed and finds what is in it. A limit of 0 bytes is none.
func OpenSpool(dir string, limit int64) (*Spool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	s := &Spool{dir: dir, max: limit, parts: map[uint64]*part{}}
	for _, e := range entries {
		gen, base, ok := partName(e.Name())
		info, err := e.Info()
		if !ok || err != nil || !info.Mode().IsRegular() {
			continue
		}
		s.parts[gen] = &part{base: base, size: info.Size()}
		s.used += info.Size()
	}
	return s, nil
}

func partName(n string) (gen uint64, base int64, ok bool) {
	a, b, found := strings.Cut(n, "-")
	gen, e1 := strconv.ParseUint(a, 16, 64)
	base, e2 := strconv.ParseInt(b, 10, 64)
	return gen, base, found && e1 == nil && e2 == nil && base >= 0 && len(a) == 16
}

func (s *Spool) path(gen uint64, base int64) string {
	return filepath.Join(s.dir, name(gen)+"-"+strconv.FormatInt(base, 10))
}

// Append adds what a generation has from offset on, which is where the copy ends, or begins a copy there. It is on disk when
// Sync has returned. ErrFull leaves the copy as it was.
func (s *Spool) Append(gen uint64, offset int64, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.max > 0 && s.used+int64(len(data)) > s.max {
		return fmt.Errorf("%w: %d of %d bytes are used in %s", ErrFull, s.used, s.max, s.dir)
	}
	p := s.parts[gen]
	if p == nil {
		p = &part{base: offset}
	}
	if p.base+p.size != offset {
		return fmt.Errorf("spool %s: the copy of %x ends at %d, not at %d", s.dir, gen, p.base+p.size, offset)
	}
	if p.file == nil {
		f, err := os.OpenFile(s.path(gen, p.base), os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		p.file, p.fresh = f, s.parts[gen] == nil
		s.parts[gen] = p
	}
	if _, err := p.file.WriteAt(data, p.size); err != nil {
		return errors.Join(err, p.file.Truncate(p.size))
	}
	p.size += int64(len(data))
	s.used += int64(len(data))
	return nil
}

// Sync makes what was appended durable.
func (s *Spool) Sync(gen uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.parts[gen]
	if p == nil || p.file == nil {
		return nil
	}
	if err := p.file.Sync(); err != nil || !p.fresh {
		return err
	}
	d, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	defer d.Close()
	p.fresh = false
	return d.Sync()
}

// Close closes the files. The copies stay.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, p := range s.parts {
		if p.file != nil {
			errs = append(errs, p.file.Close())
			p.file = nil
		}
	}
	return errors.Join(errs...)
}

// Part tells which bytes of a generation are there: from base up to end.
func (s *Spool) Part(gen uint64) (base, end int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.parts[gen]
	if p == nil {
		return 0, 0, false
	}
	return p.base, p.base + p.size, true
}

// Open returns a reader whose offsets are those of the generation.
func (s *Spool) Open(gen uint64) (Reader, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.parts[gen]
	if p == nil {
		return nil, &fs.PathError{Op: "open", Path: s.path(gen, 0), Err: fs.ErrNotExist}
	}
	f, err := os.Open(s.path(gen, p.base))
	if err != nil {
		return nil, err
	}
	return &Copy{file: f, base: p.base}, nil
}

// Remove gives the room of a copy back.
func (s *Spool) Remove(gen uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.parts[gen]
	if p == nil {
		return nil
	}
	if p.file != nil {
		p.file.Close()
	}
	delete(s.parts, gen)
	s.used -= p.size
	return os.Remove(s.path(gen, p.base))
}

// Gens lists what there are copies of.
func (s *Spool) Gens() []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []uint64
	for gen := range s.parts {
		list = append(list, gen)
	}
	return list
}

// Used returns the bytes of all copies.
func (s *Spool) Used() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}

// Copy is an open part of the spool.
type Copy struct {
	file *os.File
	base int64
}

// ReadAt reads at an offset of the generation.
func (c *Copy) ReadAt(p []byte, off int64) (int, error) {
	if off < c.base {
		return 0, fmt.Errorf("%s: begins at %d, asked for %d: %w", c.file.Name(), c.base, off, io.ErrUnexpectedEOF)
	}
	return c.file.ReadAt(p, off-c.base)
}

// Close closes the file.
func (c *Copy) Close() error { return c.file.Close() }
