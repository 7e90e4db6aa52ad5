package hold

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// link gives an open file another name. By its descriptor, not by its name: that may be another file by now.
func link(f, d *os.File, name string) error {
	self := "/proc/self/fd/" + strconv.Itoa(int(f.Fd()))
	err := unix.Linkat(unix.AT_FDCWD, self, int(d.Fd()), name, unix.AT_SYMLINK_FOLLOW)
	switch {
	case err == nil || err == unix.EEXIST:
		return nil
	case impossible(err):
		return fmt.Errorf("%w: %s: %w", ErrImpossible, d.Name(), err)
	}
	return &fs.PathError{Op: "link", Path: d.Name() + "/" + name, Err: err}
}

// Punch gives the blocks back that f has before below, and returns how many bytes that were. Size and offsets stay.
// File systems that cannot do it say so with an error.
func Punch(f *os.File, below int64) (int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return 0, &fs.PathError{Op: "fstat", Path: f.Name(), Err: err}
	}
	below -= below % max(int64(st.Blksize), 4096)
	if below <= 0 {
		return 0, nil
	}
	if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, below); err != nil {
		return 0, &fs.PathError{Op: "punch", Path: f.Name(), Err: err}
	}
	before := st.Blocks
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return 0, &fs.PathError{Op: "fstat", Path: f.Name(), Err: err}
	}
	return max(0, before-st.Blocks) * 512, nil
}
