package initcopy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
	"github.com/sidecar-kit/sidecar/roles/initcopy/manifest"
	"github.com/sidecar-kit/sidecar/roles/initcopy/place"
	"github.com/sidecar-kit/sidecar/roles/initcopy/tree"
)

// want is an entry that must be at the target in the end.
type want struct {
	path  string // below base
	item  *item.Item
	piece *piece
	// now is what has this path at the target, nil for nothing.
	now *item.Item
	// before is what the manifest says of it, nil for nothing.
	before *manifest.Entry
	made   tree.Made // what the kernel says of the copy that is staged, where that stays so when it is published
	same   bool      // now is what it must be
	ours   bool      // nobody touched now since an earlier run published it
}

// plan is what has to be done, found out without writing anything.
type plan struct {
	count int    // of what is wanted
	wants []want // in the order of item.Compare; empty when nothing changed
	gone  []string
	// mixed are the folders of the target, below base, that hold something that is neither wanted nor ours.
	mixed   map[string]bool
	foreign []string // what that is
	// pinned are mount points below base, and the folders that they lie in: never renamed or removed.
	pinned map[string]bool
	// there are the folders right below base, and ".", that exist.
	there   map[string]bool
	changed int
	copied  int64 // bytes of changed files
	// learned says that contents had to be read to find out that they are the same.
	learned bool
}

// look lists the target, as far as it can hold what is wanted, and compares. The manifest may be nil.
func (j *job) look(ctx context.Context, before *manifest.Manifest) (*plan, error) {
	p := &plan{mixed: map[string]bool{}, there: map[string]bool{}}
	for i := range j.pieces {
		p.count += len(j.pieces[i].items)
	}
	if j.nothingNew(ctx, before) {
		return p, nil
	}
	p.pinned = j.pinned()
	p.wants = make([]want, 0, p.count)
	for i := range j.pieces {
		pc := &j.pieces[i]
		for n := range pc.items {
			name := pc.nameOf(&pc.items[n])
			if name == "." && j.target.keeps() {
				continue
			}
			p.wants = append(p.wants, want{path: name, item: &pc.items[n], piece: pc})
		}
	}
	if len(j.pieces) > 1 {
		slices.SortStableFunc(p.wants, func(a, b want) int { return item.Compare(a.path, b.path) })
		if err := p.overlap(); err != nil {
			return nil, err
		}
	}
	p.count = len(p.wants)
	now, err := j.list(ctx, p, before)
	if err != nil {
		return nil, err
	}
	j.inherits = len(now) > 0 && now[0].Path == "." && now[0].Mode&item.Setgid != 0
	for i := range now {
		if it := &now[i]; it.Kind == item.Dir && !strings.Contains(it.Path, "/") {
			p.there[it.Path] = true
		}
	}
	p.join(now, before, j)
	if err := p.blocked(j.published, j.cfg.Delete); err != nil {
		return nil, err
	}
	if err := j.settle(ctx, p); err != nil {
		return nil, err
	}
	for i := range p.wants {
		w := &p.wants[i]
		if !w.same {
			p.changed++
			if w.item.Kind == item.File {
				p.copied += w.item.Size
			}
		}
	}
	return p, nil
}

// nameOf is the path of an item below base.
func (pc *piece) nameOf(it *item.Item) string {
	switch {
	case pc.file, it.Path == ".":
		return pc.at
	case pc.at == ".":
		return it.Path
	}
	return pc.at + "/" + it.Path
}

// overlap merges folders that several sources have, and refuses files.
func (p *plan) overlap() error {
	kept := p.wants[:0]
	for _, w := range p.wants {
		if n := len(kept); n > 0 && kept[n-1].path == w.path {
			last := kept[n-1]
			if last.item.Kind != item.Dir || w.item.Kind != item.Dir {
				return fmt.Errorf("sources %s and %s both have %s\nhint: leave one out with --exclude", last.piece.shown, w.piece.shown, w.path)
			}
			continue
		}
		kept = append(kept, w)
	}
	p.wants = kept
	return nil
}

