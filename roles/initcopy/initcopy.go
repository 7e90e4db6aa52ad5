// Package initcopy copies files, trees, archives and downloads into a volume that other containers read, and ends.
//
// It promises that what is at the target is the old content or the new, whole, whatever happens to the process or the
// machine; that an error before the last step leaves the target as it was; that a run which finds nothing to do writes
// nothing; and that it needs little memory, whatever the size of the content.
//
//	sources ──> plan ──> stage ──> verify ──> publish ──> remember
//	 (lay out)  (list,    (copy,    (read      (link,      (manifest)
//	            compare)  unpack,   again)     exchange)
//	                      fetch)
//
// It is not for following a source that changes: that is what sync does.
package initcopy

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/publish"
	"github.com/sidecar-kit/sidecar/internal/role"
	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
	"github.com/sidecar-kit/sidecar/roles/initcopy/manifest"
	"github.com/sidecar-kit/sidecar/roles/initcopy/place"
	"github.com/sidecar-kit/sidecar/roles/initcopy/tree"
)

// Runner copies once.
type Runner struct {
	cfg     Config
	env     role.Env
	metrics *metrics
	last    report
}

// New makes a Runner of valid settings.
func New(cfg Config, env role.Env) (*Runner, error) {
	return &Runner{cfg: cfg, env: env, metrics: newMetrics(env.Metrics)}, nil
}

// Once is Run: there is a single pass anyway.
func (r *Runner) Once(ctx context.Context) error { return r.Run(ctx) }

// Run copies, and returns ctx.Err() when it was stopped before anything was published.
func (r *Runner) Run(ctx context.Context) error {
	started := time.Now()
	defer collectLess()()
	j := &job{cfg: &r.cfg, log: r.env.Log, env: r.env, began: started}
	j.report.Target = r.cfg.Dst + r.cfg.Self // one of them is empty
	err := explainRoom(j.run(ctx))
	if cerr := j.clean(); cerr != nil {
		j.log.Warn().AnErr("err", cerr).Msg("what is not published cannot be removed, it stays in a hidden folder")
	}
	j.report.finish(time.Since(started), err)
	r.metrics.finished(&j.report)
	r.last = j.report
	if r.cfg.Report == "json" {
		err = errors.Join(err, j.report.write(r.env.Stdout))
	}
	if err == nil {
		j.report.log(r.env.Log)
	}
	if cause := ctx.Err(); cause != nil && err != nil {
		return cause // stopped half way: the host says by which signal
	}
	return err
}

// job is one run.
type job struct {
	cfg   *Config
	env   role.Env
	log   zerolog.Logger
	began time.Time

	rules  item.Rules
	filter *tree.Filter
	expect map[string]item.Sum
	target target
	pieces []piece
	// published is where the content is that readers see now: base, or what the link at base leads to.
	published string
	// swapsBase says that base as a whole is one unit.
	swapsBase bool
	// parent is the folder that stages are made in.
	parent string
	before *manifest.Manifest
	alike  bool // before was made with the settings of now
	linked bool // base is, or becomes, a link
	// noExchange says that the file system cannot exchange two names.
	noExchange bool
	stage      *place.Stage
	loose      map[*piece]*place.Loose
	links      *publish.Tree // when base is a link to one of several trees
	release    func()
	alone      bool // the file system keeps other runs away
	// inherits says that the target passes its group on to what is made in it, as volumes with an fsGroup do.
	inherits bool
	mayGive  bool // this process may give files away
	progress *progress
	report   report
}

func (j *job) run(ctx context.Context) error {
	j.mayGive = place.MayGive()
	if err := j.prepare(); err != nil {
		return err
	}
	j.progress = newProgress(j.cfg.Progress, j.log)
	defer j.progress.stop()
	if err := j.settleDown(ctx); err != nil {
		return err
	}
	j.remember()
	p, units, err := j.plan(ctx)
	if err != nil {
		return err
	}
	j.report.plan(p, units, j)
	j.report.sources(j, p)
	switch {
	case j.cfg.DryRun:
		return nil
	case !j.report.changes() && !p.learned && !j.otherInputs():
		return nil
	case !j.report.changes():
		j.record(ctx, p, units) // found out by reading: the next run need not
		return nil
	}
	if err := j.chooseSwap(p); err != nil {
		return err
	}
	units = j.units(p)
	if err := j.make(ctx, p, units); err != nil {
		return err
	}
	if j.stage != nil {
		// Whoever changes a copy as soon as it can be seen gives it another time than it has now.
		if err := j.hold(ctx, time.Now()); err != nil {
			return err
		}
	}
	if err := j.publish(ctx, p, units); err != nil {
		return err
	}
	j.report.sources(j, p)
	j.record(ctx, p, units)
	return nil
}

