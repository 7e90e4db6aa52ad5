package store

import (
	"bufio"
	"bytes"
	"crypto/sha1" //nolint:gosec // the pack format's own checksum
	"encoding/binary"
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

const (
	idxMagic     = "\xfftOc\x00\x00\x00\x02"
	idxHeaderLen = 8 + 256*4
)

func be32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }

// entry is one object of a pack while the pack is made.
type entry struct {
	off  int64
	hash Hash
	crc  uint32
}

// index is a version 2 pack index: mapped from its file, or, while a pack is being received, absent.
type index struct {
	data   []byte
	n      int
	mapped bool
}

// maxHeldIndex is the length in bytes up to which an index is read into memory. A longer one is mapped: that costs less,
// but a file that somebody cuts while it is mapped ends the process.
const maxHeldIndex = 4 << 20

// openIndex reads or maps an index and checks its shape. Its content is believed only as far as a lookup goes: what it leads to
// is checked by hash.
func openIndex(path string) (index, error) {
	f, err := os.Open(path)
	if err != nil {
		return index{}, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return index{}, err
	}
	if fi.Size() < idxHeaderLen+2*hashLen || fi.Size() > 1<<36 {
		return index{}, corruptf("index is cut")
	}
	if fi.Size() <= maxHeldIndex {
		data := make([]byte, fi.Size())
		if _, err := io.ReadFull(f, data); err != nil {
			return index{}, corruptf("index is cut")
		}
		return parseIndex(data)
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(fi.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return index{}, err
	}
	x, err := parseIndex(data)
	if err != nil {
		_ = unix.Munmap(data)
		return index{}, err
	}
	x.mapped = true
	return x, nil
}

func parseIndex(data []byte) (index, error) {
	if len(data) < idxHeaderLen+2*hashLen || string(data[:8]) != idxMagic {
		return index{}, corruptf("not a version 2 index")
	}
	var last uint32
	for i := range 256 {
		v := be32(data[8+4*i:])
		if v < last {
			return index{}, corruptf("index fan-out goes down")
		}
		last = v
	}
	n := int(last)
	least := idxHeaderLen + n*(hashLen+8) + 2*hashLen
	if rest := len(data) - least; rest < 0 || rest%8 != 0 || rest/8 > n {
		return index{}, corruptf("index has the wrong length")
	}
	return index{data: data, n: n}, nil
}

func (x index) close() error {
	if !x.mapped {
		return nil
	}
	return unix.Munmap(x.data)
}

func (x index) packSum() (h Hash) {
	copy(h[:], x.data[len(x.data)-2*hashLen:])
	return h
}

func (x index) hashAt(i int) []byte {
	at := idxHeaderLen + i*hashLen
	return x.data[at : at+hashLen]
}

func (x index) offsetAt(i int) (int64, bool) {
	at := idxHeaderLen + x.n*(hashLen+4) + 4*i
	v := be32(x.data[at:])
	if v&(1<<31) == 0 {
		return int64(v), true
	}
	at = idxHeaderLen + x.n*(hashLen+8) + 8*int(v&^(1<<31))
	if at+8 > len(x.data)-2*hashLen {
		return 0, false
	}
	big := binary.BigEndian.Uint64(x.data[at:])
	return int64(big), big < 1<<62
}

func (x index) lookup(h Hash) (int64, bool) {
	if x.data == nil {
		return 0, false
	}
	lo, hi := 0, int(be32(x.data[8+4*int(h[0]):]))
	if h[0] > 0 {
		lo = int(be32(x.data[8+4*(int(h[0])-1):]))
	}
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		switch bytes.Compare(x.hashAt(mid), h[:]) {
		case 0:
			return x.offsetAt(mid)
		case -1:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return 0, false
}

// writeIndex writes the version 2 index of a pack with these objects and this trailer. It sorts entries by name.
func writeIndex(w io.Writer, entries []entry, packSum Hash) error {
	slices.SortFunc(entries, func(a, b entry) int { return bytes.Compare(a.hash[:], b.hash[:]) })
	sum := sha1.New() //nolint:gosec // see above
	out := bufio.NewWriterSize(io.MultiWriter(w, sum), 32<<10)
	u32 := func(v uint32) {
		_, _ = out.Write(binary.BigEndian.AppendUint32(out.AvailableBuffer(), v)) // the error comes from Flush
	}
	_, _ = out.WriteString(idxMagic)
	for i, k := 0, 0; i < 256; i++ {
		for k < len(entries) && int(entries[k].hash[0]) <= i {
			k++
		}
		u32(uint32(k))
	}
	for i := range entries {
		_, _ = out.Write(entries[i].hash[:])
	}
	for i := range entries {
		u32(entries[i].crc)
	}
	var big []int64
	for i := range entries {
		if entries[i].off < 1<<31 {
			u32(uint32(entries[i].off))
			continue
		}
		u32(1<<31 | uint32(len(big)))
		big = append(big, entries[i].off)
	}
	for _, off := range big {
		_, _ = out.Write(binary.BigEndian.AppendUint64(out.AvailableBuffer(), uint64(off)))
	}
	_, _ = out.Write(packSum[:])
	if err := out.Flush(); err != nil {
		return err
	}
	_, err := w.Write(sum.Sum(nil))
	return err
}
