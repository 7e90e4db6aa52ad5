// Package push keeps what is sent to us: it listens for StatsD and other formats, and holds the last state of each series in a table that a
// page can be made of at any time. Nothing is lost without a number: datagrams that the kernel threw away are counted by asking the socket itself,
// and every sample that was read is in Stats, used or refused, with the reason.
//
// The table has one lock, held for one datagram, one piece of a stream or some hundred series of a page at a time; docs/decisions/0292 says why it is not sharded.
package push

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/statsd"
	"github.com/sidecar-kit/sidecar/roles/adapter/statsmap"
)

// Decoder reads a body in a format that is not StatsD. Samples of absolute replace what the table has; those of delta are added to it. Strings of the pages may
// be parts of body; the table copies what it keeps. An error refuses all of the body.
type Decoder func(body []byte, lim model.Limits) (absolute, delta model.Page, drops model.Drops, err error)

// Options of a table. Zero values are the defaults.
type Options struct {
	Listen  []string       // "udp://127.0.0.1:8125", "tcp://:8125" (an address without host is loopback), "unixgram:///run/statsd", "unix:///run/statsd"; none is fine
	Decode  Decoder        // of what the listeners get; nil: StatsD
	Allow   []netip.Prefix // senders that UDP and TCP take; none: all
	Receive int            // bytes of the receive buffer that the kernel is asked for; 0: 8 MiB
	Mode    uint32         // permissions of the sockets in the file system; 0: 0o660
	Streams int            // connections at a time; 0: 1,024
	Line    int            // bytes of a line in a stream; 0: 64 KiB. A longer one ends its connection, as in statsd_exporter

	Parser    statsd.Parser
	Mapping   *statsmap.Mapping // nil: names are only made valid
	TTL       time.Duration     // of series that no rule gives one; 0: for ever
	SetWindow time.Duration     // how long a value of a set counts; 0: a minute
	Help      string            // of families that have none
	Shape     statsmap.Shape    // of observers that neither a rule nor the defaults of the mapping say anything of
	Limits    model.Limits
	Heads     int                // beginnings of lines that are remembered, so that they are not read again; 0: 65,536
	Relay     func(lines []byte) // gets each datagram or piece of a stream of StatsD before it is read; it must copy what it keeps, and not wait
}

// Table is the state of what was pushed.
type Table struct {
	opts      Options
	listeners []listener
	seed      maphash.Seed

	mu       sync.Mutex
	stats    Stats
	drops    model.Drops // since the last Page
	families map[string]*family
	names    map[string]*family // every name that a sample can have
	index    map[uint64]*series
	sorted   []*family // by name; nil: to be sorted again
	samples  int       // that a page has
	count    int       // series
	reader   reader
	swept    int64
	scratch  scratch
}

// Stats counts since the table was made. Samples is the sum of Used, Negative, Conflicts, Over, Oversized, Dropped, Nameless and all sample faults.
type Stats struct {
	Packets, Bytes uint64 // datagrams that were read, refused ones among them, and their bytes with those of streams
	Truncated      uint64 // datagrams longer than 64 KiB; what fits is read
	Refused        uint64 // datagrams and connections of senders that are not allowed
	KernelDrops    uint64 // datagrams that the kernel threw away, of all our sockets
	KernelKnown    bool   // false: this system does not say, and KernelDrops is too low
	Receive        int    // bytes of the smallest receive buffer that we got

	Connections, Open, ConnectionErrors, LongLines uint64

	Lines, Events, ServiceChecks uint64                // lines that are not empty; those of them that are no metrics
	Samples, Used                uint64                // a line can have several, or none
	Faults                       [statsd.Faults]uint64 // of lines up to statsd.BadAggregate, of samples from there on
	BadRates                     uint64                // rates that are no numbers; the sample is used
	Tagged, TagErrors            uint64                // samples with tags; tags that were left out

	Negative  uint64 // counters that should have gone down
	Conflicts uint64 // another type has that name, or a label has a name that is reserved
	Over      uint64 // beyond Limits.Series
	Oversized uint64 // labels or names beyond the limits
	Dropped   uint64 // by a rule of the mapping
	Nameless  uint64 // the mapping made an empty name

	Mapped, Unmapped  uint64
	Bodies, BadBodies uint64 // that were decoded, and that were refused as a whole
	Decoded           uint64 // samples of them that were used
	Repeated          uint64 // deltas that came a second time

	Series, Families, Page int    // now; Page is how many samples a page has
	Expired                uint64 // series
}

