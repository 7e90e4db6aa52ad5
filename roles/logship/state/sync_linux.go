package state

import (
	"os"

	"golang.org/x/sys/unix"
)

// datasync leaves out the times of the file.
func datasync(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return err
		}
	}
}
