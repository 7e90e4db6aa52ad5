package unpack

import (
	"context"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

// links makes the symbolic links. It comes after all files, and every link is checked with all others known.
func (r *run) links(ctx context.Context) error {
	for i := range r.plan.entries {
		e := &r.plan.entries[i]
		if e.Kind != item.Symlink || e.gone {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if reason := r.plan.leads(e.Path, e.Link); reason != "" && r.o.Links != Keep {
			if r.o.Links != Skip {
				return reject(e.Path, "is a symbolic link to "+quote(e.Link)+" and "+reason,
					"leave it out with --links=skip; or, if you trust the archive, make it with --links=keep")
			}
			r.rep.Skipped++
			continue
		}
		if err := r.link(e); err != nil {
			return in(e.Path, err)
		}
		r.rep.Links++
	}
	return nil
}

func (r *run) link(e *entry) error {
	dir, base := split(e.Path)
	l, err := r.cur.enter(&r.plan, dir)
	if err != nil {
		return err
	}
	if err := l.root.Symlink(e.Link, base); err != nil {
		return exists(e.Path, err)
	}
	e.made = true
	f, err := l.open()
	if err != nil {
		return err
	}
	if uid, gid := r.owner(e); uid != item.Keep || gid != item.Keep {
		if err := chownLink(f, base, uid, gid); err != nil {
			if err := r.unowned(err); err != nil {
				return err
			}
		}
	}
	return setLinkTime(f, base, e.Mtime)
}

// folders gives folders their attributes, those of a folder after those of all below: the mode may shut us out, and
// making a file changes the time.
func (r *run) folders(ctx context.Context) error {
	for _, i := range r.sortedFolders() {
		if err := ctx.Err(); err != nil {
			return err
		}
		e := &r.plan.entries[i]
		l, err := r.cur.enter(&r.plan, e.Path)
		if err != nil {
			return in(e.Path, err)
		}
		f, err := l.open()
		if err == nil {
			err = r.attributes(f, e)
		}
		if err != nil {
			return in(e.Path, err)
		}
		r.rep.Folders++
	}
	return nil
}
