// Package proto writes protocol buffers by hand, and reads as much of them as answers need. It knows no schema. Used by adapter and logship.
package proto

import (
	"encoding/binary"
	"errors"
)

// Wire types.
const (
	varint  = 0
	fixed64 = 1
	chunk   = 2
	fixed32 = 5
)

// Tag appends the header of a field of bytes that are size long.
//
//go:noinline
func Tag(dst []byte, field, size int) []byte {
	dst = binary.AppendUvarint(dst, uint64(field)<<3|chunk) //nolint:gosec // small
	return binary.AppendUvarint(dst, uint64(size))          //nolint:gosec // a length
}

// Bytes appends a field of bytes, a string or a message.
func Bytes[T []byte | string](dst []byte, field int, value T) []byte {
	return append(Tag(dst, field, len(value)), value...)
}

// Uint appends a number of any size.
//
//go:noinline
func Uint(dst []byte, field int, value uint64) []byte {
	dst = binary.AppendUvarint(dst, uint64(field)<<3|varint) //nolint:gosec // small
	return binary.AppendUvarint(dst, value)
}

// Fixed64 appends eight bytes.
//
//go:noinline
func Fixed64(dst []byte, field int, value uint64) []byte {
	dst = binary.AppendUvarint(dst, uint64(field)<<3|fixed64) //nolint:gosec // small
	return binary.LittleEndian.AppendUint64(dst, value)
}

// SizeBytes is how much Bytes appends for a field below 16.
func SizeBytes(size int) int { return 1 + SizeUint(uint64(size)) + size } //nolint:gosec // a length

// SizeUint is how long a number is.
func SizeUint(value uint64) int {
	n := 1
	for ; value >= 0x80; value >>= 7 {
		n++
	}
	return n
}

var errBroken = errors.New("broken protocol buffer")

// Each calls fn for each field of a message, with its number if it is one, or its bytes.
func Each(data []byte, fn func(field int, number uint64, value []byte) error) error {
	for len(data) > 0 {
		key, n := binary.Uvarint(data)
		if n <= 0 || key>>3 == 0 || key>>3 > 1<<29 {
			return errBroken
		}
		data = data[n:]
		var number uint64
		var value []byte
		switch key & 7 {
		case varint:
			if number, n = binary.Uvarint(data); n <= 0 {
				return errBroken
			}
		case fixed64, fixed32:
			n = 8
			if key&7 == fixed32 {
				n = 4
			}
			if len(data) < n {
				return errBroken
			}
			for i := range n {
				number |= uint64(data[i]) << (8 * i)
			}
		case chunk:
			size, m := binary.Uvarint(data)
			if m <= 0 || size > uint64(len(data)-m) {
				return errBroken
			}
			n = m + int(size) //nolint:gosec // bounded
			value = data[m:n]
		default:
			return errBroken
		}
		data = data[n:]
		if err := fn(int(key>>3), number, value); err != nil { //nolint:gosec // bounded
			return err
		}
	}
	return nil
}
