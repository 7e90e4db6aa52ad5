package bulk

import (
	"errors"

	"golang.org/x/sys/unix"
)

// source reads one file front to back.
type source struct {
	fd      int
	asked   bool  // whether it was in the cache before is known
	cold    bool  // it was not, and need not be afterwards
	large   bool  // worth going around the cache
	direct  bool  // O_DIRECT is set
	dropped int64 // content before it is out of the cache again
}

// fill reads at off until buf is full or the content ends.
func (s *source) fill(buf []byte, off int64) (int, error) {
	done := 0
	if !s.asked {
		s.asked = true
		if done, s.cold = s.probe(buf, off); s.cold && s.large && s.setDirect(true) == nil {
			s.direct, done = true, 0
		}
	}
	for done < len(buf) {
		n, err := unix.Pread(s.fd, s.rounded(buf[done:]), off+int64(done))
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
		case err != nil && s.direct && errors.Is(err, unix.EINVAL):
			// An odd offset after a short read, or a file system that takes the flag and then does not read.
			s.direct = false
			if err := s.setDirect(false); err != nil {
				return done, err
			}
		case err != nil:
			return done, err
		case n == 0:
			s.behind(off + int64(done))
			return done, nil
		default:
			done += min(n, len(buf)-done)
		}
	}
	s.behind(off + int64(done))
	return done, nil
}

// rounded makes a read as long as O_DIRECT wants it, which the capacity of every buffer allows.
func (s *source) rounded(b []byte) []byte {
	if n := (len(b) + align - 1) &^ (align - 1); s.direct && n <= cap(b) {
		return b[:n]
	}
	return b
}

// behind drops a window of pages that were read only for this copy.
func (s *source) behind(off int64) {
	if s.cold && !s.direct && off-s.dropped >= window {
		drop(s.fd, s.dropped, off-s.dropped)
		s.dropped = off
	}
}

// finish drops the rest, and leaves the descriptor as it was.
func (s *source) finish() {
	if s.cold {
		drop(s.fd, s.dropped, 0)
	}
	if s.direct {
		_ = s.setDirect(false)
	}
}
