package place

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// anonymous makes a file without a name in the file system of d.
func anonymous(d *os.File) (*os.File, error) {
	fd, err := unix.Openat(int(d.Fd()), ".", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), filepath.Join(d.Name(), "(unnamed)")), nil
}

// linkAnonymous names it. The way through /proc needs no capability, unlike AT_EMPTY_PATH.
func linkAnonymous(f *os.File, dir int, name string) error {
	err := unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), dir, name, unix.AT_SYMLINK_FOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return unix.Linkat(int(f.Fd()), "", dir, name, unix.AT_EMPTY_PATH)
	}
	return err
}

func exchange(oldDir int, oldName string, newDir int, newName string) error {
	return unix.Renameat2(oldDir, oldName, newDir, newName, unix.RENAME_EXCHANGE)
}

// renameNew renames where the new name is free; EEXIST where it is not. File systems that cannot tell rename over a file.
func renameNew(oldDir int, oldName string, newDir int, newName string) error {
	err := unix.Renameat2(oldDir, oldName, newDir, newName, unix.RENAME_NOREPLACE)
	if unsupported(err) {
		return unix.Renameat(oldDir, oldName, newDir, newName)
	}
	return err
}

func unsupported(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP)
}

// MountPoint tells whether dir is where something is mounted: such a folder cannot be renamed.
func MountPoint(dir string) (bool, error) {
	here, err := mountOf(dir)
	if err != nil {
		return false, err
	}
	above, err := mountOf(filepath.Join(dir, ".."))
	if err != nil {
		return false, err
	}
	return here != above, nil
}

// SameMount tells whether names can be renamed from one folder to the other.
func SameMount(a, b string) (bool, error) {
	one, err := mountOf(a)
	if err != nil {
		return false, err
	}
	other, err := mountOf(b)
	return one == other, err
}

type mount struct {
	id           uint64
	major, minor uint32
}

func mountOf(dir string) (mount, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, dir, 0, unix.STATX_MNT_ID, &st); err != nil {
		return mount{}, &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	m := mount{major: st.Dev_major, minor: st.Dev_minor}
	if st.Mask&unix.STATX_MNT_ID != 0 { // Linux 5.8; before it, a bind mount of the same device is not seen
		m.id = st.Mnt_id
	}
	return m, nil
}

// Lock waits until no other run works in dir, on any machine whose file system carries locks. held is false where the
// file system has none. waiting is called once when it takes longer.
func Lock(ctx context.Context, dir string, waiting func()) (release func(), held bool, err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, false, err
	}
	release = func() { _ = d.Close() }
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for first := true; ; first = false {
		err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return release, true, nil
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EWOULDBLOCK):
			return release, false, nil
		}
		if first {
			waiting()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			release()
			return nil, false, ctx.Err()
		}
	}
}

// SyncAll writes out everything that was written to the file system of dir.
func SyncAll(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return fmt.Errorf("sync the file system of %s: %w", dir, err)
	}
	return nil
}
