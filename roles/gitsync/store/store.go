// Package store keeps git objects in pack files and reads them back.
//
// It promises that a pack appears whole or not at all (Ingest says who makes it durable), that every object was hashed before anything
// believes it, and that memory stays bounded whatever the repository's size: a large blob is streamed, never held.
// The files are git's own formats (pack v2, index v2), so a git in a hook can read what this package wrote.
//
// It is made for one writer that keeps a working tree at the newest commit (its only user is the sync role). It is
// not a general object database: no loose objects, no SHA-256, no writing of single objects.
package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/sidecar-kit/sidecar/internal/order"
)

// Hash names a git object.
type Hash = plumbing.Hash

// Type is a git object's type as packs number it.
type Type = plumbing.ObjectType

// ErrNotFound means that no pack holds the object.
var ErrNotFound = errors.New("object not found")

// ErrCorrupt means that stored or received bytes are not what their hash, size or format says. What is on disk has
// to be fetched again.
var ErrCorrupt = errors.New("corrupt git data")

// errNoBase means that a delta stands upon an object that is not here (yet).
var errNoBase = fmt.Errorf("%w: missing object", ErrCorrupt)

func corruptf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

// Store is a folder of packs, as git keeps one in objects/pack. It is safe for concurrent readers; while
// Ingest or Compact is at work nobody else may use it.
type Store struct {
	dir string

	mu    sync.RWMutex
	packs []*pack

	cache   cache
	readers sync.Pool
}

// Open reads the packs below dir, a repository's objects/pack folder, which is created if need be. A pack without
// an index, or an index without a pack, is what a crash leaves behind, and is removed. A pack that cannot be opened
// makes it return ErrCorrupt.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	s := &Store{dir: dir}
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	have := make(map[string]bool, len(names))
	for _, e := range names {
		have[e.Name()] = true
	}
	// The newest pack is asked first, also after a restart.
	order.Sort(names, func(a, b os.DirEntry) int { return modified(a).Compare(modified(b)) })
	for _, e := range names {
		name := e.Name()
		base, ext := strings.TrimSuffix(name, filepath.Ext(name)), filepath.Ext(name)
		whole := have[base+".pack"] && have[base+".idx"]
		if strings.HasPrefix(name, "tmp-") || (ext == ".pack" || ext == ".idx") && !whole {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return nil, err
			}
			continue
		}
		if ext != ".idx" {
			continue
		}
		p, err := openPack(filepath.Join(dir, base))
		if err != nil {
			s.Close()
			return nil, err
		}
		s.packs = append(s.packs, p)
	}
	return s, nil
}

// modified is when a file was written; long ago if it is gone.
func modified(e os.DirEntry) time.Time {
	fi, err := e.Info()
	if err != nil {
		return time.Time{}
	}
	return fi.ModTime()
}

// Close lets go of the packs' files.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, p := range s.packs {
		errs = append(errs, p.close())
	}
	s.packs = nil
	s.cache.reset()
	return errors.Join(errs...)
}

// Rest lets go of what only speeds up reading. The next read fills it again.
func (s *Store) Rest() { s.cache.reset() }

// Stats says how many packs there are and how many bytes they take.
func (s *Store) Stats() (packs int, bytes int64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, p := range s.packs {
		bytes += p.size
	}
	return len(s.packs), bytes
}

// Has tells whether a pack holds h.
func (s *Store) Has(h Hash) bool {
	_, _, err := s.find(h)
	return err == nil
}

func (s *Store) find(h Hash) (*pack, int64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for i := len(s.packs) - 1; i >= 0; i-- {
		if off, ok := s.packs[i].lookup(h); ok {
			return s.packs[i], off, nil
		}
	}
	return nil, 0, fmt.Errorf("%s: %w", h, ErrNotFound)
}

// Get returns an object's type and content. The content is shared: it must not be changed. It is checked against
// its hash. ErrNotFound and ErrCorrupt are told apart.
func (s *Store) Get(h Hash) (Type, []byte, error) {
	p, off, err := s.find(h)
	if err != nil {
		return 0, nil, err
	}
	typ, data, err := s.load(p, off)
	if err != nil {
		return 0, nil, fmt.Errorf("read object %s: %w", h, err)
	}
	if Sum(typ, data) != h {
		return 0, nil, fmt.Errorf("read object %s: %w", h, corruptf("content has another hash"))
	}
	return typ, data, nil
}

// CopyBlob writes the content of blob h to w and returns its length in bytes. A blob over streamSize that is stored
// whole is never held in memory. ErrCorrupt may come after bytes were written: use them only when the error is nil.
func (s *Store) CopyBlob(w io.Writer, h Hash) (int64, error) {
	p, off, err := s.find(h)
	if err != nil {
		return 0, err
	}
	rec, err := p.record(off)
	if err != nil {
		return 0, fmt.Errorf("read blob %s: %w", h, err)
	}
	if rec.typ != plumbing.BlobObject || rec.size <= streamSize {
		typ, data, err := s.Get(h)
		if err != nil {
			return 0, err
		}
		if typ != plumbing.BlobObject {
			return 0, corruptf("object %s is a %s, not a blob", h, typ)
		}
		n, err := w.Write(data)
		return int64(n), err
	}
	got, err := s.stream(p, rec, w)
	if err != nil {
		return 0, fmt.Errorf("read blob %s: %w", h, err)
	}
	if got != h {
		return 0, fmt.Errorf("read blob %s: %w", h, corruptf("content has another hash"))
	}
	return rec.size, nil
}

// link is one delta of a chain, and where it stands.
type link struct {
	p     *pack
	off   int64
	delta []byte
}

// load reads the object at off, following its deltas. Chains are followed without recursion, so that a hostile pack
// costs time within its own size and no stack.
func (s *Store) load(p *pack, off int64) (Type, []byte, error) {
	var chain []link
	for {
		if typ, data, ok := s.cache.get(p, off); ok {
			return s.apply(typ, data, chain)
		}
		rec, body, err := s.read(p, off)
		if err != nil {
			return 0, nil, err
		}
		if rec.typ != plumbing.OFSDeltaObject && rec.typ != plumbing.REFDeltaObject {
			s.cache.put(p, off, rec.typ, body)
			return s.apply(rec.typ, body, chain)
		}
		if chain = append(chain, link{p, off, body}); len(chain) > maxChain {
			return 0, nil, corruptf("delta chain is longer than %d", maxChain)
		}
		if p, off, err = s.base(p, rec); err != nil {
			return 0, nil, err
		}
	}
}

// base finds what a delta stands upon.
func (s *Store) base(p *pack, rec record) (*pack, int64, error) {
	if rec.typ == plumbing.OFSDeltaObject {
		return p, rec.base, nil
	}
	if off, ok := p.lookup(rec.baseHash); ok {
		return p, off, nil
	}
	next, off, err := s.find(rec.baseHash)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: delta base %s", errNoBase, rec.baseHash)
	}
	return next, off, nil
}

func (s *Store) apply(typ Type, data []byte, chain []link) (Type, []byte, error) {
	for i := len(chain) - 1; i >= 0; i-- {
		out, err := patch(data, chain[i].delta)
		if err != nil {
			return 0, nil, err
		}
		data = out
		s.cache.put(chain[i].p, chain[i].off, typ, data)
	}
	return typ, data, nil
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
