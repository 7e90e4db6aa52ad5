package manifest

import (
	"encoding/binary"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

// decoder takes values from the front of rest. After the first one that is not there, everything is zero and bad is set.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) fail() {
	d.bad, d.rest = true, nil
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.rest)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// count is a number of things that take at least size bytes each: no more are believed than there is room for.
func (d *decoder) count(size int) int {
	n := d.uvarint()
	if n > uint64(len(d.rest)/size) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.rest)) {
		d.fail()
		return nil
	}
	out := d.rest[:n]
	d.rest = d.rest[n:]
	return out
}

func (d *decoder) bytes() []byte { return d.take(d.uvarint()) }

func (d *decoder) sum() (s item.Sum) {
	copy(s[:], d.take(uint64(len(s))))
	return s
}

func (d *decoder) state() State {
	s := State{Ino: d.uvarint(), Size: d.varint(), Mtime: d.varint()}
	s.Ctime = s.Mtime + d.varint()
	return s
}

func (d *decoder) entry(path string) Entry {
	e := Entry{Path: path}
	if kind := d.take(1); len(kind) == 1 {
		e.Kind = item.Kind(kind[0])
	}
	e.Input = int(d.uvarint())
	e.Mode = uint32(d.uvarint())
	e.Got = uint32(d.uvarint())
	e.UID, e.GID = int(d.varint()), int(d.varint())
	switch e.Kind {
	case item.File:
		e.Sum = d.sum()
	case item.Symlink:
		e.Link = string(d.bytes())
	case item.Dir:
	default:
		d.fail()
	}
	e.Copy = d.state()
	e.Source = d.state()
	return e
}

// arena keeps many short texts in few blocks.
type arena struct{ block strings.Builder }

func (a *arena) keep(text []byte) string {
	if a.block.Cap()-a.block.Len() < len(text) {
		a.block = strings.Builder{}
		a.block.Grow(max(64<<10, len(text)))
	}
	start := a.block.Len()
	a.block.Write(text)
	return a.block.String()[start:]
}
