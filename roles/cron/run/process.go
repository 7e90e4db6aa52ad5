package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sidecar-kit/sidecar/internal/proc"
)

// pipeMax is the most a pipe holds by the defaults of Linux.
const pipeMax = 1 << 20

// Run is a job under way.
type Run struct {
	r         *Runner
	task      Task
	done      func(Result)
	started   time.Time
	killAfter time.Duration
	cancel    context.CancelFunc // of a request
	mark      string             // in the environment of all its processes
	pid       int                // 0 for a request
	slot      uint32             // its place in the engine

	// Guarded by Runner.out, as the streams are.
	streams  [2]stream
	tail     ring
	lines    int64
	cut      int64
	dropped  int64
	records  int64
	finished bool
	ended    bool // the process has, and status is valid
	status   Result
	linger   *time.Timer

	// mu guards what a stop needs. It is never held while output is written.
	mu       sync.Mutex
	reaped   bool // pid may be somebody else's
	over     bool // nothing is left to stop, or it was given up
	stopped  bool
	timedOut bool
	expiry   *time.Timer
	stopping *stopping
}

// Pid is the id of the process, which is also that of its group; 0 for a request.
func (x *Run) Pid() int { return x.pid }

// begin starts the process of a run.
func (x *Run) begin() error {
	c, err := x.command()
	if err != nil {
		return err
	}
	x.tail.limit = x.r.o.Tail
	x.streams = [2]stream{{x: x, kind: 0, fd: -1}, {x: x, kind: 1, fd: -1}}
	stdin, err := x.stdin()
	if err != nil {
		return &StartError{125, fmt.Errorf("input of the job: %w", err)}
	}
	if stdin != x.r.null {
		defer stdin.Close()
	}
	var read, write [2]int
	for i := range read {
		if read[i], write[i], err = pipe(); err != nil {
			if i == 1 {
				closeAll(read[0], write[0])
			}
			return &StartError{125, tooMany(fmt.Errorf("pipe for the output: %w", err))}
		}
	}
	files := []uintptr{stdin.Fd(), uintptr(write[0]), uintptr(write[1])}
	pidfd, err := x.fork(c, files)
	closeAll(write[0], write[1])
	if err != nil {
		closeAll(read[0], read[1])
		return c.explain(err)
	}
	x.streams[0].fd, x.streams[1].fd = read[0], read[1]
	if t := x.task.Job.Policy.Timeout; t > 0 {
		x.mu.Lock()
		x.expiry = time.AfterFunc(t, x.expire)
		x.mu.Unlock()
	}
	x.r.engine.watch(x, read, pidfd)
	return nil
}

// fork starts the process and makes its exit be left to us.
func (x *Run) fork(c *command, files []uintptr) (pidfd int, err error) {
	attr := &syscall.ProcAttr{Dir: c.dir, Env: c.env, Files: files, Sys: &syscall.SysProcAttr{Setpgid: true}}
	if c.user != nil {
		attr.Sys.Credential = c.user.credential()
	}
	fd := x.r.engine.wantPidfd(attr.Sys)
	x.pid, err = proc.Fork(func() (int, error) { return syscall.ForkExec(c.path, c.argv, attr) })
	return *fd, err
}

func pipe() (r, w int, err error) {
	var p [2]int
	if err := pipeCloexec(&p); err != nil {
		return -1, -1, err
	}
	// Our end only: programs expect theirs to block. A new pipe has no other flags.
	if _, err := unix.FcntlInt(uintptr(p[0]), unix.F_SETFL, unix.O_NONBLOCK); err != nil {
		closeAll(p[0], p[1])
		return -1, -1, err
	}
	return p[0], p[1], nil
}

func closeAll(fds ...int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

// tooMany adds the remedy to an error about open files.
func tooMany(err error) error {
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return fmt.Errorf("%w\nhint: a run takes 3 files; lower --max-running or raise the limit of open files (ulimit -n)", err)
	}
	return err
}

// stdin is what the job reads: nothing, or the text after % in its line.
func (x *Run) stdin() (*os.File, error) {
	if x.task.Job.Stdin == "" {
		return x.r.null, nil
	}
	return textFile(x.task.Job.Stdin)
}

