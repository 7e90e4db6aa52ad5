package logship

import (
	"context"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/watch"
)

// patience is how long a reload waits for what is under way; what is not acknowledged then is sent again by the new pipes.
const patience = 10 * time.Second

// changes delivers a value when the config file has other content, until ctx ends.
func (l *Logship) changes(ctx context.Context) <-chan struct{} {
	changed := make(chan struct{}, 1)
	if l.cfg.file == nil || l.cfg.file() == "" {
		return changed
	}
	go func() {
		watch.New([]string{l.cfg.file()}, watch.Options{Log: l.log}).Run(ctx, func(watch.Change) {
			select {
			case changed <- struct{}{}:
			default:
			}
		})
	}()
	return changed
}

// reread returns the plan of the configuration as it is now; nil when it is the same, or not valid: then the old one stays in force.
func (l *Logship) reread(why string) *plan {
	c := l.cfg
	if c.reread == nil {
		return nil
	}
	inputs, outputs := c.inputs, c.outputs
	err := c.reread()
	var fresh *plan
	if err == nil {
		fresh, err = c.plan()
	}
	if err == nil {
		err = fresh.try(os.LookupEnv)
	}
	if err != nil {
		c.inputs, c.outputs = inputs, outputs
		l.metrics.reloads.With("invalid").Inc()
		l.metrics.valid.Set(0)
		l.env.Status.Event("error", "the new configuration is not valid, the old one stays in force")
		l.log.Error().AnErr("err", err).Str("why", why).Msg("the new configuration is not valid; the old one stays in force")
		return nil
	}
	l.metrics.valid.Set(1)
	if names := c.waiting(); len(names) > 0 { // set with reread
		l.env.Status.Event("warn", "changed in the file, and in force after the next start alone: "+strings.Join(names, ", "))
		l.log.Warn().Strs("keys", names).Msg("these keys were changed in the file, and are in force after the next start alone")
	}
	if reflect.DeepEqual(inputs, c.inputs) && reflect.DeepEqual(outputs, c.outputs) {
		l.metrics.reloads.With("unchanged").Inc()
		l.log.Info().Str("why", why).Msg("the configuration is the same")
		return nil
	}
	l.metrics.reloads.With("changed").Inc()
	l.env.Status.Event("info", "new configuration")
	l.log.Info().Str("why", why).Int("inputs", len(fresh.inputs)).Int("outputs", len(fresh.outputs)).Msg("a new configuration is put in force")
	return fresh
}

// halt ends the reading and waits a while for what is under way.
func (w *works) halt(all <-chan struct{}, cut context.CancelFunc) {
	for _, ln := range w.lanes {
		ln.pipe.Stop()
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-all:
	case <-late.C:
		cut()
		<-all
	}
}
