package tree

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"golang.org/x/sys/unix"
)

// Record is a published file: what it is meant to be and how it looked when it was written.
type Record struct {
	Path string
	Mode Mode
	Hash Hash
	Stat Stat
}

var errIsDir = unix.EISDIR

// Scan looks at every item in dst. An item that is not there, or is of another kind, is an error.
func Scan(dst *Folder, items []Item) ([]Record, error) {
	l := newLister(dst)
	defer l.close()
	out := make([]Record, 0, len(items))
	for _, it := range items {
		st, err := l.lstat(it.Path)
		if err != nil {
			return nil, err
		}
		if st.Kind != kindOf(it.Mode) {
			return nil, fmt.Errorf("%w: %q is in the way of another entry of that name", ErrRefused, it.Path)
		}
		if it.Mode == Submodule {
			st = Stat{Kind: st.Kind}
		}
		out = append(out, Record{it.Path, it.Mode, it.Hash, st})
	}
	return out, nil
}

func kindOf(m Mode) uint32 {
	switch m {
	case Symlink:
		return unix.S_IFLNK
	case Submodule:
		return unix.S_IFDIR
	}
	return unix.S_IFREG
}

// Verify returns the paths of the records whose file is gone or was touched since, by length, time and inode.
func Verify(dst *Folder, records []Record) []string {
	l := newLister(dst)
	defer l.close()
	var bad []string
	for i := range records {
		st, err := l.lstat(records[i].Path)
		if records[i].Mode == Submodule {
			st = Stat{Kind: st.Kind}
		}
		if err != nil || st != records[i].Stat {
			bad = append(bad, records[i].Path)
		}
	}
	return bad
}

const manifestMagic = "sidecar-sync manifest 1\n"

// maxRecord bounds a record's path when a manifest is read, in bytes.
const maxRecord = maxPath

// WriteManifest writes records so that ReadManifest gives them back, and ends with a checksum.
func WriteManifest(w io.Writer, records []Record) error {
	sum := crc32.NewIEEE()
	out := bufio.NewWriterSize(io.MultiWriter(w, sum), 32<<10)
	_, _ = out.WriteString(manifestMagic) // the error comes from Flush
	_, _ = out.Write(binary.AppendUvarint(nil, uint64(len(records))))
	var b []byte
	for _, r := range records {
		b = binary.AppendUvarint(b[:0], uint64(len(r.Path)))
		b = append(b, r.Path...)
		b = append(b, r.Hash[:]...)
		for _, v := range []uint64{uint64(r.Mode), uint64(r.Stat.Kind), uint64(r.Stat.Size), uint64(r.Stat.Mtime), r.Stat.Inode} {
			b = binary.AppendUvarint(b, v)
		}
		_, _ = out.Write(b)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	_, err := w.Write(binary.BigEndian.AppendUint32(nil, sum.Sum32()))
	return err
}

// ErrManifest means that a manifest cannot be used: the tree it describes has to be looked at afresh.
var ErrManifest = errors.New("broken manifest")

// ReadManifest reads what WriteManifest wrote; anything else is ErrManifest.
func ReadManifest(r io.Reader) ([]Record, error) {
	in := &summed{r: bufio.NewReaderSize(r, 32<<10)}
	magic := make([]byte, len(manifestMagic))
	if _, err := io.ReadFull(in, magic); err != nil || string(magic) != manifestMagic {
		return nil, fmt.Errorf("%w: unknown format", ErrManifest)
	}
	n, err := binary.ReadUvarint(in)
	if err != nil {
		return nil, fmt.Errorf("%w: cut", ErrManifest)
	}
	records := make([]Record, 0, min(n, 1<<16))
	for range n {
		rec, err := in.record()
		if err != nil {
			return nil, fmt.Errorf("%w: record %d: %w", ErrManifest, len(records)+1, err)
		}
		records = append(records, rec)
	}
	want := in.sum
	var tail [4]byte
	if _, err := io.ReadFull(in.r, tail[:]); err != nil || binary.BigEndian.Uint32(tail[:]) != want {
		return nil, fmt.Errorf("%w: wrong checksum", ErrManifest)
	}
	return records, nil
}

// summed reads bytes and sums them up.
type summed struct {
	r   *bufio.Reader
	sum uint32
	one [1]byte
}

func (s *summed) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.sum = crc32.Update(s.sum, crc32.IEEETable, p[:n])
	return n, err
}

func (s *summed) ReadByte() (byte, error) {
	_, err := io.ReadFull(s, s.one[:])
	return s.one[0], err
}

func (s *summed) record() (r Record, err error) {
	n, err := binary.ReadUvarint(s)
	if err != nil || n > maxRecord {
		return r, errors.Join(errors.New("bad path"), err)
	}
	name := make([]byte, n)
	if _, err := io.ReadFull(s, name); err != nil {
		return r, err
	}
	r.Path = string(name)
	if _, err := io.ReadFull(s, r.Hash[:]); err != nil {
		return r, err
	}
	var v [5]uint64
	for i := range v {
		if v[i], err = binary.ReadUvarint(s); err != nil {
			return r, err
		}
	}
	r.Mode = Mode(v[0])
	r.Stat = Stat{Kind: uint32(v[1]), Size: int64(v[2]), Mtime: int64(v[3]), Inode: v[4]}
	return r, nil
}
