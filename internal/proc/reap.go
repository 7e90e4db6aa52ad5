package proc

import (
	"context"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/sidecar-kit/sidecar/internal/procfs"
)

// restAfterLook bounds what looking for orphans takes to a fifth of the time.
const restAfterLook = 4

// children are the processes whose status somebody of ours waits for. It is the
// one state of this package that the whole process shares, as the process table
// it mirrors is.
type children struct {
	// forks is held shared from before a fork until its child is in pids, and
	// alone while orphans are told from children: bury can not see a child
	// that is not yet known, and forks do not wait for each other.
	forks sync.RWMutex
	mu    sync.Mutex
	pids  map[int]bool
}

//nolint:gochecknoglobals // mirrors the process table, of which there is one
var ours = &children{pids: map[int]bool{}}

func (c *children) start(cmd *exec.Cmd) error {
	_, err := c.fork(func() (int, error) {
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		return cmd.Process.Pid, nil
	})
	return err
}

func (c *children) fork(begin func() (pid int, err error)) (int, error) {
	c.forks.RLock()
	defer c.forks.RUnlock()
	pid, err := begin()
	if err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pids[pid] = true
	return pid, nil
}

func (c *children) forget(pid int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pids, pid)
}

func (c *children) known(pid int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pids[pid]
}

// bury waits for every dead child that nobody of ours waits for.
func (c *children) bury() int {
	candidates, err := procfs.Children(os.Getpid())
	if err != nil {
		candidates, err = procfs.Zombies(os.Getpid())
	}
	if err != nil {
		return 0 // no /proc, nothing can be told apart
	}
	n := 0
	for _, pid := range candidates {
		if !c.known(pid) && c.take(pid) { // most are known, and need no lock of all forks
			n++
		}
	}
	return n
}

// take waits for a child that is dead and nobody's. While it looks, no fork is
// under way: a new child of ours might have the id.
func (c *children) take(pid int) bool {
	c.forks.Lock()
	defer c.forks.Unlock()
	if c.known(pid) {
		return false
	}
	got, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
	return err == nil && got == pid
}

// Fork is for who starts and awaits processes without this package: begin forks
// one and returns its id, whose status is left alone by Reap until Forget.
func Fork(begin func() (pid int, err error)) (int, error) { return ours.fork(begin) }

// Forget says that the status of a process from Fork has been taken.
func Forget(pid int) { ours.forget(pid) }

// Reap buries orphans until ctx ends. As PID 1 a process inherits the children
// of others that died, and they stay in the table until it waits for them. Each
// value on wake (SIGCHLD) is a reason to look; the statuses of programs begun by
// Start are left to Wait.
func Reap(ctx context.Context, wake <-chan os.Signal) {
	for {
		begin := time.Now()
		ours.bury()
		// A look takes the longer the more children there are. Ends of many at
		// once are one reason: a process that is dead can wait.
		timer := time.NewTimer(restAfterLook * time.Since(begin))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return
		}
	}
}
