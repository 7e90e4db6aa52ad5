package run

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// textPipe holds a text in a pipe that nobody has to feed: all of it fits.
func textPipe(text string) (*os.File, error) {
	var p [2]int
	if err := pipeCloexec(&p); err != nil {
		return nil, err
	}
	defer closeAll(p[1])
	r := os.NewFile(uintptr(p[0]), "stdin")
	if err := unix.SetNonblock(p[1], true); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	n, err := unix.Write(p[1], []byte(text))
	if err != nil || n < len(text) {
		return nil, errors.Join(fmt.Errorf("the text after %% has %d bytes, this system takes %d", len(text), max(n, 0)), err, r.Close())
	}
	return r, nil
}
