package unpack

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"math"
	"strings"
)

// The format is read by code of our own because programs differ in what they make of contradictions, which is how
// archives get past a check and then unpack to something else. Here a contradiction is an error. The numbers are those of
// PKWARE's APPNOTE, 4.3 and 4.5.

const (
	sigLocal   = "PK\x03\x04"
	sigMember  = "PK\x01\x02"
	sigEnd     = "PK\x05\x06"
	sigEnd64   = "PK\x06\x06"
	sigLocator = "PK\x06\x07"
	sigData    = "PK\x07\x08"

	lenLocal   = 30
	lenMember  = 46
	lenEnd     = 22
	lenEnd64   = 56
	lenLocator = 20

	is64 = math.MaxUint32 // a field of 32 bits whose value stands elsewhere
)

var le = binary.LittleEndian

// directory is where the list of members is.
type directory struct {
	start, length int64 // of the list, in the file
	base          int64 // what stands before the archive; offsets count from there
	count         int64 // of members
}

// bad is a refusal of a zip that contradicts itself.
func bad(format string, args ...any) error {
	return reject("", "is damaged: "+fmt.Sprintf(format, args...), "copy or make it again")
}

// findDirectory reads the end of a zip.
func findDirectory(f io.ReaderAt, size int64) (d directory, err error) {
	tail := make([]byte, min(size, lenEnd+math.MaxUint16))
	if _, err := f.ReadAt(tail, size-int64(len(tail))); err != nil {
		return d, err
	}
	at, err := findEnd(tail)
	if err != nil {
		return d, err
	}
	end := tail[at:]
	pos := size - int64(len(tail)) + int64(at) // of the record
	e := endRecord{
		disk: uint64(le.Uint16(end[4:])), first: uint64(le.Uint16(end[6:])), here: uint64(le.Uint16(end[8:])),
		count: uint64(le.Uint16(end[10:])), length: uint64(le.Uint32(end[12:])), off: uint64(le.Uint32(end[16:])),
	}
	if pos, err = e.widen(f, pos); err != nil {
		return d, err
	}
	switch {
	case e.disk != 0 || e.first != 0 || e.here != e.count:
		return d, splitZip()
	case e.length > uint64(pos) || e.off > uint64(pos)-e.length:
		return d, bad("its list of members lies outside of the file")
	case e.count > e.length/lenMember:
		return d, bad("its list of members is too short for %d", e.count)
	}
	d = directory{start: pos - int64(e.length), length: int64(e.length), count: int64(e.count)}
	if d.base = d.start - int64(e.off); d.base > 0 && d.count > 0 {
		// Something in front, such as a program. Then there must not be a second list where the offset counts from the start.
		var sig [4]byte
		if _, err := f.ReadAt(sig[:], int64(e.off)); err == nil && string(sig[:]) == sigMember {
			return d, bad("it has two lists of members; programs differ in which one they take")
		}
	}
	return d, nil
}

// endRecord is what the end of a zip says: which disk this is, on which the list begins, how many members are listed here
// and in all, and how long the list is and where it begins.
type endRecord struct{ disk, first, here, count, length, off uint64 }

// widen takes the fields from the end record for large zips, where there is one. pos is where the record was found;
// the list ends at the place that comes back.
func (e *endRecord) widen(f io.ReaderAt, pos int64) (int64, error) {
	if pos < lenLocator+lenEnd64 {
		return pos, nil
	}
	loc := make([]byte, lenLocator)
	if _, err := f.ReadAt(loc, pos-lenLocator); err != nil {
		return 0, err
	}
	if string(loc[:4]) != sigLocator {
		return pos, nil
	}
	rec, at, err := findEnd64(f, loc, pos-lenLocator)
	if err != nil {
		return 0, err
	}
	if le.Uint32(loc[4:]) != 0 || le.Uint32(loc[16:]) > 1 {
		return 0, splitZip()
	}
	for _, v := range []struct {
		field      *uint64
		wide, full uint64
	}{
		{&e.disk, uint64(le.Uint32(rec[16:])), math.MaxUint16}, {&e.first, uint64(le.Uint32(rec[20:])), math.MaxUint16},
		{&e.here, le.Uint64(rec[24:]), math.MaxUint16}, {&e.count, le.Uint64(rec[32:]), math.MaxUint16},
		{&e.length, le.Uint64(rec[40:]), is64}, {&e.off, le.Uint64(rec[48:]), is64},
	} {
		if *v.field != v.full && *v.field != v.wide {
			return 0, bad("its two end records contradict each other")
		}
		*v.field = v.wide
	}
	return at, nil
}

