//go:build unix

package source

import (
	"os"
	"syscall"
)

// openRegular does not wait for the other end of a named pipe.
func openRegular(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
}
