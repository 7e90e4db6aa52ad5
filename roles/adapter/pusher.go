package adapter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/internal/tlsconf"
	"github.com/sidecar-kit/sidecar/roles/adapter/emit"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/source"
	"github.com/sidecar-kit/sidecar/roles/adapter/view"
)

// pusher is a view that is sent instead of asked for.
type pusher struct {
	plan    *viewPlan
	emitter *emit.Emitter
	tls     *tlsconf.Client

	stop context.CancelFunc // nil before start
	done chan struct{}
}

func newPusher(p *viewPlan, v *view.View, grace time.Duration, said func(error)) (*pusher, error) {
	e, client, err := p.emit.make(grace, said, func(ctx context.Context) model.Page {
		if end, ok := ctx.Deadline(); ok {
			limited, cancel := source.Patience(ctx, time.Until(end).Round(time.Millisecond), "timeout of push")
			defer cancel()
			ctx = limited
		}
		page, err := v.Page(ctx)
		if err != nil {
			return model.Page{} // its sources say why
		}
		return page
	})
	if err != nil {
		return nil, fmt.Errorf("view %s: %w", p.path, err)
	}
	return &pusher{plan: p, emitter: e, tls: client}, nil
}

// start pushes until end, if it does not yet.
func (p *pusher) start(ctx context.Context, log zerolog.Logger) {
	if p.stop != nil {
		return
	}
	ctx, p.stop = context.WithCancel(ctx)
	p.done = make(chan struct{})
	if p.tls != nil {
		go func() { _ = p.tls.Run(ctx) }()
	}
	go func() {
		defer close(p.done)
		if err := p.emitter.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			log.Error().AnErr("err", err).Str("view", p.plan.path).Msg("pushing ended")
		}
	}()
}

// end pushes what there is, for as long as it may, and returns how many payloads were lost by that.
func (p *pusher) end() uint64 {
	before := p.emitter.Stats().Dropped
	p.stop()
	<-p.done
	return p.emitter.Stats().Dropped - before
}

func (p *pusher) describe() string {
	s := p.emitter.Stats()
	text := fmt.Sprintf("%s to %s; %d payloads sent, %d waiting, %d dropped", p.plan.emit.format, secret.Redact(p.plan.emit.to), s.Sent, s.Queue, s.Dropped+s.Refused)
	if s.LastError != "" {
		text += "; last attempt failed: " + s.LastError
	}
	return text
}

func now() time.Time { return time.Now() }

func emitFigures() []figure {
	of := func(name, help string, read func(s emit.Stats) float64) figure {
		return metric(name, help, func(w *works, put putter) {
			for _, p := range w.pushes {
				put(read(p.emitter.Stats()), p.plan.path)
			}
		}, "view")
	}
	return []figure{
		of("emit_payloads_total", "Payloads that were pushed and taken.", func(s emit.Stats) float64 { return float64(s.Sent) }),
		of("emit_bytes_total", "Bytes of payloads that were pushed.", func(s emit.Stats) float64 { return float64(s.SentBytes) }),
		of("emit_samples_total", "Samples that were written into payloads.", func(s emit.Stats) float64 { return float64(s.Samples) }),
		of("emit_queue", "Payloads that wait.", func(s emit.Stats) float64 { return float64(s.Queue) }),
		of("emit_queue_bytes", "Bytes of payloads that wait.", func(s emit.Stats) float64 { return float64(s.QueueBytes) }),
		of("emit_dropped_total", "Payloads that were dropped because the queue was full, or the time to stop was over.", func(s emit.Stats) float64 { return float64(s.Dropped) }),
		of("emit_refused_total", "Payloads that the receiver will not take.", func(s emit.Stats) float64 { return float64(s.Refused) }),
		of("emit_refused_samples_total", "Samples that the receiver did not take of payloads that it took.", func(s emit.Stats) float64 { return float64(s.Partial) }),
		of("emit_retries_total", "Attempts that failed and are repeated.", func(s emit.Stats) float64 { return float64(s.Retries) }),
		of("emit_unstorable_total", "Samples that the format cannot carry.", func(s emit.Stats) float64 { return float64(s.Unstorable) }),
	}
}
