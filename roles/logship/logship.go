// Package logship is the role `logship`: it reads the log files that an application writes to a shared volume and delivers every
// line, once, to Elasticsearch and others.
//
// The flow is source -> content -> pipe -> output. A source.Set follows the files through every kind of rotation and knows each
// content (generation) again after a kill. One pipe for each output reads them at its own pace, makes records of lines, records
// batches, and journals what a batch is made of before it is sent. A file is the buffer: when an output does not take batches,
// its reading stops, and a hard link keeps what is not acknowledged.
//
// It promises that nothing is acknowledged before it is delivered, that a replay after a kill sends the same bytes with the same
// ids, and never to be unready because an output is away.
package logship

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/health"
	"github.com/sidecar-kit/sidecar/internal/memory"
	"github.com/sidecar-kit/sidecar/internal/role"
	"github.com/sidecar-kit/sidecar/roles/logship/content"
	"github.com/sidecar-kit/sidecar/roles/logship/dead"
	"github.com/sidecar-kit/sidecar/roles/logship/hold"
	"github.com/sidecar-kit/sidecar/roles/logship/keep"
	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/outputs"
	"github.com/sidecar-kit/sidecar/roles/logship/pipe"
	"github.com/sidecar-kit/sidecar/roles/logship/source"
	"github.com/sidecar-kit/sidecar/roles/logship/state"
)

// margin is the part of the drain time that is left for the end itself.
const margin = 2 * time.Second

// Logship is the role.
type Logship struct {
	cfg     *Config
	env     role.Env
	log     zerolog.Logger
	metrics *metrics
	opened  *health.Check
	live    atomic.Pointer[works]
}

// works is a configuration at work.
type works struct {
	plan    *plan
	store   *state.Store
	set     *source.Set
	pins    *hold.Pins
	spool   *hold.Spool
	keeper  *keep.Keeper
	dead    *dead.File
	content *content.Stats
	lanes   []*lane
	ages    ages
}

// lane is an output at work.
type lane struct {
	spec outputs.Spec
	sink out.Sink
	pipe *pipe.Pipe
}

// New makes the role.
func New(cfg *Config, env role.Env) (*Logship, error) {
	l := &Logship{cfg: cfg, env: env, log: env.Log, opened: env.Health.Check("sources opened")}
	l.metrics = newMetrics(env.Metrics, l)
	env.Status.Live(l.facts)
	return l, nil
}

// Run ships until ctx ends, and then what is in the files at that time.
func (l *Logship) Run(ctx context.Context) error { return l.run(ctx, false) }

// Once ships what is in the files now, and ends when all of it is delivered.
func (l *Logship) Once(ctx context.Context) error { return l.run(ctx, true) }

func (l *Logship) run(ctx context.Context, once bool) error {
	p, err := l.cfg.plan()
	if err != nil {
		return err
	}
	memory.Tight(30)
	watching, stop := context.WithCancel(ctx)
	defer stop()
	changed := l.changes(watching)
	for {
		if !l.await(ctx, p, once) {
			return nil
		}
		w, err := l.build(p)
		if err != nil {
			return err
		}
		l.live.Store(w)
		l.announce(w)
		memory.Rest() // of the start: what reads settings is a third of the peak
		next, err := l.work(ctx, w, once, changed)
		if e := w.store.Close(); e != nil {
			l.log.Error().AnErr("err", e).Msg("the last acknowledgements could not be written: what they are about may be sent again by the next start")
		}
		if e := w.spool.Close(); e != nil {
			l.log.Warn().Err(e).Msg("the spool could not be closed")
		}
		if next == nil || err != nil {
			return err
		}
		p = next
	}
}

// await waits for the folder that positions are kept in, where that is the folder of the logs and the application makes it. It
// is no reason not to be ready: the application may wait for that.
func (l *Logship) await(ctx context.Context, p *plan, once bool) bool {
	folder := p.inputs[0].source.Folders()[0]
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for said := false; l.cfg.State == ""; said = true {
		if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
			return true
		}
		if !said {
			l.log.Info().Str("folder", folder).Msg("waiting for the folder of the logs, where positions are kept, too; --state keeps them elsewhere")
		}
		if once {
			return false
		}
		l.opened.OK()
		select {
		case <-ctx.Done():
			return false
		case <-l.env.Quit:
			return false
		case <-tick.C:
		}
	}
	return true
}

