//go:build !linux

package run

import (
	"errors"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sidecar-kit/sidecar/internal/proc"
	"github.com/sidecar-kit/sidecar/internal/procfs"
)

// engine is the plain way, for systems without epoll and pidfds: a goroutine
// for each stream and each process.
type engine struct {
	r   *Runner
	mu  sync.Mutex
	buf []byte
}

func (e *engine) open(r *Runner) error {
	e.r, e.buf = r, make([]byte, 64<<10)
	return nil
}

func (e *engine) close() {}

func (e *engine) buffer() []byte { return e.buf }

func (e *engine) wantPidfd(*syscall.SysProcAttr) *int {
	fd := -1
	return &fd
}

func (e *engine) watch(x *Run, pipes [2]int, _ int) {
	for i := range pipes {
		go e.follow(&x.streams[i], pipes[i])
	}
	go e.waitFor(x)
}

// follow polls one stream until it is closed.
func (e *engine) follow(s *stream, fd int) {
	for {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, 500); err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		e.r.out.Lock()
		if s.fd >= 0 && fds[0].Revents != 0 {
			s.read(false)
			s.x.output(false)
		}
		open := s.fd >= 0
		e.r.out.Unlock()
		if !open {
			return
		}
	}
}

func (e *engine) waitFor(x *Run) {
	var ws syscall.WaitStatus
	var usage syscall.Rusage
	_, err := syscall.Wait4(x.pid, &ws, 0, &usage)
	for errors.Is(err, syscall.EINTR) {
		_, err = syscall.Wait4(x.pid, &ws, 0, &usage)
	}
	x.mu.Lock()
	x.reaped = true
	x.mu.Unlock()
	proc.Forget(x.pid)
	e.r.out.Lock()
	defer e.r.out.Unlock()
	x.exited(ws, &usage, err)
}

func (e *engine) forget(*stream) {}

func pipeCloexec(p *[2]int) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := unix.Pipe(p[:]); err != nil {
		return err
	}
	unix.CloseOnExec(p[0])
	unix.CloseOnExec(p[1])
	return nil
}

func maxRSS(u *syscall.Rusage) int64 { return u.Maxrss }

func textFile(text string) (*os.File, error) { return textPipe(text) }

func tell(p procfs.Process, sig syscall.Signal) { _ = syscall.Kill(p.ID, sig) }

func noNewPrivs() error { return errors.New("Linux only") }
