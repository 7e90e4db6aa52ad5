package run

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sidecar-kit/sidecar/internal/proc"
	"github.com/sidecar-kit/sidecar/internal/procfs"
)

// What an event is about: a stream by its kind, or the process.
const (
	aboutProcess = 2
	aboutBits    = 2
)

// engine waits for all processes and reads all pipes in one goroutine. The
// epoll instance itself is waited for by the runtime, so that no thread is
// parked in it. A process is a descriptor (pidfd) in it, too.
type engine struct {
	r      *Runner
	file   *os.File // the epoll instance
	raw    syscall.RawConn
	epfd   int
	pidfds bool // this kernel has them
	buf    []byte
	full   bool // the last read filled buf

	mu    sync.Mutex
	slots []slot
	free  []uint32
}

// slot is the place of a run in the engine. The generation tells an event of
// the run from a late one of the run that had the place before.
type slot struct {
	x          *Run
	generation uint32
	pidfd      int
	uses       int // descriptors under watch
}

func (e *engine) open(r *Runner) error {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	if err := unix.SetNonblock(epfd, true); err != nil { // or os.NewFile keeps it from the runtime's poller
		closeAll(epfd)
		return err
	}
	e.r, e.epfd, e.buf = r, epfd, make([]byte, 64<<10)
	e.file = os.NewFile(uintptr(epfd), "epoll")
	if e.raw, err = e.file.SyscallConn(); err != nil {
		return errors.Join(err, e.file.Close())
	}
	if fd, err := unix.PidfdOpen(os.Getpid(), 0); err == nil {
		e.pidfds = true
		closeAll(fd)
	}
	go e.loop()
	return nil
}

func (e *engine) close() { _ = e.file.Close() }

// buffer is what streams are read into; Runner.out guards it.
func (e *engine) buffer() []byte { return e.buf }

// A pause after each round of events: the end of a process closes its pipes first
// and shows in its descriptor a moment later, and with the pause both are one
// round. With many runs, many ends are one; each wake-up costs as much as a line.
// A job that writes fast fills a pipe, and is read without any pause.
const (
	breath     = time.Millisecond
	longBreath = 10 * time.Millisecond
	many       = 16 // runs
)

// loop handles events until the engine is closed.
func (e *engine) loop() {
	events := make([]unix.EpollEvent, 512)
	timer := time.NewTimer(breath)
	defer timer.Stop()
	for {
		n := 0
		err := e.raw.Read(func(fd uintptr) bool {
			got, err := unix.EpollWait(int(fd), events, 0)
			if errors.Is(err, unix.EINTR) {
				return true
			}
			n = max(got, 0)
			return n > 0 // else sleep until there is something
		})
		if err != nil {
			return
		}
		for i := range events[:n] {
			e.handle(&events[i])
		}
		if e.full {
			e.full = false
			continue
		}
		pause := breath
		if e.live() > many {
			pause = longBreath
		}
		timer.Reset(pause)
		<-timer.C
	}
}

func (e *engine) live() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.slots) - len(e.free)
}

func (e *engine) handle(ev *unix.EpollEvent) {
	index, about := uint32(ev.Fd)>>aboutBits, int(ev.Fd)&(1<<aboutBits-1)
	e.mu.Lock()
	s := e.slots[index]
	e.mu.Unlock()
	if s.generation != uint32(ev.Pad) || s.x == nil {
		return
	}
	e.r.out.Lock()
	defer e.r.out.Unlock()
	if about == aboutProcess {
		e.reap(s.x, s.pidfd)
		return
	}
	st := &s.x.streams[about]
	if st.fd < 0 {
		return
	}
	if ev.Events&unix.EPOLLIN == 0 { // hung up and empty
		st.close()
	} else {
		e.full = st.read(ev.Events&unix.EPOLLHUP != 0) == len(e.buf) || e.full
	}
	s.x.output(false)
}

// reap takes the status of a process that has ended.
func (e *engine) reap(x *Run, pidfd int) {
	if x.ended {
		return
	}
	var ws syscall.WaitStatus
	var usage syscall.Rusage
	x.mu.Lock()
	pid, err := syscall.Wait4(x.pid, &ws, syscall.WNOHANG, &usage)
	if pid == 0 && err == nil || errors.Is(err, syscall.EINTR) {
		x.mu.Unlock()
		return // not yet: the event comes again
	}
	x.reaped = true
	x.mu.Unlock()
	proc.Forget(x.pid)
	if pidfd >= 0 {
		_ = unix.EpollCtl(e.epfd, unix.EPOLL_CTL_DEL, pidfd, nil)
		closeAll(pidfd)
	}
	e.unuse(x.slot)
	x.exited(ws, &usage, err)
}

