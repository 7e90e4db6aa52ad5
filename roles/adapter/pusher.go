package adapter

import (
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/roles/adapter/emit"
	"github.com/sidecar-kit/sidecar/roles/adapter/view"
)

// pusher is a view that is sent instead of asked for.
type pusher struct {
	plan    *viewPlan
	emitter *emit.Emitter
}

func newPusher(p *viewPlan, v *view.View) (*pusher, error) {
	e, err := emit.New(p.emit, v.Page)
	if err != nil {
		return nil, err
	}
	return &pusher{p, e}, nil
}

// run pushes until ctx ends, and then what there is by then.
func (p *pusher) run(ctx context.Context, log zerolog.Logger) {
	if err := p.emitter.Run(ctx); err != nil {
		log.Error().AnErr("err", err).Str("view", p.plan.path).Msg("pushing ended")
	}
}

// left is how many payloads were not sent.
func (p *pusher) left() uint64 { return p.emitter.Stats().Left }

func (p *pusher) describe() string {
	s := p.emitter.Stats()
	text := fmt.Sprintf("%s; %d payloads sent, %d waiting, %d dropped", p.plan.emit.Target(), s.Sent, s.Queue, s.Dropped)
	if s.Err != nil {
		text += "; last attempt failed: " + status1(s.Err)
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
		of("emit_payloads_total", "Payloads that were pushed.", func(s emit.Stats) float64 { return float64(s.Sent) }),
		of("emit_bytes_total", "Bytes of payloads that were pushed.", func(s emit.Stats) float64 { return float64(s.Bytes) }),
		of("emit_queue", "Payloads that wait.", func(s emit.Stats) float64 { return float64(s.Queue) }),
		of("emit_dropped_total", "Payloads that were dropped because the queue was full, the receiver refused them, or the time to stop was over.", func(s emit.Stats) float64 { return float64(s.Dropped) }),
		of("emit_failures_total", "Attempts to push that failed.", func(s emit.Stats) float64 { return float64(s.Failed) }),
	}
}
