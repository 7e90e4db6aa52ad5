// Package proxy is the role `proxy`: it takes connections in and carries them on, with TLS on either side.
//
// The flow is listen -> route -> balance -> dial -> relay. A route.Table says what to do; a snapshot is a table in force: doors
// (listeners), lanes (routes) and clusters (upstreams). A reload makes another snapshot that takes over whatever is the same, so
// that nothing under way is touched, and swaps one pointer.
//
// It promises to listen before anything else is done, never to be unready because an upstream is away unless asked to, and to
// go on after SIGTERM as long as the application may need it.
package proxy

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/health"
	"github.com/sidecar-kit/sidecar/internal/role"
	"github.com/sidecar-kit/sidecar/roles/proxy/stream"
	"github.com/sidecar-kit/sidecar/roles/proxy/web"
)

// Proxy is the role.
type Proxy struct {
	cfg      *Config
	env      role.Env
	log      zerolog.Logger
	metrics  *metrics
	access   *accessLog
	up       *health.Check
	troubles troubles

	buffers *web.Buffers
	pool    *stream.Pool
	live    atomic.Pointer[snapshot]
	phase   atomic.Int32
	last    atomic.Int64 // when a connection last began, or one of bytes ended, unix nanoseconds
	cut     context.Context
	running sync.WaitGroup // doors, watchers of files
	doors   sync.WaitGroup // doors alone
	open    openDoors
	streams atomic.Int64 // connections of bytes that are open, of all routes there ever were
}

// New makes the role.
func New(cfg *Config, env role.Env) (*Proxy, error) {
	p := &Proxy{
		cfg: cfg, env: env, log: env.Log, buffers: &web.Buffers{}, pool: &stream.Pool{},
		access: newAccessLog(env.Stdout), up: env.Health.Check("listening"),
	}
	p.metrics = newMetrics(env.Metrics, p)
	env.Status.Live(p.facts)
	return p, nil
}

// Run listens and serves until ctx ends, and then for as long as somebody may need it.
func (p *Proxy) Run(ctx context.Context) error {
	base, end := context.WithCancel(context.WithoutCancel(ctx)) // what goes on after SIGTERM
	defer end()
	cut, stop := context.WithCancel(base) // connections
	defer stop()
	p.cut = cut
	logged := make(chan struct{})
	go func() { defer close(logged); p.access.run(base) }()
	defer func() { end(); p.lastLines(logged) }()

	t, err := p.cfg.table()
	if err != nil {
		return err
	}
	s, err := p.build(base, t, nil)
	if err != nil {
		return err
	}
	p.live.Store(s)
	p.start(base, s, nil)
	p.up.OK()
	p.announce(s)
	go p.rest(base)
	p.follow(ctx, base)
	err = p.drain(ctx, stop)
	stop()
	p.doors.Wait()
	end()
	p.running.Wait()
	return err
}

// lastLines waits for the access log to be written, but not for somebody who never reads it.
func (p *Proxy) lastLines(written <-chan struct{}) {
	late := time.NewTimer(logPatience)
	defer late.Stop()
	select {
	case <-written:
	case <-late.C:
		p.log.Warn().Msg("nobody reads stdout; the last lines of the access log are lost")
	}
}

// announce tells what is in force.
func (p *Proxy) announce(s *snapshot) {
	for _, d := range s.doors {
		p.log.Info().Str("listen", d.l.URL).Stringer("address", d.socket.Addr()).Int("routes", len(d.l.Routes)).Msg("listening")
	}
}
