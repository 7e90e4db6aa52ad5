package initcopy

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
	"github.com/sidecar-kit/sidecar/roles/initcopy/tree"
)

// enoughFor compares what is to be staged with the space there is, before the first byte is written. Old and new content
// lie side by side until the new one is published.
func (j *job) enoughFor(p *plan, units map[string]*unit) error {
	space, err := tree.Free(j.parent)
	if err != nil {
		return fmt.Errorf("target %s: %w", j.target.dst, err)
	}
	var bytes, inodes int64
	for i := range p.wants {
		w := &p.wants[i]
		u := units[j.unitOf(w.path)]
		if w.piece.staged != "" || w.piece.fetched != "" || j.loose[w.piece] != nil || !u.changed || w.same && (!u.full || w.item.Kind == item.File) {
			continue
		}
		b, n := tree.NeedOf(w.item, space.Block)
		bytes, inodes = bytes+b, inodes+n
	}
	return j.compareSpace(space, bytes, inodes)
}

// enough is the same for what is known by its numbers only.
func (j *job) enough(bytes, entries int64) error {
	space, err := tree.Free(j.parent)
	if err != nil {
		return fmt.Errorf("target %s: %w", j.target.dst, err)
	}
	return j.compareSpace(space, bytes, entries)
}

func (j *job) compareSpace(space tree.Space, bytes, inodes int64) error {
	if space.Bytes != tree.Unlimited && bytes > space.Bytes {
		return fmt.Errorf("target %s: %s are needed and %s are free on the file system of %s\nhint: make the volume larger (sizeLimit of an emptyDir counts, too); old and new content are there side by side for a moment",
			j.target.dst, sizeText(bytes), sizeText(space.Bytes), j.parent)
	}
	if space.Inodes != tree.Unlimited && inodes > space.Inodes {
		return fmt.Errorf("target %s: %d inodes are needed and %d are free on the file system of %s\nhint: make the volume larger, or copy fewer files",
			j.target.dst, inodes, space.Inodes, j.parent)
	}
	return nil
}

// sizeText is a number of bytes for people, with the exact number.
func sizeText(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= u.size {
			return fmt.Sprintf("%.1f %s (%d bytes)", float64(n)/float64(u.size), u.name, n)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

// explainRoom adds the remedy where room ended in spite of the look that was taken before: others write, too, and some
// archives do not say how large they become.
func explainRoom(err error) error {
	if err == nil || strings.Contains(err.Error(), "hint:") {
		return err
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w\nhint: make the volume larger (sizeLimit of an emptyDir counts, too); old and new content are there side by side for a moment", err)
	}
	return err
}
