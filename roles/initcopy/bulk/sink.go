package bulk

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// sink writes content front to back into one file.
type sink struct {
	fd     int
	off    int64 // where the next byte goes
	direct bool  // O_DIRECT is set
	synced int64 // content before it is on the disk and out of the cache
	begun  int64 // content before it is on its way to the disk
}

// write appends b. It is fastest when b is aligned and a multiple of align long, except for the last one.
func (s *sink) write(b []byte) error {
	if s.direct {
		whole := len(b) &^ (align - 1)
		if s.off%align != 0 {
			whole = 0
		}
		err := s.writeAll(b[:whole])
		if err != nil && !errors.Is(err, unix.EINVAL) {
			return err
		}
		if err == nil {
			b = b[whole:]
			s.synced, s.begun = s.off, s.off // nothing of it is in the cache
		}
		if len(b) == 0 {
			return nil
		}
		// The end of the file, or a file system that takes the flag and then refuses to write (some of FUSE).
		if err := s.setDirect(false); err != nil {
			return err
		}
	}
	if err := s.writeAll(b); err != nil {
		return err
	}
	return s.behind(window)
}

// writeAll leaves off behind the last byte that was written.
func (s *sink) writeAll(b []byte) error {
	for len(b) > 0 {
		n, err := unix.Pwrite(s.fd, b, s.off)
		if n > 0 {
			s.off += int64(n)
			b = b[n:]
			if s.direct && n%align != 0 {
				return unix.EINVAL // the rest is no longer aligned
			}
		}
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
		case err != nil:
			return err
		case n == 0:
			return io.ErrShortWrite
		}
	}
	return nil
}
