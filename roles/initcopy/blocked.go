package initcopy

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
	"github.com/sidecar-kit/sidecar/roles/initcopy/place"
)

// find is what must be at a path; nil for nothing.
func (p *plan) find(name string) *want {
	n, found := slices.BinarySearchFunc(p.wants, name, func(w want, name string) int { return item.Compare(w.path, name) })
	if !found {
		return nil
	}
	return &p.wants[n]
}

// blocked finds folders of others, and folders that hold something of others, that have the name of something that is no
// folder. With --delete they make room. It is asked before anything is staged.
func (p *plan) blocked(base string, remove bool) error {
	for _, name := range p.foreign {
		w := p.find(name)
		if w == nil || w.now != nil {
			continue
		}
		if !remove || p.pinned[name] {
			what := "folder"
			if fi, err := os.Lstat(filepath.Join(base, name)); err == nil && !fi.IsDir() {
				what = "device, FIFO or socket"
			}
			return fmt.Errorf("target %s is a %s that others made, and must become a %s\nhint: remove it, or allow that with --delete", name, what, w.item.Kind)
		}
		w.now = &item.Item{Path: name, Kind: item.Dir}
	}
	for i := range p.wants {
		w := &p.wants[i]
		if w.now == nil || w.item.Kind == item.Dir || w.now.Kind != item.Dir || p.mayReplace(w.path, remove) {
			continue
		}
		if p.mixed[w.path] {
			return fmt.Errorf("target %s is a folder in which others put something, and must become a %s\nhint: remove it, or allow that with --delete", w.path, w.item.Kind)
		}
		return fmt.Errorf("target %s is a folder that others made, and must become a %s\nhint: remove it, or allow that with --delete", w.path, w.item.Kind)
	}
	return nil
}

// mayReplace tells whether what has a path now may give way to something of another kind: files and links always, folders
// only where everything in them was published by an earlier run.
func (p *plan) mayReplace(name string, remove bool) bool {
	w := p.find(name)
	switch {
	case w == nil || w.now == nil:
		return false
	case w.now.Kind != item.Dir:
		return true
	}
	return !p.pinned[name] && (remove || w.ours && !p.mixed[name])
}

// replaced tells whether something that is wanted took the place of what had this name, or of a folder it was in. That is
// not to be looked for any more: where a link is now, it would be found behind that.
func (p *plan) replaced(name string) bool {
	if p.find(name) != nil {
		return true
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if w := p.find(dir); w != nil && w.item.Kind != item.Dir {
			return true
		}
	}
	return false
}

// spare takes what --delete must not touch out of the things of others: volumes, and what every ext4 volume has.
func (p *plan) spare() {
	p.foreign = slices.DeleteFunc(p.foreign, func(name string) bool { return p.pinned[name] || name == "lost+found" })
}

// pinned finds what is mounted below base. A folder that is renamed takes that along, and one that is removed empties it.
func (j *job) pinned() map[string]bool {
	if !j.target.exists {
		return nil
	}
	real := realPath(j.published)
	all := map[string]bool{}
	for _, m := range place.Mounts() {
		rel, err := filepath.Rel(real, m)
		if err != nil || rel == "." || !filepath.IsLocal(rel) {
			continue
		}
		for ; !all[rel]; rel = path.Dir(rel) {
			all[rel] = true
		}
	}
	return all
}
