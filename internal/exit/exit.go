// Package exit holds the exit codes of the program and the error that carries
// one from where it is known to main, the only place that exits.
//
// The codes are an interface: scripts and the kubelet read them, so they change
// only with a major version. 2 is missing on purpose, a Go panic exits with it.
package exit

import (
	"errors"
	"fmt"
)

const (
	OK        = 0  // finished, or stopped when asked
	Failed    = 1  // the work failed; a restart may help
	Abandoned = 3  // the drain deadline passed and work was left undone
	Usage     = 64 // flags, environment or file are wrong; a restart does not help
)

// Error is an error that decides the exit code.
type Error struct {
	Code int
	Err  error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Code returns the exit code err asks for: OK for nil, Failed for an error
// that carries none.
func Code(err error) int {
	if err == nil {
		return OK
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Failed
}

// Usagef makes a usage error from a format, as fmt.Errorf does.
func Usagef(format string, args ...any) error {
	return &Error{Code: Usage, Err: fmt.Errorf(format, args...)}
}

// Signal is the code of a process ended by signal number n: 128+n.
func Signal(n int) int { return 128 + n }
