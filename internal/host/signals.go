package host

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/sidecar-kit/sidecar/internal/exit"
)

// Signals is where the process hears that it should stop. SIGHUP is taken too,
// because its default action would end a process that only has nothing to reload.
type Signals struct {
	stop   chan os.Signal
	hangup chan os.Signal
	child  chan os.Signal // only as PID 1
}

// Listen installs the handlers. It is the first statement of main: a signal
// before it ends the process with the default action.
func Listen() *Signals {
	s := &Signals{stop: make(chan os.Signal, 8), hangup: make(chan os.Signal, 8)}
	signal.Notify(s.stop, syscall.SIGTERM, syscall.SIGINT)
	signal.Notify(s.hangup, syscall.SIGHUP)
	if os.Getpid() == 1 {
		s.child = make(chan os.Signal, 1)
		signal.Notify(s.child, syscall.SIGCHLD)
	}
	return s
}

// survivePipes makes a broken pipe an error of a write: who reads stdout or
// stderr may go away, a log shipper for example, and that is not the end of what
// others depend on.
func survivePipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// forward merges hang-ups into a channel of one waiting value until ctx ends.
func (s *Signals) forward(ctx context.Context, more []os.Signal) <-chan struct{} {
	out := make(chan struct{}, 1)
	if len(more) > 0 {
		signal.Notify(s.hangup, more...)
	}
	go func() {
		for {
			select {
			case <-s.hangup:
				select {
				case out <- struct{}{}:
				default:
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// until runs a short command that ends at the first signal.
func (s *Signals) until(ctx context.Context, run func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	select {
	case err := <-done:
		return err
	case sig := <-s.stop:
		cancel()
		select {
		case <-done: // it may have something to clean up
		case <-s.stop:
		}
		return interrupted(sig)
	}
}

// surrender gives the signals back before another program takes the place of
// this one. What came until then ends this process; from then on a signal has its
// default action.
func (s *Signals) surrender(replace func() error) error {
	signal.Reset()
	select {
	case sig := <-s.stop:
		return interrupted(sig)
	default:
	}
	return replace()
}

// interrupted is the error of a process that was stopped before it was done.
func interrupted(sig os.Signal) error {
	n, ok := sig.(syscall.Signal)
	if !ok {
		n = syscall.SIGTERM
	}
	return &exit.Error{Code: exit.Signal(int(n)), Err: fmt.Errorf("interrupted by signal %d (%s)", n, n)}
}
