//go:build unix && !linux

package unpack

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// setTime sets both times of an open file; mtime is in nanoseconds since 1970.
func setTime(f *os.File, mtime int64) error {
	tv := []unix.Timeval{unix.NsecToTimeval(mtime), unix.NsecToTimeval(mtime)}
	if err := unix.Futimes(int(f.Fd()), tv); err != nil {
		return &os.PathError{Op: "futimes", Path: f.Name(), Err: err}
	}
	return nil
}

func forget(*os.File, int64, int64) {}

func noLinks(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EMLINK)
}
