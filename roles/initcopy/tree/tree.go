// Package tree copies folders: it lists a tree, makes an exact copy of what was listed, and digests content.
//
// It promises that a copy has the modes, times, owners, links, holes and extended attributes of its source as far as the
// process is permitted and Rules want it; that nothing outside of the two roots is read or written, whatever symbolic
// links somebody puts into them meanwhile; and that a file which changes while it is copied is an error that names it. It
// does not publish and does not make durable: the copy is made in a folder nobody looks at, and after an error that
// folder has to be thrown away.
//
// Sources are folders on this machine. It is not for archives, and not for single files of which nothing but the content
// matters.
//
// Used by initcopy.
package tree

import (
	"errors"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

// Listing is what a tree holds.
type Listing struct {
	// Items are sorted as item.Compare says. The root is the first one, with the path ".".
	Items []item.Item
	// Files and Bytes count regular files and their lengths; a file with several names counts once.
	Files int
	Bytes int64
	// Skipped are the paths of FIFOs, sockets and devices that were left out.
	Skipped []string
}

// split cuts a path into its folder, "" for the root, and its last part.
func split(path string) (dir, base string) {
	at := strings.LastIndexByte(path, '/')
	if at < 0 {
		return "", path
	}
	return path[:at], path[at+1:]
}

// Verdict is what happens to an entry.
type Verdict uint8

// Take copies an entry, Leave passes over it and, if it is a folder, its content. Descend is for folders: what lies in it
// is asked about, and the folder is taken if any of that is.
const (
	Take Verdict = iota
	Leave
	Descend
)

// ScanOptions are how a tree is listed. The zero value lists all of it.
type ScanOptions struct {
	// Workers is how many folders are read at once; 0 chooses.
	Workers int
	// Choose decides about every entry but the root, by its path and whether it is a folder; nil takes all. It is called
	// by several goroutines.
	Choose func(path string, dir bool) Verdict
	// Specials says what happens to FIFOs, sockets and devices.
	Specials Specials
}

// Specials is what happens to entries that cannot be copied.
type Specials string

// RefuseSpecials makes a FIFO, socket or device an error, SkipSpecials counts it.
const (
	RefuseSpecials Specials = ""
	SkipSpecials   Specials = "skip"
)

// ErrChanged means that the source did not hold still while it was copied. Trying again may help.
var ErrChanged = errors.New("the source changed")

// errNotRegular is the error for a source that is no regular file.
var errNotRegular = errors.New("not a regular file\nhint: name a file, or a folder whose content is to be copied")
