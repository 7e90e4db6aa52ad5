//go:build !linux

package place

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

func anonymous(*os.File) (*os.File, error) { return nil, errors.ErrUnsupported }

func linkAnonymous(*os.File, int, string) error { return errors.ErrUnsupported }

func exchange(int, string, int, string) error { return errors.ErrUnsupported }

func renameNew(oldDir int, oldName string, newDir int, newName string) error {
	return unix.Renameat(oldDir, oldName, newDir, newName)
}

func unsupported(err error) bool { return errors.Is(err, errors.ErrUnsupported) }

// MountPoint tells whether dir is where something is mounted: such a folder cannot be renamed.
func MountPoint(dir string) (bool, error) {
	here, err := os.Stat(dir)
	if err != nil {
		return false, err
	}
	above, err := os.Stat(filepath.Join(dir, ".."))
	if err != nil {
		return false, err
	}
	return here.Sys().(*syscall.Stat_t).Dev != above.Sys().(*syscall.Stat_t).Dev, nil
}

// SameMount tells whether names can be renamed from one folder to the other.
func SameMount(a, b string) (bool, error) {
	one, err := os.Stat(a)
	if err != nil {
		return false, err
	}
	other, err := os.Stat(b)
	if err != nil {
		return false, err
	}
	return one.Sys().(*syscall.Stat_t).Dev == other.Sys().(*syscall.Stat_t).Dev, nil
}

// Lock does nothing here: held is false.
func Lock(context.Context, string, func()) (release func(), held bool, err error) {
	return func() {}, false, nil
}

// SyncAll writes out everything that waits to be written, to any file system.
func SyncAll(string) error { return unix.Sync() }
