// Package lease chooses one of several replicas by a Lease of Kubernetes, over plain REST.
//
// It promises: no two replicas hold the Lease at the same time, whatever their clocks show and whatever the API server does; and no instant is
// claimed twice, because a claim is a write to the Lease that only its holder can make. Who holds it stops by its own monotonic clock at the
// renew deadline, which is earlier than the instant from which another one takes over. It does not promise that every instant is run: a leader
// that dies between claim and start takes the run with it.
package lease

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

var (
	// ErrNotLeader says that this replica does not hold the Lease, or no more.
	ErrNotLeader = errors.New("not the leader")
	// ErrClaimed says that the instant, or a later one, was claimed before.
	ErrClaimed = errors.New("claimed before")
)

// Options say which Lease, and how long it is held. Only Name has no default.
type Options struct {
	Name      string
	Namespace string // that of the service account
	Identity  string // who holds it, different for all that run: name and uid of the pod; else host name and a random word

	Duration      time.Duration // 15s after which others take over what is not renewed
	RenewDeadline time.Duration // 10s without a renewal after which it is not held any more
	Retry         time.Duration // 2s between renewals; others look three times as often

	Server  string // https://HOST:PORT of the API server; from the environment in a cluster
	Account string // folder with token, ca.crt and namespace; that of the service account
	Log     zerolog.Logger
	Client  *http.Client // for tests
}

// Term is a time of being the leader.
type Term struct {
	Fence int64     // grows with every term, of whichever replica
	Last  time.Time // the last instant that was claimed, by whichever replica; zero when none was
}

// Elector competes for the Lease.
type Elector struct {
	o    Options
	api  *client
	turn chan struct{} // one write at a time
	skew time.Duration // of this replica's wall clock, in tests

	mu   sync.Mutex
	held bool
	sent time.Time // when the last successful write was sent
	term Term      // Last moves with every claim
	rec  record    // as last written or read
	lost chan struct{}
	told string // the last complaint
}

var dnsName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$`)

// New checks the options and reads what the cluster gives every pod.
func New(o Options) (*Elector, error) {
	o = o.filled()
	var errs []error
	if len(o.Name) > 253 || !dnsName.MatchString(o.Name) {
		errs = append(errs, fmt.Errorf("the name of the Lease %q: want lower-case letters, digits and dashes, such as nightly-jobs", o.Name))
	}
	if o.Retry <= 0 || o.RenewDeadline < 2*o.Retry || o.Duration < o.RenewDeadline+o.Retry || o.Duration > time.Hour {
		errs = append(errs, fmt.Errorf("duration %s, renew deadline %s, retry %s of the Lease: want retry > 0s, a deadline of two retries or more, "+
			"a duration one retry longer than that, such as 15s, 10s and 2s", o.Duration, o.RenewDeadline, o.Retry))
	}
	api, err := newClient(&o)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	return &Elector{o: o, api: api, turn: make(chan struct{}, 1), lost: make(chan struct{}, 1)}, nil
}

func (o Options) filled() Options {
	fill := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	fill(&o.Duration, 15*time.Second)
	fill(&o.RenewDeadline, 10*time.Second)
	fill(&o.Retry, 2*time.Second)
	if o.Account == "" {
		o.Account = "/var/run/secrets/kubernetes.io/serviceaccount"
	}
	if o.Identity == "" {
		host, _ := os.Hostname() // the random part alone is enough
		o.Identity = host + "_" + rand.Text()[:10]
	}
	return o
}

// Held returns the fence of the term, and false as soon as the renew deadline has passed. It asks nobody.
func (e *Elector) Held(now time.Time) (fence int64, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.term.Fence, e.holds(now)
}

// holds needs mu. The monotonic clock counts, and the wall clock beside it, because the former stands still while a machine is suspended.
func (e *Elector) holds(now time.Time) bool {
	return e.held && now.Sub(e.sent) < e.o.RenewDeadline && now.Round(0).Sub(e.sent.Round(0)) < e.o.RenewDeadline
}

// Last returns the newest instant that is known to be claimed: with a term begins what the Lease said then, and each Claim that succeeds moves it.
func (e *Elector) Last() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.term.Last
}

// Holder returns who held the Lease when this replica last looked; "" is nobody.
func (e *Elector) Holder() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.rec.holder
}

// Claim writes that an instant is about to be run. Start what is due at it only when Claim returns nil, and right then. One claim is for all that
// is due at the instant. Instants are claimed in ascending order: ErrClaimed means that this one or a later one was claimed already, also when it
// was by this term. After any other error the claim may stand or not, and the instant must not be run before it, or a later one, is claimed again
// with success in the same term, which finds out.
func (e *Elector) Claim(ctx context.Context, instant time.Time) error {
	instant = instant.UTC().Truncate(time.Second)
	err := e.write(ctx, &instant)
	if err != nil {
		return fmt.Errorf("claim %s: %w", instant.Format(time.RFC3339), err)
	}
	if _, ok := e.Held(time.Now()); !ok {
		return fmt.Errorf("claim %s: took longer than the renew deadline: %w", instant.Format(time.RFC3339), ErrNotLeader)
	}
	return nil
}
