package initcopy

import (
	"context"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
	"github.com/sidecar-kit/sidecar/roles/initcopy/manifest"
	"github.com/sidecar-kit/sidecar/roles/initcopy/tree"
)

// nothingNew is the short way to the most frequent answer: the sources are what they were, and the kernel says of every
// copy what it said when it was published. Then it does not matter what else the target holds, and the target is not
// listed. The long way finds the same out, and everything else.
func (j *job) nothingNew(ctx context.Context, before *manifest.Manifest) bool {
	if before == nil || !j.alike || j.cfg.Verify || j.cfg.Delete || !j.target.exists || len(j.pieces) != 1 || j.otherInputs() {
		return false
	}
	pc, entries := &j.pieces[0], before.Entries
	items := pc.items
	if len(items) > 0 && items[0].Path == "." && pc.at == "." && j.target.keeps() {
		items = items[1:]
	}
	if len(items) != len(entries) {
		return false
	}
	w := want{piece: pc}
	for i := range items {
		w.item, w.before = &items[i], &entries[i]
		if entries[i].Path != pc.nameOf(w.item) || !w.unchanged(j.rules) {
			return false
		}
	}
	return tree.Holds(ctx, j.published, len(entries), j.cfg.Workers,
		func(i int) string { return entries[i].Path },
		func(i int, it *item.Item) bool {
			e := &entries[i]
			return untouched(e, it) && (it.Kind != item.Dir || it.Mode == e.Got)
		})
}

// untouched tells whether it is what was published: of a folder, that it is the same folder.
func untouched(e *manifest.Entry, it *item.Item) bool {
	return e.Kind == it.Kind && e.Copy.Ino == it.Ident.Ino && (it.Kind == item.Dir || e.Copy == manifest.Of(it))
}
