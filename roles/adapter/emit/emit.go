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
	"strings"
	"sync"
	"time"

	"github.com/sidecar-kit/sidecar/internal/backoff"
	"github.com/sidecar-kit/sidecar/internal/tlsconf"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// Encode appends a page in the format that is sent.
type Encode func(dst []byte, p *model.Page) ([]byte, model.Drops)

// Options say what is sent where. Zero values are the defaults.
type Options struct {
	URL    string // udp://HOST:PORT, tcp://HOST:PORT, unixgram:///PATH, unix:///PATH, http://, https://
	Encode Encode // called by one goroutine at a time
	Lines  bool   // the format is lines, so a payload may be cut between them; needed for datagrams

	Type    string      // Content-Type; HTTP only, as the following
	Headers [][2]string // added to each request
	Files   [][3]string // name of a header, what comes before the content ("Bearer ", "Token "), and the file that has it; read again each time
	Gzip    bool
	TLS     *tlsconf.Client          // nil: the CAs of the system
	Partial func(body []byte) uint64 // how many samples an answer of success says were refused; nil: none

	Interval time.Duration // 0: 10 s
	Jitter   float64       // 0.1 starts each collection up to a tenth of Interval later
	Timeout  time.Duration // of collecting and of one attempt to send; 0: Interval, up to 10 s
	Queue    int           // payloads that wait; 0: 60
	Bytes    int           // of them together; 0: 16 MiB
	Packet   int           // bytes of a datagram; 0: 1,432, which fits into an Ethernet frame
	Retry    backoff.Policy
	Grace    time.Duration // for what is left at the end; 0: 5 s
	Said     func(error)   // is told how each attempt ended, nil for well; nil: nobody is told
}

// Stats counts since New.
type Stats struct {
	Collected         uint64 // pages
	Samples           uint64 // that were encoded
	Sent, SentBytes   uint64 // payloads that were taken
	Datagrams         uint64
	Dropped           uint64 // payloads that did not fit into the queue, or were left at the end
	Refused           uint64 // payloads that the receiver will never take
	Partial           uint64 // samples that an answer of success says were refused
	Retries           uint64 // attempts that failed and were, or will be, repeated
	Unstorable        uint64 // samples that the format cannot carry
	Queue, QueueBytes int    // now
	LastError         string // "" after a success
	LastSuccess       time.Time
}

// Emitter sends the pages of collect.
type Emitter struct {
	o       Options
	url     *url.URL
	collect func(context.Context) model.Page
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
func New(o Options, collect func(context.Context) model.Page) (*Emitter, error) {
	o.defaults()
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, fmt.Errorf("to: %w", err)
	}
	e := &Emitter{o: o, url: u, collect: collect, wake: make(chan struct{}, 1)}
	switch u.Scheme {
	case "http", "https":
		e.out, err = newWeb(o, u)
	case "udp", "unixgram", "tcp", "unix":
		address := u.Host
		if strings.HasPrefix(u.Scheme, "unix") {
			address = u.Host + u.Path
		} else if u.Port() == "" {
			err = fmt.Errorf("to %q: there is no port", o.URL)
		}
		if address == "" {
			err = fmt.Errorf("to %q: there is no address", o.URL)
		}
		if !o.Lines {
			err = errors.Join(err, fmt.Errorf("to %q: this format needs http:// or https://", o.URL))
		}
		e.out = &socket{network: u.Scheme, address: address, packet: o.Packet, timeout: o.Timeout}
	default:
		err = fmt.Errorf("to %q: want udp://, tcp://, unixgram://, unix://, http:// or https://", o.URL)
	}
	return e, err
}

func (o *Options) defaults() {
	if o.Interval == 0 {
		o.Interval = 10 * time.Second
	}
	if o.Timeout == 0 {
		o.Timeout = min(o.Interval, 10*time.Second)
	}
	if o.Queue == 0 {
		o.Queue = 60
	}
	if o.Bytes == 0 {
		o.Bytes = 16 << 20
	}
	if o.Packet == 0 {
		o.Packet = 1432
	}
	if o.Retry.Min == 0 {
		o.Retry = backoff.Policy{Min: 500 * time.Millisecond, Max: time.Minute, Jitter: 0.2}
	}
	if o.Grace == 0 {
		o.Grace = 5 * time.Second
	}
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
	page := e.collect(ctx)
	body, drops := e.o.Encode(nil, &page)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stats.Collected++
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

func (e *Emitter) bytes() int {
	n := 0
	for _, p := range e.queue {
		n += len(p.body)
	}
	return n
}

// sender sends what is in the queue, the oldest first, until ctx ends, or closing and the queue is empty.
func (e *Emitter) sender(ctx context.Context, closing <-chan struct{}) {
	for ctx.Err() == nil {
		if p := e.head(); p != nil {
			e.deliver(ctx, closing, p)
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

// deliver sends p, the head of the queue, as often as it takes, or until newer ones have taken its place. When the end comes it does not wait out
// a pause that the receiver's absence has made long: it may be there again.
func (e *Emitter) deliver(ctx context.Context, closing <-chan struct{}, p *payload) {
	for attempt := 1; ; attempt++ {
		var s Stats
		once, cancel := context.WithTimeout(ctx, e.o.Timeout)
		err := e.out.send(once, p, &s)
		cancel()
		if e.o.Said != nil && ctx.Err() == nil {
			e.o.Said(err)
		}
		if e.account(err, &s, p) {
			return
		}
		wait := e.o.Retry.Delay(attempt)
		if l, ok := errors.AsType[later](err); ok {
			wait = l.wait
		}
		if !pause(ctx, closing, wait) || e.head() != p {
			return
		}
	}
}

// pause waits, at the end no longer than soon; false is the end of ctx.
func pause(ctx context.Context, closing <-chan struct{}, wait time.Duration) bool {
	const soon = time.Second
	select {
	case <-closing:
		return backoff.Sleep(ctx, min(wait, soon))
	default:
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-closing:
	}
	return ctx.Err() == nil
}

// account reports whether p is done with, and takes it out of the queue then.
func (e *Emitter) account(err error, s *Stats, p *payload) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stats.Datagrams += s.Datagrams
	e.stats.Partial += s.Partial
	e.stats.LastError = ""
	if err != nil {
		e.stats.LastError = err.Error()
	}
	_, never := errors.AsType[refused](err)
	if err != nil && !never {
		e.stats.Retries++
		return false
	}
	if len(e.queue) > 0 && e.queue[0] == p {
		e.queue = e.queue[1:]
	} else { // it was dropped while it was on its way
		e.stats.Dropped--
	}
	if never {
		e.stats.Refused++
		return true
	}
	e.stats.Sent++
	e.stats.SentBytes += uint64(len(p.body))
	e.stats.LastSuccess = time.Now()
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
