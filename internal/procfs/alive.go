package procfs

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// ErrNotRunning means that no process has the id, or that only its zombie is left.
var ErrNotRunning = errors.New("not running")

// Running returns nil when a process with this id does its work. A zombie does
// not: it has ended and waits for its parent to notice.
func Running(pid int) error { return running(root, pid) }

func running(root string, pid int) error {
	// Signal 0 only asks. EPERM means that the process is there and another user's.
	if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("process %d is %w", pid, ErrNotRunning)
	}
	data, err := os.ReadFile(file(root, pid, "stat"))
	if err != nil {
		return nil // hidden, or a system without /proc: it took the signal
	}
	if state, _ := parseStat(data); state == 'Z' || state == 'X' {
		return fmt.Errorf("process %d is a zombie, %w", pid, ErrNotRunning)
	}
	return nil
}

// Named says whether a process has this name, as Find compares it.
func Named(pid int, comm string) bool { return matches(root, pid, comm) }
