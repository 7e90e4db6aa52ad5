package store

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/sidecar-kit/sidecar/internal/inflate"
)

const (
	// streamSize is the length in bytes from which a blob is passed on in pieces instead of held in memory.
	streamSize = 1 << 20
	// maxMemoryObject is the longest object that may be held in memory: trees, commits, deltas and their results.
	maxMemoryObject = 512 << 20

	packHeaderLen = 12
	hashLen       = 20
)

// record is the head of one object in a pack.
type record struct {
	off      int64 // where its head begins
	body     int64 // where its zlib stream begins
	typ      Type
	size     int64 // inflated length of the body, in bytes
	base     int64 // offset of an ofs-delta's base
	baseHash Hash  // name of a ref-delta's base
}

// pack is one pack file with its index. Reading is by position and safe for concurrent use.
type pack struct {
	path string // without extension
	file *os.File
	size int64
	idx  index
	// known stands in for the index while the pack is being received.
	known map[Hash]int64
}

func openPack(path string) (*pack, error) {
	f, err := os.Open(path + ".pack")
	if err != nil {
		return nil, err
	}
	p := &pack{path: path, file: f}
	if err := p.check(); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s.pack: %w", path, err), p.close())
	}
	return p, nil
}

// check reads the index and compares what can be compared in constant time: the pack's length and trailer. What a
// damaged disk does to the middle is found when it is read, by hash.
func (p *pack) check() error {
	fi, err := p.file.Stat()
	if err != nil {
		return err
	}
	p.size = fi.Size()
	if p.idx, err = openIndex(p.path + ".idx"); err != nil {
		return err
	}
	var head [packHeaderLen]byte
	if _, err := p.file.ReadAt(head[:], 0); err != nil {
		return corruptf("pack is cut")
	}
	n, err := packCount(head[:])
	if err != nil {
		return err
	}
	var sum Hash
	if _, err := p.file.ReadAt(sum[:], p.size-hashLen); err != nil {
		return corruptf("pack is cut")
	}
	if sum != p.idx.packSum() || int(n) != p.idx.n {
		return corruptf("pack and index do not belong together")
	}
	return nil
}

func (p *pack) close() error {
	return errors.Join(p.file.Close(), p.idx.close())
}

func (p *pack) lookup(h Hash) (int64, bool) {
	if off, ok := p.known[h]; ok {
		return off, true
	}
	return p.idx.lookup(h)
}

// packCount reads a pack's header and returns its number of objects.
func packCount(b []byte) (uint32, error) {
	if string(b[:4]) != "PACK" {
		return 0, corruptf("not a pack: begins with %q", b[:4])
	}
	if v := be32(b[4:]); v != 2 && v != 3 {
		return 0, corruptf("pack version %d is not supported", v)
	}
	return be32(b[8:]), nil
}

// recordHead reads the head of the object at the source's place.
func recordHead(src *inflate.Source) (record, error) {
	rec := record{off: src.Pos()}
	c, err := src.Byte()
	if err != nil {
		return rec, err
	}
	rec.typ = Type(c >> 4 & 7)
	rec.size = int64(c & 15)
	for shift := 4; c&0x80 != 0; shift += 7 {
		if c, err = src.Byte(); err != nil {
			return rec, err
		}
		if shift > 53 {
			return rec, corruptf("object at %d has a bad length", rec.off)
		}
		rec.size |= int64(c&0x7f) << shift
	}
	switch rec.typ {
	case plumbing.OFSDeltaObject:
		back, err := ofsDistance(src)
		if err != nil {
			return rec, err
		}
		if rec.base = rec.off - back; back <= 0 || rec.base < packHeaderLen {
			return rec, corruptf("delta at %d has its base outside the pack", rec.off)
		}
	case plumbing.REFDeltaObject:
		b, err := src.Next(hashLen)
		if err != nil {
			return rec, err
		}
		copy(rec.baseHash[:], b)
	case plumbing.CommitObject, plumbing.TreeObject, plumbing.BlobObject, plumbing.TagObject:
	default:
		return rec, corruptf("object at %d has the unknown type %d", rec.off, rec.typ)
	}
	if rec.size > maxMemoryObject && rec.typ != plumbing.BlobObject {
		return rec, corruptf("%s of %d bytes is over the limit of %d", rec.typ, rec.size, maxMemoryObject)
	}
	rec.body = src.Pos()
	return rec, nil
}

func ofsDistance(src *inflate.Source) (int64, error) {
	c, err := src.Byte()
	if err != nil {
		return 0, err
	}
	n := int64(c & 0x7f)
	for i := 0; c&0x80 != 0; i++ {
		if c, err = src.Byte(); err != nil {
			return 0, err
		}
		if i > 6 {
			return 0, corruptf("delta has a bad base distance")
		}
		n = (n+1)<<7 | int64(c&0x7f)
	}
	return n, nil
}

// section reads a file from an offset on.
type section struct {
	f   io.ReaderAt
	off int64
}

func (s *section) Read(b []byte) (int, error) {
	n, err := s.f.ReadAt(b, s.off)
	s.off += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

// record reads the head of the object at off.
func (p *pack) record(off int64) (record, error) {
	src := inflate.NewSource(&section{p.file, off}, 64, off)
	rec, err := recordHead(src)
	return rec, cut(err)
}

// reader is what one positional read needs. Readers are kept for reuse because their tables are large.
type reader struct {
	src *inflate.Source
	inf *inflate.Decoder
}

func (s *Store) reader(f io.ReaderAt, off int64) *reader {
	rd, ok := s.readers.Get().(*reader)
	if !ok {
		src := inflate.NewSource(nil, 16<<10, 0)
		rd = &reader{src: src, inf: inflate.New(src)}
	}
	rd.src.Reset(&section{f, off}, off)
	return rd
}

// read reads the object at off: its head and its inflated body.
func (s *Store) read(p *pack, off int64) (record, []byte, error) {
	rd := s.reader(p.file, off)
	defer s.readers.Put(rd)
	rec, err := recordHead(rd.src)
	if err != nil {
		return rec, nil, cut(err)
	}
	if rec.size > maxMemoryObject {
		return rec, nil, corruptf("object of %d bytes is over the limit of %d", rec.size, maxMemoryObject)
	}
	buf := make([]byte, rec.size+inflate.Slack)
	if err := whole(rd.inf, buf, int(rec.size)); err != nil {
		return rec, nil, cut(err)
	}
	return rec, buf[:rec.size:rec.size], nil
}

// whole inflates one object of exactly size bytes into buf, which has room for size+inflate.Slack.
func whole(inf *inflate.Decoder, buf []byte, size int) error { return corrupted(inf.Whole(buf, size)) }

// corrupted says of a bad stream that the pack is bad.
func corrupted(err error) error {
	if errors.Is(err, inflate.ErrCorrupt) {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}

// cut turns the early end of a stored pack into what it is.
func cut(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return corruptf("pack is cut")
	}
	return err
}

// stream passes the blob rec on to w in pieces and returns its name.
func (s *Store) stream(p *pack, rec record, w io.Writer) (Hash, error) {
	rd := s.reader(p.file, rec.body)
	defer s.readers.Put(rd)
	h, err := streamBlob(rd.inf, rec.size, w)
	return h, cut(err)
}

// streamBlob passes a blob of size bytes on to w in pieces and returns its name.
func streamBlob(inf *inflate.Decoder, size int64, w io.Writer) (Hash, error) {
	h := newHasher()
	h.begin(plumbing.BlobObject, size)
	if err := corrupted(inf.Stream(io.MultiWriter(h, w), size)); err != nil {
		return Hash{}, err
	}
	return h.end()
}
