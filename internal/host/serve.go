package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/urfave/cli/v2"

	"github.com/sidecar-kit/sidecar/internal/admin"
	"github.com/sidecar-kit/sidecar/internal/exit"
	"github.com/sidecar-kit/sidecar/internal/health"
	"github.com/sidecar-kit/sidecar/internal/meter"
	"github.com/sidecar-kit/sidecar/internal/proc"
	"github.com/sidecar-kit/sidecar/internal/role"
	"github.com/sidecar-kit/sidecar/internal/status"
)

// begunError is an error after the role began to log.
type begunError struct {
	log zerolog.Logger
	err error
}

func (e *begunError) Error() string { return e.err.Error() }
func (e *begunError) Unwrap() error { return e.err }

// process is one running role.
type process struct {
	*command
	log      zerolog.Logger
	stdout   io.Writer
	signals  *Signals
	registry *meter.Registry
	health   health.Set
	board    status.Board
	admin    *admin.Server // nil when it is off
	quit     chan struct{}
}

// serve runs the role from its first log line to its last.
func (c *command) serve(cctx *cli.Context) error {
	version := cctx.App.Version
	p := &process{
		command:  c,
		log:      newLogger(cctx.App.ErrWriter, c.common.logLevel, c.common.logFormat, c.spec.Name, version),
		stdout:   cctx.App.Writer,
		signals:  signalsOf(cctx),
		registry: newRegistry(c.spec.Name, version),
		quit:     make(chan struct{}),
	}
	c.announce(p.log)
	limitMemory(p.log, "/")
	survivePipes()
	ctx, cancel := context.WithCancel(cctx.Context)
	defer cancel()
	if p.signals.child != nil {
		go proc.Reap(ctx, p.signals.child)
	}
	if err := p.listen(ctx, version); err != nil {
		return &begunError{p.log, err}
	}
	served := p.serveAdmin(ctx)
	err := p.supervise(ctx)
	cancel() // the admin endpoint closes last: it tells about the drain
	if exit.Code(err) < 128 {
		<-served // a second signal does not wait for a slow scrape
	}
	if err != nil {
		return &begunError{p.log, err}
	}
	p.log.Info().Msg("stopped")
	return nil
}

func (p *process) listen(ctx context.Context, version string) error {
	if p.common.admin == "" {
		return nil
	}
	opts := admin.Options{
		Addr: p.common.admin, Role: p.spec.Name, Version: version,
		Health: &p.health, Status: &p.board, Metrics: p.registry, Log: p.log,
	}
	if p.common.allowQuit {
		opts.Quit = sync.OnceFunc(func() { close(p.quit) })
	}
	server, err := admin.Listen(ctx, opts)
	if err != nil {
		return fmt.Errorf("--admin %s: %w\nhint: choose another address with --admin HOST:PORT, or turn it off with --admin=", p.common.admin, err)
	}
	p.admin = server
	p.log.Info().Str("address", server.Addr()).Msg("admin endpoint is up")
	return nil
}

// serveAdmin serves until ctx ends; the channel closes when all is closed.
func (p *process) serveAdmin(ctx context.Context) <-chan struct{} {
	done := make(chan struct{})
	if p.admin == nil {
		close(done)
		return done
	}
	go func() {
		defer close(done)
		if err := p.admin.Run(ctx); err != nil {
			p.log.Error().AnErr("err", err).Msg("admin endpoint stopped")
		}
	}()
	return done
}

// work makes the role and runs it.
func (p *process) work(ctx context.Context) error {
	var more []os.Signal
	if p.spec.Signals != nil {
		more = p.spec.Signals()
	}
	env := role.Env{
		Log: p.log, Metrics: p.registry, Health: &p.health, Status: &p.board,
		Stdout: p.stdout, Drain: p.common.drain, Once: p.common.once,
		Handle: func(pattern string, h http.Handler) {
			if p.admin != nil {
				p.admin.Handle(pattern, h)
			}
		},
		Quit:   p.quit,
		Hangup: p.signals.forward(ctx, more),
	}
	runner, err := p.spec.New(env)
	if err != nil {
		return err
	}
	once, ok := runner.(role.Oncer)
	if p.common.once && !ok {
		return noOnce(p.spec.Name)
	}
	p.health.Started()
	if p.common.once {
		return once.Once(ctx)
	}
	return runner.Run(ctx)
}

// supervise waits for the role to end, or for the request to stop and then for
// the role, the drain deadline or a second request, whichever is first.
func (p *process) supervise(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- p.work(ctx) }()
	sig := os.Signal(nil)
	select {
	case err := <-done:
		return err
	case sig = <-p.signals.stop:
		p.log.Info().Str("signal", sig.String()).Stringer("drain", p.common.drain).Msg("stopping")
	case <-p.quit:
		p.log.Info().Stringer("drain", p.common.drain).Msg("stopping on request")
	}
	asked := time.Now()
	p.health.Draining()
	p.board.Event("info", "stopping")
	stop()
	deadline := time.NewTimer(p.common.drain)
	defer deadline.Stop()
	for {
		select {
		case err := <-done:
			return outcome(err, sig)
		case <-deadline.C:
			return &exit.Error{Code: exit.Abandoned, Err: fmt.Errorf(
				"work was not finished within --drain-timeout %s and is abandoned", p.common.drain)}
		case again := <-p.signals.stop:
			if again != sig || time.Since(asked) >= echo {
				return interrupted(again)
			}
		}
	}
}

// echo is within which the same signal is the same request: timeout(1) and shells send one to the process and then to its whole group.
const echo = 100 * time.Millisecond

// outcome maps what a stopped role returned: nil is a tidy stop, ctx.Err() a
// job that was cut short.
func outcome(err error, sig os.Signal) error {
	_, coded := errors.AsType[*exit.Error](err)
	if !coded && errors.Is(err, context.Canceled) {
		return interrupted(sig)
	}
	return err
}
