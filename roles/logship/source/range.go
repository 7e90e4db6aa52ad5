package source

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/sidecar-kit/sidecar/roles/logship/source/engine"
	"github.com/sidecar-kit/sidecar/roles/logship/state"
)

// ErrGone means that the bytes of a range are nowhere any more.
var ErrGone = errors.New("its bytes are gone")

// Range gives exactly the lines of a range again. The blocks are to be released; their borders need not be those of the first time.
// It waits until Run has looked at everything once. An error that wraps ErrGone will not get better.
func (r *Reader) Range(ctx context.Context, want state.Range) iter.Seq2[*Block, error] {
	return func(yield func(*Block, error) bool) {
		select {
		case <-r.set.ready:
		case <-ctx.Done():
			yield(nil, ctx.Err())
			return
		}
		g, h, err := r.set.forRange(want)
		if err != nil {
			yield(nil, err)
			return
		}
		defer r.set.giveBack(h)
		end := engine.Final
		if want.To.Mid {
			end = engine.Border
		}
		src, done := r.set.source(g, h, want.From)
		defer done()
		for src.Pos().Off < want.To.Off {
			b := r.set.block(g)
			err := ctx.Err()
			if err == nil {
				err = src.Read(&b.Chunk, want.To.Off, end)
			}
			if errors.Is(err, engine.ErrShrunk) {
				err = fmt.Errorf("%w: %w", ErrGone, err)
			}
			if err == nil && b.EOF && src.Pos().Off < want.To.Off {
				err = fmt.Errorf("%w: it has no line that ends at %d", ErrGone, want.To.Off)
			}
			if err == nil && src.Pos().Off == want.To.Off && want.Check != 0 && b.Check(want.To.Off) != want.Check {
				err = fmt.Errorf("%w: the file has other bytes before %d than it had", ErrGone, want.To.Off)
			}
			if err != nil {
				b.Release()
				yield(nil, fmt.Errorf("read %s again from %d to %d: %w", g.Path, want.From.Off, want.To.Off, err))
				return
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}

// forRange opens the file of a generation to read a part of it again.
func (s *Set) forRange(want state.Range) (*gen, *handle, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.gens[want.Gen]
	switch {
	case g == nil:
		return nil, nil, fmt.Errorf("generation %x: %w", want.Gen, ErrGone)
	case g.Lost != "":
		return nil, nil, fmt.Errorf("%s: %w (%s)", g.Path, ErrGone, g.Lost)
	case g.seeking():
		return nil, nil, fmt.Errorf("%s: it is at no place now, a copy is looked for", g.Path)
	}
	h, err := s.acquire(g)
	if err == nil && h.f == nil && want.From.Off < g.goodAt {
		s.release(h)
		err = fmt.Errorf("%s: %w (its copy begins at %d)", g.Path, ErrGone, g.goodAt)
	}
	return g, h, err
}

func (s *Set) giveBack(h *handle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release(h)
}

// source makes an engine for one reading.
func (s *Set) source(g *gen, h *handle, from state.Pos) (engine.LineSource, func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.Compact == "" {
		return engine.NewBlocks(h.at(), &g.form, &s.mem, from, 0, false), func() {}
	}
	z := &unzipAt{f: h.at(), kind: g.Compact}
	return engine.NewBlocks(z, &g.form, &s.mem, from, 0, false), z.close
}