func splitZip() error {
	return reject("", "is one part of a split zip", "join the parts: zip -s 0 parts.zip --out whole.zip")
}

// findEnd finds the record that reaches exactly to the end of the file.
func findEnd(tail []byte) (at int, err error) {
	at = -1
	some := false
	for i := len(tail) - 4; i >= 0; i-- {
		if tail[i] != 'P' || string(tail[i:i+4]) != sigEnd {
			continue
		}
		if some = true; len(tail)-i < lenEnd || len(tail)-i-lenEnd != int(le.Uint16(tail[i+20:])) {
			continue
		}
		if at >= 0 {
			return -1, bad("it has two ends; programs differ in which one they take")
		}
		at = i
	}
	switch {
	case at >= 0:
		return at, nil
	case some:
		return -1, reject("", "goes on behind its end, or is cut off", "copy or make it again")
	}
	return -1, reject("", "is cut off: a zip has the list of its members at the end, and there is none", "copy or make it again")
}

// findEnd64 reads the end record for large zips, which stands right before its locator.
func findEnd64(f io.ReaderAt, loc []byte, locator int64) (rec []byte, pos int64, err error) {
	rec = make([]byte, lenEnd64)
	for _, pos := range []int64{int64(le.Uint64(loc[8:])), locator - lenEnd64} {
		if pos < 0 || pos > locator-lenEnd64 {
			continue
		}
		if _, err := f.ReadAt(rec, pos); err != nil {
			return nil, 0, err
		}
		if string(rec[:4]) == sigEnd64 && le.Uint64(rec[4:]) == uint64(locator-pos-12) {
			return rec, pos, nil
		}
	}
	return nil, 0, bad("its zip64 end record is not where it should be")
}

// member is one of the list.
type member struct {
	name         string
	flags        uint16
	method       uint16
	crc          uint32
	packed, size int64
	off          int64 // of the local header in the file
	end          int64 // where the next member, or the list, begins
	unix         uint32
	mtime        int64
	uid, gid     uint32
	owned        bool
	at           int // in the plan
}

// members reads the list. It has to hold as many as it says, and nothing else.
func (d directory) members(f io.ReaderAt) iter.Seq2[member, error] {
	return func(yield func(member, error) bool) {
		rd := bufio.NewReaderSize(io.NewSectionReader(f, d.start, d.length), 32<<10)
		left := d.length
		var buf []byte
		for range d.count {
			m, n, err := d.member(rd, &buf)
			if err != nil {
				yield(m, damage(err))
				return
			}
			left -= n
			if !yield(m, nil) {
				return
			}
		}
		if left != 0 {
			yield(member{}, bad("its list of members is longer than it says"))
		}
	}
}

func (d directory) member(rd io.Reader, buf *[]byte) (m member, n int64, err error) {
	var head [lenMember]byte
	if _, err := io.ReadFull(rd, head[:]); err != nil {
		return m, 0, err
	}
	if string(head[:4]) != sigMember {
		return m, 0, bad("its list of members is broken")
	}
	h := head[:]
	names, extras, comment := int(le.Uint16(h[28:])), int(le.Uint16(h[30:])), int(le.Uint16(h[32:]))
	if need := names + extras + comment; cap(*buf) < need {
		*buf = make([]byte, need)
	}
	rest := (*buf)[:names+extras+comment]
	if _, err := io.ReadFull(rd, rest); err != nil {
		return m, 0, err
	}
	m = member{
		name: string(rest[:names]), flags: le.Uint16(h[8:]), method: le.Uint16(h[10:]), crc: le.Uint32(h[16:]),
		packed: int64(le.Uint32(h[20:])), size: int64(le.Uint32(h[24:])), mtime: dosTime(le.Uint16(h[14:]), le.Uint16(h[12:])),
	}
	off, disk := int64(le.Uint32(h[42:])), uint32(le.Uint16(h[34:]))
	if made := h[5]; made == 3 || made == 19 { // Unix, macOS
		m.unix = le.Uint32(h[38:]) >> 16
	}
	if err := m.extra(rest[names:names+extras], &off, &disk); err != nil {
		return m, 0, in(m.name, err)
	}
	if disk != 0 {
		return m, 0, splitZip()
	}
	if m.off = d.base + off; m.off < d.base || m.off > d.start-lenLocal {
		return m, 0, in(m.name, bad("it lies outside of the archive"))
	}
	if m.packed < 0 || m.size < 0 || m.packed > d.start-m.off {
		return m, 0, in(m.name, bad("its size is impossible"))
	}
	return m, lenMember + int64(len(rest)), nil
}

