//go:build unix

package unpack

import (
	"os"

	"golang.org/x/sys/unix"
)

// setLinkTime sets the time of a symbolic link in an open folder.
func setLinkTime(dir *os.File, base string, mtime int64) error {
	ts := []unix.Timespec{unix.NsecToTimespec(mtime), unix.NsecToTimespec(mtime)}
	if err := unix.UtimesNanoAt(int(dir.Fd()), base, ts, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "utimensat", Path: join(dir.Name(), base), Err: err}
	}
	return nil
}

// chownLink sets the owner of a symbolic link in an open folder.
func chownLink(dir *os.File, base string, uid, gid int) error {
	if err := unix.Fchownat(int(dir.Fd()), base, uid, gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "fchownat", Path: join(dir.Name(), base), Err: err}
	}
	return nil
}
