// Package cron runs jobs at the times that crontabs name, in a pod: as any
// user, with a read-only root, without a shell where there is none.
//
// A crontab is read (crontab, schedule), its starts are planned (plan, timer),
// made under the rules of each job (dispatch, run) and remembered (journal).
// It promises that no start is made twice and that one which is not made is
// counted and told; that a table which is not valid never replaces one that is;
// and that a request to stop lets what runs end. It is not a queue of work and
// not a workflow engine: jobs know nothing of each other, but for groups.
package cron

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/health"
	"github.com/sidecar-kit/sidecar/internal/role"
	"github.com/sidecar-kit/sidecar/internal/status"
	"github.com/sidecar-kit/sidecar/internal/watch"
	"github.com/sidecar-kit/sidecar/roles/cron/dispatch"
	"github.com/sidecar-kit/sidecar/roles/cron/job"
	"github.com/sidecar-kit/sidecar/roles/cron/journal"
	"github.com/sidecar-kit/sidecar/roles/cron/ping"
	"github.com/sidecar-kit/sidecar/roles/cron/run"
	"github.com/sidecar-kit/sidecar/roles/cron/timer"
)

// Cron is the role.
type Cron struct {
	cfg     *Config
	env     role.Env
	log     zerolog.Logger
	metrics *metrics
	ready   *health.Check
	beat    *health.Beat
	runner  *run.Runner
	pings   *ping.Pinger
	lease   *election // nil without --lease
	timer   timer.Timer
	watcher *watch.Watcher
	d       *dispatch.Dispatcher
	took    *status.Series
}

// turnMost is how long a turn of the dispatcher may take before /livez says so.
const turnMost = time.Minute

// New makes the role.
func New(cfg *Config, env role.Env) (*Cron, error) {
	c := &Cron{
		cfg: cfg, env: env, log: env.Log, metrics: newMetrics(env.Metrics), ready: env.Health.Check("table"),
		beat: env.Health.Beat("dispatcher", turnMost), took: env.Status.Series("duration of runs", "s"), timer: timer.New(),
	}
	var err error
	c.runner, err = run.New(run.Options{
		Log: env.Log, Stdout: env.Stdout, Stderr: os.Stderr, Env: run.Clean(os.Environ(), cfg.EnvAllow, cfg.EnvDeny), RoleEnv: os.Environ(),
		MaxLine: cfg.MaxLine, Tail: cfg.Tail, Self: "/proc/self/exe", NoNewPrivs: cfg.NoNewPrivs,
	})
	if err != nil {
		return nil, err
	}
	c.pings = ping.New(ping.Options{Log: env.Log})
	host, _ := os.Hostname() // only spreads delays
	o := dispatch.Options{
		Log: env.Log, Start: c.start, Timer: c.timer, Ping: tellDeadMan(c.pings), Late: func(d time.Duration) { c.metrics.late.Observe(max(0, d.Seconds())) },
		Ended: c.show, MaxRunning: cfg.MaxRunning, History: cfg.History, Seed: cfg.Seed, StopAtOnce: cfg.OnStop == "term",
		Drain: env.Drain - min(env.Drain/2, max(env.Drain/10, 200*time.Millisecond)), // the rest is for the last words
	}
	if o.Seed == "" {
		o.Seed = host
	}
	if cfg.Lease.Name != "" {
		if c.lease, err = newElection(cfg.Lease, env.Log); err != nil {
			return nil, err
		}
		o.Leader = c.lease
	}
	c.d = dispatch.New(o)
	env.Metrics.MustRegister(newJobCollector(c.d.List, c.pings.Stats))
	(&api{d: c.d, tokenFile: cfg.TokenFile, remote: cfg.Remote, now: time.Now}).register(env.Handle)
	return c, nil
}

// start is dispatch.Starter. A nil *run.Run must not become a Stopper that is not nil.
func (c *Cron) start(t run.Task, done func(run.Result)) (dispatch.Stopper, error) {
	if t.Job.Shell == "" && c.cfg.Shell != "" {
		j := *t.Job
		j.Shell = c.cfg.Shell
		t.Job = &j
	}
	x, err := c.runner.Start(t, done)
	if err != nil {
		return nil, err
	}
	return x, nil
}

