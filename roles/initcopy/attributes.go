package initcopy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
	"github.com/sidecar-kit/sidecar/roles/initcopy/place"
)

// attributesSame compares what a copy would get with what is there. A setgid bit that a folder has from the one it lies
// in is nobody's wish.
func (j *job) attributesSame(w *want) bool {
	mode, now := j.rules.ModeOf(w.item), w.now.Mode
	if w.item.Kind == item.Dir {
		now, mode = now&^item.Setgid, mode&^item.Setgid
	}
	return mode == now && j.ownerSame(w)
}

// ownerSame compares the owner that a copy would get with the one that is there. What cannot be given away, and what an
// earlier run wanted to give to the same owner, counts as the same: trying again would change nothing.
func (j *job) ownerSame(w *want) bool {
	uid, gid := j.rules.OwnerOf(w.item)
	if w.ours && w.before.UID == uid && w.before.GID == gid {
		return true
	}
	if !j.mayGive {
		uid, gid = j.rules.UID, j.rules.GID // what the user asked for is tried
	} else if j.inherits && j.rules.GID == item.Keep {
		gid = item.Keep
	}
	return (uid == item.Keep || uint32(uid) == w.now.UID) && (gid == item.Keep || uint32(gid) == w.now.GID)
}

// dress gives mode and owner to folders that exist and were not replaced as a whole. Those that others put something into
// keep what they have.
func (j *job) dress(p *plan, units map[string]*unit) error {
	var root *os.Root
	for i := range p.wants {
		w := &p.wants[i]
		u := units[j.unitOf(w.path)]
		if w.same || w.item.Kind != item.Dir || u == nil || u.full {
			continue
		}
		switch {
		case w.now == nil && w.path == place.Shelter && u.changed: // it was made for the stage
			w.now = &item.Item{Path: w.path, Kind: item.Dir}
			j.stage.KeepShelter()
		case w.now == nil || w.now.Kind != item.Dir || j.attributesSame(w):
			continue
		}
		if root == nil {
			var err error
			if root, err = os.OpenRoot(j.published); err != nil {
				return err
			}
			defer root.Close()
		}
		if err := j.dressOne(root, w); err != nil {
			return fmt.Errorf("attributes of %s: %w", w.path, err)
		}
	}
	return nil
}

func (j *job) dressOne(root *os.Root, w *want) error {
	f, err := root.Open(w.path)
	if err != nil {
		return err
	}
	defer f.Close()
	uid, gid := j.rules.OwnerOf(w.item)
	if j.inherits && j.rules.GID == item.Keep {
		gid = item.Keep
	}
	if uid != item.Keep || gid != item.Keep {
		if err := f.Chown(uid, gid); err != nil {
			j.warnOwner(1, w.path)
		}
	}
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	mode := j.rules.ModeOf(w.item)
	if fi.Mode()&fs.ModeSetgid != 0 { // from the folder that it lies in
		mode |= item.Setgid
	}
	err = f.Chmod(item.FileMode(mode))
	if errors.Is(err, fs.ErrPermission) {
		j.log.Warn().Str("path", w.path).Str("mode", fmt.Sprintf("%04o", mode)).Msg("mode of a folder not changed, it belongs to another user")
		return nil
	}
	return err
}
