// Package emit sends pages on, every so often: as StatsD, Graphite or Influx lines in datagrams or over a stream, or by HTTP to Influx and OTLP
// receivers. What cannot be sent now waits in a queue of a bounded number of payloads; when it is full the oldest one is dropped and counted. Nothing waits for the network
// but the sender: pages are collected on time however slow the receiver is.
package emit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/sidecar-kit/sidecar/internal/backoff"
	"github.com/sidecar-kit/sidecar/roles/adapter/expo"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// Stats counts since New.
type Stats struct {
	Collected   uint64 // pages
	Missing     uint64 // pages that lacked something, or all
	Samples     uint64 // that were encoded
	Sent, Bytes uint64 // payloads that were taken, and their bytes
	Datagrams   uint64
	Dropped     uint64 // payloads that did not fit into the queue, were refused, or were left at the end
	Refused     uint64 // those of them that the receiver will never take
	Left        uint64 // those of them that were left at the end
	Partial     uint64 // samples that an answer of success says were refused
	Failed      uint64 // attempts
	Unstorable  uint64 // samples that the format cannot carry
	Queue       int    // now
	QueueBytes  int64
	Err         error     // of the last attempt; nil after a success
	Last        time.Time // success
}

// Emitter sends the pages of collect.
type Emitter struct {
	o       Options
	collect func(context.Context) (model.Page, error)
	out     output
	wake    chan struct{}

	mu    sync.Mutex
	queue []*payload // the first one is being sent, or about to be
	stats Stats
}

type payload struct {
	body []byte
	from int // what was sent already, of lines over a stream or in datagrams
}

// output sends one payload; it may move payload.from on before it fails.
type output interface {
	send(ctx context.Context, p *payload, s *Stats) error
	close()
}

// New checks the options. It connects to nobody.
func New(given *Options, collect func(context.Context) (model.Page, error)) (*Emitter, error) {
	o, err := given.prepared()
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, errors.New("to: this is no address: want udp://, tcp://, unixgram://, unix://, http:// or https://")
	}
	e := &Emitter{o: o, collect: collect, wake: make(chan struct{}, 1)}
	switch u.Scheme {
	case "http", "https":
		if o.Format == statsdFormat || o.Format == graphiteFormat {
			return nil, fmt.Errorf("to %q: nobody takes %s by HTTP\nhint: udp:// or tcp://", o.Target(), o.Format)
		}
		e.out, err = newWeb(o, u)
	case "udp", "unixgram", "tcp", "unix":
		e.out, err = newSocket(o, u)
	default:
		err = fmt.Errorf("to %q: want udp://, tcp://, unixgram://, unix://, http:// or https://", o.Target())
	}
	return e, err
}

// Run collects and sends until ctx ends; then it collects once more and sends what is left, within the grace. What is left after that is counted as dropped.
func (e *Emitter) Run(ctx context.Context) error {
	defer e.out.close()
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan struct{})
	closing := make(chan struct{})
	go func() {
		defer close(ended)
		e.sender(sending, closing)
	}()
	if w, ok := e.out.(*web); ok {
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() { w.run(ctx) })
	}
	for backoff.Sleep(ctx, e.pause()) {
		e.once(ctx)
	}
	grace := time.AfterFunc(e.o.Grace, stop)
	defer grace.Stop()
	e.once(sending)
	close(closing)
	<-ended
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stats.Dropped += uint64(len(e.queue))
	e.stats.Left += uint64(len(e.queue))
	e.queue = nil
	return nil
}

// pause is the time to the next collection: the next multiple of the interval, and the jitter.
func (e *Emitter) pause() time.Duration {
	now := time.Now()
	next := now.Truncate(e.o.Interval).Add(e.o.Interval)
	return next.Sub(now) + time.Duration(e.o.Jitter*rand.Float64()*float64(e.o.Interval))
}

// once collects a page and puts it into the queue.
func (e *Emitter) once(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, e.o.Timeout)
	defer cancel()
	page, err := e.collect(ctx)
	page.Families = slices.Clone(page.Families) // the samples are shared, the list is ours
	for i := range page.Families {
		err = errors.Join(err, expo.Expand(&page.Families[i]))
	}
	body, drops := e.o.encode(nil, &page)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stats.Collected++
	if err != nil {
		e.stats.Missing++
	}
	e.stats.Unstorable += drops[model.Unstorable]
	e.stats.Samples += uint64(page.Len()) - min(uint64(page.Len()), drops.Sum()) //nolint:gosec // a length
	if len(body) == 0 {
		return
	}
	e.queue = append(e.queue, &payload{body: body})
	for len(e.queue) > 1 && (len(e.queue) > e.o.Queue || e.bytes() > e.o.Bytes) {
		e.queue = e.queue[1:]
		e.stats.Dropped++
	}
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

func (e *Emitter) bytes() int64 {
	n := int64(0)
	for _, p := range e.queue {
		n += int64(len(p.body))
	}
	return n
}

// sender sends what is in the queue, the oldest first, until ctx ends, or closing and the queue is empty.
func (e *Emitter) sender(ctx context.Context, closing <-chan struct{}) {
	for ctx.Err() == nil {
		if p := e.head(); p != nil {
			e.deliver(ctx, p)
			continue
		}
		select {
		case <-ctx.Done():
		case <-e.wake:
		case <-closing:
			if e.head() == nil {
				return
			}
		}
	}
}

func (e *Emitter) head() *payload {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.queue) == 0 {
		return nil
	}
	return e.queue[0]
}

// refused is an error that another attempt cannot cure.
type refused struct{ error }

// later is an error with the time that the receiver asks for.
type later struct {
	error
	wait time.Duration
}

// deliver sends p, the head of the queue, as often as it takes, or until newer ones have taken its place.
func (e *Emitter) deliver(ctx context.Context, p *payload) {
	for attempt := 1; ; attempt++ {
		var s Stats
		once, cancel := context.WithTimeout(ctx, e.o.Timeout)
		err := e.out.send(once, p, &s)
		cancel()
		if e.account(err, &s, p) {
			return
		}
		wait := e.o.Retry.Delay(attempt)
		if l, ok := errors.AsType[later](err); ok {
			wait = l.wait
		}
		if !backoff.Sleep(ctx, wait) || e.head() != p {
			return
		}
	}
}

// account reports whether p is done with, and takes it out of the queue then.
func (e *Emitter) account(err error, s *Stats, p *payload) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stats.Datagrams += s.Datagrams
	e.stats.Partial += s.Partial
	e.stats.Err = err
	_, never := errors.AsType[refused](err)
	if err != nil && !never {
		e.stats.Failed++
		return false
	}
	if len(e.queue) > 0 && e.queue[0] == p {
		e.queue = e.queue[1:]
	} else { // it was dropped while it was on its way
		e.stats.Dropped--
	}
	if never {
		e.stats.Failed++
		e.stats.Refused++
		e.stats.Dropped++
		return true
	}
	e.stats.Sent++
	e.stats.Bytes += uint64(len(p.body))
	e.stats.Last = time.Now()
	return true
}

// Stats is what was counted up to now.
func (e *Emitter) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.stats
	s.Queue, s.QueueBytes = len(e.queue), e.bytes()
	return s
}
