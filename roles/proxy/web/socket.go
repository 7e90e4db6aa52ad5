package web

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// errWait says that there is nothing to read yet. It is a temporary net.Error,
// because tls.Conn takes every other error for the end of the connection.
type waitError struct{}

func (waitError) Error() string   { return "nothing to read yet" }
func (waitError) Timeout() bool   { return true }
func (waitError) Temporary() bool { return true }

var (
	errWait  net.Error = waitError{}
	errStale           = errors.New("the backend closed the idle connection")
)

// socket is a TCP or unix connection below tls.Conn. While try is set, a read
// does not wait but returns errWait, so that the goroutine can wait for bytes
// without a buffer: tls.Conn itself offers no such thing.
type socket struct {
	net.Conn
	raw syscall.RawConn
	fd  int // valid while try is set, which is inside of raw.Read only
	try bool

	// Of the one writer.
	step  func(fd uintptr) bool
	out   []byte
	wrote int
	err   error
}

// newSocket returns nil if c is no TCP or unix socket.
func newSocket(c net.Conn) *socket {
	switch v := c.(type) {
	case *net.TCPConn:
		if raw, err := v.SyscallConn(); err == nil {
			s := &socket{Conn: c, raw: raw}
			s.step = s.tryWrite
			return s
		}
	case *net.UnixConn:
		if raw, err := v.SyscallConn(); err == nil {
			s := &socket{Conn: c, raw: raw}
			s.step = s.tryWrite
			return s
		}
	}
	return nil
}

func (s *socket) Read(p []byte) (int, error) {
	if !s.try {
		return s.Conn.Read(p)
	}
	return readFD(s.fd, p)
}

// Write writes all of p. It belongs to one goroutine at a time.
func (s *socket) Write(p []byte) (int, error) {
	s.out, s.wrote, s.err = p, 0, nil
	err := s.raw.Write(s.step)
	s.out = nil
	if s.err != nil {
		err = s.err
	}
	return s.wrote, err
}

func (s *socket) tryWrite(fd uintptr) bool {
	n, err := writeFD(int(fd), s.out[s.wrote:])
	s.wrote += n
	s.err = err
	return err != nil || s.wrote == len(s.out)
}

// CloseWrite shuts the writing side down.
func (s *socket) CloseWrite() error {
	if half, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return syscall.EINVAL
}

// readFD reads without waiting.
func readFD(fd int, p []byte) (int, error) {
	for {
		n, err := rawRead(fd, p)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return 0, errWait
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// writeFD writes what goes without waiting.
func writeFD(fd int, p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := rawWrite(fd, p[done:])
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return done, nil
		case err != nil:
			return done, os.NewSyscallError("write", err)
		default:
			done += n
		}
	}
	return done, nil
}

// quiet reports whether the socket is open and has nothing to read. An idle
// connection with bytes is as unusable as a closed one: they belong to no
// request and would be taken for the answer to the next. p is room for the
// question, so that it needs no memory.
func quiet(fd int, p []unix.PollFd) bool {
	for {
		p[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
		n, err := rawPoll(p)
		if err != unix.EINTR {
			return n == 0 && err == nil
		}
	}
}
