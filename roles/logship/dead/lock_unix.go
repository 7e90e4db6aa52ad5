//go:build unix

package dead

import (
	"os"

	"golang.org/x/sys/unix"
)

// lock waits until no other process writes to the file. It ends with the descriptor.
func lock(f *os.File) error {
	for {
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != unix.EINTR {
			return err
		}
	}
}
