//go:build !linux

package tree

import "golang.org/x/sys/unix"

func (d *Folder) open(name string, flags int, perm uint32) (int, error) {
	return d.walk(name, flags, perm)
}

// SyncAll writes out everything that waits to be written, to any file system.
func (d *Folder) SyncAll() error { return unix.Sync() }
