// Package source gets what an application says about itself, by HTTP, from a file or from a program. However many ask at once, the
// application is asked once; what it said may be kept for a while, and may stand in for what it does not say any more, if the user wants that.
//
// It promises: an answer is bounded before and after it is unpacked; a page that is returned never changes; credentials go to the host
// they were configured for, are read at each request and are in no error. It does not know formats: it is given a decoder.
package source

import (
	"context"
	"sync"
	"time"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// Body is an answer as it came.
type Body struct {
	Data []byte
	Type string // the content type, "" where there is none
	Wire int    // bytes before they were unpacked
}

// Getter gets a body. It returns when ctx ends at the latest.
type Getter interface {
	Get(ctx context.Context) (Body, error)
}

// Decode makes a page of a body. It is called by one goroutine at a time, and may keep parts of the body.
type Decode func(Body) (model.Page, model.Drops, error)

// Result is what a source said. It is shared and must not be changed.
type Result struct {
	Page  *model.Page // nil when there is none
	Raw   Body        // the body the page was made of
	Err   error       // why there is none, or why it is an old one
	At    time.Time   // when Page was asked for
	Took  time.Duration
	Stale bool // an old page in place of an error
}

// Stats is what became of requests.
type Stats struct {
	Asked, Joined, Cached, Fetched, Failed, Stale uint64 // requests; those that waited with others; those from the cache; fetches, failed ones; old pages given
	Bytes                                         uint64
	Drops                                         model.Drops
	Last                                          Result
}

// Source is one application's endpoint.
type Source struct {
	opts   Options
	getter Getter
	decode Decode

	mu     sync.Mutex
	flight *flight
	last   Result // the newest with a page
	stats  Stats
}

type flight struct {
	done   chan struct{}
	result Result
}

// New makes a source that has been asked nothing yet.
func New(o Options, g Getter, d Decode) *Source { return &Source{opts: o, getter: g, decode: d} }

// Name is the name of the source.
func (s *Source) Name() string { return s.opts.Name }

// Fetch returns what the source says now, or within the time that the cache may keep it. It returns when ctx ends at the latest; the
// request itself goes on for as long as the source's timeout allows, for those who ask later.
func (s *Source) Fetch(ctx context.Context) Result {
	s.mu.Lock()
	s.stats.Asked++
	if s.last.Page != nil && s.opts.TTL > 0 && time.Since(s.last.At) < s.opts.TTL {
		s.stats.Cached++
		defer s.mu.Unlock()
		return s.last
	}
	f := s.flight
	if f == nil {
		f = &flight{done: make(chan struct{})}
		s.flight = f
		go s.fly(context.WithoutCancel(ctx), f)
	} else {
		s.stats.Joined++
	}
	s.mu.Unlock()
	select {
	case <-f.done:
		return s.orStale(f.result)
	case <-ctx.Done():
		select {
		case <-f.done:
			return s.orStale(f.result)
		default:
		}
		return s.orStale(Result{Err: tooLate(ctx), At: time.Now()})
	}
}

// fly asks, and tells all who wait.
func (s *Source) fly(ctx context.Context, f *flight) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.opts.Timeout, errTimeout{s.opts.Timeout, ofSource})
	defer cancel()
	begun := time.Now()
	page, body, drops, err := s.get(ctx)
	r := Result{At: begun, Took: time.Since(begun), Err: err, Raw: body}
	if err == nil {
		r.Page = &page
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Fetched++
	s.stats.Bytes += uint64(body.Wire)
	s.stats.Drops.Add(drops)
	if err != nil {
		s.stats.Failed++
	} else if s.opts.TTL > 0 || s.opts.StaleIfError > 0 {
		s.last = r
	}
	s.stats.Last = Result{Err: r.Err, At: r.At, Took: r.Took}
	f.result = r
	s.flight = nil
	close(f.done)
}

func (s *Source) get(ctx context.Context) (page model.Page, body Body, drops model.Drops, err error) {
	defer func() {
		// A decoder that panics over foreign bytes costs that source its page, nobody else theirs.
		if p := recover(); p != nil {
			err = panicked{p}
		}
	}()
	if body, err = s.getter.Get(ctx); err != nil {
		return page, body, drops, err
	}
	page, drops, err = s.decode(body)
	return page, body, drops, err
}

// orStale is r, or the newest page where r has none and that may stand in.
func (s *Source) orStale(r Result) Result {
	if r.Page != nil || s.opts.StaleIfError == 0 {
		return r
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last.Page == nil || time.Since(s.last.At) > s.opts.StaleIfError {
		return r
	}
	s.stats.Stale++
	old := s.last
	old.Err, old.Stale = r.Err, true
	return old
}

// Stats returns what was counted so far.
func (s *Source) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}