// Run runs jobs until ctx ends.
func (c *Cron) Run(ctx context.Context) error {
	defer c.timer.Close()
	c.watcher = watch.New(c.cfg.watched(), watch.Options{Log: c.log})
	jobs, warnings, err := c.cfg.load()
	if err != nil {
		return err
	}
	c.warn(warnings)
	c.use(jobs)
	c.metrics.valid.Set(1)
	book, err := c.open(ctx)
	if err != nil || ctx.Err() != nil {
		return err
	}
	c.d.Load(jobs, book)
	c.ready.OK()
	if err := forget(book, jobs); err != nil {
		c.log.Warn().AnErr("err", err).Msg("the journal was not tidied")
	}
	c.log.Info().Int("jobs", len(jobs)).Strs("crontabs", c.cfg.paths()).Msg("table is loaded")
	c.warnEmpty(jobs)
	beside, stop := context.WithCancel(ctx)
	defer stop()
	drained := make(chan struct{})
	ended := c.background(beside, drained)
	err = c.d.Run(ctx, c.busy)
	stop()
	close(drained)
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(c.env.Drain/20, 100*time.Millisecond))
	defer cancel()
	if rerr := c.runner.Close(grace); rerr != nil {
		c.log.Error().AnErr("err", rerr).Msg("not every run ended in time")
	}
	if perr := c.pings.Close(grace); perr != nil {
		c.log.Warn().AnErr("err", perr).Msg("pings were not sent")
	}
	<-ended
	if book != nil {
		err = errors.Join(err, book.Close())
	}
	return err
}

// busy tells /livez: a turn must end, and between two of them nothing has to happen.
func (c *Cron) busy(on bool) {
	c.beat.Tick()
	if !on {
		c.beat.Pause()
	}
}

// background runs what goes on beside the dispatcher; the channel closes when all of it has ended.
func (c *Cron) background(ctx context.Context, drained <-chan struct{}) <-chan struct{} {
	var wg sync.WaitGroup
	wg.Go(func() { c.follow(ctx) })
	if c.lease != nil {
		wg.Go(func() { c.lease.run(ctx, c.d.Wake, drained) })
	}
	all := make(chan struct{})
	go func() { wg.Wait(); close(all) }()
	return all
}

// open opens the journal, and waits while another process has it: the pod
// before this one may still be stopping.
func (c *Cron) open(ctx context.Context) (*journal.Journal, error) {
	if c.cfg.State == "" {
		return nil, nil
	}
	for told := false; ; told = true {
		book, err := journal.Open(c.cfg.State)
		switch {
		case err == nil:
			if book.Bad > 0 {
				c.log.Warn().Int("lines", book.Bad).Msg("the journal had lines that are not whole, as after a crash")
			}
			return book, nil
		case !errors.Is(err, journal.ErrLocked):
			return nil, fmt.Errorf("--state %s: %w", c.cfg.State, err)
		case !told:
			c.ready.OK() // the table is read, and the pod before this one waits for this one to be ready
			c.log.Warn().AnErr("err", err).Msg("waiting for the state folder; no job starts until then")
		}
		timer := time.NewTimer(time.Second)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, nil
		}
		c.beat.Tick()
	}
}

// forget drops jobs from the journal that left the table, once they are many:
// each edit of a line without a name leaves one.
func forget(book *journal.Journal, jobs []*job.Job) error {
	if book == nil || book.Jobs() <= 2*len(jobs)+100 {
		return nil
	}
	listed := make(map[string]bool, len(jobs))
	for _, j := range jobs {
		listed[j.Name] = true
	}
	return book.Compact(func(name string) bool { return listed[name] })
}

// use notes the table that is in use, for the page.
func (c *Cron) use(jobs []*job.Job) {
	c.env.Status.Fact("jobs", fmt.Sprint(len(jobs)))
	for _, p := range c.cfg.paths() {
		c.env.Status.Fact(filepath.Base(p), p)
	}
}

// show puts an ended run on the page.
func (c *Cron) show(name string, r dispatch.Record) {
	c.took.Add(r.Took.Seconds(), r.Outcome != dispatch.Success)
	if r.Outcome != dispatch.Success {
		c.env.Status.Event("error", fmt.Sprintf("%s: %s, code %d", name, r.Outcome, r.Code))
	}
}
