package bulk

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"math"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Options say how one content is copied.
type Options struct {
	Digest bool
	// Size is what stat says of the source, in bytes. It may be wrong: content is read to its end.
	Size int64
	// Sparse keeps holes as holes. It needs a Size that is right.
	Sparse bool
	// Buf is for content of less than 2 MiB; nil takes one of the Copier's, which are more and larger.
	Buf []byte
	// Moved is told of every piece of content, in bytes; nil is nobody.
	Moved func(bytes int64)
}

// Copier copies contents and keeps its buffers in between. The zero value works. It is safe for concurrent use: large
// contents then take turns, because one alone keeps two processors busy, and each would need buffers of its own. Close it.
type Copier struct {
	mu   sync.Mutex
	ring *ring
}

// Close lets go of the buffers.
func (c *Copier) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.ring
	c.ring = nil
	return r.close()
}

// Copy moves what src holds into dst, which is empty and opened for writing, and returns the SHA-256 of it (if asked
// for) and its length. Offsets of the descriptors are not used. It does not notice that src changes meanwhile.
func (c *Copier) Copy(ctx context.Context, dst, src int, o Options) (sum [sha256.Size]byte, n int64, err error) {
	t := transfer{o: o, in: source{fd: src}, out: sink{fd: dst}}
	if o.Digest {
		t.hash = sha256.New()
	}
	if t.cloned = clone(dst, src); t.cloned && !o.Digest {
		return sum, o.Size, nil
	}
	return c.run(ctx, &t)
}

// Sum reads src, which stat says to have size bytes, to its end and returns its SHA-256 and its true length.
func (c *Copier) Sum(ctx context.Context, src int, o Options) (sum [sha256.Size]byte, n int64, err error) {
	return c.run(ctx, &transfer{o: o, in: source{fd: src}, cloned: true, hash: sha256.New()})
}

func (c *Copier) run(ctx context.Context, t *transfer) (sum [sha256.Size]byte, n int64, err error) {
	short := t.o.Size < 2*bufSize && !t.o.Sparse
	if short && t.o.Buf != nil {
		n, err = t.plain(ctx, t.o.Buf)
	} else {
		n, err = c.runLarge(ctx, t, short)
	}
	t.in.finish()
	if t.hash != nil {
		t.hash.Sum(sum[:0])
	}
	return sum, n, err
}

func (c *Copier) runLarge(ctx context.Context, t *transfer, short bool) (n int64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ring == nil {
		if c.ring, err = newRing(); err != nil {
			return 0, err
		}
	}
	t.ring = c.ring
	if short {
		return t.plain(ctx, c.ring.mem[:bufSize])
	}
	t.in.large = true
	if !t.cloned {
		t.out.goDirect()
	}
	return t.pipelined(ctx)
}

// transfer is one content on its way.
type transfer struct {
	ring   *ring
	o      Options
	in     source
	out    sink
	hash   hash.Hash // nil: no digest
	cloned bool      // the content is there already: nothing is written

	mu  sync.Mutex
	err error
}

// plain does everything in turn, which is best for short content.
func (t *transfer) plain(ctx context.Context, buf []byte) (int64, error) {
	off := int64(0)
	for ctx.Err() == nil {
		n, err := t.in.fill(buf, off)
		if err != nil {
			return off, err
		}
		off += int64(n)
		if t.hash != nil {
			t.hash.Write(buf[:n])
		}
		if !t.cloned && n > 0 {
			if err := t.out.write(buf[:n]); err != nil {
				return off, writeError(err)
			}
		}
		t.moved(n)
		if n < len(buf) {
			return off, writeError(t.out.behind(1))
		}
	}
	return off, ctx.Err()
}

func (t *transfer) moved(n int) {
	if t.o.Moved != nil && n > 0 {
		t.o.Moved(int64(n))
	}
}

// block is a filled buffer. Who is the last to be done with it gives it back.
type block struct {
	buf   []byte // nil for a hole at the end
	n     int
	off   int64
	users atomic.Int32
}

// pipelined reads in this goroutine, digests in a second and writes in a third.
func (t *transfer) pipelined(ctx context.Context) (end int64, err error) {
	var stages []chan *block
	var wg sync.WaitGroup
	stage := func(do func(*block) error) {
		ch := make(chan *block, buffers)
		stages = append(stages, ch)
		wg.Go(func() {
			for b := range ch {
				if t.failed() == nil {
					t.fail(do(b))
				}
				t.release(b)
			}
		})
	}
	if t.hash != nil {
		stage(t.digest())
	}
	if !t.cloned {
		stage(func(b *block) error {
			t.out.off = b.off
			return writeError(t.out.write(b.buf[:b.n]))
		})
	}
	end, err = t.read(ctx, stages)
	for _, ch := range stages {
		close(ch)
	}
	wg.Wait()
	if err = errors.Join(t.failed(), err); err != nil {
		return end, err
	}
	return end, t.tail(end)
}

// tail makes a hole at the end, and sends what is in the cache to the disk.
func (t *transfer) tail(end int64) error {
	if t.cloned {
		return nil
	}
	if t.o.Sparse {
		if err := unix.Ftruncate(t.out.fd, end); err != nil {
			return writeError(err)
		}
	}
	return writeError(t.out.behind(1))
}

// read fills buffers and hands each to every stage. It returns where the content ends.
func (t *transfer) read(ctx context.Context, stages []chan *block) (end int64, err error) {
	hand := func(b *block) {
		b.users.Store(int32(len(stages)))
		for _, ch := range stages {
			ch <- b
		}
		t.moved(b.n)
	}
	for off := int64(0); ; {
		stop := int64(math.MaxInt64)
		if t.o.Sparse {
			if off, stop = t.in.extent(off, t.o.Size); off >= t.o.Size {
				hand(&block{off: off}) // the hole at the end
				return off, nil
			}
		}
		for off < stop {
			var buf []byte
			select {
			case buf = <-t.ring.free:
			case <-ctx.Done():
				return off, ctx.Err()
			}
			want := int(min(int64(len(buf)), stop-off))
			n, err := t.in.fill(buf[:want], off)
			if err != nil || n == 0 || t.failed() != nil {
				t.ring.free <- buf
				return off, err
			}
			hand(&block{buf: buf, n: n, off: off})
			if off += int64(n); n < want {
				return off, nil
			}
		}
	}
}

// digest is the stage that hashes; between two blocks lies a hole, which reads as zeros.
func (t *transfer) digest() func(*block) error {
	at, zeros := int64(0), []byte(nil)
	return func(b *block) error {
		for at < b.off {
			if zeros == nil {
				zeros = make([]byte, 64<<10)
			}
			n := min(b.off-at, int64(len(zeros)))
			t.hash.Write(zeros[:n])
			at += n
		}
		t.hash.Write(b.buf[:b.n])
		at += int64(b.n)
		return nil
	}
}

func (t *transfer) release(b *block) {
	if b.users.Add(-1) == 0 && b.buf != nil {
		t.ring.free <- b.buf
	}
}

func (t *transfer) failed() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

func (t *transfer) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.err = err
	}
}

func writeError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("write: %w", err)
}
