package listen

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// quick reads and writes a socket without telling the scheduler: the socket never blocks. See socket_linux.go of package web.
type quick struct {
	net.Conn
	raw     syscall.RawConn
	in, out func(fd uintptr) bool
	r, w    moved
}

// moved is a call under way, of the reader or of the writer.
type moved struct {
	p   []byte
	n   int
	err error
}

// quickly returns c where it has no descriptor.
func quickly(c net.Conn) net.Conn {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return c
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return c
	}
	q := &quick{Conn: c, raw: raw}
	q.in, q.out = q.tryRead, q.tryWrite
	return q
}

func (q *quick) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	q.r = moved{p: p}
	err := q.raw.Read(q.in)
	n, got := q.r.n, q.r.err
	q.r = moved{}
	if got != nil {
		err = got
	}
	return n, err
}

func (q *quick) Write(p []byte) (int, error) {
	q.w = moved{p: p}
	err := q.raw.Write(q.out)
	n, got := q.w.n, q.w.err
	q.w = moved{}
	if got != nil {
		err = got
	}
	return n, err
}

func (q *quick) tryRead(fd uintptr) bool {
	for {
		n, _, e := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(unsafe.SliceData(q.r.p))), uintptr(len(q.r.p))) //nolint:gosec // a system call
		switch {
		case e == unix.EINTR:
			continue
		case e == unix.EAGAIN:
			return false
		case e != 0:
			q.r.err = os.NewSyscallError("read", e)
		case n == 0:
			q.r.err = io.EOF
		default:
			q.r.n = int(n)
		}
		return true
	}
}

func (q *quick) tryWrite(fd uintptr) bool {
	for q.w.n < len(q.w.p) {
		rest := q.w.p[q.w.n:]
		n, _, e := unix.RawSyscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(unsafe.SliceData(rest))), uintptr(len(rest))) //nolint:gosec // a system call
		switch {
		case e == unix.EINTR:
		case e == unix.EAGAIN:
			return false
		case e != 0:
			q.w.err = os.NewSyscallError("write", e)
			return true
		default:
			q.w.n += int(n)
		}
	}
	return true
}
