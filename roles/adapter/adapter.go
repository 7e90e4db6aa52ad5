// Package adapter is the role `adapter`: whatever an application says about itself, the monitoring system gets in the form it knows;
// and what no endpoint says is looked at by checks, which probes are told of.
//
// The flow is source -> page -> view. A source is asked, or is sent to; a decoder makes a page of what it says; a view merges the pages of its
// sources, rewrites the result and writes it in the format that is wanted. Checks run beside that, on a schedule of their own.
//
// It promises that a page is valid whatever sources do, that one source costs the others nothing, that nothing is dropped without a
// counter, that targets come from the configuration alone, and never to be unready because an application is away.
package adapter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/health"
	"github.com/sidecar-kit/sidecar/internal/memory"
	"github.com/sidecar-kit/sidecar/internal/role"
	"github.com/sidecar-kit/sidecar/roles/adapter/answer"
	"github.com/sidecar-kit/sidecar/roles/adapter/check"
	"github.com/sidecar-kit/sidecar/roles/adapter/source"
	"github.com/sidecar-kit/sidecar/roles/adapter/view"
	"github.com/sidecar-kit/sidecar/roles/adapter/web"
)

// Adapter is the role.
type Adapter struct {
	cfg     *Config
	env     role.Env
	log     zerolog.Logger
	metrics *metrics
	opened  *health.Check
	server  *web.Server
	live    atomic.Pointer[works]

	said complaints
}

// works is a configuration at work.
type works struct {
	plan    *plan
	sources []*feed
	views   []*view.View
	pushes  []*pusher
	specs   map[string]kept
	board   *check.Board
	answers *answer.Handler
	stop    context.CancelFunc // of checks and push views
	done    sync.WaitGroup
}

// New makes the role.
func New(cfg *Config, env role.Env) (*Adapter, error) {
	a := &Adapter{cfg: cfg, env: env, log: env.Log, opened: env.Health.Check("listening"), server: web.New(env.Log, cfg.MaxRequests)}
	a.metrics = newMetrics(env.Metrics, a)
	env.Status.Live(a.facts)
	return a, nil
}