// exited notes the status of the process and ends the run, now or when what it
// wrote has been read. The caller holds Runner.out.
func (x *Run) exited(ws syscall.WaitStatus, usage *syscall.Rusage, err error) {
	x.ended = true
	x.status = Result{Code: ws.ExitStatus(), Started: x.started, Took: time.Since(x.started)}
	if err != nil {
		x.status.Code, x.status.Err = -1, fmt.Errorf("status of process %d: %w", x.pid, err)
	} else if ws.Signaled() {
		x.status.Signal = ws.Signal()
	}
	if usage != nil {
		x.status.CPU = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
		x.status.MaxRSS = maxRSS(usage)
	}
	for i := range x.streams {
		x.streams[i].drain()
	}
	if x.streams[0].fd < 0 && x.streams[1].fd < 0 {
		x.output(true)
		return
	}
	x.linger = time.AfterFunc(lateGrace, func() {
		x.r.out.Lock()
		defer x.r.out.Unlock()
		x.output(true)
	})
}

// output looks whether the run has ended: its process has, and its streams have
// or were waited for long enough. The caller holds Runner.out.
func (x *Run) output(enough bool) {
	open := x.streams[0].fd >= 0 || x.streams[1].fd >= 0
	if !x.ended || x.finished || open && !enough {
		return
	}
	x.finished = true
	if x.linger != nil {
		x.linger.Stop()
	}
	for i := range x.streams {
		if s := &x.streams[i]; s.fd >= 0 {
			x.r.keepLate(s)
		}
	}
	x.status.Tail, x.status.Lines, x.status.Cut, x.status.Dropped = x.tail.bytes(), x.lines, x.cut, x.dropped
	if x.dropped > 0 {
		x.r.o.Log.Warn().Str("job", x.task.Job.Name).Str("run", x.task.ID).Int64("dropped", x.dropped).
			Int("limit", x.task.Job.Policy.MaxLogLines).Msg("lines of the job were not logged")
	}
	x.tail.data = nil
	x.settle()
}

// finish hands over the result. Nothing of the run is left to stop.
func (x *Run) finish() {
	x.mu.Lock()
	if x.expiry != nil {
		x.expiry.Stop()
	}
	res := x.status
	res.Stopped, res.TimedOut = x.stopped && !x.timedOut, x.timedOut
	x.mu.Unlock()
	x.r.ends.add(end{x, res})
}

// keepLate keeps reading a stream after its run, of a bounded number of them.
func (r *Runner) keepLate(s *stream) {
	s.late = true
	r.late = append(r.late, s)
	if len(r.late) > maxLate {
		old := r.late[0]
		r.o.Log.Warn().Str("job", old.x.task.Job.Name).Str("run", old.x.task.ID).Str("stream", streamName(old.kind)).Int("limit", maxLate).
			Msg("too many background children keep the output of ended runs open, closing the oldest")
		old.close()
	}
}

// close ends a stream: it is at its end, or too many are open.
func (s *stream) close() {
	if s.fd < 0 {
		return
	}
	s.x.r.engine.forget(s)
	_ = unix.Close(s.fd)
	s.fd = -1
	s.end()
	if !s.late {
		return
	}
	late := s.x.r.late
	for i := range late {
		if late[i] == s {
			s.x.r.late = append(late[:i], late[i+1:]...)
			break
		}
	}
}

// drain reads what the process left in the pipe when it ended. A child in the
// background may add to it without end, so there is a limit: what a pipe holds.
func (s *stream) drain() {
	for read := 0; s.fd >= 0 && read <= pipeMax; {
		n := s.read(false)
		if n == 0 {
			return
		}
		read += n
	}
}

// read reads once and returns how much it got; 0 is nothing now, or the end.
// hungUp means that nobody has the other end any more.
func (s *stream) read(hungUp bool) int {
	buf := s.x.r.engine.buffer()
	n, err := unix.Read(s.fd, buf)
	switch {
	case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
		return 0
	case err != nil || n == 0:
		s.close()
		return 0
	}
	s.take(buf[:n])
	if hungUp && n < len(buf) {
		s.close()
	}
	return n
}
