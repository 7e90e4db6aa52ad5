package initcopy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/publish"
	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
	"github.com/sidecar-kit/sidecar/roles/initcopy/place"
	"github.com/sidecar-kit/sidecar/roles/initcopy/tree"
)

// publish makes what is staged visible. Everything that can fail for a reason of the content has not failed by now.
func (j *job) publish(ctx context.Context, p *plan, units map[string]*unit) error {
	if err := j.verify(ctx, p); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	j.phase("publishing")
	var err error
	if j.stage == nil {
		err = j.publishLoose(p)
	} else {
		err = j.publishStage(p, units)
	}
	if err != nil {
		return fmt.Errorf("publish in %s: %w", j.target.base, err)
	}
	if err := j.removeGone(p, units); err != nil {
		return err
	}
	if err := j.dress(p, units); err != nil {
		return err
	}
	return j.removeExploded(p)
}

func (j *job) publishLoose(p *plan) error {
	for i := range p.wants {
		w := &p.wants[i]
		if l := j.loose[w.piece]; l != nil && !w.same {
			if err := l.Publish(w.path); err != nil {
				return err
			}
		}
	}
	return nil
}

func (j *job) publishStage(p *plan, units map[string]*unit) error {
	if err := place.SyncAll(j.parent); err != nil {
		return err
	}
	if j.links != nil && j.swapsBase {
		return j.publishLink(p)
	}
	base := j.published // where others put something that stays, the tree behind a link is mended in place
	swap := place.Swap{
		Whole: func(name string, alike bool) bool {
			u := units[name]
			return u != nil && u.full && u.changed || !alike && p.mayReplace(name, j.cfg.Delete)
		},
		NoExchange: j.noExchange,
	}
	if j.swapsBase {
		if err := place.MakeAll(filepath.Dir(base)); err != nil {
			return err
		}
		return swap.Tree(j.stage.Dir, base)
	}
	return swap.Entries(j.stage.Dir, base)
}

func (j *job) publishLink(p *plan) error {
	stage, err := j.links.Stage()
	if err != nil {
		return err
	}
	// The folder was made to have the right parent; its place is taken by what was staged.
	if err := errors.Join(os.Remove(stage), os.Rename(j.stage.Dir, stage)); err != nil {
		return err
	}
	j.published, err = j.links.Commit(stage, j.digest()[:16])
	if err != nil {
		return err
	}
	_, _, err = j.links.Prune(0)
	return err
}

// verify reads what was staged from the disk, not from the cache, and compares.
func (j *job) verify(ctx context.Context, p *plan) error {
	if !j.cfg.Verify {
		return nil
	}
	var items []item.Item
	var wants []*want
	for i := range p.wants {
		w := &p.wants[i]
		if w.item.Kind == item.File && !w.same && !w.item.Sum.IsZero() && j.loose[w.piece] == nil {
			it := *w.item
			it.Path, it.Hard = w.path, ""
			items, wants = append(items, it), append(wants, w)
		}
	}
	for pc, l := range j.loose {
		if err := j.verifyLoose(ctx, pc, l); err != nil {
			return err
		}
	}
	if len(items) == 0 {
		return nil
	}
	if err := place.SyncAll(j.parent); err != nil {
		return err
	}
	if err := tree.Sums(ctx, j.stage.Dir, items, j.cfg.Workers, j.progress.add); err != nil {
		return fmt.Errorf("--verify: %w", err)
	}
	for i, w := range wants {
		if items[i].Sum != w.item.Sum {
			return fmt.Errorf("--verify: %s was written as %s and read as %s\nhint: the disk or the memory is faulty; nothing was published", w.path, w.item.Sum, items[i].Sum)
		}
	}
	return nil
}

func (j *job) verifyLoose(ctx context.Context, pc *piece, l *place.Loose) error {
	if err := l.Sync(); err != nil {
		return err
	}
	sum, err := sumFile(ctx, l.File)
	if err != nil {
		return fmt.Errorf("--verify: %w", err)
	}
	for i := range pc.items {
		if want := pc.items[i].Sum; !want.IsZero() && want != sum {
			return fmt.Errorf("--verify: %s was written as %s and read as %s\nhint: the disk or the memory is faulty; nothing was published", pc.at, want, sum)
		}
	}
	return nil
}

// removeGone removes what an earlier run published and the sources no longer have, where it was not replaced with its
// folder; with --delete also what others put into a folder that is a source's alone.
func (j *job) removeGone(p *plan, units map[string]*unit) error {
	if err := j.removeForeign(p, units); err != nil {
		return err
	}
	var names []string
	for _, name := range p.gone {
		if u := units[j.unitOf(name)]; u != nil && u.full || p.replaced(name) {
			j.report.Removed++ // it went with the old tree
		} else if name == place.Shelter && j.parent == j.published && j.stage != nil && j.stage.DropShelter() {
			j.report.Removed++
		} else {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return item.Compare(b, a) }) // content before its folder
	removed, err := place.Remove(j.published, names)
	j.report.Removed += removed
	if err != nil {
		return fmt.Errorf("remove what the source no longer has: %w", err)
	}
	return nil
}

// removeForeign is --delete for what was not replaced with its folder: only in folders that are a source's alone.
func (j *job) removeForeign(p *plan, units map[string]*unit) error {
	if !j.cfg.Delete {
		return nil
	}
	for _, name := range p.foreign {
		u := units[j.unitOf(name)]
		if u != nil && u.full || p.replaced(name) {
			j.report.Removed++ // it made room, or went with the old tree
			continue
		}
		if !strings.Contains(name, "/") && !j.target.tree {
			continue
		}
		if err := publish.RemoveAll(filepath.Join(j.published, name)); err != nil {
			return fmt.Errorf("--delete: %w", err)
		}
		j.report.Removed++
	}
	return nil
}

// removeExploded removes the folder that an application server made of the WAR that was just replaced.
func (j *job) removeExploded(p *plan) error {
	if !j.cfg.RemoveExploded {
		return nil
	}
	for i := range p.wants {
		w := &p.wants[i]
		ext := path.Ext(w.path)
		if w.same || w.item.Kind != item.File || !strings.EqualFold(ext, ".war") {
			continue
		}
		dir := filepath.Join(j.published, strings.TrimSuffix(w.path, ext))
		if p.find(strings.TrimSuffix(w.path, ext)) != nil {
			continue // it is content of its own
		}
		fi, err := os.Lstat(dir)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !fi.IsDir() {
			continue
		}
		if err == nil {
			err = publish.RemoveAll(dir)
		}
		if err != nil {
			return fmt.Errorf("--remove-exploded: %w", err)
		}
		j.log.Info().Str("path", dir).Msg("removed the folder that was unpacked from the old archive")
		j.report.Removed++
	}
	return nil
}
