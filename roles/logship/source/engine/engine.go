// Package engine turns the bytes of one file into lines. There are two engines behind one interface: Blocks reads large pieces and
// looks for line ends in them, Tail has the library nxadm/tail do it. Given the same bytes, limits and form, both give the same
// lines with the same offsets; Tail exists for pipes and to check Blocks against. Their user is source.
package engine

import (
	"errors"
	"sync"

	"github.com/sidecar-kit/sidecar/roles/logship/record"
	"github.com/sidecar-kit/sidecar/roles/logship/source/ident"
	"github.com/sidecar-kit/sidecar/roles/logship/state"
)

// BlockSize is how many bytes are read at once.
const BlockSize = 256 << 10

// What a file can do that makes it another one.
var (
	ErrShrunk  = errors.New("the file is shorter than what was read from it")
	ErrChanged = errors.New("the bytes before the position are not those that were read")
)

// Line is one line, or a piece of one that is too long.
type Line struct {
	Start, End int32 // text in Data, without line end
	Off, Next  int64 // raw offsets: start of the text, behind the line end
	Flags      record.Flags
}

// End is what follows behind the last byte there is.
type End uint8

// What may follow.
const (
	Open   End = iota // more may come: what has no line end yet is not a line
	Final             // nothing: what has no line end is a line, too
	Border            // the rest of a line that is too long (only when ranges are read again)
)

// LineSource reads the lines of one file from one position on. It is used by one goroutine.
type LineSource interface {
	// Read fills c with some whole lines. limit is the offset behind which nothing is read, -1 for none; end is what follows
	// at the limit, or, if there is none, at the end of the file. c without lines has c.EOF.
	Read(c *Chunk, limit int64, end End) error
	// Pos is the position behind the lines that were given, and Tail the up to 64 bytes before it.
	Pos() state.Pos
	Tail() []byte
	Close() error
}

// Chunk is some lines that lie one behind the other.
type Chunk struct {
	From, To state.Pos
	Data     []byte
	Lines    []Line
	EOF      bool  // the file had no more whole lines
	Held     int64 // bytes behind To that are no line yet
	NULs     int64 // bytes of zero at starts of lines, skipped
	Long     int   // lines that were too long
	Lossy    int   // lines of which not every byte could be decoded

	raw  []byte // the bytes as they are in the file, from base on
	base int64
	buf  []byte
	text []byte // decoded, when the file is not UTF-8
}

// Check hashes the up to 64 raw bytes before a line border in c.
func (c *Chunk) Check(off int64) uint64 {
	i := int(off - c.base)
	if i < 0 || i > len(c.raw) {
		return 0
	}
	return ident.Hash(c.raw[max(0, i-ident.CheckLen):i])
}

// Bytes are the raw bytes from one offset to another, both in c.
func (c *Chunk) Bytes(from, to int64) []byte { return c.raw[from-c.base : to-c.base] }

// Start is the raw bytes from the start of the file on, if they are in c.
func (c *Chunk) Start() []byte {
	if c.base != 0 {
		return nil
	}
	return c.raw
}

// Reset empties c and keeps its memory.
func (c *Chunk) Reset() {
	*c = Chunk{Lines: c.Lines[:0], buf: c.buf, text: c.text[:0]}
}

// Buffers lends out memory for chunks: mostly blocks, rarely something for a long line.
type Buffers struct{ block, large sync.Pool }

// Get gives c a buffer of at least size bytes, in exchange for the one it has.
func (p *Buffers) get(c *Chunk, size int) {
	if cap(c.buf) >= size {
		return
	}
	p.put(c)
	pool := &p.block
	if size > blockBuf {
		pool = &p.large
	}
	if b, ok := pool.Get().(*[]byte); ok && cap(*b) >= size {
		c.buf = *b
		return
	}
	c.buf = make([]byte, max(size, blockBuf))
}

func (p *Buffers) put(c *Chunk) {
	if c.buf == nil {
		return
	}
	b := c.buf[:cap(c.buf)]
	if len(b) > blockBuf {
		p.large.Put(&b)
	} else {
		p.block.Put(&b)
	}
	c.buf = nil
}

// Release takes the memory of c back.
func (p *Buffers) Release(c *Chunk) {
	p.put(c)
	if cap(c.text) > 4*BlockSize {
		c.text = nil
	}
	c.Reset()
}

const blockBuf = BlockSize + ident.CheckLen
