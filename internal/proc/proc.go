// Package proc runs other programs, each in a process group of its own, so that
// stopping one also stops what it started. It is the only user of os/exec, and
// as PID 1 it buries the orphans of the container. Used by host and notify.
package proc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// pipeDelay is how long output is still read after the program has ended while
// a child in the background holds its pipe open.
const pipeDelay = 500 * time.Millisecond

// killDelay is the time between TERM and KILL when Timeout or ctx end a program.
const killDelay = 2 * time.Second

// Cmd describes a program to run.
type Cmd struct {
	Path    string // looked up in PATH when it has no slash
	Args    []string
	Name    string   // what the program sees as its own name; empty is Path
	Env     []string // nil inherits
	Dir     string
	Stdin   io.Reader // nil is nothing
	Stdout  io.Writer
	Stderr  io.Writer
	Timeout time.Duration // 0 means none

	// SameGroup leaves the program in the group of this process, as a shell
	// does: signals from a terminal reach both, and stopping the program does
	// not reach what it started.
	SameGroup bool
}

// Status is how a program ended.
type Status struct {
	Code     int            // exit code, -1 when a signal ended it
	Signal   syscall.Signal // 0 when it exited
	TimedOut bool
	Took     time.Duration
}

// Process is a program that was started.
type Process struct {
	pid   int
	reach int // what signals are sent to: the group, or the process alone
	ended chan struct{}

	// Written before ended closes.
	status Status
	err    error

	mu       sync.Mutex
	timedOut bool
}

// Start starts a program. When ctx ends or the timeout passes, its process
// group is told to terminate and then killed.
func Start(ctx context.Context, c Cmd) (*Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Env, cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Env, c.Dir, c.Stdin, c.Stdout, c.Stderr
	if c.Name != "" {
		cmd.Args[0] = c.Name
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: !c.SameGroup}
	cmd.WaitDelay = pipeDelay
	begin := time.Now()
	if err := ours.start(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Path, err)
	}
	p := &Process{pid: cmd.Process.Pid, reach: -cmd.Process.Pid, ended: make(chan struct{})}
	if c.SameGroup {
		p.reach = p.pid
	}
	go p.watch(ctx, c.Timeout)
	go func() {
		err := cmd.Wait()
		ours.forget(p.pid)
		p.finish(cmd.ProcessState, err, time.Since(begin))
	}()
	return p, nil
}

// Pid is the process id, which is also the id of the process group.
func (p *Process) Pid() int { return p.pid }

// Wait waits for the program itself, not for children it left in the
// background. The error is nil only for exit code 0.
func (p *Process) Wait() (Status, error) {
	<-p.ended
	return p.status, p.err
}

// Signal sends a signal, unless the program has ended.
func (p *Process) Signal(sig syscall.Signal) {
	select {
	case <-p.ended:
	default:
		p.signal(sig)
	}
}

// Stop sends TERM to the process group and KILL after grace, then waits.
func (p *Process) Stop(grace time.Duration) (Status, error) {
	select {
	case <-p.ended:
		return p.Wait() // the id may be another group's by now
	default:
	}
	p.signal(syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
	}
	if p.reach < 0 {
		p.signal(syscall.SIGKILL) // also what the program left behind
	} else {
		p.Signal(syscall.SIGKILL)
	}
	return p.Wait()
}

// signal reaches the whole group, if it has one. The group outlives its leader while a member
// lives, and its id is not given to another process until then; an empty group
// is no error.
func (p *Process) signal(sig syscall.Signal) { _ = syscall.Kill(p.reach, sig) }

func (p *Process) watch(ctx context.Context, timeout time.Duration) {
	var expired <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-p.ended:
		return
	case <-ctx.Done():
	case <-expired:
		p.mu.Lock()
		p.timedOut = true
		p.mu.Unlock()
	}
	_, _ = p.Stop(killDelay)
}

func (p *Process) finish(state *os.ProcessState, err error, took time.Duration) {
	p.mu.Lock()
	p.status = Status{Code: -1, Took: took, TimedOut: p.timedOut}
	p.mu.Unlock()
	if state != nil {
		p.status.Code = state.ExitCode()
		if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			p.status.Signal = ws.Signal()
		}
	}
	switch {
	case p.status.TimedOut:
		p.err = fmt.Errorf("timed out after %s", took.Round(time.Millisecond))
	case errors.Is(err, exec.ErrWaitDelay) && p.status.Code == 0:
		p.err = nil // it exited well; a child of it keeps the pipe
	default:
		p.err = err
	}
	close(p.ended)
}
