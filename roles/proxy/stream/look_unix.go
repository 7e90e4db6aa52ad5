package stream

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// The functions below run inside RawConn.Read: false waits until the socket is
// readable again. They borrow a buffer to look and give it back when there is
// nothing, so that a relay that waits holds none.

// lookPlain reads the socket once, or fills a pipe from it.
func (f *flow) lookPlain(fd uintptr) bool {
	if f.bulk && !f.noSplice && f.dst.plain() {
		if done, ready := f.fill(int(fd)); done {
			return ready
		}
	}
	f.borrow()
	n, err := readFD(int(fd), *f.buf)
	if errors.Is(err, errAgain) {
		f.release()
		return false
	}
	f.n, f.err = n, err
	return true
}

// lookTLS decrypts what the socket has at hand, up to a full buffer. Both the
// buffer and what tls.Conn reads into are borrowed.
func (f *flow) lookTLS(fd uintptr) bool {
	src := f.src
	f.borrow()
	size := src.records
	if f.bulk {
		size = recordSize
	}
	src.wire.Lend(src.tls, size)
	src.wire.direct, src.wire.fd = true, int(fd)
	f.n, f.err = readAtHand(src.tls, *f.buf)
	src.wire.direct = false
	if had := src.wire.Reclaim(src.tls); !f.bulk {
		src.records = min(had, recordsFull)
	}
	if f.n == 0 && f.err == nil {
		f.release()
		return false
	}
	return true
}

// readAtHand fills p as far as r can without waiting.
func readAtHand(r io.Reader, p []byte) (int, error) {
	n := 0
	for n < len(p) {
		m, err := r.Read(p[n:])
		n += m
		if errors.Is(err, errAgain) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// readFD is one read without waiting; errAgain when there is nothing.
func readFD(fd int, p []byte) (int, error) {
	for {
		n, err := readNow(fd, p)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return 0, errAgain
		case err != nil:
			return 0, err
		case n == 0 && len(p) > 0:
			return 0, io.EOF
		}
		return n, nil
	}
}
