package store

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// Compact writes one new pack with what the commits tips need, and removes all others. Parents of the commits in
// shallow are not followed. Objects are copied as they are, compressed; only a delta whose base goes away is written
// whole. It returns the new pack's length in bytes. Nobody else may use the store meanwhile: the old packs are closed.
func (s *Store) Compact(tips, shallow []Hash) (int64, error) {
	live, err := s.reach(tips, shallow)
	if err != nil {
		return 0, err
	}
	parts, err := s.locate(live)
	if err != nil {
		return 0, err
	}
	f, err := os.CreateTemp(s.dir, "tmp-pack-")
	if err != nil {
		return 0, err
	}
	path, err := s.copyLive(f, live, parts)
	if err != nil {
		return 0, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	if err := f.Close(); err != nil {
		return 0, err
	}
	p, err := openPack(path)
	if err != nil {
		return 0, err
	}
	return p.size, s.replace(p)
}

// replace makes p the only pack. Where p is one of those that were there, that one stays.
func (s *Store) replace(p *pack) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.packs
	s.packs = []*pack{p}
	s.cache.reset()
	var errs []error
	for _, o := range old {
		errs = append(errs, o.close())
		if o.path != p.path {
			// The index goes first: a pack without an index is swept, the other way round is a loss.
			errs = append(errs, os.Remove(o.path+".idx"), os.Remove(o.path+".pack"))
		}
	}
	return errors.Join(append(errs, syncDir(s.dir))...)
}

// reach lists every object that tips need.
func (s *Store) reach(tips, shallow []Hash) (map[Hash]bool, error) {
	cut := make(map[Hash]bool, len(shallow))
	for _, h := range shallow {
		cut[h] = true
	}
	live := make(map[Hash]bool)
	todo := slices.Clone(tips)
	for len(todo) > 0 {
		h := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if live[h] {
			continue
		}
		typ, data, err := s.Get(h)
		if err != nil {
			return nil, err
		}
		if typ != plumbing.CommitObject {
			return nil, fmt.Errorf("%s is a %s, not a commit", h, typ)
		}
		live[h] = true
		tree, parents, err := commitLinks(data)
		if err != nil {
			return nil, err
		}
		if err := s.reachTree(tree, live); err != nil {
			return nil, err
		}
		if !cut[h] {
			todo = append(todo, parents...)
		}
	}
	return live, nil
}

func commitLinks(data []byte) (tree Hash, parents []Hash, err error) {
	for line := range bytes.Lines(data) {
		key, value, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
		switch {
		case string(key) == "tree" && len(value) == 2*hashLen:
			tree = plumbing.NewHash(string(value))
		case string(key) == "parent" && len(value) == 2*hashLen:
			parents = append(parents, plumbing.NewHash(string(value)))
		default:
			if tree.IsZero() {
				return tree, nil, corruptf("commit names no tree")
			}
			return tree, parents, nil
		}
	}
	return tree, parents, nil
}

func (s *Store) reachTree(root Hash, live map[Hash]bool) error {
	todo := []Hash{root}
	for len(todo) > 0 {
		h := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if live[h] {
			continue
		}
		typ, data, err := s.Get(h)
		if err != nil {
			return err
		}
		if typ != plumbing.TreeObject {
			return corruptf("%s is a %s, not a tree", h, typ)
		}
		live[h] = true
		for len(data) > 0 {
			end := bytes.IndexByte(data, 0)
			if end < 0 || len(data) < end+1+hashLen {
				return corruptf("tree %s is cut", h)
			}
			var e Hash
			copy(e[:], data[end+1:])
			// Some old tools padded modes with a zero.
			switch mode := bytes.TrimLeft(data[:end], "0"); {
			case bytes.HasPrefix(mode, []byte("160")): // a submodule's commit lies elsewhere
			case bytes.HasPrefix(mode, []byte("4")):
				todo = append(todo, e)
			default:
				live[e] = true
			}
			data = data[end+1+hashLen:]
		}
	}
	return nil
}

// part is a live object's place in an old pack.
type part struct {
	hash     Hash
	off, end int64
}

