package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
)

// A journal is magic and then frames: length (4 bytes), CRC-32C of the payload (4 bytes), payload. A payload is a kind and values: numbers are
// varints, words have their length in front.
const (
	magic    = "sidecar logship journal 1\n"
	overhead = 8
	longest  = 16 << 20
)

// The kinds of records.
const (
	kindGen byte = iota + 1
	kindDrop
	kindBegin
	kindDone
	kindCursor
	kindGap
	kindLost
)

var errTorn = errors.New("the record is not whole")

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

func appendFrame(dst, payload []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(payload)))
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(payload, castagnoli()))
	return append(dst, payload...)
}

// cutFrame returns the first payload of data and what follows.
func cutFrame(data []byte) (payload, rest []byte, err error) {
	if len(data) < overhead {
		return nil, nil, errTorn
	}
	size, sum := binary.LittleEndian.Uint32(data), binary.LittleEndian.Uint32(data[4:])
	if size == 0 || size > longest || int(size) > len(data)-overhead {
		return nil, nil, errTorn
	}
	payload = data[overhead : overhead+int(size)]
	if crc32.Checksum(payload, castagnoli()) != sum {
		return nil, nil, errTorn
	}
	return payload, data[overhead+int(size):], nil
}

func appendWord(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func appendPos(dst []byte, p Pos) []byte {
	n := uint64(p.Off) << 1
	if p.Mid {
		n |= 1
	}
	return binary.AppendUvarint(dst, n)
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func appendGen(dst []byte, g Gen) []byte {
	dst = binary.AppendUvarint(append(dst, kindGen), g.ID)
	dst = appendWord(appendWord(appendWord(appendWord(dst, g.Input), g.Path), g.Now), g.Compact)
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, g.Ident.Dev), g.Ident.Ino)
	dst = binary.AppendVarint(binary.AppendVarint(dst, g.Ident.Born), int64(g.Ident.HeadLen))
	dst = binary.LittleEndian.AppendUint64(dst, g.Ident.Head)
	dst = appendBool(binary.AppendVarint(dst, g.Size), g.Over)
	dst = binary.AppendVarint(binary.AppendVarint(dst, g.Made), g.Start)
	return appendWord(appendBool(appendBool(dst, g.Mid), g.Unsure), g.Lost)
}

func appendDrop(dst []byte, id uint64) []byte { return binary.AppendUvarint(append(dst, kindDrop), id) }

func appendManifest(dst []byte, m Manifest) []byte {
	dst = binary.AppendUvarint(appendWord(append(dst, kindBegin), m.Output), m.Seq)
	dst = binary.AppendVarint(binary.AppendVarint(dst, m.Read), int64(m.Events))
	dst = binary.AppendUvarint(dst, uint64(len(m.Ranges)))
	for _, r := range m.Ranges {
		dst = appendPos(appendPos(binary.AppendUvarint(dst, r.Gen), r.From), r.To)
		dst = appendBool(binary.LittleEndian.AppendUint64(dst, r.Check), r.Skip)
	}
	return dst
}

func appendDone(dst []byte, output string, seq uint64) []byte {
	return binary.AppendUvarint(appendWord(append(dst, kindDone), output), seq)
}

func appendCursor(dst []byte, output string, last, gen uint64, at Pos, check uint64) []byte {
	dst = binary.AppendUvarint(appendWord(append(dst, kindCursor), output), last)
	dst = appendPos(binary.AppendUvarint(dst, gen), at)
	return binary.LittleEndian.AppendUint64(dst, check)
}

func appendGap(dst []byte, g Gap) []byte {
	dst = binary.AppendUvarint(append(dst, kindGap), g.Gen)
	dst = appendWord(appendWord(appendWord(dst, g.Output), g.Path), g.Reason)
	return binary.AppendVarint(binary.AppendVarint(binary.AppendVarint(dst, g.From), g.To), g.At)
}

func appendLost(dst []byte, reason string, n int64) []byte {
	return binary.AppendVarint(appendWord(append(dst, kindLost), reason), n)
}

// parser takes values from a payload; the first that is not there makes every later one zero.
type parser struct {
	data []byte
	bad  bool
}

func (p *parser) fail() { p.data, p.bad = nil, true }

func (p *parser) u() uint64 {
	n, size := binary.Uvarint(p.data)
	if size <= 0 {
		p.fail()
		return 0
	}
	p.data = p.data[size:]
	return n
}

func (p *parser) i() int64 {
	n, size := binary.Varint(p.data)
	if size <= 0 {
		p.fail()
		return 0
	}
	p.data = p.data[size:]
	return n
}

func (p *parser) hash() uint64 {
	if len(p.data) < 8 {
		p.fail()
		return 0
	}
	n := binary.LittleEndian.Uint64(p.data)
	p.data = p.data[8:]
	return n
}

