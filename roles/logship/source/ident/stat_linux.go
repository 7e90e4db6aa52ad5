package ident

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

const statMask = unix.STATX_BASIC_STATS | unix.STATX_BTIME

// Lstat looks at a name, and at the link itself when it is one.
func Lstat(path string) (Stat, error) {
	var sx unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, statMask, &sx); err != nil {
		return Stat{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return fromStatx(&sx), nil
}

// Fstat looks at an open file.
func Fstat(f *os.File) (Stat, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return Stat{}, err
	}
	var sx unix.Statx_t
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = unix.Statx(int(fd), "", unix.AT_EMPTY_PATH, statMask, &sx) }); err != nil {
		return Stat{}, err
	}
	if failed != nil {
		return Stat{}, &fs.PathError{Op: "stat", Path: f.Name(), Err: failed}
	}
	return fromStatx(&sx), nil
}

func fromStatx(sx *unix.Statx_t) Stat {
	s := Stat{
		Key:   Key{Dev: unix.Mkdev(sx.Dev_major, sx.Dev_minor), Ino: sx.Ino},
		Size:  int64(sx.Size), //nolint:gosec // no file is larger than an int64
		Mtime: sx.Mtime.Sec*1e9 + int64(sx.Mtime.Nsec),
		Mode:  mode(uint32(sx.Mode)),
		Links: uint64(sx.Nlink),
	}
	if sx.Mask&unix.STATX_BTIME != 0 {
		s.Born = sx.Btime.Sec*1e9 + int64(sx.Btime.Nsec)
	}
	return s
}

func mode(m uint32) fs.FileMode {
	perm := fs.FileMode(m & 0o777)
	switch m & unix.S_IFMT {
	case unix.S_IFREG:
		return perm
	case unix.S_IFDIR:
		return perm | fs.ModeDir
	case unix.S_IFLNK:
		return perm | fs.ModeSymlink
	case unix.S_IFIFO:
		return perm | fs.ModeNamedPipe
	case unix.S_IFSOCK:
		return perm | fs.ModeSocket
	}
	return perm | fs.ModeDevice
}
