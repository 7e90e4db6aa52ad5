package stream

import (
	"errors"
	"io"
	"runtime"

	"golang.org/x/sys/unix"
)

// pipeSize is what a pipe may hold. Larger pipes carry more per system call,
// as far as the sockets have it; the kernel allows users 1 MB by default.
const pipeSize = 1 << 20

// pipe is where the kernel keeps pages between two sockets.
type pipe struct {
	ends
	left    int // bytes in it
	cleanup runtime.Cleanup
}

type ends struct{ r, w int }

func (e ends) close() {
	_ = unix.Close(e.r)
	_ = unix.Close(e.w)
}

// getPipe lends an empty pipe; nil when there are no descriptors.
func (p *Pool) getPipe() *pipe {
	if v, ok := p.pipes.Get().(*pipe); ok {
		return v
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil
	}
	// A smaller one works, too.
	_, _ = unix.FcntlInt(uintptr(fds[0]), unix.F_SETPIPE_SZ, pipeSize)
	v := &pipe{ends: ends{fds[0], fds[1]}}
	// The pool forgets pipes at a garbage collection.
	v.cleanup = runtime.AddCleanup(v, ends.close, v.ends)
	return v
}

// putPipe takes a pipe back. One that still holds bytes of a stream is closed.
func (p *Pool) putPipe(v *pipe) {
	if v.left != 0 {
		v.cleanup.Stop()
		v.close()
		return
	}
	p.pipes.Put(v)
}

// fill moves what the source has at hand into a pipe. It is not done when the
// bytes have to be copied after all; ready is the answer to RawConn.Read.
func (f *flow) fill(fd int) (done, ready bool) {
	p := f.relay.opts.Pool.getPipe()
	if p == nil {
		f.bulk, f.fills = false, 0 // asked again after the next full reads
		return false, false
	}
	n, err := splice(fd, p.w, pipeSize)
	switch {
	case errors.Is(err, unix.EAGAIN):
		f.relay.opts.Pool.putPipe(p)
		return true, false
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM):
		f.relay.opts.Pool.putPipe(p)
		f.noSplice = true
		return false, false
	case err != nil:
		f.relay.opts.Pool.putPipe(p)
		f.err = err
		return true, true
	case n == 0:
		f.relay.opts.Pool.putPipe(p)
		f.err = io.EOF
		return true, true
	}
	p.left = n
	f.pipe = p
	return true, true
}

// pump moves the pipe's content on to the receiver; false ends the flow.
func (f *flow) pump() bool {
	loaded := f.pipe.left
	if f.pourer == nil {
		f.pourer = f.pour
	}
	if err := f.dst.raw.Write(f.pourer); err != nil {
		f.err = err
	}
	if f.pipe.left > 0 {
		err := f.err
		f.release()
		f.receiverLost(err)
		return false
	}
	f.adapt(loaded, smallSize)
	return true
}

// pour runs inside RawConn.Write: false waits until the socket takes more.
func (f *flow) pour(fd uintptr) bool {
	for f.pipe.left > 0 {
		n, err := splice(f.pipe.r, int(fd), f.pipe.left)
		if n > 0 {
			f.pipe.left -= n
			f.count(n)
			continue
		}
		if errors.Is(err, unix.EAGAIN) {
			return false
		}
		if err == nil {
			err = io.ErrShortWrite
		}
		f.err = err
		return true
	}
	return true
}

// splice moves what is at hand and never waits, so the scheduler need not be told: with one processor it would hand that to another
// thread at each call over 20 us, which is each of these. See docs/decisions/0210.
func splice(from, to, size int) (int, error) {
	const flags = unix.SPLICE_F_NONBLOCK | unix.SPLICE_F_MOVE
	for {
		n, _, e := unix.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(size), flags)
		switch e {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, e
		}
	}
}
