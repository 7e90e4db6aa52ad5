package place

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Swap publishes a staged tree over a folder that may exist already.
type Swap struct {
	// Whole says that what has this path now, and everything below it, may be replaced by what is staged. alike says that
	// both are folders, which otherwise are merged. Paths are relative to the target, "." is the target itself.
	Whole func(path string, alike bool) bool
	// NoExchange is for file systems that cannot exchange two names: see CanExchange.
	NoExchange bool
	// Stop, where set, is asked between two entries.
	Stop func() error

	// What was done, in numbers of names.
	Placed, Exchanged, Replaced, Merged int
}

// CanExchange tries whether two names in the stage can be exchanged in one step (NFS and older FUSE cannot).
func (s *Stage) CanExchange() bool {
	a, b := s.File("a"), s.File("b")
	if os.Mkdir(a, 0o700) != nil || os.Mkdir(b, 0o700) != nil {
		return false
	}
	err := exchange(unix.AT_FDCWD, a, unix.AT_FDCWD, b)
	return errors.Join(err, os.Remove(a), os.Remove(b)) == nil
}

// Tree publishes the staged folder stage as target, whose parent exists. Where target is absent the staged folder gets its
// name; where it may be replaced as a whole the two change places, so that the old tree lies in the stage afterwards; else
// the entries are published one by one, see Entries.
func (s *Swap) Tree(stage, target string) error {
	sdir, err := openDir(unix.AT_FDCWD, filepath.Dir(stage))
	if err != nil {
		return err
	}
	defer sdir.Close()
	tdir, err := openDir(unix.AT_FDCWD, filepath.Dir(target))
	if err != nil {
		return err
	}
	defer tdir.Close()
	return s.one(sdir, filepath.Base(stage), tdir, filepath.Base(target), ".")
}

// Entries publishes what is in the staged folder below target, one by one. Folders that exist keep their attributes.
func (s *Swap) Entries(stage, target string) error {
	sdir, err := openDir(unix.AT_FDCWD, stage)
	if err != nil {
		return err
	}
	defer sdir.Close()
	tdir, err := openDir(unix.AT_FDCWD, target)
	if err != nil {
		return err
	}
	defer tdir.Close()
	return s.merge(sdir, tdir, "")
}

// openDir opens a folder that is no symbolic link.
func openDir(at int, name string) (*os.File, error) {
	fd, err := unix.Openat(at, name, unix.O_DIRECTORY|unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open folder", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

func (s *Swap) merge(sdir, tdir *os.File, at string) error {
	names, err := sdir.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("list the stage of %s: %w", at, err)
	}
	for _, name := range names {
		if s.Stop != nil {
			if err := s.Stop(); err != nil {
				return err
			}
		}
		if err := s.one(sdir, name, tdir, name, path.Join(at, name)); err != nil {
			return err
		}
	}
	if err := tdir.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", at, err)
	}
	return nil
}

const (
	absent = iota
	folder
	other
)

func kindOf(dir *os.File, name string) (int, error) {
	var st unix.Stat_t
	err := unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case errors.Is(err, unix.ENOENT):
		return absent, nil
	case err != nil:
		return 0, err
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return folder, nil
	}
	return other, nil
}

// one publishes a staged name, which is a folder, a file or a link.
func (s *Swap) one(sdir *os.File, sname string, tdir *os.File, tname, at string) error {
	fail := func(err error) error {
		return &fs.PathError{Op: "publish", Path: at, Err: explain(err)}
	}
	staged, err := kindOf(sdir, sname)
	if err != nil {
		return fail(err)
	}
	there, err := kindOf(tdir, tname)
	if err != nil {
		return fail(err)
	}
	switch {
	case there == absent:
		err = renameNew(int(sdir.Fd()), sname, int(tdir.Fd()), tname)
		s.Placed++
	case there == other && staged == other:
		err = unix.Renameat(int(sdir.Fd()), sname, int(tdir.Fd()), tname)
		s.Replaced++
	case s.Whole(at, there == folder && staged == folder):
		err = s.exchange(sdir, sname, tdir, tname)
	case there == folder && staged == folder:
		s.Merged++
		return s.descend(sdir, sname, tdir, tname, at)
	default:
		err = fmt.Errorf("what has this name now %w, and is of another kind\nhint: remove it, or allow that with --delete", ErrForeign)
	}
	if err != nil {
		return fail(err)
	}
	return tdir.Sync()
}

func (s *Swap) descend(sdir *os.File, sname string, tdir *os.File, tname, at string) error {
	from, err := openDir(int(sdir.Fd()), sname)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := openDir(int(tdir.Fd()), tname)
	if err != nil {
		return err
	}
	defer to.Close()
	if at == "." {
		at = ""
	}
	return s.merge(from, to, at)
}

// exchange lets two names change places. Where the file system cannot, the old one makes room first, and for a moment
// there is none.
func (s *Swap) exchange(sdir *os.File, sname string, tdir *os.File, tname string) error {
	s.Exchanged++
	from, to := int(sdir.Fd()), int(tdir.Fd())
	if !s.NoExchange {
		return exchange(from, sname, to, tname)
	}
	aside := prefix + rand.Text()[:10]
	if err := unix.Renameat(to, tname, from, aside); err != nil {
		return err
	}
	if err := unix.Renameat(from, sname, to, tname); err != nil {
		return errors.Join(err, unix.Renameat(from, aside, to, tname))
	}
	return nil
}

// Remove removes a published file, link or empty folder below target; nothing where something of another kind, or a
// folder with content, has the name.
func Remove(target string, paths []string) (removed int, err error) {
	root, err := os.OpenRoot(target)
	if err != nil {
		return 0, err
	}
	defer root.Close()
	for _, p := range paths {
		rerr := root.Remove(p)
		switch {
		case rerr == nil:
			removed++
		case errors.Is(rerr, fs.ErrNotExist), errors.Is(rerr, unix.ENOTEMPTY), errors.Is(rerr, unix.EEXIST):
		default:
			err = errors.Join(err, rerr)
		}
	}
	return removed, err
}
