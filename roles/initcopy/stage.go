package initcopy

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
	"github.com/sidecar-kit/sidecar/roles/initcopy/place"
	"github.com/sidecar-kit/sidecar/roles/initcopy/tree"
)

// unit is what becomes visible at once: a name right below base, or base itself.
type unit struct {
	// full says that all of it is staged and takes the place of what is there as a whole.
	full    bool
	changed bool
}

// units decides what is replaced as a whole and what entry by entry.
func (j *job) units(p *plan) map[string]*unit {
	all := map[string]*unit{}
	of := func(name string) *unit {
		top := j.unitOf(name)
		u := all[top]
		if u == nil {
			u = &unit{full: j.cfg.Publish != "entries" && !p.pinned[top] && (j.cfg.Delete || !p.mixed[top])}
			if j.noExchange && u.full && !(j.linked && j.swapsBase) {
				u.full = !p.there[top]
			}
			if top == place.Shelter && j.parent == j.published && j.sheltered(p) {
				u.full = false // the stage lies in there
			}
			all[top] = u
		}
		return u
	}
	for i := range p.wants {
		w := &p.wants[i]
		if u := of(w.path); !w.same {
			u.changed = true
		}
	}
	for _, name := range p.gone {
		if u := all[j.unitOf(name)]; u != nil {
			u.changed = true
		}
	}
	if j.cfg.Delete {
		for _, name := range p.foreign {
			if u := all[j.unitOf(name)]; u != nil {
				u.changed = true
			}
		}
	}
	return all
}

func (j *job) unitOf(name string) string {
	if j.swapsBase {
		return "."
	}
	top, _, _ := strings.Cut(name, "/")
	return top
}

// choose lists, for each piece, which of its items are staged, and which of those are links to what is published.
func (j *job) choose(p *plan, units map[string]*unit) map[*piece]*selection {
	chosen := map[*piece]*selection{}
	need := map[string]bool{} // folders of entries that are staged alone
	for i := range p.wants {
		w := &p.wants[i]
		if u := units[j.unitOf(w.path)]; u.changed && !u.full && !w.same {
			for dir := path.Dir(w.path); dir != "." && !need[dir]; dir = path.Dir(dir) {
				need[dir] = true
			}
		}
	}
	for i := range p.wants {
		w := &p.wants[i]
		u := units[j.unitOf(w.path)]
		if !u.changed || !u.full && w.same && !need[w.path] {
			continue
		}
		s := chosen[w.piece]
		if s == nil {
			s = &selection{}
			chosen[w.piece] = s
		}
		s.wants = append(s.wants, w)
		s.stays = append(s.stays, u.full && w.path != j.unitOf(w.path))
		s.linked = s.linked || u.full && w.same && w.item.Kind == item.File
	}
	for pc, s := range chosen {
		s.take(pc)
	}
	return chosen
}

// take makes the list of items: that of the piece itself where all of it is chosen, because lists are long.
func (s *selection) take(pc *piece) {
	if len(s.wants) == len(pc.items) && len(pc.rendered) == 0 {
		s.items = pc.items
	} else {
		s.items = make([]item.Item, len(s.wants))
		for i, w := range s.wants {
			s.items[i] = *w.item
		}
	}
	if s.linked {
		s.reuse = make([]bool, len(s.wants))
		for i, w := range s.wants {
			s.reuse[i] = s.stays[i] && w.same && w.item.Kind == item.File
		}
	}
}

// selection is what of one piece is staged.
type selection struct {
	wants []*want
	items []item.Item
	reuse []bool
	// stays says of each that it gets its place with the folder that it lies in, not by a rename of its own.
	stays  []bool
	linked bool // some are links to what is published
}

// mtime is the time of change that a copy gets: that of the source, unless that would hide a change. Images carry one
// fixed time for every version of a file, and whoever watches the copy (Tomcat does) would not see the new one.
func (w *want) mtime(began time.Time) int64 {
	switch {
	case w.item.Kind != item.File || w.now == nil:
		return w.item.Mtime
	case w.same:
		return w.now.Mtime
	case w.item.Mtime > w.now.Mtime:
		return w.item.Mtime
	}
	return max(began.UnixNano(), w.now.Mtime+1)
}

// copyTree stages what is chosen of a folder on the disk.
func (j *job) copyTree(ctx context.Context, pc *piece, s *selection) error {
	to, err := j.roomFor(pc)
	if err != nil {
		return fmt.Errorf("stage %s: %w", pc.shown, err)
	}
	old := ""
	if j.target.exists {
		old = filepath.Join(j.published, pc.at)
		if fi, err := os.Lstat(old); err != nil || !fi.IsDir() {
			old = ""
		}
	}
	// Inside of its own tree a hard link names its partner, which must be staged with it.
	staged := map[string]bool{}
	for i := range s.items {
		if hard := s.items[i].Hard; hard != "" && !staged[hard] {
			s.items[i].Hard = ""
		}
		staged[s.items[i].Path] = true
	}
	if old == "" {
		s.reuse = nil
	}
	rendered := s.takeRendered()
	made := make([]tree.Made, len(s.items))
	result, err := tree.Copy(ctx, tree.Job{
		From: pc.dir, To: to, Items: s.items, Rules: j.rules, Xattrs: j.cfg.Xattrs, Digest: j.cfg.Digest != "none",
		Workers: j.cfg.Workers, Old: old, Reuse: s.reuse,
		Mtime: func(i int) int64 { return s.wants[i].mtime(j.began) },
		Made:  made, Done: j.progress.add,
	})
	if err != nil {
		return err
	}
	for i, w := range s.wants {
		if !s.items[i].Sum.IsZero() {
			w.item.Sum = s.items[i].Sum
		}
		w.item.Size = s.items[i].Size
		if s.stays[i] {
			w.made = made[i]
		}
	}
	j.note(result)
	if err := j.writeRendered(to, rendered); err != nil {
		return fmt.Errorf("stage %s: %w", pc.shown, err)
	}
	return nil
}

// takeRendered takes out what is not copied but written from memory.
func (s *selection) takeRendered() (taken []*want) {
	n := 0
	for i, w := range s.wants {
		if _, ok := w.piece.rendered[w.item.Path]; ok {
			taken = append(taken, w)
			continue
		}
		s.wants[n], s.items[n], s.stays[n] = w, s.items[i], s.stays[i]
		if s.reuse != nil {
			s.reuse[n] = s.reuse[i]
		}
		n++
	}
	s.wants, s.items, s.stays = s.wants[:n], s.items[:n], s.stays[:n]
	if s.reuse != nil {
		s.reuse = s.reuse[:n]
	}
	return taken
}
