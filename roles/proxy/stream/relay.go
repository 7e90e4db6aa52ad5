package stream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// ErrTruncated is how a stream ended that may be cut: nothing says whether its TLS peer meant to end it there.
var ErrTruncated = errors.New("the peer ended its TLS stream without close_notify")

var errIdle = errors.New("nothing moved for too long")

// relay is the state of one call of Relay.
type relay struct {
	opts            Options
	client, backend leg
	up, down        flow
	half            atomic.Bool // one direction has ended
	other           sync.WaitGroup

	mu    sync.Mutex
	over  bool  // Ended is decided
	ended End   // by whom
	err   error // the first one
	dead  bool  // deadlines are in the past, both flows return
	stall bool  // because one direction went on, but brought nothing
	timer *time.Timer
	seen  int64 // bytes when the timer looked last
	quiet int   // looks in a row at which nothing had moved
}

func newRelay(client, backend net.Conn, o *Options) *relay {
	if o.HalfIdle <= 0 {
		o.HalfIdle = defaultHalfIdle
	}
	if o.Pool == nil {
		o.Pool = new(Pool)
	}
	if o.Counters == nil {
		o.Counters = new(Counters)
	}
	r := &relay{opts: *o, client: newLeg(client), backend: newLeg(backend)}
	r.up = flow{relay: r, src: &r.client, dst: &r.backend, total: &o.Counters.Up, ahead: o.AheadUp, from: ByClient, to: ByBackend}
	r.down = flow{relay: r, src: &r.backend, dst: &r.client, total: &o.Counters.Down, ahead: o.AheadDown, from: ByBackend, to: ByClient}
	return r
}

// run carries until both directions ended. One of them runs here, at the bottom
// of a stack that stays as long as the connection: frames are kept small.
func (r *relay) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { r.cut(ByContext, context.Cause(ctx)) })
	r.other.Go(r.down.run)
	r.watch()
	r.up.run()
	r.other.Wait()
	stop()
}

// ending records the first end and the first error, which happened at the side
// named. That a side breaks once the other one has ended is the usual way in
// which many programs close, and no error.
func (r *relay) ending(by, at End, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	late := r.over && r.err == nil && at != r.ended && (r.ended == ByClient || r.ended == ByBackend)
	if !r.over {
		r.over, r.ended = true, by
	}
	if r.err == nil && err != nil && !r.dead && !(late && isGone(err)) {
		r.err = fmt.Errorf("%s: %w", at, err)
	}
}

func isGone(err error) bool {
	return errors.Is(err, ErrTruncated) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// cut makes both flows return now.
func (r *relay) cut(by End, err error) {
	r.ending(by, by, err)
	r.mu.Lock()
	r.dead = true
	r.mu.Unlock()
	past := time.Unix(1, 0)
	_ = r.client.base.SetDeadline(past)
	_ = r.backend.base.SetDeadline(past)
}

// halfClosed is called by the flow that ended first.
func (r *relay) halfClosed() {
	if r.half.Swap(true) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.quiet = 0
	r.arm()
}

// watch starts to look for silence, when it is limited.
func (r *relay) watch() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer == nil {
		r.arm()
	}
}

// looks is how often a limit on silence is checked before it strikes: a relay
// is cut between one and 1.25 times its limit, and traffic costs no clock.
const looks = 4

// arm sets the timer for the next look. The caller holds mu.
func (r *relay) arm() {
	limit := r.opts.Idle
	if r.half.Load() && (limit <= 0 || r.opts.HalfIdle < limit) {
		limit = r.opts.HalfIdle
	}
	if limit <= 0 {
		return
	}
	every := max(limit/looks, 1)
	if r.timer == nil {
		r.timer = time.AfterFunc(every, r.look)
		return
	}
	r.timer.Reset(every)
}

func (r *relay) look() {
	moved := r.up.moved.Load() + r.down.moved.Load()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dead {
		return
	}
	if moved != r.seen {
		r.seen, r.quiet = moved, 0
	} else {
		r.quiet++
	}
	if r.quiet < looks {
		r.arm()
		return
	}
	r.stall = r.half.Load()
	go r.cut(ByIdle, errIdle)
}

// stalled tells whether the relay was cut while one direction had ended cleanly
// and the other one had not: its receiver must not take that for an end.
func (r *relay) stalled() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stall
}

// finish closes both connections and reports.
func (r *relay) finish() Result {
	r.mu.Lock()
	if r.timer != nil {
		r.timer.Stop()
	}
	r.dead = true
	res := Result{Up: r.up.moved.Load(), Down: r.down.moved.Load(), Ended: r.ended, Err: r.err}
	r.mu.Unlock()
	r.client.close(r.down.abort || r.up.lost)
	r.backend.close(r.up.abort || r.down.lost)
	return res
}
