package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/sidecar-kit/sidecar/roles/logship/source/ident"
	"github.com/sidecar-kit/sidecar/roles/logship/state"
)

// Blocks is the engine that reads by itself. It keeps no bytes of the file between two calls but the last ones before its position,
// so thousands of idle files cost next to nothing.
type Blocks struct {
	Src  io.ReaderAt
	Form *Form
	Mem  *Buffers

	pos   state.Pos
	tail  [ident.CheckLen]byte
	tails int
	check uint64 // what the hash of the bytes before pos has to be, when they are not known
	known bool
	seen  int64 // there is no line end from pos to here; 0: not known
}

// NewBlocks reads src from pos on. check is the hash of the up to 64 bytes before pos, if it is known.
func NewBlocks(src io.ReaderAt, form *Form, mem *Buffers, pos state.Pos, check uint64, known bool) *Blocks {
	return &Blocks{Src: src, Form: form, Mem: mem, pos: pos, check: check, known: known && pos.Off > 0}
}

// Pos is the position behind the lines that were given.
func (b *Blocks) Pos() state.Pos { return b.pos }

// Tail is the up to 64 bytes before the position, as far as they are known.
func (b *Blocks) Tail() []byte { return b.tail[:b.tails] }

// Close does nothing: Src is the caller's.
func (b *Blocks) Close() error { return nil }

// Read fills c with the lines of about one block.
func (b *Blocks) Read(c *Chunk, limit int64, end End) error {
	c.Reset()
	c.From, c.To = b.pos, b.pos
	if nothing, err := b.peek(c, limit, end); err != nil || nothing {
		return err
	}
	size := blockBuf
	for {
		b.Mem.get(c, size)
		raw, atEOF, err := b.fill(c, limit)
		if err != nil {
			return err
		}
		follows, closed := Open, atEOF
		switch {
		case limit >= 0 && b.pos.Off+int64(len(raw)) == limit:
			follows = end
		case limit >= 0 && atEOF:
			return fmt.Errorf("%w: it ends at %d of %d", ErrShrunk, b.pos.Off+int64(len(raw)), limit)
		case limit < 0 && atEOF:
			follows = end
		default:
			closed = false
		}
		used, mid := b.Form.split(c, raw, b.pos.Off, b.pos.Mid, follows, closed)
		b.advance(c, raw, used, mid)
		done := closed || limit >= 0 && b.pos.Off >= limit || follows != Open
		switch {
		case len(c.Lines) > 0:
			c.Held = int64(len(raw) - used)
			return nil
		case done:
			c.EOF, c.Held, b.seen = true, int64(len(raw)-used), b.pos.Off+int64(len(raw)-used)
			return nil
		case used == 0:
			size = b.Form.room() + ident.CheckLen + BlockSize/4
		}
	}
}

// fill reads behind the position, and before it, to see that the file is still the one it was.
func (b *Blocks) fill(c *Chunk, limit int64) (raw []byte, atEOF bool, err error) {
	pre := int(min(ident.CheckLen, b.pos.Off))
	buf := c.buf[:cap(c.buf)]
	if limit >= 0 {
		buf = buf[:min(int64(len(buf)), int64(pre)+limit-b.pos.Off)]
	}
	n, err := b.Src.ReadAt(buf, b.pos.Off-int64(pre))
	if err != nil && !errors.Is(err, io.EOF) {
		whole := bytes.LastIndexByte(buf[min(pre, n):n], '\n') + 1
		if whole == 0 || b.Form.Enc.wide() {
			return nil, false, err
		}
		buf, n, err = buf[:pre+whole], pre+whole, nil // lines before the place that cannot be read; the next call comes to it
	}
	atEOF = n < len(buf) || err != nil
	if n < pre {
		return nil, false, ErrShrunk
	}
	if err := b.verify(buf[:pre]); err != nil {
		return nil, false, err
	}
	c.raw, c.base = buf[:n], b.pos.Off-int64(pre)
	return buf[pre:n], atEOF, nil
}

func (b *Blocks) verify(before []byte) error {
	if b.known && ident.Hash(before) != b.check {
		return ErrChanged
	}
	if !bytes.Equal(before[max(0, len(before)-b.tails):], b.tail[:b.tails]) {
		return ErrChanged
	}
	b.known = false
	b.tails = copy(b.tail[:], before)
	return nil
}

func (b *Blocks) advance(c *Chunk, raw []byte, used int, mid bool) {
	b.pos = state.Pos{Off: b.pos.Off + int64(used), Mid: mid}
	c.To, b.seen = b.pos, 0
	pre := len(c.raw) - len(raw)
	c.Data = c.raw[pre:]
	if !b.Form.Enc.plain() {
		c.Data = c.text
	}
	upTo := c.raw[:pre+used]
	b.tails = copy(b.tail[:], upTo[max(0, len(upTo)-ident.CheckLen):])
}

// peek spares reading a long line that still grows again and again: without a line end in what is new there is nothing to do.
func (b *Blocks) peek(c *Chunk, limit int64, end End) (nothing bool, err error) {
	held := b.seen - b.pos.Off
	if held < BlockSize/16 || limit >= 0 || end != Open || b.Form.Enc.wide() {
		return false, nil
	}
	b.Mem.get(c, blockBuf)
	n, err := b.Src.ReadAt(c.buf[:BlockSize/4], b.seen-1)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	if n < 1 {
		return false, ErrShrunk
	}
	fresh := c.buf[1:n]
	if err == nil || held+int64(len(fresh)) >= int64(b.Form.room()) || c.buf[0] == 0 || bytes.IndexByte(fresh, '\n') >= 0 {
		return false, nil
	}
	b.seen += int64(len(fresh))
	c.EOF, c.Held = true, held+int64(len(fresh))
	return true, nil
}
