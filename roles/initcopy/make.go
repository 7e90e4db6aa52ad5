package initcopy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
	"github.com/sidecar-kit/sidecar/roles/initcopy/place"
	"github.com/sidecar-kit/sidecar/roles/initcopy/tree"
)

// make stages everything that is not at the target yet.
func (j *job) make(ctx context.Context, p *plan, units map[string]*unit) error {
	j.phase("staging")
	if err := j.enoughFor(p, units); err != nil {
		return err
	}
	j.progress.expect(p.changed, p.copied)
	if j.loose != nil || j.allLoose(p) {
		return j.makeLoose(ctx, p)
	}
	if err := j.openStage(p); err != nil {
		return err
	}
	chosen := j.choose(p, units)
	for i := range j.pieces {
		pc := &j.pieces[i]
		s := chosen[pc]
		var err error
		switch {
		case s == nil:
		case pc.fetched != "":
			err = j.placeFetched(pc, s.wants[0])
		case pc.opaque():
		case pc.file:
			err = j.makeFile(ctx, pc, s.wants[0], filepath.Join(j.stage.Dir, pc.at))
		default:
			err = j.copyTree(ctx, pc, s)
		}
		if err != nil {
			return err
		}
	}
	if err := j.merge(); err != nil {
		return err
	}
	for i := range j.pieces {
		if pc := &j.pieces[i]; pc.opaque() && !pc.file && !pc.recalled {
			if err := j.refine(pc, p, units); err != nil {
				return err
			}
		}
	}
	return nil
}

// allLoose tells whether there is nothing but a few files, which need no folder to be staged in. p is nil before it is made.
func (j *job) allLoose(p *plan) bool {
	if !j.target.exists || j.linked || len(j.pieces) > looseFiles {
		return false
	}
	for i := range j.pieces {
		if !j.pieces[i].file || j.pieces[i].kind == fromImage { // layers are unpacked into folders
			return false
		}
	}
	for i := 0; p != nil && i < len(p.wants); i++ {
		if now := p.wants[i].now; now != nil && now.Kind == item.Dir {
			return false // a folder has the name of a file: the two are exchanged, or it is an error
		}
	}
	return true
}

func (j *job) makeLoose(ctx context.Context, p *plan) error {
	for i := range p.wants {
		w := &p.wants[i]
		if w.same {
			continue
		}
		if l := j.loose[w.piece]; l != nil { // fetched already
			if err := j.dressFetched(w, l.File); err != nil {
				return err
			}
			continue
		}
		l, err := j.newLoose(w.piece)
		if err != nil {
			return err
		}
		if err := j.fill(ctx, w.piece, w, l.File); err != nil {
			return err
		}
	}
	return nil
}

// newLoose makes the file that a piece will be.
func (j *job) newLoose(pc *piece) (*place.Loose, error) {
	l, err := place.NewLoose(j.target.base)
	if err != nil {
		return nil, fmt.Errorf("stage for %s: %w", j.target.dst, err)
	}
	if j.loose == nil {
		j.loose = map[*piece]*place.Loose{}
	}
	j.loose[pc] = l
	return l, nil
}

func (j *job) makeFile(ctx context.Context, pc *piece, w *want, path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("stage %s: %w", pc.shown, err)
	}
	return errors.Join(j.fill(ctx, pc, w, f), f.Close())
}

// fill writes the one file of a piece.
func (j *job) fill(ctx context.Context, pc *piece, w *want, f *os.File) error {
	if data, ok := pc.rendered[w.item.Path]; ok {
		return j.fillRendered(w, f, data)
	}
	src, err := os.Open(filepath.Join(pc.dir, w.item.Path))
	if err != nil {
		return explainSource(pc.path, err)
	}
	defer src.Close()
	mtime := w.mtime(j.began)
	rules := j.rules
	if pc.kind == fromSelf && j.cfg.Chmod == "" {
		rules.Chmod = item.Changes{}
		rules.Chmod, _ = item.ParseChanges("0555")
	}
	r, err := tree.CopyFile(ctx, f, src, tree.FileOptions{
		Rules: rules, Xattrs: j.cfg.Xattrs, Digest: j.cfg.Digest != "none" || pc.expect != nil, Mtime: &mtime,
		Done: func(n int64) { j.progress.add(0, n) },
	})
	if err != nil {
		return err
	}
	j.progress.add(1, 0)
	if err := pc.checkSum(r.Item.Sum); err != nil {
		return err
	}
	w.item.Sum, w.item.Size = r.Item.Sum, r.Item.Size
	if r.ChownRefused {
		j.warnOwner(1, w.path)
	}
	if r.XattrsRefused {
		j.warnXattrs(1, w.path)
	}
	return nil
}

// note passes on what a copy of a tree could not do.
func (j *job) note(r tree.Result) {
	if r.ChownRefused > 0 {
		j.warnOwner(r.ChownRefused, r.FirstChownRefused)
	}
	if r.XattrsRefused > 0 {
		j.warnXattrs(r.XattrsRefused, r.FirstXattrRefused)
	}
	j.report.Linked += r.Linked
}

func (j *job) warnOwner(n int, path string) {
	j.report.Unowned += n
	j.log.Warn().Int("count", n).Str("path", path).Int("user", os.Geteuid()).
		Msg("owner not kept, this user may not give files away; --owner=false makes that silent")
}

func (j *job) warnXattrs(n int, path string) {
	j.log.Warn().Int("count", n).Str("path", path).
		Msg("extended attributes not kept, the target or this user cannot; --xattrs=false makes that silent")
}

// roomFor is the folder that the items of a tree are staged in. Sources that share base are staged apart, and merged.
func (j *job) roomFor(pc *piece) (string, error) {
	if len(j.pieces) == 1 || pc.at != "." {
		to := filepath.Join(j.stage.Dir, pc.at)
		return to, os.MkdirAll(to, 0o777)
	}
	root, err := j.room(pc)
	if err != nil {
		return "", err
	}
	return pc.staged, root.Close()
}

// merge makes one stage of those that sources had for themselves.
func (j *job) merge() error {
	for i := range j.pieces {
		pc := &j.pieces[i]
		if pc.staged == "" {
			continue
		}
		if len(j.pieces) == 1 {
			j.stage.Dir = pc.staged
			return nil
		}
		swap := place.Swap{Whole: func(string, bool) bool { return false }}
		if err := swap.Entries(pc.staged, j.stage.Dir); err != nil {
			return fmt.Errorf("stage %s: %w", pc.shown, err)
		}
	}
	return nil
}

// refine takes out of a staged archive what is published already, where that is replaced entry by entry, and gives
// changed files a time that shows it.
func (j *job) refine(pc *piece, p *plan, units map[string]*unit) error {
	root, err := os.OpenRoot(j.stage.Dir)
	if err != nil {
		return fmt.Errorf("stage %s: %w", pc.shown, err)
	}
	defer root.Close()
	var errs []error
	for i := range p.wants {
		w := &p.wants[i]
		if w.piece != pc || w.item.Kind == item.Dir {
			continue
		}
		u := units[j.unitOf(w.path)]
		switch {
		case w.same && !(u.full && u.changed):
			errs = append(errs, root.Remove(w.path))
		case w.item.Kind == item.File && w.mtime(j.began) != w.item.Mtime:
			t := time.Unix(0, w.mtime(j.began))
			errs = append(errs, root.Chtimes(w.path, t, t))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stage %s: %w", pc.shown, err)
	}
	return nil
}
