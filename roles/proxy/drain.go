package proxy

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// The phases of the end. People see them in the metric and in the log.
const (
	serving = iota
	lame    // readyz is false, answers close their connection, new connections are still taken
	draining
)

// drain lets the proxy end: first it stays for whoever may still need it, then it waits for what is under way. It always leaves
// time to close what does not end.
func (p *Proxy) drain(ctx context.Context, cut func()) error {
	grace, cancel := p.env.Grace(ctx)
	defer cancel()
	began := time.Now()
	reserve := min(5*time.Second, p.env.Drain/5)
	staying, stop := context.WithDeadline(grace, began.Add(p.env.Drain-reserve))
	defer stop()
	s := p.live.Load()
	p.phase.Store(lame)
	for _, d := range p.open.list() {
		if d.front != nil {
			d.front.lame()
		}
	}
	p.log.Info().Int64("streams", p.streams.Load()).Int("requests", p.requests()).Msg("new connections are taken until nobody comes any more")
	why := p.stay(staying, s, began)
	p.phase.Store(draining)
	p.log.Info().Str("because", why).Stringer("after", time.Since(began).Round(time.Millisecond)).Int64("streams", p.streams.Load()).Int("requests", p.requests()).Msg("draining")
	closing, stopClosing := context.WithDeadline(grace, began.Add(p.env.Drain-min(reserve/2, 500*time.Millisecond)))
	defer stopClosing()
	if left := p.finish(closing) + p.streams.Load(); left > 0 {
		p.log.Warn().Int64("connections", left).Msg("cut what did not end in time; raise --drain-timeout, and terminationGracePeriodSeconds with it")
	}
	cut()
	p.doors.Wait()
	return nil
}

// stay returns when nobody needs new connections any more, and says why it thinks so. An application that takes connections and
// makes some through the proxy, too, has to be quiet and gone: most servers close their port first and then write what is left,
// and between two writes there may be any time.
func (p *Proxy) stay(ctx context.Context, s *snapshot, began time.Time) string {
	app := p.app(s.table)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		gone := app.gone(ctx)
		quiet := p.streams.Load() == 0 && p.requests() == 0 && time.Since(p.lastUse(began)) >= p.cfg.Quiet
		switch {
		case gone && !app.calls, gone && quiet:
			return "the application is gone"
		case quiet && !app.asked && !app.calls:
			return "nobody came any more"
		}
		select {
		case <-p.env.Quit:
			return "it was asked to quit"
		case <-ctx.Done():
			return "the time is up"
		case <-tick.C:
		}
	}
}

// lastUse is when a connection or a request last began, when one of bytes ended, or the stop.
func (p *Proxy) lastUse(began time.Time) time.Time {
	last := began
	if t := time.Unix(0, p.last.Load()); t.After(last) {
		last = t
	}
	for _, d := range p.open.list() {
		if d.front == nil {
			continue
		}
		if _, t := d.front.busy(); t.After(last) {
			last = t
		}
	}
	return last
}

// finish takes nothing new, and waits for what is under way. It returns how many requests had to be cut.
func (p *Proxy) finish(ctx context.Context) int64 {
	for _, d := range p.open.list() {
		d.close()
	}
	var fronts sync.WaitGroup
	var torn atomic.Int64
	for _, d := range p.open.list() {
		if d.front != nil {
			fronts.Go(func() { torn.Add(int64(d.front.shutdown(ctx))) })
		}
	}
	fronts.Wait()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for p.streams.Load() > 0 {
		select {
		case <-ctx.Done():
			return torn.Load()
		case <-tick.C:
		}
	}
	return torn.Load()
}

// requests counts those under way.
func (p *Proxy) requests() (n int) {
	for _, d := range p.open.list() {
		if d.front != nil {
			active, _ := d.front.busy()
			n += active
		}
	}
	return n
}
