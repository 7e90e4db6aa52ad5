package proxy

import (
	"context"
	"fmt"
	"time"

	"github.com/sidecar-kit/sidecar/internal/health"
	"github.com/sidecar-kit/sidecar/internal/memory"
	"github.com/sidecar-kit/sidecar/internal/watch"
	"github.com/sidecar-kit/sidecar/roles/proxy/route"
)

// follow puts new routes in force when the config file has other content or a signal asks for it, until ctx ends. What it starts
// goes on until base ends.
func (p *Proxy) follow(ctx, base context.Context) {
	changed := make(chan struct{}, 1)
	var paths []string
	if p.cfg.file != nil && p.cfg.file() != "" {
		paths = append(paths, p.cfg.file())
	}
	paths = append(paths, fieldFiles(p.live.Load().table)...)
	watching, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if len(paths) == 0 {
			return
		}
		watch.New(paths, watch.Options{Log: p.log}).Run(watching, func(watch.Change) {
			select {
			case changed <- struct{}{}:
			default:
			}
		})
	}()
	p.requires(watching)
	for {
		select {
		case <-ctx.Done():
			stop()
			<-ended
			return
		case <-changed:
			p.reload(base, "file changed")
		case <-p.env.Hangup:
			p.reload(base, "signal")
		}
	}
}

// reload reads the routes again. When something is wrong with them, nothing changes.
func (p *Proxy) reload(base context.Context, why string) {
	old := p.live.Load()
	fresh, err := p.again(base, old)
	if err != nil {
		p.metrics.reloads.With("invalid").Inc()
		p.metrics.valid.Set(0)
		p.env.Status.Event("error", "the new routes are not valid, the old ones stay in force")
		p.log.Error().AnErr("err", err).Str("why", why).Msg("the new routes are not valid; the old ones stay in force")
		return
	}
	p.metrics.valid.Set(1)
	if p.cfg.waiting != nil {
		if names := p.cfg.waiting(); len(names) > 0 {
			p.log.Warn().Strs("keys", names).Msg("these keys were changed in the file, and are in force after the next start alone")
		}
	}
	if fresh == nil {
		p.metrics.reloads.With("unchanged").Inc()
		p.log.Info().Str("why", why).Msg("the routes are the same")
		return
	}
	p.start(base, fresh, old)
	p.live.Store(fresh)
	p.metrics.reloads.With("changed").Inc()
	p.env.Status.Event("info", "new routes")
	added, removed, changed := difference(old, fresh)
	p.log.Info().Str("why", why).Int("routes", len(fresh.lanes)).Int("added", added).Int("removed", removed).Int("changed", changed).Msg("new routes are in force")
	memory.Rest()
}

// again returns the snapshot of the routes as they are now, nil when they are the same.
func (p *Proxy) again(base context.Context, old *snapshot) (*snapshot, error) {
	if p.cfg.reread != nil {
		if err := p.cfg.reread(); err != nil {
			return nil, err
		}
	}
	t, err := p.cfg.table()
	if err != nil {
		return nil, err
	}
	fresh, err := p.build(base, t, old)
	if err != nil {
		return nil, err
	}
	if added, removed, changed := difference(old, fresh); added+removed+changed == 0 {
		return nil, nil //nolint:nilnil // nothing is new
	}
	return fresh, nil
}

func difference(old, fresh *snapshot) (added, removed, changed int) {
	for name, l := range fresh.lanes {
		switch had := old.lanes[name]; {
		case had == nil:
			added++
		case had != l:
			changed++
		}
	}
	for name := range old.lanes {
		if fresh.lanes[name] == nil {
			removed++
		}
	}
	for _, d := range fresh.doors {
		if d.was != nil && !d.was.same(d) && added+removed+changed == 0 {
			changed++
		}
	}
	return added, removed, changed
}

// How often upstreams are asked that readiness depends on.
const (
	askSoon = time.Second
	askLate = 10 * time.Second
)

// requires keeps readiness of what --ready-requires names.
func (p *Proxy) requires(ctx context.Context) {
	for _, name := range p.cfg.Requires {
		check := p.env.Health.Check("upstream " + name)
		p.running.Go(func() { p.ask(ctx, name, check) })
	}
}

func (p *Proxy) ask(ctx context.Context, name string, check *health.Check) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		s := p.live.Load()
		next := askSoon
		if c := required(s.table, name); c == nil {
			check.Fail(fmt.Errorf("no route has it any more"))
		} else if err := s.clusters[c.Key()].target.Probe(ctx); err != nil {
			check.Fail(err)
		} else {
			check.OK()
			next = askLate
		}
		timer.Reset(next)
	}
}

// fieldFiles are files that hold values of fields.
func fieldFiles(t *route.Table) (paths []string) {
	for _, r := range t.Routes {
		for _, kv := range r.Set {
			if path, ok := fromFile(kv[1]); ok {
				paths = append(paths, path)
			}
		}
	}
	return paths
}