func (p *parser) bool() bool {
	if len(p.data) == 0 || p.data[0] > 1 {
		p.fail()
		return false
	}
	b := p.data[0] == 1
	p.data = p.data[1:]
	return b
}

func (p *parser) word() string {
	n := p.u()
	if n > uint64(len(p.data)) {
		p.fail()
		return ""
	}
	s := string(p.data[:n])
	p.data = p.data[n:]
	return s
}

func (p *parser) pos() Pos {
	n := p.u()
	return Pos{Off: int64(n >> 1), Mid: n&1 == 1}
}

func (p *parser) gen() Gen {
	g := Gen{ID: p.u(), Input: p.word(), Path: p.word(), Now: p.word(), Compact: p.word()}
	g.Ident = Identity{Dev: p.u(), Ino: p.u(), Born: p.i(), HeadLen: int32(p.i()), Head: p.hash()}
	g.Size, g.Over, g.Made, g.Start = p.i(), p.bool(), p.i(), p.i()
	if len(p.data) > 0 { // journals had no more than that at first
		g.Mid, g.Unsure, g.Lost = p.bool(), p.bool(), p.word()
	}
	return g
}

func (p *parser) manifest() Manifest {
	m := Manifest{Output: p.word(), Seq: p.u(), Read: p.i(), Events: int32(p.i())}
	n := p.u()
	if n > uint64(len(p.data)) {
		p.fail()
		return m
	}
	m.Ranges = make([]Range, 0, n)
	for range n {
		m.Ranges = append(m.Ranges, Range{Gen: p.u(), From: p.pos(), To: p.pos(), Check: p.hash(), Skip: p.bool()})
	}
	return m
}

func (p *parser) gap() Gap {
	g := Gap{Gen: p.u(), Output: p.word(), Path: p.word(), Reason: p.word()}
	g.From, g.To, g.At = p.i(), p.i(), p.i()
	return g
}

// apply does what a payload says. It is all or nothing.
func (s *Store) apply(payload []byte) error {
	p := &parser{data: payload[1:]}
	var do func()
	switch payload[0] {
	case kindGen:
		g := p.gen()
		do = func() { s.gens[g.ID] = &g }
	case kindDrop:
		id := p.u()
		do = func() { s.drop(id) }
	case kindBegin:
		m := p.manifest()
		do = func() { s.begin(m) }
	case kindDone:
		output, seq := p.word(), p.u()
		do = func() { s.done(output, seq) }
	case kindCursor:
		output, last, gen, at, check := p.word(), p.u(), p.u(), p.pos(), p.hash()
		do = func() {
			k := s.sink(output)
			k.last = max(k.last, last)
			if gen == 0 {
				return
			}
			c := k.cursors[gen]
			if c == nil {
				c = &cursor{}
				k.cursors[gen] = c
			}
			c.at, c.check = at, check
		}
	case kindGap:
		g := p.gap()
		do = func() {
			s.gaps = append(s.gaps, g)
			s.gaps = s.gaps[max(0, len(s.gaps)-gapsKept):]
			s.lost[g.Reason] += g.To - g.From
		}
	case kindLost:
		reason, n := p.word(), p.i()
		do = func() { s.lost[reason] = n }
	default:
		return fmt.Errorf("kind %d is not known", payload[0])
	}
	if p.bad || len(p.data) > 0 {
		return errTorn
	}
	do()
	return nil
}

// snapshot is a journal that says what is known now. Gaps come before the sums, which count them.
func (s *Store) snapshot() []byte {
	dst := []byte(magic)
	for _, id := range slices.Sorted(maps.Keys(s.gens)) {
		dst = appendFrame(dst, appendGen(nil, *s.gens[id]))
	}
	for _, name := range slices.Sorted(maps.Keys(s.sinks)) {
		k := s.sinks[name]
		dst = appendFrame(dst, appendCursor(nil, name, k.last, 0, Pos{}, 0))
		for _, seq := range slices.Sorted(maps.Keys(k.open)) {
			dst = appendFrame(dst, appendManifest(nil, k.open[seq]))
		}
		for _, gen := range slices.Sorted(maps.Keys(k.cursors)) {
			if c := k.cursors[gen]; s.gens[gen] != nil || len(c.open) > 0 {
				dst = appendFrame(dst, appendCursor(nil, name, k.last, gen, c.at, c.check))
			}
		}
	}
	for _, g := range s.gaps {
		dst = appendFrame(dst, appendGap(nil, g))
	}
	for _, reason := range slices.Sorted(maps.Keys(s.lost)) {
		dst = appendFrame(dst, appendLost(nil, reason, s.lost[reason]))
	}
	return dst
}
