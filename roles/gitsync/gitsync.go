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
	"os"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/sidecar-kit/sidecar/internal/backoff"
	"github.com/sidecar-kit/sidecar/internal/exit"
	"github.com/sidecar-kit/sidecar/internal/health"
	"github.com/sidecar-kit/sidecar/internal/publish"
	"github.com/sidecar-kit/sidecar/internal/role"
	"github.com/sidecar-kit/sidecar/roles/gitsync/remote"
	"github.com/sidecar-kit/sidecar/roles/gitsync/store"
	"github.com/sidecar-kit/sidecar/roles/gitsync/tree"
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
		ready: env.Health.Check("first sync"), trigger: make(chan struct{}, 1), subs: make(map[string]*submodule),
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
		return false, err
	}
	s.metrics.seen(commit)
	if s.place != "" && plumbing.Hash(s.st.Commit) == commit && s.st.Depth == s.cfg.Depth {
		return false, nil
	}
	wake()
	b, err := s.materialise(ctx, commit)
	if err != nil {
		return false, errors.Join(err, b.discard())
	}
	if err := s.publish(ctx, b); err != nil {
		return false, errors.Join(err, b.discard())
	}
	return true, nil
}

// open makes the root ready, the first time and after it failed.
func (s *Sync) open() error {
	if s.repo != nil {
		if _, err := os.Lstat(s.repo.path(own)); err == nil {
			return nil
		}
		s.log.Warn().Str("path", s.root.path).Msg("the repository in the root is gone; making it afresh")
		s.metrics.rebuilt("repository")
		return s.reset()
	}
	unix.Umask(0o022)
	if s.cfg.GroupWrite {
		unix.Umask(0o002)
	}
	var err error
	if s.root == nil {
		if s.root, err = openRoot(&s.cfg, s.log); err != nil {
			s.root = nil
			return err
		}
	}
	if s.tree, err = publish.Open(s.root.join(worktrees), s.cfg.Link); err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return rootError(s.cfg.Root, err)
		}
		return &exit.Error{Code: exit.Usage, Err: fmt.Errorf("--link: %w", err)}
	}
	if s.repo, err = openRepo(s.root, s.origin, s.log); err != nil {
		return fmt.Errorf("--root %s: %w", s.cfg.Root, err)
	}
	s.recall()
	return nil
}

// reset gives up the stored objects and starts with none. What is published stays.
func (s *Sync) reset() error {
	err := s.repo.close()
	s.dropSpare()
	s.closeSubmodules()
	if aerr := s.repo.setAside(); aerr != nil {
		return errors.Join(err, aerr)
	}
	s.repo, s.place, s.st = nil, "", state{}
	repo, oerr := openRepo(s.root, s.origin, s.log)
	s.repo = repo
	return errors.Join(err, oerr)
}

// recall finds out whether what an earlier run published is right, and if so is ready at once.
func (s *Sync) recall() {
	s.st = readState(s.statePath())
	s.ledger.open(s.repo.path(own, "notified.json"))
	place, version := s.tree.Current()
	if s.st.Repo != s.origin {
		s.st.Complete, s.st.Shallow = nil, nil
		return
	}
	if s.st.Commit.isZero() || version != s.st.Commit.String() || place != s.root.join(worktrees, s.st.Place) || s.st.Look != s.look() {
		return
	}
	if s.st.Ref != s.cfg.Ref && s.st.Ref != "" {
		return
	}
	if bad, err := s.verify(place); err != nil || len(bad) > 0 {
		s.log.Warn().AnErr("err", err).Int("files", len(bad)).Msg("what is published was touched; building it afresh beside")
		return
	}
	s.place = place
	s.metrics.published(version)
	s.showPublished()
	s.ready.OK()
	s.log.Info().Stringer("commit", s.st.Commit).Str("path", s.cfg.Link).Msg("found an earlier publish")
	s.send()
}

// look sums up the settings that change what a tree looks like.
func (s *Sync) look() string {
	sparse := ""
	if s.cfg.Sparse != "" {
		data, err := os.ReadFile(s.cfg.Sparse)
		sparse = fmt.Sprint(store.Sum(plumbing.BlobObject, data), err)
	}
	return fmt.Sprintf("git=%t links=%s modules=%s group=%t sparse=%s", s.cfg.DotGit, s.cfg.Links, s.cfg.Submodules, s.cfg.GroupWrite, sparse)
}

func (s *Sync) statePath() string { return s.repo.path(own, "state.json") }

// check looks whether somebody touched what is published. The link is put back; a tree that is gone or changed is
// forgotten, so that this pass builds it afresh beside.
func (s *Sync) check() {
	if s.place == "" {
		return
	}
	if fi, err := os.Lstat(s.place); err != nil || !fi.IsDir() {
		s.log.Warn().Str("path", s.place).Msg("the published tree is gone; building it afresh")
		s.damaged("tree")
		return
	}
	if place, _ := s.tree.Current(); place != s.place {
		s.log.Warn().Str("path", s.cfg.Link).Msg("the link was changed; putting it back")
		s.metrics.rebuilt("link")
		if err := s.tree.Restore(s.place); err != nil {
			s.log.Warn().AnErr("err", err).Msg("the link cannot be put back")
			s.damaged("link")
			return
		}
	}
	moved := s.cfg.DotGit && s.headMoved()
	due := s.cfg.VerifyEvery > 0 && time.Since(s.verified) > s.cfg.VerifyEvery
	if !moved && !due {
		return
	}
	if bad, err := s.verify(s.place); moved || err != nil || len(bad) > 0 {
		s.log.Warn().AnErr("err", err).Int("files", len(bad)).Msg("what is published was touched; building it afresh beside")
		s.damaged("files")
	}
}

// headMoved tells whether somebody used git to move the published tree to another commit. The file is read only when its
// time or inode says that it was written: this is asked at each look at the repository.
func (s *Sync) headMoved() bool {
	name := s.repo.path("worktrees", s.st.Commit.String(), "HEAD")
	fi, err := os.Lstat(name)
	if err != nil {
		return true
	}
	if s.head != nil && os.SameFile(fi, s.head) && fi.ModTime().Equal(s.head.ModTime()) && fi.Size() == s.head.Size() {
		return false
	}
	text, err := os.ReadFile(name)
	if err != nil || string(text) != s.st.Commit.String()+"\n" {
		return true
	}
	s.head = fi
	return false
}

func (s *Sync) damaged(what string) {
	s.metrics.rebuilt(what)
	s.place = ""
}

// verify compares the tree at place with its manifest, and returns the files that differ.
func (s *Sync) verify(place string) ([]string, error) {
	records, err := s.readManifest(s.st.Commit.String())
	if err != nil {
		return nil, err
	}
	f, err := tree.OpenFolder(place)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s.verified = time.Now()
	return tree.Verify(f, records), nil
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
