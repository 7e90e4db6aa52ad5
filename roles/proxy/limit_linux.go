package proxy

import "golang.org/x/sys/unix"

// descriptors is how many connections the limit of descriptors allows, each with one to its upstream, and some for the rest.
func descriptors() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil || limit.Cur > 1<<24 {
		return 1 << 20
	}
	return max(16, (int(limit.Cur)-64)/2) //nolint:gosec // bounded above
}