// work runs everything until it is over, or until another plan has to be put in force.
func (l *Logship) work(ctx context.Context, w *works, once bool, changed <-chan struct{}) (next *plan, err error) {
	base, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var files, lanes sync.WaitGroup
	errs := make([]error, len(w.lanes)+1)
	files.Go(func() { errs[len(w.lanes)] = w.set.Run(base) })
	deliver, cut := context.WithCancel(base)
	defer cut()
	for i, ln := range w.lanes {
		lanes.Go(func() { errs[i] = ln.pipe.Run(deliver) })
	}
	files.Go(func() { l.housekeeping(base, w) })
	files.Go(func() { l.rest(base, w) })
	l.opened.OK()
	all := make(chan struct{})
	go func() { lanes.Wait(); close(all) }()
	if once {
		w.set.Finish(base)
	}
	next = l.until(ctx, w, l.gone(base, w), all, changed, cut)
	<-all
	end()
	files.Wait()
	if next == nil {
		if left := l.farewell(w); left > 0 && once {
			errs = append(errs, fmt.Errorf("stopped before everything was delivered: %d bytes stay for the next start", left)) // who asked for all of it has to learn that
		}
	}
	return next, errors.Join(slices.DeleteFunc(errs, func(err error) bool { return errors.Is(err, context.Canceled) })...)
}

// until waits for a reason to stop and has the pipes come to their end. It returns the plan that is to follow, if that is the reason.
func (l *Logship) until(ctx context.Context, w *works, gone, all, changed <-chan struct{}, cut context.CancelFunc) *plan {
	for {
		why := "file changed"
		select {
		case <-all: // once, or something is wrong
			return nil
		case <-ctx.Done():
			l.drain(ctx, w, all, cut)
			return nil
		case <-gone:
			l.log.Info().Msg("the application is gone: shipping what it has left")
			w.set.Finish(context.WithoutCancel(ctx))
			select {
			case <-all:
			case <-ctx.Done():
				l.drain(ctx, w, all, cut)
			}
			return nil
		case <-changed:
		case <-l.env.Hangup:
			why = "signal"
		}
		if next := l.reread(why); next != nil {
			w.halt(all, cut)
			return next
		}
	}
}

// drain reads the files to their end and delivers that, as long as there is time.
func (l *Logship) drain(ctx context.Context, w *works, all <-chan struct{}, cut context.CancelFunc) {
	grace, cancel := l.env.Grace(ctx)
	defer cancel()
	late := time.NewTimer(max(l.env.Drain-margin, l.env.Drain*3/4))
	defer late.Stop()
	l.linger(grace, w, late.C)
	w.set.Finish(grace)
	select {
	case <-all:
	case <-late.C:
		cut()
	case <-grace.Done():
		cut()
	}
}

// linger goes on until the files have been quiet for as long as --linger says, because an application that got the signal at the
// same time may still write.
func (l *Logship) linger(ctx context.Context, w *works, late <-chan time.Time) {
	if l.cfg.Linger == 0 {
		return
	}
	for {
		last := time.Time{}
		for _, f := range w.set.Files() {
			if f.Grown.After(last) {
				last = f.Grown
			}
		}
		stopped := l.signalled(last)
		if stopped <= 0 {
			return
		}
		select {
		case <-time.After(min(stopped, 100*time.Millisecond)):
		case <-late:
			return
		case <-ctx.Done():
			return
		}
	}
}

// signalled is how much longer the files have to be quiet.
func (l *Logship) signalled(last time.Time) time.Duration { return l.cfg.Linger - time.Since(last) }

// farewell tells how many bytes stay for the next start, and returns it.
func (l *Logship) farewell(w *works) int64 {
	left := w.backlog()
	if left == 0 {
		l.log.Info().Msg("everything is delivered")
		return 0
	}
	l.log.Warn().Int64("bytes", left).Msg("not everything could be delivered in time: the rest stays for the next start")
	return left
}

// backlog is how many bytes some output still lacks.
func (w *works) backlog() int64 {
	var left int64
	for _, f := range w.set.Files() {
		if f.Compressed == "" {
			left += max(0, f.Size-w.store.Low(f.Gen))
		}
	}
	return left
}

// housekeeping looks at the files every second, where an input asks for it.
func (l *Logship) housekeeping(ctx context.Context, w *works) {
	if !w.keeper.Busy() {
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			w.keeper.Tick(ctx, now, w.kept())
		}
	}
}
