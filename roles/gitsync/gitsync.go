// Package gitsync is the sync role: it keeps a folder at the newest commit of a git repository.
//
// Its flow is watch, fetch, materialise, publish, notify, one file each. It promises that readers see whole trees only,
// that what they see is never taken away by a failure of this process, of the server or of the disk, and that a
// restart goes on from whatever a kill left behind.
//
// It is not a mirror: it keeps what the published commit needs and nothing else.
package gitsync

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/backoff"
	"github.com/sidecar-kit/sidecar/internal/exit"
	"github.com/sidecar-kit/sidecar/internal/health"
	"github.com/sidecar-kit/sidecar/internal/publish"
	"github.com/sidecar-kit/sidecar/internal/role"
	"github.com/sidecar-kit/sidecar/roles/gitsync/remote"
	"github.com/sidecar-kit/sidecar/roles/gitsync/store"
)

// Sync is the role at work.
type Sync struct {
	cfg     Config
	env     role.Env
	log     zerolog.Logger
	door    *door
	origin  string // --repo without credentials
	want    func(path string, dir bool) bool
	metrics *metrics
	ready   *health.Check
	beat    *health.Beat
	trigger chan struct{}
	targets []*target

	remote remote.Remote
	root   *root
	repo   *repo
	tree   *publish.Tree
	subs   map[string]*submodule
	walk   int // counts walks through submodules

	processors int // that the program was started with, by GOMAXPROCS or the container's limit

	st        state
	place     string // what readers see of ours; empty when nothing is known to be right
	spare     *spare
	verified  time.Time
	head      fs.FileInfo // of the published tree's HEAD when it was last read
	pruneAt   time.Time
	liveBytes int64
	lastGood  time.Time

	spareTried hash  // the commit a spare was last made for
	prePublish error // of the last --pre-publish-exechook-command
	ledger     ledger
}

// New makes the role from a valid Config. It does no I/O but to read the files that Config names.
func New(cfg Config, env role.Env) (*Sync, error) {
	d, err := newDoor(cfg.Access)
	if err != nil {
		return nil, err
	}
	s := &Sync{
		cfg: cfg, env: env, log: env.Log, door: d, origin: cfg.Repo.String(), metrics: newMetrics(env.Metrics),
		processors: runtime.GOMAXPROCS(0), ready: env.Health.Check("first sync"), trigger: make(chan struct{}, 1), subs: make(map[string]*submodule),
	}
	s.beat = env.Health.Beat("sync loop", 2*cfg.SyncTimeout+2*max(cfg.Period, maxBackoff)+time.Minute)
	if cfg.Sparse != "" {
		if s.want, err = readSparse(cfg.Sparse); err != nil {
			return nil, fmt.Errorf("--sparse-checkout-file %s: %w", cfg.Sparse, err)
		}
	}
	if s.remote, err = d.open(cfg.Repo.Reveal(), true); err != nil {
		if errors.Is(err, remote.ErrConfig) {
			return nil, &exit.Error{Code: exit.Usage, Err: err}
		}
		return nil, err
	}
	s.targets = s.makeTargets()
	if cfg.TriggerFile != "" {
		env.Handle("POST /trigger", newTrigger(cfg.TriggerFile, s.trigger, s.log))
	}
	env.Status.Fact("repository", cfg.Repo.String())
	env.Status.Fact("ref", cfg.Ref)
	env.Status.Fact("commit", "none yet")
	env.Status.Fact("link", cfg.Link)
	return s, nil
}

// Run syncs again and again until ctx ends.
func (s *Sync) Run(ctx context.Context) error {
	s.warn()
	defer s.close()
	stop := s.startTargets(ctx)
	defer stop()
	return s.loop(ctx, -1, func(first bool) time.Duration {
		if !first && s.cfg.InitPeriod > 0 {
			return s.cfg.InitPeriod
		}
		// A little early, never late: pods that started together spread out.
		return s.cfg.Period - time.Duration(rand.Float64()*0.05*float64(s.cfg.Period)) //nolint:gosec // no secret
	})
}

// warn says at each start which settings do not do what one might think.
func (s *Sync) warn() {
	for _, key := range s.door.ignored() {
		s.log.Warn().Str("key", key).Msg("this git setting has no effect here")
	}
	if !s.cfg.Access.SSHKnownHosts {
		s.log.Warn().Msg("--ssh-known-hosts is off: an ssh server's identity is not checked")
	}
}

// Once syncs until it succeeded once, and tells every target.
func (s *Sync) Once(ctx context.Context) error {
	s.warn()
	defer s.close()
	err := s.loop(ctx, 0, nil)
	if err != nil {
		return err
	}
	return s.tellAll(ctx)
}

// loop does one pass after another. Without a period it ends with the first success. limit is how many failures in a row
// are borne where the user did not say.
func (s *Sync) loop(ctx context.Context, limit int, period func(succeeded bool) time.Duration) error {
	failures, succeeded := 0, false
	for {
		s.beat.Tick()
		err := s.attempt(ctx)
		if ctx.Err() != nil {
			return s.stopped(ctx, period == nil)
		}
		if err == nil {
			failures, succeeded = 0, true
			if period == nil {
				return nil
			}
			if !s.wait(ctx, period(true)) {
				return nil
			}
			continue
		}
		failures++
		if may := s.mayFail(succeeded, limit); may >= 0 && failures > may || fatal(err) {
			return err
		}
		if !s.wait(ctx, s.delay(err, failures, period, succeeded)) {
			return s.stopped(ctx, period == nil)
		}
	}
}

