package tree

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// unreadable is an error of the source, with the remedy where there is one.
func unreadable(op, path string, err error) error {
	err = &os.PathError{Op: op, Path: path, Err: err}
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w\nhint: run as a user who may read it (runAsUser, supplementalGroups), or leave it out with --exclude", err)
	}
	return err
}

// changed is the error for a source that does not hold still.
func changed(path, what string) error {
	return fmt.Errorf("%s %s while it was copied: %w\nhint: copy from a source that nobody writes to, or leave it out with --exclude", path, what, ErrChanged)
}

// sourceError adds what to do, and tells a source that changed from one that is broken.
func sourceError(op, path string, err error) error {
	switch {
	case errors.Is(err, unix.ENOENT):
		return changed(path, "was removed")
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ENXIO), errors.Is(err, unix.EISDIR):
		return changed(path, "was replaced")
	}
	return unreadable(op, path, err)
}
