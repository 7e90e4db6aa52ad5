package web

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// These calls never wait: sockets are non-blocking. So the scheduler need not be told of them. It would otherwise take the
// processor away from a call that lasts longer than 20 us, and keep a thread awake to look for such calls: with one processor,
// as a small pod has, that costs more than the bookkeeping.

func rawRead(fd int, p []byte) (int, error) {
	return number(unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))) //nolint:gosec // a system call
}

func rawWrite(fd int, p []byte) (int, error) {
	return number(unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))) //nolint:gosec // a system call
}

// rawPoll asks without waiting.
func rawPoll(p []unix.PollFd) (int, error) {
	var now unix.Timespec
	r, _, e := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p[0])), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0) //nolint:gosec // a system call
	return number(r, 0, e)
}

func number(r, _ uintptr, e syscall.Errno) (int, error) {
	if e != 0 {
		return 0, e
	}
	return int(r), nil
}

// gone reports whether the peer closed or broke the connection, even when
// there are bytes in front of its end.
func gone(fd int) bool {
	p := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(p[:], 0)
	return err == nil && n > 0 && p[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
}