// New validates.
func New(o Options) (*Table, error) {
	o.defaults()
	t := &Table{
		opts: o, seed: maphash.MakeSeed(), families: map[string]*family{}, names: map[string]*family{}, index: map[uint64]*series{},
	}
	t.reader.init(t)
	t.stats.KernelKnown = true
	var errs []error
	for _, address := range o.Listen {
		l, err := parseAddress(address)
		errs = append(errs, err)
		t.listeners = append(t.listeners, l)
	}
	return t, errors.Join(errs...)
}

func (o *Options) defaults() {
	if o.Receive == 0 {
		o.Receive = 8 << 20
	}
	if o.Mode == 0 {
		o.Mode = 0o660
	}
	if o.Streams == 0 {
		o.Streams = 1024
	}
	if o.Line == 0 {
		o.Line = 64 << 10
	}
	if o.SetWindow == 0 {
		o.SetWindow = time.Minute
	}
	if o.Heads == 0 {
		o.Heads = 1 << 16
	}
	if o.Mapping != nil {
		if o.Mapping.TTL > 0 {
			o.TTL = o.Mapping.TTL
		}
		o.Shape = over(o.Shape, o.Mapping.Shape)
	}
	o.Shape = over(statsmap.Shape{
		Observe: statsmap.Summary, MaxAge: 10 * time.Minute, AgeBuckets: 5,
		Buckets:   []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		Quantiles: []statsmap.Quantile{{Quantile: .5, Error: .05}, {Quantile: .9, Error: .01}, {Quantile: .99, Error: .001}},
	}, o.Shape)
}

// over is what shape says, and else what base does.
func over(base, shape statsmap.Shape) statsmap.Shape {
	if shape.Observe == statsmap.Default {
		shape.Observe = base.Observe
	}
	if len(shape.Buckets) == 0 {
		shape.Buckets = base.Buckets
	}
	if len(shape.Quantiles) == 0 {
		shape.Quantiles = base.Quantiles
	}
	if shape.MaxAge == 0 {
		shape.MaxAge = base.MaxAge
	}
	if shape.AgeBuckets == 0 {
		shape.AgeBuckets = base.AgeBuckets
	}
	return shape
}

// Run reads from the listeners until ctx ends, then what is in their buffers by then, and closes them. Open comes first.
func (t *Table) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for i := range t.listeners {
		wg.Go(func() { t.listeners[i].run(ctx, t) })
	}
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case now := <-tick.C:
			t.mu.Lock()
			t.sweep(now.UnixNano())
			t.mu.Unlock()
		}
	}
	wg.Wait()
	return nil
}

// Lines reads StatsD that came some other way.
func (t *Table) Lines(body []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.Bytes += uint64(len(body))
	t.reader.lines(body, time.Now().UnixNano())
}

// Write reads a body by decode. Drops are what of it was left out; the error says why all of it was.
func (t *Table) Write(body []byte, decode Decoder) (model.Drops, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.Bytes += uint64(len(body))
	return t.decoded(body, decode, time.Now().UnixNano())
}

func (t *Table) decoded(body []byte, decode Decoder, now int64) (model.Drops, error) {
	t.mu.Unlock() // decoding takes its time
	absolute, delta, drops, err := t.try(body, decode)
	t.mu.Lock()
	if err != nil {
		t.stats.BadBodies++
		t.drops[model.Unreadable]++
		return drops, fmt.Errorf("body of %d bytes: %w", len(body), err)
	}
	t.stats.Bodies++
	before := t.drops
	t.put(&absolute, false, now)
	t.put(&delta, true, now)
	for i, n := range drops {
		drops[i] += t.drops[i] - before[i]
		t.drops[i] += n
	}
	return drops, nil
}

// try decodes. A decoder that panics over foreign bytes costs their sender that body, nobody else theirs.
func (t *Table) try(body []byte, decode Decoder) (absolute, delta model.Page, drops model.Drops, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the decoder panicked: %v", p)
		}
	}()
	return decode(body, t.opts.Limits)
}

// Stats is what was counted up to now.
func (t *Table) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.stats
	s.Series, s.Families, s.Page = t.count, len(t.families), t.samples
	for i := range t.listeners {
		t.listeners[i].account(&s)
	}
	return s
}
