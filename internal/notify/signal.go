package notify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/sidecar-kit/sidecar/internal/procfs"
)

// Signal tells every process of a name, by a signal. It needs a shared process
// namespace and the same user.
type Signal struct {
	Process string // comm or base name of the program
	Signal  syscall.Signal
}

func (s Signal) Name() string { return fmt.Sprintf("signal %d to %s", s.Signal, s.Process) }

// Notify signals the processes. That none is found is an error: the application
// may not be up yet, and is told later.
func (s Signal) Notify(_ context.Context, _ Event) error {
	pids, err := procfs.Find(s.Process)
	if err != nil {
		return err
	}
	if len(pids) == 0 {
		return fmt.Errorf("no process is called %s, does the pod set shareProcessNamespace?", s.Process)
	}
	var errs []error
	for _, pid := range pids {
		if err := syscall.Kill(pid, s.Signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, os.NewSyscallError("kill "+s.Process, err))
		}
	}
	return errors.Join(errs...)
}
