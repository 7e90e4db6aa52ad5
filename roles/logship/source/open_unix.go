package source

import "golang.org/x/sys/unix"

// openFlags keep open from hanging on a pipe that took the place of a file.
const openFlags = unix.O_NONBLOCK

// maxOpen is half of the files that the process may have open: connections and others need some, too.
func maxOpen() int {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil || lim.Cur/2 > 4096 {
		return 4096
	}
	return max(16, int(lim.Cur/2)) //nolint:gosec // at most 4,096
}
