//go:build !linux

package web

import "golang.org/x/sys/unix"

// gone reports whether the peer closed or broke the connection. Bytes in front
// of the end hide it.
func gone(fd int) bool {
	var p [1]byte
	n, _, err := unix.Recvfrom(fd, p[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return n == 0 && err == nil || err != nil && err != unix.EAGAIN && err != unix.EINTR
}

func rawRead(fd int, p []byte) (int, error)  { return unix.Read(fd, p) }
func rawWrite(fd int, p []byte) (int, error) { return unix.Write(fd, p) }
func rawPoll(p []unix.PollFd) (int, error)   { return unix.Poll(p[:1], 0) }
