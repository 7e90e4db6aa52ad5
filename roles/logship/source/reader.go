package source

import (
	"bytes"
	"context"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/sidecar-kit/sidecar/roles/logship/record"
	"github.com/sidecar-kit/sidecar/roles/logship/source/engine"
	"github.com/sidecar-kit/sidecar/roles/logship/source/ident"
	"github.com/sidecar-kit/sidecar/roles/logship/state"
)

// Line is one line of a Block.
type Line = engine.Line

// Block is some whole lines of one generation. It has to be released.
type Block struct {
	engine.Chunk
	File *record.File
	Gen  uint64
	Read int64  // nanoseconds since 1970 when it was read; 0 in a Range
	Last bool   // the generation ends here: flush what waits for more lines
	Gap  string // not empty: what is from From to To is lost, and why; there are no lines

	set *Set
}

// Release gives the memory of b back; neither b nor what points into it may be used any more.
func (b *Block) Release() {
	s := b.set
	s.mem.Release(&b.Chunk)
	chunk := b.Chunk
	*b = Block{}
	b.Chunk = chunk
	s.pool.Put(b)
}

func (s *Set) block(g *gen) *Block {
	b, ok := s.pool.Get().(*Block)
	if !ok {
		b = &Block{}
	}
	b.set, b.File, b.Gen = s, g.file, g.ID
	return b
}

// Reader reads the files of some inputs for one output, at the pace of that output. It is used by one goroutine.
type Reader struct {
	set    *Set
	output string
	inputs []string
	wake   chan struct{}

	// What follows is guarded by Set.mu.
	cursors map[uint64]*cursor
	queue   []*cursor
	packed  *cursor // the one compressed file that is being read

	wokenMu sync.Mutex // guards woken; never held while another is taken
	woken   []*cursor  // whose engine has lines
}

// cursor is how far a reader is in a generation. Its fields are guarded by Set.mu, but src, which is the reader's.
type cursor struct {
	g      *gen
	pos    state.Pos
	check  uint64 // hash of the bytes before pos, when it comes from the store
	known  bool
	tail   []byte // the bytes before pos
	queued bool
	busy   bool
	last   bool      // the end was told
	held   int64     // bytes behind pos that are no whole line
	heldAt time.Time // when held was seen first
	credit int

	src  engine.LineSource
	from *handle // that src reads
	zip  *unzipAt
}

// quantum is how many bytes of a file are read before it is another's turn.
const quantum = engine.BlockSize

// agrees says whether bytes of a file can be those before the position.
func (c *cursor) agrees(b []byte) bool {
	if len(c.tail) > 0 {
		n := min(len(b), len(c.tail))
		return bytes.Equal(b[len(b)-n:], c.tail[len(c.tail)-n:])
	}
	return !c.known || ident.Hash(b) == c.check
}

// Reader returns what reads for an output, from where the store says that its batches end. All readers are made before Run.
func (s *Set) Reader(output string, inputs []string) *Reader {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &Reader{set: s, output: output, inputs: inputs, wake: make(chan struct{}, 1), cursors: map[uint64]*cursor{}}
	s.readers = append(s.readers, r)
	for _, g := range s.gens {
		if g.stored && r.wants(g) {
			r.push(g)
		}
	}
	return r
}

func (r *Reader) wants(g *gen) bool { return slices.Contains(r.inputs, g.Input) }

// cursor returns how far the reader is in a generation.
func (r *Reader) cursor(g *gen) *cursor {
	c := r.cursors[g.ID]
	if c == nil {
		c = &cursor{g: g}
		var ok bool
		if c.pos, c.check, ok = r.set.store.At(r.output, g.ID); !ok {
			c.pos = state.Pos{Off: g.Start}
		}
		c.known = ok && c.pos.Off > 0 && c.check != 0 // behind a gap nothing is known
		r.cursors[g.ID] = c
	}
	return c
}

func (s *Set) readyAll(g *gen) {
	if !g.stored {
		return
	}
	for _, r := range s.readers {
		if r.wants(g) {
			r.push(g)
		}
	}
}

func (r *Reader) push(g *gen) {
	c := r.cursor(g)
	if c.queued || c.last && !r.more(c) {
		return
	}
	c.queued = true
	r.queue = append(r.queue, c)
	r.wakeUp()
}

// more says that there is something behind the end that was told.
func (r *Reader) more(c *cursor) bool {
	return c.g.Lost == "" && c.g.Compact == "" && (c.g.limit < 0 || c.pos.Off < c.g.limit) && c.g.size > c.pos.Off
}

func (r *Reader) wakeUp() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Next waits for the next lines of some file. io.EOF: Finish was called, and everything was read.
func (r *Reader) Next(ctx context.Context) (*Block, error) {
	select {
	case <-r.set.ready:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		b, wait, err := r.turn()
		if b != nil || err != nil {
			return b, err
		}
		if wait == 0 {
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-r.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// turn gives the file whose turn it is a go. wait: how long to wait when there is none; 0: do not.
func (r *Reader) turn() (b *Block, wait time.Duration, err error) {
	s := r.set
	s.mu.Lock()
	defer s.mu.Unlock()
	r.takeWoken()
	c := r.take()
	if c == nil {
		wait, done := r.idle()
		if done {
			return nil, 0, io.EOF
		}
		return nil, wait, nil
	}
	g := c.g
	switch {
	case s.gens[g.ID] != g || g.seeking():
		return nil, 0, nil
	case g.Lost != "":
		return r.gap(c), 0, nil
	case c.last && !r.more(c):
		return nil, 0, nil
	}
	c.last = false
	h, err := s.acquire(g)
	if err != nil {
		s.fault(g, err)
		return nil, 0, nil
	}
	return r.read(c, h), 0, nil
}

// take removes the cursor whose turn it is from the queue: not one whose path had another generation before that is not read yet, and
// only one compressed file at a time.
func (r *Reader) take() *cursor {
	for i, c := range r.queue {
		if r.blocked(c) {
			continue
		}
		r.queue = slices.Delete(r.queue, i, i+1)
		c.queued = false
		c.credit = min(c.credit+quantum, quantum)
		if c.credit <= 0 { // it had a long line; its turn is over before it began
			r.requeue(c)
			return r.take()
		}
		return c
	}
	return nil
}

func (r *Reader) requeue(c *cursor) {
	if !c.queued {
		c.queued = true
		r.queue = append(r.queue, c)
	}
}

func (r *Reader) blocked(c *cursor) bool {
	if c.g.Compact != "" && r.packed != nil && r.packed != c && r.packed.queued {
		return true
	}
	p := c.g.prev
	if p == nil {
		return false
	}
	before := r.cursors[p.ID]
	return before != nil && before.queued && before != c && !p.seeking()
}

// idle says how long to wait for a partial line, and whether everything was read up to its end.
func (r *Reader) idle() (wait time.Duration, done bool) {
	wait, done = time.Hour, r.set.finished
	for _, c := range r.cursors {
		g := c.g
		if c.last {
			continue
		}
		if c.held > 0 && g.in.PartialAfter > 0 {
			due := max(time.Until(c.heldAt.Add(g.in.PartialAfter)), 0)
			if due == 0 {
				r.requeue(c)
			}
			wait = min(wait, due)
		}
		if !g.seeking() && (g.err == nil || g.faults < 3) {
			done = done && g.stored && g.limit >= 0 && c.pos.Off >= g.limit
		}
	}
	return wait, done && len(r.queue) == 0
}
