package unpack

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// setTime sets both times of an open file; mtime is in nanoseconds since 1970.
func setTime(f *os.File, mtime int64) error {
	c, err := f.SyscallConn() // Fd would change the file's mode first, by two calls
	if err != nil {
		return err
	}
	ts := [2]unix.Timespec{unix.NsecToTimespec(mtime), unix.NsecToTimespec(mtime)}
	var errno unix.Errno
	err = c.Control(func(fd uintptr) {
		// What the C library calls futimens: utimensat without a path.
		_, _, errno = unix.Syscall6(unix.SYS_UTIMENSAT, fd, 0, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
	})
	if err == nil && errno != 0 {
		err = &os.PathError{Op: "utimensat", Path: f.Name(), Err: errno}
	}
	return err
}

// forget lets the page cache drop a part of a file that was read. That it cannot is no error.
func forget(f *os.File, off, n int64) {
	_ = unix.Fadvise(int(f.Fd()), off, n, unix.FADV_DONTNEED)
}

// noLinks tells whether the file system has no hard links, or not enough.
func noLinks(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EMLINK)
}
