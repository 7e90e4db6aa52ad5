package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Folder is a folder that paths cannot leave: no symbolic link is followed on the way to a file. It is safe for
// concurrent use. (os.Root promises the same, but opens every folder on the way each time; with three thousand files
// that is a third of a first sync.)
type Folder struct {
	fd   int
	name string
}

// OpenFolder opens an existing folder.
func OpenFolder(name string) (*Folder, error) {
	fd, err := unix.Open(name, unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &Folder{fd, name}, nil
}

// Close lets go of the folder.
func (d *Folder) Close() error { return unix.Close(d.fd) }

// Sync makes the folder's list of names durable.
func (d *Folder) Sync() error { return unix.Fsync(d.fd) }

// syncDir does the same for a folder below.
func (d *Folder) syncDir(name string) error {
	if name == "." {
		return d.Sync()
	}
	fd, err := d.open(name, unix.O_DIRECTORY|unix.O_RDONLY, 0)
	if err == nil {
		err = errors.Join(unix.Fsync(fd), unix.Close(fd))
	}
	if err != nil {
		return d.fail("sync", name, err)
	}
	return nil
}

func (d *Folder) fail(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: path.Join(d.name, name), Err: err}
}

// parent opens the folder that name lies in, for the *at calls; release closes it where that is needed.
func (d *Folder) parent(name string) (fd int, base string, release func(), err error) {
	dir, base := path.Split(name)
	if dir == "" {
		return d.fd, base, func() {}, nil
	}
	fd, err = d.open(strings.TrimSuffix(dir, "/"), unix.O_DIRECTORY|unix.O_RDONLY, 0)
	if err != nil {
		return -1, base, nil, d.fail("open", dir, err)
	}
	return fd, base, func() { _ = unix.Close(fd) }, nil
}

// walk is what open does where the kernel has no openat2: folder by folder.
func (d *Folder) walk(name string, flags int, perm uint32) (int, error) {
	fd := d.fd
	for {
		first, rest, more := strings.Cut(name, "/")
		fl, mode := unix.O_DIRECTORY|unix.O_RDONLY, uint32(0)
		if !more {
			fl, mode = flags, perm
		}
		next, err := unix.Openat(fd, first, fl|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
		if fd != d.fd {
			_ = unix.Close(fd)
		}
		if err != nil || !more {
			return next, err
		}
		fd, name = next, rest
	}
}

// Writer is a new file that is being written.
type Writer struct {
	fd int
	d  *Folder
	n  string
}

// Create makes a new file; one that exists is an error.
func (d *Folder) Create(name string, perm fs.FileMode) (*Writer, error) {
	fd, err := d.open(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, uint32(perm))
	if err != nil {
		return nil, d.fail("create", name, err)
	}
	return &Writer{fd, d, name}, nil
}

func (w *Writer) Write(data []byte) (int, error) {
	done := 0
	for done < len(data) {
		n, err := unix.Write(w.fd, data[done:])
		done += max(n, 0)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return done, w.d.fail("write", w.n, err)
		}
	}
	return done, nil
}

// Close ends writing; with sync the content is durable when it returns.
func (w *Writer) Close(sync bool) error {
	var err error
	if sync {
		err = unix.Fsync(w.fd)
	}
	if err = errors.Join(err, unix.Close(w.fd)); err != nil {
		return w.d.fail("write", w.n, err)
	}
	return nil
}