// locate finds the live objects, by pack and in the order in which they lie there: a base comes before what stands upon it.
func (s *Store) locate(live map[Hash]bool) (map[*pack][]part, error) {
	parts := make(map[*pack][]part)
	for h := range live {
		p, off, err := s.find(h)
		if err != nil {
			return nil, err
		}
		parts[p] = append(parts[p], part{hash: h, off: off})
	}
	for p, list := range parts {
		ends := p.idx.offsets()
		slices.SortFunc(list, func(a, b part) int { return cmp.Compare(a.off, b.off) })
		for i := range list {
			at, ok := slices.BinarySearch(ends, list[i].off)
			if list[i].end = p.size - hashLen; ok && at+1 < len(ends) {
				list[i].end = ends[at+1]
			}
		}
	}
	return parts, nil
}

// offsets returns the places of all objects, in order.
func (x index) offsets() []int64 {
	out := make([]int64, 0, x.n)
	for i := range x.n {
		if off, ok := x.offsetAt(i); ok {
			out = append(out, off)
		}
	}
	slices.Sort(out)
	return out
}

func (s *Store) copyLive(f *os.File, live map[Hash]bool, parts map[*pack][]part) (string, error) {
	out := bufio.NewWriterSize(f, 64<<10)
	c := &copier{s: s, w: &counter{w: out}, moved: make(map[Hash]int64, len(live))}
	var err error
	if c.z, err = zlib.NewWriterLevel(c.w, zlib.BestSpeed); err != nil {
		return "", err
	}
	if _, err := c.w.Write([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x00")); err != nil {
		return "", err
	}
	s.mu.RLock()
	order := slices.Clone(s.packs)
	s.mu.RUnlock()
	for _, p := range order {
		if err := c.pack(p, parts[p]); err != nil {
			return "", err
		}
	}
	if _, err := out.Write(make([]byte, hashLen)); err != nil {
		return "", err
	}
	if err := errors.Join(out.Flush(), setCount(f, len(c.entries))); err != nil {
		return "", err
	}
	return s.finish(f, c.entries, true)
}

// copier moves objects from old packs into a new one.
type copier struct {
	s       *Store
	w       *counter
	z       *zlib.Writer
	moved   map[Hash]int64 // places in the new pack
	entries []entry
}

func (c *copier) pack(p *pack, list []part) error {
	hashes := make(map[int64]Hash, len(list))
	for _, pt := range list {
		hashes[pt.off] = pt.hash
	}
	for _, pt := range list {
		at := c.w.n
		if err := c.object(p, pt, hashes); err != nil {
			return fmt.Errorf("copy object %s: %w", pt.hash, err)
		}
		c.moved[pt.hash] = at
		c.entries = append(c.entries, entry{off: at, hash: pt.hash})
	}
	return nil
}

func (c *copier) object(p *pack, pt part, hashes map[int64]Hash) error {
	rec, err := p.record(pt.off)
	if err != nil {
		return err
	}
	base := rec.baseHash
	switch rec.typ {
	case plumbing.OFSDeltaObject:
		base = hashes[rec.base]
	case plumbing.REFDeltaObject:
	default:
		return c.raw(p, head(rec.typ, int(rec.size)), rec.body, pt.end)
	}
	at, ok := c.moved[base]
	if !ok {
		typ, data, err := c.s.Get(pt.hash)
		if err != nil {
			return err
		}
		return writeRecord(c.w, c.z, typ, data)
	}
	h := append(head(plumbing.OFSDeltaObject, int(rec.size)), ofsBytes(c.w.n-at)...)
	return c.raw(p, h, rec.body, pt.end)
}

// raw copies an object's compressed bytes behind a new head.
func (c *copier) raw(p *pack, h []byte, from, to int64) error {
	if _, err := c.w.Write(h); err != nil {
		return err
	}
	_, err := io.Copy(c.w, io.NewSectionReader(p.file, from, to-from))
	return err
}

// ofsBytes writes the distance to a delta's base as packs do.
func ofsBytes(n int64) []byte {
	b := []byte{byte(n & 0x7f)}
	for n >>= 7; n > 0; n >>= 7 {
		n--
		b = append([]byte{0x80 | byte(n&0x7f)}, b...)
	}
	return b
}
