package proxyproto

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Read takes the header that has to come first on c, and nothing behind it.
// The caller sets the deadline. The socket is looked at without taking
// anything from it until the header is whole.
func Read(c net.Conn) (Header, error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return Header{}, fmt.Errorf("read PROXY header: %T is no socket", c)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return Header{}, fmt.Errorf("read PROXY header: %w", err)
	}
	p := peeker{buf: make([]byte, 256)}
	if err := raw.Read(p.look); err != nil {
		return Header{}, fmt.Errorf("read PROXY header: %w", err)
	}
	if p.err != nil {
		return Header{}, p.err
	}
	if _, err := io.ReadFull(c, p.buf[:p.size]); err != nil {
		return Header{}, fmt.Errorf("read PROXY header: %w", err)
	}
	return p.header, nil
}

type peeker struct {
	buf    []byte
	header Header
	size   int
	err    error
}

// look is true when the header is whole, or cannot become it.
func (p *peeker) look(fd uintptr) bool {
	for {
		n, _, err := unix.Recvfrom(int(fd), p.buf, unix.MSG_PEEK)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return false
		case err != nil:
			p.err = fmt.Errorf("read PROXY header: %w", err)
			return true
		case n == 0:
			p.err = fmt.Errorf("read PROXY header: %w", io.ErrUnexpectedEOF)
			return true
		}
		p.header, p.size, p.err = Parse(p.buf[:n])
		if p.size > 0 || p.err != nil {
			return true
		}
		if n < len(p.buf) {
			return false
		}
		p.buf = make([]byte, maxV2)
	}
}
