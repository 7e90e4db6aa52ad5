package cron

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/roles/cron/dispatch"
	"github.com/sidecar-kit/sidecar/roles/cron/lease"
)

// election tells the dispatcher what the Lease says.
type election struct {
	elector *lease.Elector
}

func newElection(l Lease, log zerolog.Logger) (*election, error) {
	e, err := lease.New(lease.Options{
		Name: l.Name, Namespace: l.Namespace, Identity: l.Identity, Duration: l.Duration, RenewDeadline: l.Renew, Retry: l.Retry,
		Server: l.Server, Account: l.Account, Log: log,
	})
	if err != nil {
		return nil, err
	}
	return &election{elector: e}, nil
}

func (e *election) Held() (int64, bool) { return e.elector.Held(time.Now()) }

func (e *election) Last() time.Time { return e.elector.Last() }

// Claim is dispatch.Leader's.
func (e *election) Claim(ctx context.Context, at time.Time) error {
	err := e.elector.Claim(ctx, at)
	if errors.Is(err, lease.ErrClaimed) {
		return dispatch.ErrClaimed
	}
	return err
}

// run competes until ctx ends, and gives the Lease back when what was started here has ended.
func (e *election) run(ctx context.Context, wake func(), drained <-chan struct{}) {
	e.elector.Run(ctx, func(term context.Context, _ lease.Term) {
		wake()
		<-term.Done()
		wake()
		if ctx.Err() != nil {
			<-drained
		}
	})
}
