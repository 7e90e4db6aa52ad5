package store

import (
	"hash"
	"strconv"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/pjbgf/sha1cd"
)

// hasher computes object names. It detects the known SHA-1 collision attacks as git itself does; with the
// processor's own SHA-1 instructions that costs a quarter more than plain SHA-1.
type hasher struct {
	h   hash.Hash
	buf [64]byte
}

func newHasher() *hasher { return &hasher{h: sha1cd.New()} }

func (h *hasher) begin(typ Type, size int64) {
	h.h.Reset()
	b := append(h.buf[:0], typ.Bytes()...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, size, 10)
	h.h.Write(append(b, 0))
}

func (h *hasher) Write(p []byte) (int, error) { return h.h.Write(p) }

// end returns the name of what was written since begin. Content that was built to collide is corrupt.
func (h *hasher) end() (Hash, error) {
	var sum Hash
	if c, ok := h.h.(sha1cd.CollisionResistantHash); ok {
		b, collision := c.CollisionResistantSum(h.buf[:0])
		if collision {
			return sum, corruptf("object was built to collide with another (SHA-1 attack)")
		}
		copy(sum[:], b)
		return sum, nil
	}
	copy(sum[:], h.h.Sum(h.buf[:0]))
	return sum, nil
}

func (h *hasher) sum(typ Type, data []byte) (Hash, error) {
	h.begin(typ, int64(len(data)))
	h.h.Write(data)
	return h.end()
}

// Sum returns the name git gives to an object; the zero hash for content that was built to collide.
func Sum(typ Type, data []byte) Hash {
	sum, err := newHasher().sum(typ, data)
	if err != nil {
		return plumbing.ZeroHash
	}
	return sum
}
