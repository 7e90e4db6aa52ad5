// Package notify tells someone that a new version was published: a process by a
// signal, a server by HTTP, or a program that is run. The newest event wins, a
// failed one is tried again, and OnDone lets the caller keep on disk what was
// told, so that no version is announced twice or never.
// Used by gitsync. It is no event bus: every target gets every event, in order.
package notify

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/backoff"
)

// Event is a published version.
type Event struct {
	Version string // full commit hash, digest or the like
	Path    string // where the readers find it
}

// Target is someone to tell.
type Target interface {
	Name() string // for logs, without secrets
	Notify(ctx context.Context, e Event) error
}

// Queue tells one target. Events that arrive while it is busy replace each
// other: whoever reloads wants the newest version, not each one.
type Queue struct {
	target Target
	opts   Options
	next   chan Event
}

// Options are the knobs of a Queue.
type Options struct {
	Backoff backoff.Policy
	Log     zerolog.Logger

	// OnDone, where set, is called after each attempt: err nil means that
	// the event was delivered. It is called from Run only.
	OnDone func(e Event, took time.Duration, err error)
}

// NewQueue makes a queue for one target; Run works it off.
func NewQueue(target Target, opts Options) *Queue {
	if opts.Backoff.Min <= 0 {
		opts.Backoff = backoff.Policy{Min: time.Second, Max: time.Minute, Jitter: 0.2}
	}
	return &Queue{target: target, opts: opts, next: make(chan Event, 1)}
}

// Name is the target's name.
func (q *Queue) Name() string { return q.target.Name() }

// Send puts an event in the queue, in the place of one that still waits there.
// It never blocks. Only one goroutine may send.
func (q *Queue) Send(e Event) {
	for {
		select {
		case q.next <- e:
			return
		default:
		}
		select {
		case <-q.next:
		default: // Run was faster
		}
	}
}

// Run delivers events until ctx ends. It returns nil: an event that could not
// be delivered is known to OnDone.
func (q *Queue) Run(ctx context.Context) error {
	for {
		select {
		case e := <-q.next:
			q.deliver(ctx, e)
		case <-ctx.Done():
			return nil
		}
	}
}

// Flush delivers what waits, once and without Run, for --once: the error is
// that of the last attempt.
func (q *Queue) Flush(ctx context.Context) error {
	select {
	case e := <-q.next:
		return q.attempt(ctx, e)
	default:
		return nil
	}
}

// deliver tries until it works, ctx ends or a newer event takes the place.
func (q *Queue) deliver(ctx context.Context, e Event) {
	for attempt := 1; ; attempt++ {
		err := q.attempt(ctx, e)
		if err == nil {
			return
		}
		delay := q.opts.Backoff.Delay(attempt)
		q.opts.Log.Warn().AnErr("err", err).Str("target", q.target.Name()).Int("attempt", attempt).
			Stringer("retry_in", delay).Msg("notify failed")
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case e = <-q.next:
			attempt = 0
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

func (q *Queue) attempt(ctx context.Context, e Event) error {
	begin := time.Now()
	err := q.target.Notify(ctx, e)
	if q.opts.OnDone != nil {
		q.opts.OnDone(e, time.Since(begin), err)
	}
	return err
}
