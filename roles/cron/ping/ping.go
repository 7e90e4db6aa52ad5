// Package ping tells a dead-man's service how runs of jobs go: a service that
// raises the alarm when it hears nothing. It promises that a run never waits for
// a ping, that the pings of one job arrive in their order, and that the address,
// which is all it takes to forge a ping, is in no log and no error.
//
// It is not for alerts that must arrive: what can not be delivered is dropped
// and counted, and the silence is the alarm. Used by cron.
package ping

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/backoff"
)

// Defaults of Options.
const (
	defaultTimeout  = 10 * time.Second
	defaultAttempts = 5
	defaultQueue    = 1000
)

const (
	perJob  = 16       // waiting pings of one job: an older one says nothing that a newer one does not
	atOnce  = 32       // requests under way
	maxBody = 10 << 10 // of the output; services take 10 to 100 KB
)

// Event is what happened to a run.
type Event int

// The events.
const (
	Start Event = iota
	Success
	Fail // Message.Code tells the exit code, if there was one
	Log  // output only, the state stays as it is
)

func (e Event) String() string { return [...]string{"start", "success", "fail", "log"}[e] }

// Message is one ping.
type Message struct {
	Job    string
	Run    string // id of the run, which ties its start to its end
	Target string // Policy.Ping: a URL, a template, or file:PATH with one of them in it
	Event  Event
	Code   int    // of Fail: 1 to 255; else there was none (a signal, no start)
	Body   []byte // the end of the output
}

// Options are how pings are sent.
type Options struct {
	Log       zerolog.Logger
	Timeout   time.Duration // of an attempt; 0 is 10s
	Attempts  int           // 0 is 5
	Queue     int           // pings that wait, of all jobs; 0 is 1000
	Backoff   backoff.Policy
	Transport http.RoundTripper // nil is one of its own
}

// Stats counts what became of pings.
type Stats struct{ Sent, Failed, Dropped uint64 }

// Pinger sends pings.
type Pinger struct {
	o      Options
	client *http.Client
	slots  chan struct{} // taken by a request under way
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	lines  map[string]*line
	queued int
	closed bool
	stats  Stats
}

// line is what waits for one job. It has a goroutine while there is something.
type line struct {
	waiting []Message
	busy    bool
	lost    int // pings since the last one that arrived
}

// New makes a Pinger.
func New(o Options) *Pinger {
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.Attempts <= 0 {
		o.Attempts = defaultAttempts
	}
	if o.Queue <= 0 {
		o.Queue = defaultQueue
	}
	if o.Backoff == (backoff.Policy{}) {
		o.Backoff = backoff.Policy{Min: time.Second, Max: time.Minute, Jitter: 0.2}
	}
	if o.Transport == nil {
		o.Transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: defaultTimeout,
			MaxIdleConnsPerHost: 2, IdleConnTimeout: 90 * time.Second,
		}
	}
	p := &Pinger{o: o, slots: make(chan struct{}, atOnce), lines: map[string]*line{}}
	p.client = &http.Client{Transport: o.Transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // elsewhere is somebody else
	}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// Send takes a ping and returns at once. Where too many wait, the oldest of the
// same job is dropped for it, or itself when that job has none.
func (p *Pinger) Send(m Message) {
	if m.Target == "" {
		return
	}
	if len(m.Body) > maxBody {
		m.Body = m.Body[len(m.Body)-maxBody:]
	}
	m.Body = append([]byte(nil), m.Body...)
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.lines[m.Job]
	if l == nil {
		l = &line{}
		p.lines[m.Job] = l
	}
	full := p.queued >= p.o.Queue
	switch {
	case p.closed || full && len(l.waiting) == 0:
		p.stats.Dropped++
		p.tidy(m.Job, l)
		return
	case full || len(l.waiting) >= perJob:
		l.waiting = l.waiting[1:]
		p.stats.Dropped++
	default:
		p.queued++
	}
	l.waiting = append(l.waiting, m)
	if !l.busy {
		l.busy = true
		p.wg.Add(1)
		go p.work(m.Job, l)
	}
}

// Stats returns the counts so far.
func (p *Pinger) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Close sends what waits until ctx ends; the rest is dropped.
func (p *Pinger) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	before := p.stats
	p.mu.Unlock()
	done := make(chan struct{})
	go func() {
		p.wg.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		p.cancel()
		<-done // requests end with their context
		now := p.Stats()
		err = fmt.Errorf("%d pings were not delivered: %w", now.Dropped+now.Failed-before.Dropped-before.Failed, ctx.Err())
	}
	p.cancel()
	p.client.CloseIdleConnections()
	return err
}

// work sends what waits for a job, one ping after another.
func (p *Pinger) work(name string, l *line) {
	defer p.wg.Done()
	for {
		p.mu.Lock()
		if len(l.waiting) == 0 {
			l.busy, l.waiting = false, nil
			p.tidy(name, l)
			p.mu.Unlock()
			return
		}
		m := l.waiting[0]
		l.waiting = l.waiting[1:]
		p.queued--
		p.mu.Unlock()
		p.count(l, &m, p.deliver(&m))
	}
}

// tidy forgets a line that says nothing. The caller holds mu.
func (p *Pinger) tidy(name string, l *line) {
	if !l.busy && l.lost == 0 {
		delete(p.lines, name)
	}
}

// count notes what became of a ping. A service that is away is told of once for
// each job, and once when it is back.
func (p *Pinger) count(l *line, m *Message, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		p.stats.Sent++
		if l.lost > 0 {
			p.o.Log.Info().Str("job", m.Job).Int("lost", l.lost).Msg("pings are delivered again")
		}
		l.lost = 0
		return
	case p.ctx.Err() != nil:
		p.stats.Dropped++
	default:
		p.stats.Failed++
		if l.lost == 0 {
			p.o.Log.Warn().Str("job", m.Job).Str("run", m.Run).Stringer("event", m.Event).Err(err).Msg("ping was not delivered")
		}
	}
	l.lost++
}