// list is what the target holds. Folders that hold nothing of ours are named, and not entered.
func (j *job) list(ctx context.Context, p *plan, before *manifest.Manifest) ([]item.Item, error) {
	if !j.target.exists {
		return nil, nil
	}
	folders := map[string]bool{".": true}
	last := "."
	known := func(name string, kind item.Kind) {
		if kind != item.Dir {
			name = name[:max(0, strings.LastIndexByte(name, '/'))]
		}
		if name == last || name == "" {
			return // neighbours lie in one folder
		}
		last = name
		for ; !folders[name]; name = path.Dir(name) {
			folders[name] = true
		}
	}
	for i := range p.wants {
		known(p.wants[i].path, p.wants[i].item.Kind)
	}
	if before != nil {
		for i := range before.Entries {
			known(before.Entries[i].Path, before.Entries[i].Kind)
		}
	}
	var mu sync.Mutex
	listing, err := tree.Scan(ctx, j.published, tree.ScanOptions{
		Workers: j.cfg.Workers, Specials: tree.SkipSpecials,
		Choose: func(name string, dir bool) tree.Verdict {
			if hidden(name) {
				return tree.Leave
			}
			if dir && !folders[name] && name == place.Shelter && j.parent == j.published && j.stage != nil && j.stage.MadeShelter() {
				return tree.Leave // an archive is staged in there just now
			}
			if dir && !folders[name] {
				mu.Lock()
				defer mu.Unlock()
				p.stranger(name)
				return tree.Leave
			}
			return tree.Take
		},
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at the target: %w", err)
	}
	for _, name := range listing.Skipped { // a socket that somebody listens on, say
		p.stranger(name)
	}
	return listing.Items, nil
}

// hidden tells whether a name at the target is initcopy's own: stages, manifests.
func hidden(name string) bool {
	base := name[strings.LastIndexByte(name, '/')+1:]
	if !strings.HasPrefix(base, ".") {
		return false
	}
	return strings.HasPrefix(base, ".initcopy-") || strings.HasSuffix(base, manifestEnding) ||
		strings.HasPrefix(base, "..") && strings.Contains(base, manifestEnding+".tmp-")
}

// stranger notes something that others put at the target.
func (p *plan) stranger(name string) {
	p.foreign = append(p.foreign, name)
	for dir := path.Dir(name); !p.mixed[dir]; dir = path.Dir(dir) {
		p.mixed[dir] = true
		if dir == "." {
			break
		}
	}
}

// join walks what is wanted, what is there and what the manifest says side by side: all three have one order.
func (p *plan) join(now []item.Item, before *manifest.Manifest, j *job) {
	var entries []manifest.Entry
	if before != nil {
		entries = before.Entries
	}
	e, n := 0, 0
	// pass takes what is not wanted: published earlier, or put there by others.
	pass := func(until string, all bool) {
		for n < len(now) && (all || item.Compare(now[n].Path, until) < 0) {
			it := &now[n]
			if it.Path == "." {
				n++
				continue
			}
			for e < len(entries) && item.Compare(entries[e].Path, it.Path) < 0 {
				e++
			}
			if e < len(entries) && entries[e].Path == it.Path && untouched(&entries[e], it) {
				p.gone = append(p.gone, it.Path)
			} else {
				p.stranger(it.Path)
			}
			n++
		}
	}
	for i := range p.wants {
		w := &p.wants[i]
		pass(w.path, false)
		for e < len(entries) && item.Compare(entries[e].Path, w.path) < 0 {
			e++
		}
		if e < len(entries) && entries[e].Path == w.path {
			w.before = &entries[e]
		}
		if n < len(now) && now[n].Path == w.path {
			w.now = &now[n]
			n++
			w.ours = w.before != nil && untouched(w.before, w.now)
			w.same = w.ours && j.alike && w.unchanged(j.rules) && !(j.cfg.Verify && w.item.Kind == item.File)
		}
	}
	pass("", true)
}

// unchanged tells without reading whether the copy, which nobody touched, still is what the source says.
func (w *want) unchanged(rules item.Rules) bool {
	b := w.before
	if uid, gid := rules.OwnerOf(w.item); uid != b.UID || gid != b.GID {
		return false
	}
	if b.Kind != w.item.Kind || b.Mode != rules.ModeOf(w.item) && b.Kind != item.Symlink {
		return false
	}
	switch b.Kind {
	case item.Dir: // its times change with its content
		return w.now == nil || w.now.Mode == b.Got
	case item.Symlink:
		return b.Link == w.item.Link
	}
	if !w.item.Sum.IsZero() {
		return w.item.Sum == b.Sum
	}
	if b.Source.IsZero() || b.Source != manifest.Of(w.item) {
		return false
	}
	w.item.Sum = b.Sum
	return true
}

// settle reads where the kernel's word is not enough: a source or a copy that may have changed and has the same length.
func (j *job) settle(ctx context.Context, p *plan) error {
	var sources, copies []*want
	for i := range p.wants {
		w := &p.wants[i]
		if w.same || w.now == nil || w.now.Kind != w.item.Kind {
			continue
		}
		switch w.item.Kind {
		case item.Dir:
			// What others share keeps its attributes.
			w.same = j.attributesSame(w) || p.mixed[w.path] && !j.cfg.Delete || p.pinned[w.path]
			continue
		case item.Symlink:
			w.same = w.now.Link == w.item.Link && j.ownerSame(w)
			continue
		}
		if w.now.Size != w.item.Size || j.cfg.Digest == "none" || !j.attributesSame(w) {
			continue
		}
		if w.ours && !j.cfg.Verify {
			w.now.Sum = w.before.Sum
		} else {
			copies = append(copies, w)
		}
		if w.item.Sum.IsZero() {
			sources = append(sources, w)
		}
	}
	p.learned = len(copies)+len(sources) > 0 || !j.alike
	if err := j.read(ctx, copies, func(w *want) (string, *item.Item) { return j.published, w.now }); err != nil {
		return err
	}
	bySource := map[*piece][]*want{}
	for _, w := range sources {
		bySource[w.piece] = append(bySource[w.piece], w)
	}
	for pc, list := range bySource {
		if err := j.read(ctx, list, func(w *want) (string, *item.Item) { return pc.dir, w.item }); err != nil {
			return err
		}
	}
	for i := range p.wants {
		w := &p.wants[i]
		if !w.same && w.item.Kind == item.File && w.now != nil && w.now.Kind == item.File && j.attributesSame(w) {
			w.same = !w.item.Sum.IsZero() && w.item.Sum == w.now.Sum
		}
	}
	return nil
}

// read fills the digests of files that lie below one folder.
func (j *job) read(ctx context.Context, list []*want, of func(*want) (string, *item.Item)) error {
	if len(list) == 0 {
		return nil
	}
	dir := ""
	items := make([]item.Item, len(list))
	for i, w := range list {
		d, it := of(w)
		dir, items[i] = d, *it
	}
	if err := tree.Sums(ctx, dir, items, j.cfg.Workers, nil); err != nil {
		return err
	}
	for i, w := range list {
		_, it := of(w)
		it.Sum = items[i].Sum
	}
	return nil
}
