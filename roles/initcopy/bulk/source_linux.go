package bulk

import (
	"errors"

	"golang.org/x/sys/unix"
)

// probe reads what of the first buffer is in the cache. When that is not all of it, the file was not in use, and its pages
// need not stay after the copy.
func (s *source) probe(buf []byte, off int64) (n int, cold bool) {
	n, err := unix.Preadv2(s.fd, [][]byte{buf}, off, unix.RWF_NOWAIT)
	if err != nil {
		return 0, !errors.Is(err, unix.ENOSYS)
	}
	return n, n < len(buf)
}

// extent is the next piece of the file with content, at or after off; at size there is none.
func (s *source) extent(off, size int64) (data, hole int64) {
	data, err := unix.Seek(s.fd, off, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO):
		return size, size
	case err != nil: // a file system that does not tell
		return off, size
	}
	hole, err = unix.Seek(s.fd, data, unix.SEEK_HOLE)
	if err != nil || hole > size {
		hole = size
	}
	return min(data, size), hole
}

// clone shares the blocks of the source, where the file system has such a thing.
func clone(dst, src int) bool { return unix.IoctlFileClone(dst, src) == nil }
