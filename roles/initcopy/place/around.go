package place

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// SweepAround removes what killed runs left in dir, which may be missing, and in the folders above it on the same mount: a
// target that was absent is staged in the deepest folder that there is, and that need not be the one where a later run
// works. Folders where another run is at work, and those where nothing may be removed, are passed over; so is except, whose
// lock the caller holds.
func SweepAround(dir, except string) (removed int) {
	for {
		if dir != except {
			removed += sweepIfIdle(dir)
		}
		mounted, err := MountPoint(dir)
		if mounted || err != nil && !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return removed
		}
		dir = filepath.Dir(dir)
	}
}

func sweepIfIdle(dir string) int {
	if !hasStage(dir) && !hasStage(filepath.Join(dir, Shelter)) {
		return 0
	}
	d, err := openDir(unix.AT_FDCWD, dir)
	if err != nil {
		return 0
	}
	defer d.Close()
	if unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return 0
	}
	removed, _ := Sweep(dir, 0)
	return removed
}

func hasStage(dir string) bool {
	d, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	for _, name := range names {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// SweepFile removes what is left of earlier attempts to write the file path, which were killed.
func SweepFile(path string) {
	dir, base := filepath.Split(path)
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	for _, name := range names {
		if strings.HasPrefix(name, "."+base+".tmp-") {
			_ = os.Remove(filepath.Join(dir, name))
		}
	}
}
