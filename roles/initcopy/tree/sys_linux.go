package tree

import (
	"errors"
	"io"
	"unsafe"

	"golang.org/x/sys/unix"
)

// times keeps the time of the last access as it is: nobody has read the copy yet.
func times(mtime int64) []unix.Timespec {
	return []unix.Timespec{{Nsec: unix.UTIME_OMIT}, unix.NsecToTimespec(mtime)}
}

// setTime is futimens(3), which package unix does not have.
func setTime(fd int, mtime int64) error {
	ts := [2]unix.Timespec{{Nsec: unix.UTIME_OMIT}, unix.NsecToTimespec(mtime)}
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// readFull reads until want bytes are there or the content ends. One call suffices for nearly every file.
func readFull(fd int, buf []byte, want int) (int, error) {
	done := 0
	for done < want {
		n, err := unix.Read(fd, buf[done:want])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return done, err
		}
		done += n
		if n == 0 || done == want-1 {
			break
		}
	}
	return done, nil
}

func writeFull(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return err
		case n == 0:
			return io.ErrShortWrite
		default:
			b = b[n:]
		}
	}
	return nil
}
