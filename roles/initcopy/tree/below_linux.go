package tree

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// maxPath is how long a path one system call may get; PATH_MAX is 4096 with the zero at the end.
const maxPath = 4000

// openBelow opens path below the folder root without leaving it and without following a link, which the kernel itself
// guarantees from Linux 5.6 on. Paths may be longer than the kernel takes at once.
func openBelow(root int, path string, flags int) (int, error) {
	fd := root
	for len(path) > maxPath {
		cut := strings.LastIndexByte(path[:maxPath], '/')
		next, err := openat2(fd, path[:cut], unix.O_PATH|unix.O_DIRECTORY)
		closeOther(fd, root)
		if err != nil {
			return -1, err
		}
		fd, path = next, path[cut+1:]
	}
	if path == "" {
		path = "."
	}
	next, err := openat2(fd, path, flags)
	closeOther(fd, root)
	return next, err
}

func openat2(dir int, path string, flags int) (int, error) {
	how := unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	for {
		fd, err := unix.Openat2(dir, path, &how)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
			continue
		case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM):
			return openStep(dir, path, flags) // older kernels, and sandboxes that do not know the call
		}
		return fd, err
	}
}

// openStep goes folder by folder.
func openStep(root int, path string, flags int) (int, error) {
	fd := root
	for {
		first, rest, more := strings.Cut(path, "/")
		step := unix.O_PATH | unix.O_DIRECTORY
		if !more {
			step = flags
		}
		next, err := openat(fd, first, step, 0)
		closeOther(fd, root)
		if err != nil || !more {
			return next, err
		}
		fd, path = next, rest
	}
}

func openat(dir int, name string, flags int, perm uint32) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, perm)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

func closeOther(fd, root int) {
	if fd != root {
		_ = unix.Close(fd)
	}
}

// openRoot opens a folder the user named: links on the way to it are his.
func openRoot(path string) (int, error) {
	return unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// cursor opens the folder that a path lies in and keeps it open as long as the next paths lie there too.
type cursor struct {
	root, fd int
	dir      string
	open     bool
}

// at returns the folder's descriptor and the last part of the path.
func (c *cursor) at(path string) (fd int, base string, err error) {
	dir, base := split(path)
	if dir == "" {
		return c.root, base, nil
	}
	if c.open && dir == c.dir {
		return c.fd, base, nil
	}
	c.close()
	if c.fd, err = openBelow(c.root, dir, unix.O_PATH|unix.O_DIRECTORY); err != nil {
		return -1, base, err
	}
	c.dir, c.open = dir, true
	return c.fd, base, nil
}

func (c *cursor) close() {
	if c.open {
		_ = unix.Close(c.fd)
		c.open = false
	}
}