// fields goes through extra fields. Less than a field at the end is padding, which some tools make.
func fields(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= 4 {
			id, n := le.Uint16(b), int(le.Uint16(b[2:]))
			if n > len(b)-4 {
				return
			}
			if !yield(id, b[4:4+n]) {
				return
			}
			b = b[4+n:]
		}
	}
}

// extra reads sizes of 64 bits, times and owners.
func (m *member) extra(b []byte, off *int64, disk *uint32) error {
	seen64 := false
	fine := false // a better time than that of DOS
	for id, v := range fields(b) {
		switch {
		case id == 0x0001:
			if seen64 {
				return bad("it has its zip64 sizes twice")
			}
			seen64 = true
			for _, field := range []*int64{&m.size, &m.packed, off} {
				if *field != is64 {
					continue
				}
				if len(v) < 8 {
					return bad("it lacks its zip64 sizes")
				}
				*field, v = int64(le.Uint64(v)), v[8:]
			}
			if *disk == math.MaxUint16 && len(v) >= 4 {
				*disk = le.Uint32(v)
			}
		case id == 0x5455 && len(v) >= 5 && v[0]&1 != 0: // extended timestamp
			m.mtime, fine = int64(int32(le.Uint32(v[1:])))*1e9, true
		case id == 0x000a && len(v) >= 32 && le.Uint16(v[4:]) == 1 && !fine: // NTFS
			if t := le.Uint64(v[8:]); t > 0 && t < math.MaxInt64 {
				m.mtime = nanos(ntfsTime(t))
			}
		case id == 0x7875 && len(v) >= 11 && v[0] == 1 && v[1] == 4 && v[6] == 4: // Unix owner
			m.uid, m.gid, m.owned = le.Uint32(v[2:]), le.Uint32(v[7:]), true
		}
	}
	if !seen64 && (m.size == is64 || m.packed == is64 || *off == is64) {
		return bad("it lacks its zip64 sizes")
	}
	return nil
}

// folder tells whether the name is one of a folder, which is the only sign that all programs agree on.
func (m *member) folder() bool { return strings.HasSuffix(m.name, "/") }

// same tells whether a local header is of this member.
func (m *member) same(h, name, extra []byte) error {
	const encrypted, later, patched, strong, masked = 1, 8, 1 << 5, 1 << 6, 1 << 13
	const matter = encrypted | later | patched | strong | masked
	size, packed := int64(le.Uint32(h[22:])), int64(le.Uint32(h[18:]))
	for id, v := range fields(extra) {
		if id != 0x0001 {
			continue
		}
		for _, field := range []*int64{&size, &packed} {
			if *field == is64 && len(v) >= 8 {
				*field, v = int64(le.Uint64(v)), v[8:]
			}
		}
	}
	what := ""
	ok := func(v, want int64) bool { return v == want || m.flags&later != 0 && (v == 0 || v == is64) }
	switch {
	case string(h[:4]) != sigLocal:
		return bad("nothing begins where the list says")
	case !bytes.Equal(name, []byte(m.name)):
		what = "name " + quote(string(name))
	case le.Uint16(h[8:]) != m.method:
		what = "method"
	case (le.Uint16(h[6:])^m.flags)&matter != 0:
		what = "flags"
	case !ok(size, m.size), !ok(packed, m.packed):
		what = "size"
	case !ok(int64(le.Uint32(h[14:])), int64(m.crc)):
		what = "checksum"
	default:
		return nil
	}
	return reject("", "has another "+what+" in its own header than in the list; programs differ in which one they take", "make the archive again")
}

// closes tells whether the data descriptor b, of which there is one when the flags say so, has what the list has.
func (m *member) closes(b []byte) bool {
	for _, sig := range []string{sigData, ""} {
		for _, wide := range []bool{false, true} {
			v, ok := bytes.CutPrefix(b, []byte(sig))
			switch {
			case !ok || len(v) < 12 || wide && len(v) < 20 || le.Uint32(v) != m.crc:
			case wide && int64(le.Uint64(v[4:])) == m.packed && int64(le.Uint64(v[12:])) == m.size:
				return true
			case !wide && le.Uint32(v[4:]) == uint32(m.packed) && le.Uint32(v[8:]) == uint32(m.size):
				return true
			}
		}
	}
	return false
}
