package engine

import (
	"bytes"
	"fmt"
	"os"
	"sync"

	"github.com/nxadm/tail"

	"github.com/sidecar-kit/sidecar/roles/logship/record"
	"github.com/sidecar-kit/sidecar/roles/logship/source/ident"
	"github.com/sidecar-kit/sidecar/roles/logship/state"
)

// tailMax is how long a line may grow before Tail leaves the file to Blocks: the library keeps all of it in memory.
const tailMax = 64 << 20

// tailQueue is how many bytes of lines wait to be taken.
const tailQueue = 2 * BlockSize

// Tail is the engine that has nxadm/tail read. The library is given a name of the open file itself, so it cannot follow a name to
// another file, and what it does about rotation, limits and the end is never asked for. What has to be read up to a place, such as
// the end of a file, is read by Blocks.
type Tail struct {
	*Blocks
	file *os.File // keeps the name valid that the library has
	wake func()

	lib  *tail.Tail
	done chan struct{}

	mu     sync.Mutex // guards what follows
	room   *sync.Cond
	lines  []*tail.Line
	size   int
	closed bool
}

// NewTail reads f from pos on, see NewBlocks. wake is called when there are lines to Read; it must not wait for anything.
func NewTail(f *os.File, form *Form, mem *Buffers, pos state.Pos, check uint64, known bool, wake func()) (*Tail, error) {
	own, err := os.Open(descriptorName(f))
	if err != nil {
		return nil, fmt.Errorf("engine tail: %w", err)
	}
	t := &Tail{Blocks: NewBlocks(own, form, mem, pos, check, known), file: own, wake: wake}
	t.room = sync.NewCond(&t.mu)
	return t, nil
}

// Read fills c with the lines that the library has found.
func (t *Tail) Read(c *Chunk, limit int64, end End) error {
	c.Reset()
	c.From, c.To = t.pos, t.pos
	info, err := t.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() < t.pos.Off {
		return ErrShrunk
	}
	if limit >= 0 || end != Open || t.pos.Mid || t.pos.Off == t.Form.Skip && t.pos.Off > 0 || info.Size()-t.pos.Off > tailMax {
		t.halt()
		return t.Blocks.Read(c, limit, end)
	}
	if err := t.follow(); err != nil {
		return err
	}
	taken := t.take()
	if len(taken) == 0 {
		c.EOF, c.Held = true, info.Size()-t.pos.Off
		_, _, err := t.same(c, nil)
		return err
	}
	return t.give(c, taken, info.Size())
}

// same sees whether the file still has the bytes before the position, and those that the library says come behind it: it may have
// read them from what the file became meanwhile. It leaves them in c.
func (t *Tail) same(c *Chunk, taken []*tail.Line) (raw []byte, pre int, err error) {
	pre = int(min(ident.CheckLen, t.pos.Off))
	size := pre
	for _, l := range taken {
		size += len(l.Text) + 1
	}
	t.Mem.get(c, max(size, blockBuf))
	raw = c.buf[:size]
	if n, err := t.file.ReadAt(raw, t.pos.Off-int64(pre)); n < size {
		return nil, 0, fmt.Errorf("%w: %w", ErrShrunk, err)
	}
	i := pre
	for _, l := range taken {
		if l.Err != nil {
			return nil, 0, l.Err
		}
		end := i + len(l.Text)
		if off := t.pos.Off + int64(end+1-pre); l.SeekInfo.Offset != off || string(raw[i:end]) != l.Text || raw[end] != '\n' {
			return nil, 0, fmt.Errorf("%w: a line ends at %d, not at %d", ErrChanged, l.SeekInfo.Offset, off)
		}
		i = end + 1
	}
	return raw, pre, t.verify(raw[:pre])
}

// give makes lines of what was taken.
func (t *Tail) give(c *Chunk, taken []*tail.Line, size int64) error {
	raw, pre, err := t.same(c, taken)
	if err != nil {
		return err
	}
	c.raw, c.base = raw, t.pos.Off-int64(pre)
	i := 0
	for _, l := range taken {
		t.Form.line(c, raw[pre:], i, len(l.Text), t.pos.Off)
		i += len(l.Text) + 1
	}
	t.advance(c, raw[pre:], len(raw)-pre, false)
	c.Held = size - t.pos.Off
	return nil
}

// line appends the lines that come of one that is raw[i:i+n], with a line end behind it. It is on purpose not the code of split.
func (f *Form) line(c *Chunk, raw []byte, i, n int, off int64) {
	text, next := raw[i:i+n], i+n+1
	if off+int64(i) == 0 && f.Enc.plain() && bytes.HasPrefix(text, []byte("\xEF\xBB\xBF")) {
		text, i = text[3:], i+3
	}
	trimmed := bytes.TrimLeft(text, "\x00")
	c.NULs += int64(len(text) - len(trimmed))
	i += len(text) - len(trimmed)
	text = bytes.TrimSuffix(trimmed, []byte("\r"))
	flags := record.Flags(0)
	for len(text) > f.MaxLine {
		if flags == 0 {
			c.Long++
		}
		p := f.whole(text)
		if f.Cut {
			c.add(f.Enc, raw, i, i+p, off, i+p, record.Cut)
			return
		}
		c.add(f.Enc, raw, i, i+p, off, i+p, flags|record.More)
		text, i, flags = text[p:], i+p, record.Rest
	}
	c.add(f.Enc, raw, i, i+len(text), off, next, flags)
}

// Close ends the library's work, then closes the file.
func (t *Tail) Close() error {
	t.halt()
	return t.file.Close()
}

// follow starts the library where the lines that were given end.
func (t *Tail) follow() error {
	if t.lib != nil {
		return nil
	}
	lib, err := tail.TailFile(descriptorName(t.file), tail.Config{
		Location: &tail.SeekInfo{Offset: t.pos.Off}, Follow: true, MustExist: true, CompleteLines: true, Poll: true,
		Logger: tail.DiscardingLogger,
	})
	if err != nil {
		return fmt.Errorf("engine tail: %w", err)
	}
	t.lib, t.done, t.closed = lib, make(chan struct{}), false
	go t.collect(lib, t.done)
	return nil
}

// collect keeps what the library says until it is taken.
func (t *Tail) collect(lib *tail.Tail, done chan struct{}) {
	defer close(done)
	for l := range lib.Lines {
		t.mu.Lock()
		for t.size > tailQueue && !t.closed {
			t.room.Wait()
		}
		first := len(t.lines) == 0
		t.lines, t.size = append(t.lines, l), t.size+len(l.Text)
		t.mu.Unlock()
		if first {
			t.wake()
		}
	}
}

func (t *Tail) take() []*tail.Line {
	t.mu.Lock()
	defer t.mu.Unlock()
	taken := t.lines
	t.lines, t.size = nil, 0
	t.room.Signal()
	return taken
}

// halt ends the library's work. Lines that were not taken are read again by whoever reads on.
func (t *Tail) halt() {
	if t.lib == nil {
		return
	}
	t.mu.Lock()
	t.closed = true
	t.room.Broadcast()
	t.mu.Unlock()
	_ = t.lib.Stop() // it says why it ended, which was us
	<-t.done
	t.lib = nil
	t.take()
}
