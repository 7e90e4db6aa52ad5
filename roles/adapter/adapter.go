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
	"runtime/debug"
	"slices"
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
	answers *answer.Handler
	intake  *intake
	live    atomic.Pointer[works]
	rest    *resting
	leaving sync.WaitGroup // push views that another configuration has not, until they have sent what they had

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
	stop    context.CancelFunc // of checks
	done    sync.WaitGroup
}

// New makes the role.
func New(cfg *Config, env role.Env) (*Adapter, error) {
	a := &Adapter{cfg: cfg, env: env, log: env.Log, opened: env.Health.Check("listening"), server: web.New(env.Log, cfg.MaxRequests), rest: newResting(memory.Rest)}
	a.answers = answer.New(check.New(nil, nil, nil))
	a.answers.Trusted = web.Trusted
	a.intake = newIntake(debug.SetMemoryLimit(-1))
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
	defer a.rest.timer.Stop()
	use, err := a.secure()
	if err != nil {
		return err
	}
	use(life)
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
	a.answers.Use(w.board)
	w.done.Go(func() { w.board.Run(running) })
	a.push(ctx, w, old)
	a.announce(w)
	return nil
}

// push starts the push views that are new. Those that are no more send what they have, while the others work already.
func (a *Adapter) push(ctx context.Context, w, old *works) {
	for _, p := range w.pushes {
		p.start(ctx, a.log) // it has no effect on one that goes on
	}
	if old == nil {
		return
	}
	for _, p := range old.pushes {
		if !slices.Contains(w.pushes, p) {
			a.leaving.Go(func() { a.end(p) })
		}
	}
}

// end lets a push view send what it has, and says what could not be sent.
func (a *Adapter) end(p *pusher) {
	if left := p.end(); left > 0 {
		a.log.Warn().Str("view", p.plan.path).Uint64("payloads", left).Msg("not everything could be pushed in time; it is lost and counted")
	}
}

// reopen takes back what was closed for a configuration that could not be put in force.
func (a *Adapter) reopen(ctx context.Context, gone []*feed) {
	for _, f := range gone {
		if err := f.open(ctx); err != nil {
			a.log.Error().AnErr("err", err).Str("source", f.plan.name).Msg("cannot listen again")
		}
	}
}

// halt ends checks.
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
	a.answers.Close()
	half, enough := context.WithTimeout(grace, a.env.Drain/2) // most of the other half is for what is pushed
	defer enough()
	a.server.Close(half)
	w := a.live.Load()
	if w == nil {
		return
	}
	for _, f := range w.sources {
		f.close()
	}
	w.stop()
	for _, p := range w.pushes {
		a.leaving.Go(func() { a.end(p) })
	}
	done := make(chan struct{})
	go func() { w.done.Wait(); a.leaving.Wait(); close(done) }()
	select {
	case <-done:
	case <-grace.Done():
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

// secure reads --web-config and what it names, and returns what puts that in force.
func (a *Adapter) secure() (use func(ctx context.Context), err error) {
	conf := &web.Config{}
	if a.cfg.WebConfig != "" {
		if conf, err = web.Load(a.cfg.WebConfig); err != nil {
			return nil, fmt.Errorf("--web-config: %w", err)
		}
	}
	if use, err = a.server.Ready(conf); err != nil {
		return nil, fmt.Errorf("--web-config: %w", err)
	}
	return use, nil
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