// Open opens a file for reading.
func (d *Folder) Open(name string) (*os.File, error) {
	fd, err := d.open(name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, d.fail("open", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// MkdirAll makes a folder and those it lies in.
func (d *Folder) MkdirAll(name string, perm fs.FileMode) error {
	err := d.at("mkdir", name, func(fd int, base string) error { return unix.Mkdirat(fd, base, uint32(perm)) })
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist):
		st, serr := d.Lstat(name)
		if serr == nil && st.Kind == unix.S_IFDIR {
			return nil
		}
		return err
	case !errors.Is(err, fs.ErrNotExist) || path.Dir(name) == ".":
		return err
	}
	if err := d.MkdirAll(path.Dir(name), perm); err != nil {
		return err
	}
	return d.at("mkdir", name, func(fd int, base string) error { return unix.Mkdirat(fd, base, uint32(perm)) })
}

// Symlink makes a symbolic link.
func (d *Folder) Symlink(target, name string) error {
	return d.at("symlink", name, func(fd int, base string) error { return unix.Symlinkat(target, fd, base) })
}

// Readlink reads a symbolic link.
func (d *Folder) Readlink(name string) (target string, err error) {
	err = d.at("readlink", name, func(fd int, base string) error {
		buf := make([]byte, maxPath+1)
		n, err := unix.Readlinkat(fd, base, buf)
		target = string(buf[:max(n, 0)])
		return err
	})
	return target, err
}

// Remove removes a file or link.
func (d *Folder) Remove(name string) error {
	return d.at("remove", name, func(fd int, base string) error { return unix.Unlinkat(fd, base, 0) })
}

// RemoveDir removes an empty folder.
func (d *Folder) RemoveDir(name string) error {
	return d.at("rmdir", name, func(fd int, base string) error { return unix.Unlinkat(fd, base, unix.AT_REMOVEDIR) })
}

func (d *Folder) at(op, name string, fn func(fd int, base string) error) error {
	fd, base, release, err := d.parent(name)
	if err != nil {
		return err
	}
	defer release()
	if err := fn(fd, base); err != nil {
		return d.fail(op, name, err)
	}
	return nil
}

// Stat is what is remembered of a published file to see whether somebody touched it. The change time is not part of it,
// since a hard link changes that too.
type Stat struct {
	Kind  uint32 // of unix.S_IFMT
	Size  int64
	Mtime int64 // nanoseconds since 1970
	Inode uint64
}

func statOf(st *unix.Stat_t) Stat {
	return Stat{Kind: uint32(st.Mode) & unix.S_IFMT, Size: st.Size, Mtime: st.Mtim.Nano(), Inode: st.Ino}
}

// Lstat looks at a file without following it.
func (d *Folder) Lstat(name string) (s Stat, err error) {
	err = d.at("stat", name, func(fd int, base string) error {
		var st unix.Stat_t
		err := unix.Fstatat(fd, base, &st, unix.AT_SYMLINK_NOFOLLOW)
		s = statOf(&st)
		return err
	})
	return s, err
}

// lister does the same as Lstat and link for many files, and keeps the folder of the last one open.
type lister struct {
	root *Folder
	dir  string
	fd   int
}

func newLister(root *Folder) *lister { return &lister{root: root, fd: -1} }

func (l *lister) close() {
	if l.fd >= 0 && l.fd != l.root.fd {
		_ = unix.Close(l.fd)
	}
	l.fd, l.dir = -1, ""
}

func (l *lister) enter(name string) (int, string, error) {
	dir, base := path.Split(name)
	if l.fd >= 0 && dir == l.dir {
		return l.fd, base, nil
	}
	l.close()
	if dir == "" {
		l.fd = l.root.fd
		return l.fd, base, nil
	}
	fd, err := l.root.open(strings.TrimSuffix(dir, "/"), unix.O_DIRECTORY|unix.O_RDONLY, 0)
	if err != nil {
		return -1, base, l.root.fail("open", dir, err)
	}
	l.fd, l.dir = fd, dir
	return fd, base, nil
}

func (l *lister) lstat(name string) (Stat, error) {
	fd, base, err := l.enter(name)
	if err != nil {
		return Stat{}, err
	}
	var st unix.Stat_t
	if err := unix.Fstatat(fd, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return Stat{}, l.root.fail("stat", name, err)
	}
	return statOf(&st), nil
}

// link makes name in l another name of the same file in from.
func (l *lister) link(from *lister, name string) error {
	src, base, err := from.enter(name)
	if err != nil {
		return err
	}
	dst, _, err := l.enter(name)
	if errors.Is(err, fs.ErrNotExist) {
		if err = l.root.MkdirAll(path.Dir(name), 0o777); err == nil {
			dst, _, err = l.enter(name)
		}
	}
	if err != nil {
		return err
	}
	if err := unix.Linkat(src, base, dst, base, 0); err != nil {
		return l.root.fail("link", name, fmt.Errorf("from %s: %w", from.root.name, err))
	}
	return nil
}