// Run serves until ctx ends, and lets answers in flight finish.
func (a *Adapter) Run(ctx context.Context) error {
	p, err := a.cfg.plan()
	if err != nil {
		return err
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	if err := a.secure(life); err != nil {
		return err
	}
	changed := a.changes(ctx)
	if err := a.put(life, p); err != nil {
		a.farewell(ctx)
		return err
	}
	a.opened.OK()
	memory.Rest() // of the start
	for {
		why := "file changed"
		select {
		case <-ctx.Done():
			a.farewell(ctx)
			return nil
		case <-changed:
		case <-a.env.Hangup:
			why = "signal"
		}
		a.reload(life, why)
	}
}

// put makes works of a plan and puts them in force. On an error what was in force stays.
func (a *Adapter) put(ctx context.Context, p *plan) error {
	old := a.live.Load()
	w, fresh, err := a.build(p, old)
	if err != nil {
		return err
	}
	// An address that a source gives up may be what another one takes: what goes is closed first.
	var gone []*feed
	if old != nil {
		gone = old.without(w)
	}
	for _, f := range gone {
		f.close()
	}
	for i, f := range fresh {
		if err = f.open(ctx); err != nil {
			err = fmt.Errorf("source %s: %w", f.plan.name, err)
			for _, f := range fresh[:i] {
				f.close()
			}
			break
		}
	}
	if err == nil {
		err = a.server.Listen(ctx, a.handlers(w))
		if err != nil {
			err = fmt.Errorf("--listen: %w", err)
			for _, f := range fresh {
				f.close()
			}
		}
	}
	if err != nil {
		a.reopen(ctx, gone)
		return err
	}
	running, stop := context.WithCancel(ctx)
	w.stop = stop
	if old != nil {
		old.halt()
	}
	a.live.Store(w)
	w.done.Go(func() { w.board.Run(running) })
	for _, p := range w.pushes {
		w.done.Go(func() { p.run(running, a.log) })
	}
	a.announce(w)
	return nil
}

// reopen takes back what was closed for a configuration that could not be put in force.
func (a *Adapter) reopen(ctx context.Context, gone []*feed) {
	for _, f := range gone {
		if err := f.open(ctx); err != nil {
			a.log.Error().AnErr("err", err).Str("source", f.plan.name).Msg("cannot listen again")
		}
	}
}

// halt ends what works do by themselves.
func (w *works) halt() {
	w.stop()
	w.done.Wait()
}

// without are the feeds that next does not go on with.
func (w *works) without(next *works) (gone []*feed) {
	for _, f := range w.sources {
		kept := false
		for _, n := range next.sources {
			kept = kept || n == f
		}
		if !kept {
			gone = append(gone, f)
		}
	}
	return gone
}

// farewell ends in the order of the flow: nothing is taken in any more, what is in buffers is read, what is pushed gets the last of it.
func (a *Adapter) farewell(ctx context.Context) {
	grace, cancel := a.env.Grace(ctx)
	defer cancel()
	a.server.Close(grace)
	w := a.live.Load()
	if w == nil {
		return
	}
	for _, f := range w.sources {
		f.close()
	}
	w.stop()
	done := make(chan struct{})
	go func() { w.done.Wait(); close(done) }()
	select {
	case <-done:
	case <-grace.Done():
	}
	left := uint64(0)
	for _, p := range w.pushes {
		left += p.left()
	}
	if left > 0 {
		a.log.Warn().Uint64("payloads", left).Msg("not everything could be pushed in time; it is lost and counted")
	}
}

// fetch asks a source that is at work.
func (a *Adapter) fetch(ctx context.Context, name string) source.Result {
	if w := a.live.Load(); w != nil {
		for _, f := range w.sources {
			if f.plan.name == name {
				return a.heard(f, f.fetch(ctx))
			}
		}
	}
	return source.Result{Err: errors.New("no source has that name any more"), At: time.Now()}
}

// heard logs what changed about a source: that it began to fail, with why, another reason, and that it is well again.
func (a *Adapter) heard(f *feed, r source.Result) source.Result {
	complaint := ""
	if r.Err != nil {
		complaint = r.Err.Error()
	}
	name := f.plan.name
	switch a.said.hear("source "+name, complaint, time.Now()) {
	case wellAgain:
		a.log.Info().Str("source", name).Msg("the source answers again")
		a.env.Status.Event("info", "source "+name+" answers again")
	case failsNow:
		a.log.Warn().Str("source", name).Str("err", complaint).Msg("the source gives nothing that can be used")
		a.env.Status.Event("warn", "source "+name+": "+complaint)
	case failsOtherwise:
		a.log.Warn().Str("source", name).Str("err", complaint).Msg("the source gives nothing that can be used, for another reason")
	}
	return r
}

// turned is told when a check changes, and each time it fails again.
func (a *Adapter) turned(st check.State, turned bool) {
	name, complaint := st.Spec.Name, ""
	e, word, level := a.log.Info(), "ok", "info"
	if !st.OK {
		complaint = "failed: " + st.Last.Detail
		e, word, level = a.log.Warn(), "failed", "warn"
	}
	what := a.said.hear("check "+name, complaint, time.Now())
	e = e.Str("check", name).Str("kind", st.Spec.Kind).Str("detail", st.Last.Detail)
	switch {
	case turned:
		e.Msg("check " + word)
		a.env.Status.Event(level, "check "+name+" "+word)
	case what == failsOtherwise:
		e.Msg("check failed, for another reason")
	}
}

func (a *Adapter) announce(w *works) {
	for _, addr := range w.addresses() {
		a.log.Info().Str("listen", a.server.Addr(addr)).Msg("serving")
	}
	for _, v := range w.plan.views {
		a.log.Info().Str("view", v.String()).Msg("view")
	}
	for _, text := range doubts(specsOf(w.board)) {
		a.log.Warn().Msg(text)
	}
	for _, f := range w.sources {
		for _, addr := range f.addresses() {
			a.log.Info().Str("source", f.plan.name).Str("listen", addr).Str("format", f.plan.format).Msg("listening")
		}
	}
}

func specsOf(b *check.Board) (all []*check.Spec) {
	for _, st := range b.States() {
		all = append(all, st.Spec)
	}
	return all
}

// secure reads --web-config.
func (a *Adapter) secure(ctx context.Context) error {
	conf := &web.Config{}
	if a.cfg.WebConfig != "" {
		var err error
		if conf, err = web.Load(a.cfg.WebConfig); err != nil {
			return fmt.Errorf("--web-config: %w", err)
		}
	}
	if err := a.server.Use(ctx, conf); err != nil {
		return fmt.Errorf("--web-config: %w", err)
	}
	return nil
}

// handlers are the addresses and what is answered there.
func (a *Adapter) handlers(w *works) map[string]http.Handler {
	all := map[string]http.Handler{}
	for _, addr := range w.addresses() {
		all[addr] = a.mux(w, addr)
	}
	return all
}

// addresses are --listen and those of views that have their own.
func (w *works) addresses() []string {
	all := []string{w.plan.listen}
	for _, v := range w.plan.views {
		if v.listen != "" {
			all = append(all, v.listen)
		}
	}
	return all
}