// stopped is what a request to stop returns: a finite run was interrupted, an endless one is done.
func (s *Sync) stopped(ctx context.Context, finite bool) error {
	if finite {
		return ctx.Err()
	}
	return nil
}

func (s *Sync) mayFail(succeeded bool, limit int) int {
	n := s.cfg.MaxFailures.limit(limit)
	if !succeeded {
		n = s.cfg.InitMaxFailures.limit(n)
	}
	return n
}

// fatal tells whether trying again is pointless: the user has to change a setting.
func fatal(err error) bool {
	return exit.Code(err) == exit.Usage
}

// maxBackoff bounds the wait after failures: the server is back for at most so long before we notice.
const maxBackoff = 30 * time.Second

// delay is the wait after a failure: the server's wish, or longer and longer, but at least the period.
func (s *Sync) delay(err error, failures int, period func(bool) time.Duration, succeeded bool) time.Duration {
	least := s.cfg.Period
	if period != nil {
		least = period(succeeded)
	}
	least = min(least, time.Second)
	d := backoff.Policy{Min: least, Max: max(maxBackoff, least), Jitter: 0.2}.Delay(failures)
	var asked *remote.RetryAfterError
	if errors.As(err, &asked) {
		d = max(d, min(asked.RetryAfter(), time.Hour))
	}
	return d
}

// wait sleeps for d, or until somebody asks for a sync. It is false when ctx ended.
func (s *Sync) wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	s.beat.Tick()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-s.env.Hangup:
	case <-s.trigger:
	}
	return ctx.Err() == nil
}

var errTimeout = errors.New("--sync-timeout is over")

// attempt does one pass and records how it went.
func (s *Sync) attempt(ctx context.Context) error {
	start := time.Now()
	limited, cancel := context.WithTimeoutCause(ctx, s.cfg.SyncTimeout, errTimeout)
	defer cancel()
	changed, err := s.pass(limited)
	if err != nil && errors.Is(context.Cause(limited), errTimeout) {
		err = fmt.Errorf("%w after %s: %w", errTimeout, s.cfg.SyncTimeout, err)
	}
	if ctx.Err() != nil {
		return err
	}
	took := time.Since(start)
	s.record(changed, took, err)
	if err != nil {
		return err
	}
	s.lastGood = time.Now()
	s.ready.OK()
	if changed {
		s.send()
	}
	if err := s.tidy(ctx, changed); err != nil && ctx.Err() == nil {
		s.log.Warn().AnErr("err", err).Msg("tidying up did not work; what is published is not affected")
	}
	return nil
}

// record tells log, metrics, page and files how a pass went.
func (s *Sync) record(changed bool, took time.Duration, err error) {
	if ferr := s.writeError(err); ferr != nil {
		s.log.Warn().AnErr("err", ferr).Msg("--error-file cannot be written")
	}
	s.metrics.pass(changed, took, err)
	s.showPass(changed, took, err)
	if err != nil {
		s.log.Error().AnErr("err", err).Stringer("took", took.Round(time.Microsecond)).Msg("sync failed; what is published stays")
		if age := s.cfg.ReadyMaxAge; age > 0 && !s.lastGood.IsZero() && time.Since(s.lastGood) > age {
			s.ready.Fail(fmt.Errorf("no success since %s", s.lastGood.UTC().Format(time.RFC3339)))
		}
	}
}

// pass looks at the repository and publishes its commit if that is not published yet.
func (s *Sync) pass(ctx context.Context) (changed bool, err error) {
	if err := s.open(); err != nil {
		return false, err
	}
	changed, err = s.sync(ctx)
	if errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrNotFound) {
		s.log.Warn().AnErr("err", err).Msg("the stored objects are damaged; fetching them afresh beside what is published")
		s.metrics.rebuilt("objects")
		if rerr := s.reset(); rerr != nil {
			return false, errors.Join(err, rerr)
		}
		changed, err = s.sync(ctx)
	}
	return changed, err
}

func (s *Sync) sync(ctx context.Context) (changed bool, err error) {
	s.check()
	var commit plumbing.Hash
	err = s.metrics.phase("watch", func() (err error) {
		commit, err = resolve(ctx, s.remote, s.cfg.Ref)
		return err
	})
	if err != nil {
		return s.standIn(ctx, err)
	}
	s.metrics.seen(commit)
	if s.place != "" && plumbing.Hash(s.st.Commit) == commit && s.st.Depth == s.cfg.Depth {
		return false, nil
	}
	return true, s.replace(ctx, commit)
}

// replace publishes a commit.
func (s *Sync) replace(ctx context.Context, commit plumbing.Hash) error {
	wake(s.processors)
	b, err := s.materialise(ctx, commit)
	if err == nil {
		err = s.publish(ctx, b)
	}
	if err != nil {
		return errors.Join(err, b.discard())
	}
	return nil
}

func (s *Sync) close() {
	s.closeSubmodules()
	s.dropSpare()
	err := errors.Join(s.repo.close(), s.remote.Close())
	if s.root != nil {
		err = errors.Join(err, s.root.close())
	}
	if err != nil {
		s.log.Debug().AnErr("err", err).Msg("closing")
	}
}
