package forward

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// What follows writes MessagePack, and reads as much of it as the answers of a server need.

//go:noinline
func appendStr(dst []byte, text string) []byte { return append(strHead(dst, len(text)), text...) }

//go:noinline
func strHead(dst []byte, n int) []byte {
	switch {
	case n < 32:
		return append(dst, 0xa0|byte(n))
	case n < 1<<8:
		return append(dst, 0xd9, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, 0xda), uint16(n)) //nolint:gosec // bounded
	}
	return binary.BigEndian.AppendUint32(append(dst, 0xdb), uint32(n)) //nolint:gosec // a length
}

//go:noinline
func binHead(dst []byte, n int) []byte {
	return binary.BigEndian.AppendUint32(append(dst, 0xc6), uint32(n)) //nolint:gosec // a length
}

//go:noinline
func mapHead(dst []byte, n int) []byte {
	if n < 16 {
		return append(dst, 0x80|byte(n))
	}
	return binary.BigEndian.AppendUint16(append(dst, 0xde), uint16(n)) //nolint:gosec // fields are few
}

func arrayHead(dst []byte, n int) []byte {
	if n < 16 {
		return append(dst, 0x90|byte(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, 0xdd), uint32(n)) //nolint:gosec // a length
}

//go:noinline
func appendInt(dst []byte, n int64) []byte {
	if n >= 0 && n < 128 {
		return append(dst, byte(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xd3), uint64(n)) //nolint:gosec // two's complement
}

func appendFloat(dst []byte, f float64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, 0xcb), math.Float64bits(f))
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, 0xc3)
	}
	return append(dst, 0xc2)
}

// appendTime appends an EventTime: seconds and nanoseconds.
func appendTime(dst []byte, ns int64) []byte {
	sec, nano := ns/1e9, ns%1e9
	if nano < 0 {
		sec, nano = sec-1, nano+1e9
	}
	dst = append(dst, 0xd7, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(sec))   //nolint:gosec // what the format has: until 2106
	return binary.BigEndian.AppendUint32(dst, uint32(nano)) //nolint:gosec // below 1e9
}

// appendJSON appends a JSON value as what it is. What is no JSON is a string.
func appendJSON(dst, text []byte) []byte {
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return appendStr(dst, string(text))
	}
	return appendAny(dst, v)
}

func appendAny(dst []byte, v any) []byte {
	switch v := v.(type) {
	case bool:
		return appendBool(dst, v)
	case string:
		return appendStr(dst, v)
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return appendInt(dst, n)
		}
		if f, err := v.Float64(); err == nil {
			return appendFloat(dst, f)
		}
		return appendStr(dst, v.String())
	case []any:
		dst = arrayHead(dst, len(v))
		for _, one := range v {
			dst = appendAny(dst, one)
		}
		return dst
	case map[string]any:
		var keys []string
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys) // the same bytes in every replay
		if len(keys) >= 16 {
			dst = binary.BigEndian.AppendUint32(append(dst, 0xdf), uint32(len(keys))) //nolint:gosec // a length
		} else {
			dst = mapHead(dst, len(keys))
		}
		for _, k := range keys {
			dst = appendAny(appendStr(dst, k), v[k])
		}
		return dst
	}
	return append(dst, 0xc0)
}

const (
	answerMax = 64 << 10 // bytes of one value from a server
	depthMax  = 8
)

var errUnpack = errors.New("an answer that is no MessagePack that is known here")

// reader reads one value from a server: nil, bool, int64, float64, string, []any or map[string]any.
type reader struct {
	src  io.Reader
	left int
}

func unpack(src io.Reader) (any, error) {
	r := &reader{src, answerMax}
	return r.value(0)
}

func (r *reader) take(n int) ([]byte, error) {
	if n > r.left {
		return nil, fmt.Errorf("an answer of more than %d bytes", answerMax)
	}
	r.left -= n
	b := make([]byte, n)
	_, err := io.ReadFull(r.src, b)
	return b, err
}

func (r *reader) uint(size int) (uint64, error) {
	b, err := r.take(size)
	var n uint64
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n, err
}

func (r *reader) value(depth int) (any, error) {
	head, err := r.uint(1)
	if err != nil || depth > depthMax {
		return nil, errors.Join(err, ifDeep(depth))
	}
	switch c := byte(head); {
	case c < 0x80:
		return int64(c), nil
	case c < 0x90:
		return r.pairs(uint64(c&15), depth)
	case c < 0xa0:
		return r.list(uint64(c&15), depth)
	case c < 0xc0:
		return r.text(uint64(c & 31))
	case c >= 0xe0:
		return int64(int8(c)), nil //nolint:gosec // that is the format
	case c == 0xc0:
		return nil, nil //nolint:nilnil // nil is a value here
	case c == 0xc2 || c == 0xc3:
		return c == 0xc3, nil
	case c >= 0xc4 && c <= 0xc6:
		return r.sized(1<<(c-0xc4), r.text)
	case c == 0xca:
		n, err := r.uint(4)
		return float64(math.Float32frombits(uint32(n))), err //nolint:gosec // four bytes
	case c == 0xcb:
		n, err := r.uint(8)
		return math.Float64frombits(n), err
	case c >= 0xcc && c <= 0xcf:
		n, err := r.uint(1 << (c - 0xcc))
		return int64(n), err //nolint:gosec // no one sends more
	case c >= 0xd0 && c <= 0xd3:
		size := 1 << (c - 0xd0)
		n, err := r.uint(size)
		return int64(n<<(64-8*size)) >> (64 - 8*size), err //nolint:gosec // extends the sign
	case c >= 0xd9 && c <= 0xdb:
		return r.sized(1<<(c-0xd9), r.text)
	case c == 0xdc || c == 0xdd:
		return r.sized(2<<(c-0xdc), func(n uint64) (any, error) { return r.list(n, depth) })
	case c == 0xde || c == 0xdf:
		return r.sized(2<<(c-0xde), func(n uint64) (any, error) { return r.pairs(n, depth) })
	}
	return nil, errUnpack
}

func ifDeep(depth int) error {
	if depth > depthMax {
		return errUnpack
	}
	return nil
}

func (r *reader) sized(size int, fn func(uint64) (any, error)) (any, error) {
	n, err := r.uint(size)
	if err != nil {
		return nil, err
	}
	return fn(n)
}

func (r *reader) text(n uint64) (any, error) {
	b, err := r.take(int(min(n, uint64(r.left)+1))) //nolint:gosec // bounded
	return string(b), err
}

func (r *reader) list(n uint64, depth int) (any, error) {
	all := []any{}
	for range n {
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

func (r *reader) pairs(n uint64, depth int) (any, error) {
	all := map[string]any{}
	for range n {
		k, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if key, ok := k.(string); ok {
			all[key] = v
		}
	}
	return all, nil
}
