package starttls

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// nothingAhead refuses a server that sent more than its answer before TLS
// began. Bytes that arrive later go into the TLS handshake, which they break.
func nothingAhead(c net.Conn) error {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil // a pipe of a test
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	var n int
	var peeked error
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, peeked = unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	})
	switch {
	case err != nil:
		return err
	case n > 0:
		return errInjected
	case errors.Is(peeked, unix.EAGAIN), errors.Is(peeked, unix.EINTR):
		return nil
	default:
		return peeked
	}
}
