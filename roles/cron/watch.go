package cron

import (
	"context"

	"github.com/sidecar-kit/sidecar/internal/watch"
)

// watched are the files whose content makes the table.
func (c *Config) watched() []string {
	paths := c.paths()
	if c.file != nil && c.file() != "" {
		paths = append(paths[:len(paths):len(paths)], c.file())
	}
	return paths
}

// watch tells of files that have other content.
func (c *Cron) watch(ctx context.Context, changed chan<- struct{}) {
	c.watcher.Run(ctx, func(watch.Change) {
		select {
		case changed <- struct{}{}:
		default: // one is waiting, it will see this too
		}
	})
}
