package tree

import (
	"errors"

	"golang.org/x/sys/unix"
)

// open opens name below d. The kernel itself refuses to leave the folder or to follow a link (Linux 5.6 and later;
// older ones, and sandboxes that do not know the call, go folder by folder).
func (d *Folder) open(name string, flags int, perm uint32) (int, error) {
	how := unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC),
		Mode:    uint64(perm),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	for {
		fd, err := unix.Openat2(d.fd, name, &how)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
			continue
		case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM):
			return d.walk(name, flags, perm)
		}
		return fd, err
	}
}

// SyncAll writes out everything that was written to the folder's file system. It is one call where a sync for each of
// thousands of files would wait for the disk thousands of times.
func (d *Folder) SyncAll() error {
	if err := unix.Syncfs(d.fd); err != nil {
		return d.fail("sync", "", err)
	}
	return nil
}
