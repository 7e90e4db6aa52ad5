// Package pipe carries the lines of files to one output: blocks become events, events records, records batches; a batch is
// journalled, sent, sent again where needed, and done.
//
// One goroutine reads and encodes; several send. The journal says what a batch is made of before it is sent, so that after a kill
// the same bytes make the same batch. When batches are not taken, the reading stops: the files are the buffer.
package pipe

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/backoff"
	"github.com/sidecar-kit/sidecar/roles/logship/content"
	"github.com/sidecar-kit/sidecar/roles/logship/dead"
	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
	"github.com/sidecar-kit/sidecar/roles/logship/source"
	"github.com/sidecar-kit/sidecar/roles/logship/state"
)

// linger is how long a batch waits for more when nothing is under way: the output is idle, so a small batch costs nobody anything.
const linger = 20 * time.Millisecond

// refresh is how often files of added values, such as the labels of the pod, are looked at.
const refresh = 10 * time.Second

// Reader gives the lines of all files that an output gets. *source.Reader is one.
type Reader interface {
	Next(ctx context.Context) (*source.Block, error)
	Range(ctx context.Context, r state.Range) iter.Seq2[*source.Block, error]
}

// Config is what a pipe is made of.
type Config struct {
	Output   string
	Sink     out.Sink
	Store    *state.Store
	Reader   Reader
	Program  func(input string) (*content.Program, error) // a new one: each is used by one goroutine
	Dead     *dead.File
	Limits   out.Limits
	InFlight int           // batches that are sent at once
	Timeout  time.Duration // of one request
	Backoff  backoff.Policy
	Log      zerolog.Logger
	Took     func(time.Duration) // is told how long each request took; may be nil
	Refused  func(dead.Letter)   // is told of dead letters; may be nil
}

// Pipe is one output at work.
type Pipe struct {
	c         Config
	files     map[uint64]*file
	pending   map[uint64]*file // those whose last event waits for more lines
	progs     map[string]*content.Program
	rec       record.Record
	cur       *load
	seq       uint64
	sealed    chan *load
	spare     chan *load
	gate      *gate
	refreshed time.Time
	stats     counters

	stopped atomic.Bool

	mu    sync.Mutex // guards all below
	wake  context.CancelFunc
	idled bool
}

type counters struct {
	events, bytes, batches, requests, retries, again, splits, rejected, inFlight atomic.Int64
	dropped                                                                      sync.Map // reason: *atomic.Int64
	lastDone, lastFail                                                           atomic.Int64
	problem                                                                      atomic.Pointer[string]
	paused                                                                       atomic.Bool
}

// Stats are numbers for /metrics and the status page.
type Stats struct {
	Events, Bytes, Batches int64 // delivered; bytes before compression
	Requests, Retries      int64 // requests; of them again after an error of the whole
	Again                  int64 // events that were sent again because the other side said so, one by one
	Splits, Rejected       int64
	InFlight               int64 // batches
	Allowed                int64 // of them at once
	Dropped                map[string]int64
	LastDone               time.Time
	Problem                string // why the last request failed, or a local disk takes nothing; empty: all is well
	Paused                 bool   // a person has to do something
}

// New makes a pipe. Run does the work.
func New(c Config) *Pipe {
	c.InFlight = max(c.InFlight, 1)
	return &Pipe{
		c: c, files: map[uint64]*file{}, pending: map[uint64]*file{}, progs: map[string]*content.Program{}, seq: c.Store.Next(c.Output),
		sealed: make(chan *load), spare: make(chan *load, c.InFlight+1), gate: newGate(c.InFlight),
	}
}

// Run works until everything that the reader has is delivered, or ctx ends: what is not delivered then is sent by the next start.
// It returns nil in both cases, and an error only where going on would lose something.
func (p *Pipe) Run(ctx context.Context) error {
	side, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg, senders sync.WaitGroup
	wg.Go(func() {
		if err := p.c.Sink.Run(side); err != nil && side.Err() == nil {
			p.c.Log.Error().AnErr("err", err).Str("output", p.c.Output).Msg("the output's own work ended")
		}
	})
	for range p.c.InFlight {
		senders.Go(func() { p.send(ctx) })
	}
	err := p.fill(ctx)
	close(p.sealed)
	senders.Wait()
	stop()
	wg.Wait()
	if e := p.c.Sink.Close(); e != nil && ctx.Err() == nil {
		p.c.Log.Warn().AnErr("err", e).Str("output", p.c.Output).Msg("closing the output failed")
	}
	if ctx.Err() != nil || errors.Is(err, io.EOF) || errors.Is(err, errStopped) {
		return nil
	}
	return err
}

