package cron

import (
	"context"
	"time"

	"github.com/sidecar-kit/sidecar/internal/memory"
	"github.com/sidecar-kit/sidecar/roles/cron/crontab"
	"github.com/sidecar-kit/sidecar/roles/cron/job"
)

// follow reads the table again when its files have other content, or when a
// signal asks for it.
func (c *Cron) follow(ctx context.Context) {
	changed := make(chan struct{}, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if c.cfg.Reload {
			c.watch(ctx, changed)
		}
	}()
	settled := time.NewTimer(settle)
	defer settled.Stop()
	for {
		select {
		case <-ctx.Done():
			<-ended
			return
		case <-settled.C:
			memory.Rest()
			continue
		case <-changed:
			c.reload("files changed")
		case <-c.env.Hangup:
			c.reload("signal")
		}
		settled.Reset(settle)
	}
}

// settle is how long after a table was read its memory is given back: reading
// takes as much again as the table, and nothing like it follows for hours.
const settle = time.Second

// reload takes the files' table into use if it is valid.
func (c *Cron) reload(why string) {
	jobs, err := c.again()
	if err != nil {
		c.metrics.reloads.With("invalid").Inc()
		c.metrics.valid.Set(0)
		c.env.Status.Event("error", "the new table is not valid, the old one stays in use")
		c.log.Error().AnErr("err", err).Str("why", why).Msg("the new table is not valid; the last valid one stays in use")
		return
	}
	c.metrics.valid.Set(1)
	if c.cfg.waiting != nil {
		if names := c.cfg.waiting(); len(names) > 0 {
			c.log.Warn().Strs("keys", names).Msg("these keys were changed in the file, and are in force after the next start alone")
		}
	}
	change := c.d.Reload(jobs)
	c.use(jobs)
	if change.Added+change.Changed+change.Removed == 0 {
		c.metrics.reloads.With("unchanged").Inc()
		c.log.Info().Str("why", why).Int("jobs", len(jobs)).Msg("the table is the same")
		return
	}
	c.metrics.reloads.With("changed").Inc()
	c.env.Status.Event("info", "new table")
	c.log.Info().Str("why", why).Int("jobs", len(jobs)).Int("added", change.Added).Int("changed", change.Changed).
		Int("removed", change.Removed).Msg("new table is in use")
	c.warnEmpty(jobs)
}

// warnEmpty tells of a table without jobs: it is valid, and hardly ever what was meant, such as a file that was cut or a wrong key of a ConfigMap.
func (c *Cron) warnEmpty(jobs []*job.Job) {
	if len(jobs) == 0 {
		c.env.Status.Event("warn", "the table has no jobs")
		c.log.Warn().Msg("the table has no jobs; they run as soon as a file has some")
	}
}

func (c *Cron) again() ([]*job.Job, error) {
	if c.cfg.reread != nil {
		if err := c.cfg.reread(); err != nil {
			return nil, err
		}
	}
	jobs, warnings, err := c.cfg.load()
	c.warn(warnings)
	return jobs, err
}

// mostWarnings bounds what a table of ten thousand lines says at each reload.
const mostWarnings = 20

func (c *Cron) warn(warnings []crontab.Problem) {
	for _, w := range warnings[:min(mostWarnings, len(warnings))] {
		c.log.Warn().Str("at", w.Place()).Msg(w.Text)
	}
	if more := len(warnings) - mostWarnings; more > 0 {
		c.log.Warn().Int("more", more).Msg("and more warnings; sidecar cron test tells all of them")
	}
}
