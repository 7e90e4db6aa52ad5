package tlsconf

import (
	"context"
	"sync"
	"time"

	"github.com/sidecar-kit/sidecar/internal/watch"
)

// follower reloads when files change.
type follower struct {
	watch  *watch.Watcher
	events Events
	reload func() (changed bool, err error)
	retry  time.Duration   // between looks at content that could not be used
	again  []time.Duration // pauses before content that cannot be used is read once more: somebody may be in the middle of writing it
}

func newFollower(w *watch.Watcher, e Events, reload func() (bool, error)) *follower {
	return &follower{w, e, reload, 5 * time.Second, []time.Duration{200 * time.Millisecond, time.Second}}
}

// daily is how often warnings are repeated.
const daily = 24 * time.Hour

// run follows until ctx ends. due and rotate are for keys that get old; due may be nil.
func (f *follower) run(ctx context.Context, warnings func() []string, due func() time.Duration, rotate func()) error {
	l := &looks{f: f, warnings: warnings, failed: make(chan struct{}, 1)}
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() { every(ctx, func() time.Duration { return daily }, l.warn) })
	work.Go(func() { l.retry(ctx) })
	if due != nil {
		work.Go(func() { every(ctx, due, rotate) })
	}
	l.warn()
	f.watch.Run(ctx, func(c watch.Change) { l.look(ctx, c.Paths) })
	return nil
}

// looks are what run does when files may have other content.
type looks struct {
	f        *follower
	warnings func() []string
	failed   chan struct{} // content could not be used

	turn sync.Mutex // one look at a time
	bad  bool
	mu   sync.Mutex // events are told one at a time
}

func (l *looks) warn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w := l.warnings(); len(w) > 0 && l.f.events.Warned != nil {
		l.f.events.Warned(w)
	}
}

// look reloads and tells about it. Without paths nobody said that something changed, and what is still bad is not told again.
func (l *looks) look(ctx context.Context, paths []string) (ok bool) {
	l.turn.Lock()
	defer l.turn.Unlock()
	changed, err := l.f.try(ctx)
	if ctx.Err() != nil || err == nil && !changed && !l.bad || err != nil && paths == nil {
		return err == nil
	}
	l.bad = err != nil // what comes back as it was is told as well
	if err != nil {
		l.tell(func() {
			if l.f.events.Refused != nil {
				l.f.events.Refused(err)
			}
		})
		select {
		case l.failed <- struct{}{}:
		default:
		}
		return false
	}
	l.tell(func() {
		if l.f.events.Reloaded != nil {
			l.f.events.Reloaded(paths)
		}
	})
	l.warn()
	return true
}

func (l *looks) tell(fn func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fn()
}

// retry looks again at what could not be used: it may be good before the watch saw that it was bad, and then no change is told.
func (l *looks) retry(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.failed:
		}
		for sleep(ctx, l.f.retry) && !l.look(ctx, nil) {
		}
	}
}

func (f *follower) try(ctx context.Context) (bool, error) {
	changed, err := f.reload()
	for _, pause := range f.again {
		if err == nil || !sleep(ctx, pause) {
			return changed, err
		}
		changed, err = f.reload()
	}
	return changed, err
}

// every calls fn after each pause.
func every(ctx context.Context, pause func() time.Duration, fn func()) {
	for sleep(ctx, pause()) {
		fn()
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