// fill replays what was under way and then reads on, until the end.
func (p *Pipe) fill(ctx context.Context) error {
	if err := p.replay(ctx); err != nil {
		return err
	}
	for {
		b, err := p.next(ctx)
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, errStopped) {
				return err
			}
			if errors.Is(err, io.EOF) {
				p.flushAll(time.Time{})
			}
			if e := p.seal(ctx, nil); e != nil {
				return e
			}
			return err
		}
		err = p.take(ctx, b)
		b.Release()
		if err != nil {
			return err
		}
	}
}

// next waits for a block. Meanwhile batches and events that get too old go their way.
func (p *Pipe) next(ctx context.Context) (*source.Block, error) {
	for {
		if p.stopped.Load() {
			return nil, errStopped
		}
		if err := p.tick(ctx, time.Now()); err != nil {
			return nil, err
		}
		wait, cancel := p.waiting(ctx)
		b, err := p.c.Reader.Next(wait)
		cut := wait.Err() != nil
		cancel()
		if err == nil || ctx.Err() != nil || !cut || errors.Is(err, io.EOF) {
			return b, err
		}
	}
}

// waiting is a context that ends when there is something to do although no line came.
func (p *Pipe) waiting(ctx context.Context) (context.Context, context.CancelFunc) {
	p.mu.Lock()
	p.idled = false
	p.mu.Unlock()
	due := p.batchDue()
	for _, f := range p.pending {
		if at := f.joiner.Due(); due.IsZero() || at.Before(due) {
			due = at
		}
	}
	var wait context.Context
	var cancel context.CancelFunc
	if due.IsZero() {
		wait, cancel = context.WithCancel(ctx)
	} else {
		wait, cancel = context.WithDeadline(ctx, due)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wake = cancel
	if p.idled {
		cancel() // the last batch was done in between
	}
	return wait, cancel
}

// batchDue is when the open batch has to go. It may go soon when nothing is under way.
func (p *Pipe) batchDue() time.Time {
	if p.cur == nil {
		return time.Time{}
	}
	age := p.c.Limits.Age
	if p.stats.inFlight.Load() == 0 {
		age = min(age, linger)
	}
	return p.cur.since.Add(age)
}

// tick does what is due.
func (p *Pipe) tick(ctx context.Context, now time.Time) error {
	if now.Sub(p.refreshed) > refresh {
		p.refreshed = now
		for input, prog := range p.progs {
			if changed, err := prog.Refresh(); err != nil {
				p.c.Log.Warn().AnErr("err", err).Str("input", input).Msg("files of added values cannot be read")
			} else if changed {
				p.c.Log.Info().Str("input", input).Msg("files of added values have changed")
			}
		}
	}
	if len(p.pending) > 0 {
		p.flushAll(now)
	}
	if due := p.batchDue(); !due.IsZero() && !now.Before(due) {
		return p.seal(ctx, nil)
	}
	return nil
}

// errStopped ends the reading before the end of the files.
var errStopped = errors.New("stopped")

// Stop ends the reading. Run returns when what was read is delivered.
func (p *Pipe) Stop() {
	p.stopped.Store(true)
	p.idle()
}

// idle wakes the reader's goroutine when the last batch under way is done.
func (p *Pipe) idle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idled = true
	if p.wake != nil {
		p.wake()
	}
}

// Stats returns the numbers of now.
func (p *Pipe) Stats() Stats {
	c := &p.stats
	s := Stats{
		Events: c.events.Load(), Bytes: c.bytes.Load(), Batches: c.batches.Load(), Requests: c.requests.Load(), Retries: c.retries.Load(),
		Again: c.again.Load(), Splits: c.splits.Load(), Rejected: c.rejected.Load(), InFlight: c.inFlight.Load(), Allowed: int64(p.gate.allowed()),
		Dropped: map[string]int64{}, Paused: c.paused.Load(),
	}
	c.dropped.Range(func(k, v any) bool {
		s.Dropped[k.(string)] = v.(*atomic.Int64).Load()
		return true
	})
	if at := c.lastDone.Load(); at != 0 {
		s.LastDone = time.Unix(0, at)
	}
	if text := c.problem.Load(); text != nil {
		s.Problem = *text
	}
	return s
}

func (p *Pipe) drop(reason string) {
	n, ok := p.stats.dropped.Load(reason)
	if !ok {
		n, _ = p.stats.dropped.LoadOrStore(reason, new(atomic.Int64))
	}
	n.(*atomic.Int64).Add(1)
}
