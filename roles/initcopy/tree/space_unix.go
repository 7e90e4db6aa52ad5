//go:build unix

package tree

import (
	"os"

	"golang.org/x/sys/unix"
)

// Free asks the file system that dir lies on.
func Free(dir string) (Space, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return Space{}, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	s := Space{Bytes: int64(st.Bavail) * int64(st.Bsize), Inodes: int64(st.Ffree), Block: int64(st.Bsize)}
	if st.Blocks == 0 { // tmpfs without a size
		s.Bytes = Unlimited
	}
	if st.Files == 0 { // inodes are made as needed
		s.Inodes = Unlimited
	}
	return s, nil
}
