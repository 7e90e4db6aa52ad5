// Package role is the contract between the host and a role: what a role is
// given and what it must offer. It has no registry, no lifecycle beyond Run and
// no base type to embed, so a role can be read without reading the host.
package role

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/health"
	"github.com/sidecar-kit/sidecar/internal/meter"
	"github.com/sidecar-kit/sidecar/internal/status"
)

// Runner does the work of a role. Run blocks and cleans up before it returns:
// nil when the work is finished or was stopped tidily, ctx.Err() when a finite
// job was interrupted half way.
type Runner interface {
	Run(ctx context.Context) error
}

// Oncer is a Runner that can also do a single pass, for --once.
type Oncer interface {
	Once(ctx context.Context) error
}

// Env is what the host gives to a role.
type Env struct {
	Log     zerolog.Logger
	Metrics meter.Registerer
	Health  *health.Set
	Status  *status.Board
	Stdout  io.Writer     // belongs to the role; logs go to stderr
	Drain   time.Duration // the time between the request to stop and the end
	Once    bool          // --once was given

	// Handle adds a handler to the role's admin endpoint ("POST /trigger").
	// It is never nil, and is called in New only.
	Handle func(pattern string, h http.Handler)

	// Quit is closed when POST /quit asked the process to stop: who asks needs the role no longer. After SIGTERM it
	// says so in addition.
	Quit <-chan struct{}

	// Hangup delivers a value per SIGHUP; signals that arrive while one is
	// waiting to be read are merged with it. It is never nil.
	Hangup <-chan struct{}
}

// Grace returns a context that outlives ctx by the drain time: what must be
// finished after the request to stop uses it.
func (e Env) Grace(ctx context.Context) (context.Context, context.CancelFunc) {
	grace, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(e.Drain)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel(context.DeadlineExceeded)
		case <-grace.Done():
		}
	})
	return grace, func() {
		stop()
		cancel(context.Canceled)
	}
}
