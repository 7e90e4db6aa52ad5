package proxy

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// begins waits for the first bytes of a connection and tells whether they are these. It takes nothing in.
func begins(c net.Conn, want string) bool {
	conn, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	var got [8]byte
	n := 0
	err = raw.Read(func(fd uintptr) bool {
		n, _, err = unix.Recvfrom(int(fd), got[:len(want)], unix.MSG_PEEK)
		return !errors.Is(err, unix.EAGAIN)
	})
	return err == nil && n == len(want) && string(got[:n]) == want
}
