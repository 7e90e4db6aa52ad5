package web

import (
	"io"
	"sync"
)

// The sizes of buffers. Most heads fit into a small one; a medium one holds
// what one TLS record can carry; a large one holds any head and moves bodies.
const (
	smallSize  = 4 << 10
	mediumSize = 16<<10 + 512
	largeSize  = 64 << 10
)

// Buffers is where servers take their memory from and give it back to. Share
// one among all servers of a process; the zero value is ready.
type Buffers struct {
	small, medium, large shelf
}

// shelf holds free buffers of one size.
type shelf struct{ pool sync.Pool }

func (s *shelf) get(size int) *buffer {
	if b, ok := s.pool.Get().(*buffer); ok {
		return b
	}
	return &buffer{b: make([]byte, size), shelf: s}
}

func (p *Buffers) getSmall() *buffer  { return p.small.get(smallSize) }
func (p *Buffers) getMedium() *buffer { return p.medium.get(mediumSize) }
func (p *Buffers) getLarge() *buffer  { return p.large.get(largeSize) }

// fitting returns a buffer of at least n bytes, n <= largeSize.
func (p *Buffers) fitting(n int) *buffer {
	switch {
	case n <= smallSize:
		return p.getSmall()
	case n <= mediumSize:
		return p.getMedium()
	}
	return p.getLarge()
}

// buffer is memory with a part b[r:w] that was read and not yet used.
type buffer struct {
	b     []byte
	r, w  int
	shelf *shelf
}

// free gives the buffer back. It may be nil.
func (b *buffer) free() {
	if b != nil {
		b.r, b.w = 0, 0
		b.shelf.pool.Put(b)
	}
}

func (b *buffer) bytes() []byte { return b.b[b.r:b.w] }

func (b *buffer) empty() bool { return b.r == b.w }

// take uses n bytes up.
func (b *buffer) take(n int) {
	if b.r += n; b.r == b.w {
		b.r, b.w = 0, 0
	}
}

// makeRoom moves what is unused to the start if there is no room behind it.
func (b *buffer) makeRoom() {
	if b.w == len(b.b) && b.r > 0 {
		b.w = copy(b.b, b.b[b.r:b.w])
		b.r = 0
	}
}

func (b *buffer) full() bool { return b.r == 0 && b.w == len(b.b) }

// fill reads once into the room behind what is there.
func (b *buffer) fill(r io.Reader) error {
	b.makeRoom()
	n, err := r.Read(b.b[b.w:])
	b.w += n
	if n > 0 {
		return nil // an error comes again
	}
	return err
}

// grown returns a large buffer with the same unused bytes, and frees b.
func (p *Buffers) grown(b *buffer) *buffer {
	g := p.getLarge()
	g.w = copy(g.b, b.bytes())
	b.free()
	return g
}
