//go:build !linux

package keep

import (
	"errors"
	"io/fs"
	"os"
)

// move renames a file to a name that is free, else the error wraps fs.ErrExist. Here a file that takes the old name in between is not noticed.
func move(from, to string, _ func(fs.FileInfo) bool) error {
	if err := os.Link(from, to); err != nil { // unlike a rename this replaces nothing
		return err
	}
	return os.Remove(from)
}

var errOther = errors.New("the application rotated it in the same moment")