// wantPidfd asks for a descriptor of the process; it is -1 where there is none.
func (e *engine) wantPidfd(sys *syscall.SysProcAttr) *int {
	fd := -1
	if e.pidfds {
		sys.PidFD = &fd
	}
	return &fd
}

// watch takes a started run in, whose streams have the pipes. Everything of the
// run must be set before.
func (e *engine) watch(x *Run, pipes [2]int, pidfd int) {
	e.mu.Lock()
	var index uint32
	if n := len(e.free); n > 0 {
		index = e.free[n-1]
		e.free = e.free[:n-1]
	} else {
		index = uint32(len(e.slots))
		e.slots = append(e.slots, slot{})
	}
	s := &e.slots[index]
	s.x, s.pidfd, s.uses = x, pidfd, 3
	x.slot = index
	generation := s.generation
	e.mu.Unlock()
	// The process last: the run can not end before all of it is under watch.
	for about, fd := range pipes {
		if err := e.add(fd, index, about, generation); err != nil {
			e.r.out.Lock()
			x.streams[about].close() // the job is told by its next write
			e.r.out.Unlock()
			e.r.o.Log.Error().Err(err).Str("job", x.task.Job.Name).Str("run", x.task.ID).Str("stream", streamName(about)).
				Msg("output can not be read")
		}
	}
	if pidfd < 0 || e.add(pidfd, index, aboutProcess, generation) != nil {
		go e.waitFor(x, pidfd)
	}
}

// add fails where the kernel has no memory or no watch (fs.epoll) left.
func (e *engine) add(fd int, index uint32, about int, generation uint32) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(index<<aboutBits | uint32(about)), Pad: int32(generation)}
	return unix.EpollCtl(e.epfd, unix.EPOLL_CTL_ADD, fd, &ev)
}

// waitFor is for kernels without pidfds: it costs a thread for each process.
func (e *engine) waitFor(x *Run, pidfd int) {
	for {
		err := unix.Waitid(unix.P_PID, x.pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	e.r.out.Lock()
	defer e.r.out.Unlock()
	e.reap(x, pidfd)
}

// forget stops watching a stream that is about to be closed.
func (e *engine) forget(s *stream) {
	_ = unix.EpollCtl(e.epfd, unix.EPOLL_CTL_DEL, s.fd, nil)
	e.unuse(s.x.slot)
}

// unuse gives the place of a run away when nothing of it is watched any more.
func (e *engine) unuse(index uint32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := &e.slots[index]
	if s.uses--; s.uses == 0 {
		s.x = nil
		s.generation++
		e.free = append(e.free, index)
	}
}

func pipeCloexec(p *[2]int) error { return unix.Pipe2(p[:], unix.O_CLOEXEC) }

func maxRSS(u *syscall.Rusage) int64 { return u.Maxrss << 10 }

// textFile holds a text in memory, so that nobody has to feed a pipe.
func textFile(text string) (*os.File, error) {
	fd, err := unix.MemfdCreate("stdin", unix.MFD_CLOEXEC)
	if err != nil {
		return textPipe(text)
	}
	f := os.NewFile(uintptr(fd), "stdin")
	_, err = f.WriteString(text)
	if err == nil {
		_, err = f.Seek(0, 0)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// tell signals the very process that was seen, not a later one of its id.
func tell(p procfs.Process, sig syscall.Signal) {
	fd, err := unix.PidfdOpen(p.ID, 0)
	if err != nil {
		if !errors.Is(err, unix.ESRCH) { // no pidfds here
			_ = syscall.Kill(p.ID, sig)
		}
		return
	}
	defer closeAll(fd)
	if now, err := procfs.Read(p.ID); err == nil && now.Start == p.Start {
		_ = unix.PidfdSendSignal(fd, sig, nil, 0)
	}
}

func noNewPrivs() error {
	_, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)
	switch {
	case errno == 0:
		return nil
	case errors.Is(errno, syscall.ENOTSUP):
		return fmt.Errorf("set for all threads: %w (a program built with cgo can not)", errno)
	}
	return fmt.Errorf("set for all threads: %w", errno)
}
