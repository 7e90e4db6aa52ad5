package place

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Loose is a file that is not published yet. It has no name at all where the file system can do that, so that a kill
// leaves nothing behind.
type Loose struct {
	*os.File

	dir *os.File
	tmp string // its name, if it has one
}

// NewLoose makes a file that can be published in dir.
func NewLoose(dir string) (*Loose, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	l := &Loose{dir: d}
	if l.File, err = anonymous(d); err == nil {
		return l, nil
	}
	l.tmp = prefix + rand.Text()[:10]
	fd, err := unix.Openat(int(d.Fd()), l.tmp, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, errors.Join(&fs.PathError{Op: "create a file in", Path: dir, Err: err}, d.Close())
	}
	l.File = os.NewFile(uintptr(fd), filepath.Join(dir, l.tmp))
	return l, nil
}

// Publish syncs the file and gives it its name, whatever has that name now: a reader sees the old file or the new one, and
// whoever has the old one open keeps it. A folder of that name is an error.
func (l *Loose) Publish(name string) error {
	path := filepath.Join(l.dir.Name(), name)
	if err := l.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	if err := l.link(name); err != nil {
		return &fs.PathError{Op: "publish", Path: path, Err: explain(err)}
	}
	if err := l.dir.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", l.dir.Name(), err)
	}
	return nil
}

func (l *Loose) link(name string) error {
	fd := int(l.dir.Fd())
	if l.tmp == "" {
		// A new name needs no other one on the way.
		err := linkAnonymous(l.File, fd, name)
		if err == nil || !errors.Is(err, unix.EEXIST) {
			return err
		}
		tmp := prefix + rand.Text()[:10]
		if err := linkAnonymous(l.File, fd, tmp); err != nil {
			return err
		}
		l.tmp = tmp
	}
	if err := unix.Renameat(fd, l.tmp, fd, name); err != nil {
		return err
	}
	l.tmp = ""
	return nil
}

// Discard lets go of the file; one that was not published is gone then.
func (l *Loose) Discard() error {
	err := l.Close()
	if l.tmp != "" {
		err = errors.Join(err, unix.Unlinkat(int(l.dir.Fd()), l.tmp, 0))
	}
	return errors.Join(err, l.dir.Close())
}

// explain adds the remedy to errors that say little.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%w\nhint: the name is a mount point of its own (a subPath?); mount the folder it lies in instead", err)
	case errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENOTEMPTY):
		return fmt.Errorf("%w\nhint: a folder has this name; remove it, or choose another target", err)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w\nhint: what has the name now belongs to another user (or is immutable); run as that user, or make it writable for the group, see --chmod", err)
	case errors.Is(err, unix.EXDEV):
		return fmt.Errorf("%w\nhint: the stage is on another mount than the target; choose --stage-dir on the same one", err)
	}
	return err
}
