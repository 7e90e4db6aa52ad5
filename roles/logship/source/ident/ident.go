// Package ident says which file is which: what a file system knows of one, hashes of its first bytes and of the bytes before a
// position, and which names are those of a rotated file. Its user is source.
package ident

import (
	"io/fs"
	"time"

	"github.com/sidecar-kit/sidecar/roles/logship/state"
)

// HeadMax is how many bytes of a file are hashed at most to know it again.
const HeadMax = 1024

// CheckLen is how many bytes before a position are compared to see that a file is still the same there.
const CheckLen = 64

// Key is what two names of one file have in common.
type Key struct{ Dev, Ino uint64 }

// Stat is what the file system knows of a file.
type Stat struct {
	Key
	Born  int64 // birth time, nanoseconds since 1970; 0: the file system has none
	Size  int64
	Mtime int64 // nanoseconds since 1970
	Mode  fs.FileMode
	Links uint64
}

// Regular says that it is a plain file.
func (s Stat) Regular() bool { return s.Mode.IsRegular() }

// Age is how long ago the file was written to.
func (s Stat) Age(now time.Time) time.Duration { return now.Sub(time.Unix(0, s.Mtime)) }

// Is says whether a file that is found now can be the one that was known: the same inode, born at the same time where that is
// known. Sameness of the content is another question.
func (s Stat) Is(id state.Identity) bool {
	return s.Dev == id.Dev && s.Ino == id.Ino && (s.Born == 0 || id.Born == 0 || s.Born == id.Born)
}

// Hash is FNV-1a. It is stored, so it may never change.
func Hash(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}

// Agree says whether bytes that were read earlier are still what they were. Zero bytes are places that nobody had written to yet:
// they agree with everything.
func Agree(earlier, now []byte) bool {
	if len(now) < len(earlier) {
		return false
	}
	for i, c := range earlier {
		if c != now[i] && c != 0 {
			return false
		}
	}
	return true
}