// settleDown takes the place for this run alone. Another run may have made the target while this one waited, and then
// the place is another one.
func (j *job) settleDown(ctx context.Context) error {
	if j.cfg.DryRun {
		return j.openLinks()
	}
	for {
		if err := j.lock(ctx); err != nil {
			return err
		}
		parent := j.parent
		if err := j.prepare(); err != nil {
			return err
		}
		if j.parent == parent {
			return j.sweep()
		}
		j.release()
	}
}

// phase says, to those who want to know, how far the work is.
func (j *job) phase(name string) { j.log.Debug().Str("path", j.target.base).Msg(name) }

// plan finds out what has to be done. Archives that were not read, because an earlier run did, are read after all when
// what came of them is no longer there.
func (j *job) plan(ctx context.Context) (*plan, map[string]*unit, error) {
	j.phase("planning")
	for {
		if err := j.gather(ctx); err != nil {
			return nil, nil, err
		}
		p, err := j.look(ctx, j.before)
		if err == nil {
			err = j.checkPins(ctx, p)
		}
		if err != nil {
			return nil, nil, err
		}
		p.spare()
		if p.mixed["."] && !j.cfg.Delete || p.pinned["."] {
			j.swapsBase = false // what others put there, or mounted, stays
		}
		units := j.units(p)
		if j.cfg.DryRun || !j.needRecalled(p, units) {
			return p, units, nil
		}
		j.alike = false // nothing is recalled the second time
	}
}

// needRecalled tells whether content is needed of which only the digests are known.
func (j *job) needRecalled(p *plan, units map[string]*unit) bool {
	for i := range p.wants {
		w := &p.wants[i]
		if w.piece.recalled && units[j.unitOf(w.path)].changed {
			return true
		}
	}
	return false
}

// prepare reads the settings and the words of the command line.
func (j *job) prepare() (err error) {
	if j.rules, err = j.cfg.rules(); err != nil {
		return err
	}
	if j.filter, err = tree.NewFilter(j.cfg.Include, j.cfg.Exclude); err != nil {
		return err
	}
	if j.expect, err = j.cfg.expectations(); err != nil {
		return err
	}
	sources, err := j.cfg.sources()
	if err != nil {
		return err
	}
	j.target, j.pieces, err = j.cfg.layOut(sources)
	if err != nil {
		return err
	}
	for i := range j.pieces {
		if sum, ok := j.expect[j.pieces[i].spec]; ok {
			j.pieces[i].expect = &sum
		}
	}
	return j.choosePlace()
}

// sources finds every source, and reports all that are missing at once.
func (c *Config) sources() ([]found, error) {
	if c.Self != "" {
		return []found{{source: source{spec: "--self", shown: "this program", pattern: "this program", kind: fromSelf}}}, nil
	}
	var all []found
	var errs []error
	for _, spec := range c.Src {
		s, err := parseSource(spec)
		if err == nil && s.kind != fromDisk {
			all = append(all, found{source: s})
			continue
		}
		var some []found
		if err == nil {
			some, err = s.find()
		}
		if err != nil {
			errs = append(errs, err)
		}
		all = append(all, some...)
	}
	return all, errors.Join(errs...)
}

// clean removes what is not published.
func (j *job) clean() error {
	var errs []error
	for _, l := range j.loose {
		errs = append(errs, l.Discard())
	}
	if j.stage != nil {
		errs = append(errs, j.stage.Remove())
	}
	if j.release != nil {
		j.release()
	}
	return errors.Join(errs...)
}
