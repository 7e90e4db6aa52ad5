package proc

import (
	"fmt"
	"os/exec"
	"syscall"
)

// Look finds a program as a shell would: in PATH when its name has no slash.
func Look(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", err
	}
	return path, nil
}

// Replace makes this process the program at path, with args[0] as its name for
// itself. It returns only when that is not possible. Files this process opened
// are closed, its id and its signals stay: the caller resets their handlers.
func Replace(path string, args, env []string) error {
	if err := syscall.Exec(path, args, env); err != nil {
		return fmt.Errorf("start %s: %w", path, err)
	}
	return nil
}
