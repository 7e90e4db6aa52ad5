package proc

import (
	"context"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"github.com/sidecar-kit/sidecar/internal/procfs"
)

// children are the processes that Start began and whose status Wait wants. It
// is the one state of this package that the whole process shares, as the
// process table it mirrors is.
type children struct {
	mu   sync.Mutex
	pids map[int]bool
}

//nolint:gochecknoglobals // mirrors the process table, of which there is one
var ours = &children{pids: map[int]bool{}}

// start holds the lock over fork and registration, so that Reap can not see a
// child that is not yet known.
func (c *children) start(cmd *exec.Cmd) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	c.pids[cmd.Process.Pid] = true
	return nil
}

func (c *children) forget(pid int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pids, pid)
}

// bury waits for every dead child that Start did not begin.
func (c *children) bury() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	zombies, err := procfs.Zombies(os.Getpid())
	if err != nil {
		return 0 // no /proc, nothing can be told apart
	}
	n := 0
	for _, pid := range zombies {
		if c.pids[pid] {
			continue
		}
		if got, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil); err == nil && got == pid {
			n++
		}
	}
	return n
}

// Reap buries orphans until ctx ends. As PID 1 a process inherits the children
// of others that died, and they stay in the table until it waits for them. Each
// value on wake (SIGCHLD) is a reason to look; the statuses of programs begun by
// Start are left to Wait.
func Reap(ctx context.Context, wake <-chan os.Signal) {
	ours.bury()
	for {
		select {
		case <-wake:
			ours.bury()
		case <-ctx.Done():
			return
		}
	}
}
