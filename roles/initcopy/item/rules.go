package item

import "io/fs"

// Keep stands for "leave the owner as it is" in Rules.
const Keep = -1

// Rules says which attributes a copy gets. The zero value is not useful: start from Default.
type Rules struct {
	// UID and GID own every copy, or Keep: the source's, where that is permitted.
	UID, GID int
	// Owner is false where the source's owner means nothing (an archive made on another machine): copies then belong
	// to the process, unless UID or GID say otherwise.
	Owner bool
	// Chmod changes modes, in the order given.
	Chmod Changes
	// Umask is taken away from every mode, after Chmod.
	Umask uint32
	// Special keeps setuid, setgid and sticky of files. A folder's setgid that comes from the folder it is made in is
	// always kept, whatever this says.
	Special bool
}

// Default keeps everything, as `cp -a` does.
func Default() Rules { return Rules{UID: Keep, GID: Keep, Owner: true, Special: true} }

// ModeOf is the mode that a copy of it gets.
func (r Rules) ModeOf(it *Item) uint32 {
	mode := it.Mode
	if !r.Special {
		mode &= Perm
	}
	return r.Chmod.Apply(it.Kind, mode) &^ r.Umask
}

// OwnerOf is who should own a copy of it: user and group id, Keep for whoever makes it.
func (r Rules) OwnerOf(it *Item) (uid, gid int) {
	uid, gid = r.UID, r.GID
	if r.Owner && uid == Keep {
		uid = int(it.UID)
	}
	if r.Owner && gid == Keep {
		gid = int(it.GID)
	}
	return uid, gid
}

// FileMode is a mode as package os writes it.
func FileMode(mode uint32) fs.FileMode {
	m := fs.FileMode(mode & Perm)
	if mode&Setuid != 0 {
		m |= fs.ModeSetuid
	}
	if mode&Setgid != 0 {
		m |= fs.ModeSetgid
	}
	if mode&Sticky != 0 {
		m |= fs.ModeSticky
	}
	return m
}
