// Package snappy compresses in the block format of snappy, which is what Loki and Kafka want, and nothing else: libraries for it bring
// a hundred times the code.
package snappy

import (
	"encoding/binary"
	"math/bits"
)

const (
	block     = 1 << 16 // matches never reach over a border of blocks, so that positions have 16 bits
	tableBits = 13
	margin    = 16 // at the end of a block nothing is looked for, so that eight bytes can be loaded
)

// Encoder compresses. The zero value works; it is used by one goroutine.
type Encoder struct{ table [1 << tableBits]uint16 }

// Append appends src, compressed, to dst.
func (e *Encoder) Append(dst, src []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(src)))
	for len(src) > 0 {
		part := src[:min(block, len(src))]
		src = src[len(part):]
		if len(part) < margin {
			dst = literal(dst, part)
			continue
		}
		dst = e.block(dst, part)
	}
	return dst
}

func hash(v uint32) uint32 { return v * 0x9e3779b1 >> (32 - tableBits) }

func (e *Encoder) block(dst, src []byte) []byte {
	clear(e.table[:])
	end := len(src) - margin
	done, pos, misses := 0, 1, 32 // done: up to here src is in dst
	for pos <= end {
		v := binary.LittleEndian.Uint32(src[pos:])
		slot := &e.table[hash(v)]
		at := int(*slot)
		*slot = uint16(pos) //nolint:gosec // a block has 64 KiB
		if at >= pos || binary.LittleEndian.Uint32(src[at:]) != v {
			pos += misses >> 5 // the longer nothing is found, the larger the steps
			misses++
			continue
		}
		misses = 32
		if done < pos {
			dst = literal(dst, src[done:pos])
		}
		n := 4 + same(src[at+4:], src[pos+4:])
		dst = match(dst, pos-at, n)
		pos += n
		done = pos
		if pos <= end {
			e.table[hash(binary.LittleEndian.Uint32(src[pos-2:]))] = uint16(pos - 2) //nolint:gosec // as above
		}
	}
	if done < len(src) {
		dst = literal(dst, src[done:])
	}
	return dst
}

// same is how many bytes at the beginning of a and b are equal; b is the shorter one.
func same(a, b []byte) int {
	n := 0
	for len(b)-n >= 8 {
		if x := binary.LittleEndian.Uint64(a[n:]) ^ binary.LittleEndian.Uint64(b[n:]); x != 0 {
			return n + bits.TrailingZeros64(x)/8
		}
		n += 8
	}
	for n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func literal(dst, text []byte) []byte {
	switch n := len(text) - 1; {
	case n < 60:
		dst = append(dst, byte(n<<2))
	case n < 1<<8:
		dst = append(dst, 60<<2, byte(n))
	default:
		dst = append(dst, 61<<2, byte(n), byte(n>>8))
	}
	return append(dst, text...)
}

func match(dst []byte, offset, n int) []byte {
	for n >= 68 {
		dst = append(dst, 63<<2|2, byte(offset), byte(offset>>8))
		n -= 64
	}
	if n > 64 { // what is left has to be four bytes at least
		dst = append(dst, 59<<2|2, byte(offset), byte(offset>>8))
		n -= 60
	}
	if n >= 12 || offset >= 2048 {
		return append(dst, byte(n-1)<<2|2, byte(offset), byte(offset>>8))
	}
	return append(dst, byte(offset>>8)<<5|byte(n-4)<<2|1, byte(offset))
}
