package keep

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// move renames a file to a name that is free, else the error wraps fs.ErrExist. same tells whether the file with the new name is the one that was meant: the application may
// have rotated in the same moment; then it gets its name back.
func move(from, to string, same func(fs.FileInfo) bool) error {
	if err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	info, err := os.Lstat(to)
	if err != nil || same(info) {
		return err
	}
	if err := unix.Renameat2(unix.AT_FDCWD, to, unix.AT_FDCWD, from, unix.RENAME_NOREPLACE); err != nil {
		return &os.LinkError{Op: "rename", Old: to, New: from, Err: err}
	}
	return errOther
}

var errOther = errors.New("the application rotated it in the same moment")
