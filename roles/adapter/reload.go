package adapter

import (
	"context"
	"slices"

	"github.com/sidecar-kit/sidecar/internal/watch"
)

// files are what a new configuration may come from.
func (a *Adapter) files() (all []string) {
	if a.cfg.file != nil && a.cfg.file() != "" {
		all = append(all, a.cfg.file())
	}
	for _, name := range []string{a.cfg.WebConfig, a.cfg.compatFile()} {
		if name != "" {
			all = append(all, name)
		}
	}
	if p, err := a.cfg.plan(); err == nil {
		for _, s := range p.sources {
			if s.push != nil && s.push.mapping != "" && !slices.Contains(all, s.push.mapping) {
				all = append(all, s.push.mapping)
			}
		}
	}
	return all
}

// changes delivers a value when a file of the configuration has other content, until ctx ends. Files that a later configuration names are read
// when it is reloaded, and by SIGHUP.
func (a *Adapter) changes(ctx context.Context) <-chan struct{} {
	changed := make(chan struct{}, 1)
	files := a.files()
	if len(files) == 0 {
		return changed
	}
	go func() {
		watch.New(files, watch.Options{Log: a.log}).Run(ctx, func(watch.Change) {
			select {
			case changed <- struct{}{}:
			default:
			}
		})
	}()
	return changed
}

// reload puts the configuration in force as it is now, if it is valid; else the old one stays.
func (a *Adapter) reload(ctx context.Context, why string) {
	c := a.cfg
	sources, views, checks := c.sources, c.views, c.checks
	var err error
	if c.reread != nil {
		err = c.reread()
	}
	var p *plan
	if err == nil {
		p, err = c.plan()
	}
	use := func(context.Context) {}
	if err == nil {
		use, err = a.secure() // before anything is put in force: all of it is, or nothing
	}
	if err == nil {
		err = a.put(ctx, p)
	}
	if err == nil {
		use(ctx)
	} else {
		c.sources, c.views, c.checks = sources, views, checks
		a.metrics.reloads.With("invalid").Inc()
		a.metrics.valid.Set(0)
		a.env.Status.Event("error", "the new configuration is not valid, the old one stays in force")
		a.log.Error().AnErr("err", err).Str("why", why).Msg("the new configuration is not valid; the old one stays in force")
		return
	}
	if c.later != nil {
		if flags := c.later(); len(flags) > 0 {
			a.log.Warn().Strs("flags", flags).Msg("these have another value in the config file and keep their old one until a restart")
		}
	}
	a.metrics.reloads.With("changed").Inc()
	a.metrics.valid.Set(1)
	a.metrics.reloaded()
	a.env.Status.Event("info", "the configuration was read again")
	a.log.Info().Str("why", why).Int("sources", len(p.sources)).Int("views", len(p.views)).Int("checks", len(p.checks.entries)).Msg("the configuration was read again and is in force")
}
