package bulk

import (
	"errors"

	"golang.org/x/sys/unix"
)

// goDirect asks the file system to write around the cache; many cannot (some of FUSE, ramfs), which is no error.
func (s *sink) goDirect() { s.direct = s.setDirect(true) == nil }

func (s *sink) setDirect(on bool) error {
	err := setDirect(s.fd, on)
	if err == nil {
		s.direct = on
	}
	return err
}

func (s *source) setDirect(on bool) error { return setDirect(s.fd, on) }

func setDirect(fd int, on bool) error {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return err
	}
	flags &^= unix.O_DIRECT
	if on {
		flags |= unix.O_DIRECT
	}
	_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags)
	return err
}

// behind sends what was written to the disk, a window at a time, and waits for the window before, so that no more than
// two windows are in the cache.
func (s *sink) behind(window int64) error {
	if s.off-s.begun < window {
		return nil
	}
	if err := syncRange(s.fd, s.begun, s.off-s.begun, unix.SYNC_FILE_RANGE_WRITE); err != nil {
		return err
	}
	if s.begun > s.synced {
		const wait = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
		if err := syncRange(s.fd, s.synced, s.begun-s.synced, wait); err != nil {
			return err
		}
		drop(s.fd, s.synced, s.begun-s.synced)
	}
	s.synced, s.begun = s.begun, s.off
	return nil
}

// syncRange reports what the disk has to say. That a file system does not know the call is no error: the pages are then
// written when the kernel likes.
func syncRange(fd int, off, n int64, flags int) error {
	err := unix.SyncFileRange(fd, off, n, flags)
	if errors.Is(err, unix.EIO) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return err
	}
	return nil
}

// drop takes clean pages out of the cache. It is advice: an error changes nothing.
func drop(fd int, off, n int64) { _ = unix.Fadvise(fd, off, n, unix.FADV_DONTNEED) }
