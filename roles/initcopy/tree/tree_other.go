//go:build !linux

package tree

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

// errSystem: copies are exact by means of calls that only Linux has.
var errSystem = fmt.Errorf("copying trees needs Linux: %w", errors.ErrUnsupported)

// Scan needs Linux.
func Scan(context.Context, string, ScanOptions) (Listing, error) { return Listing{}, errSystem }

// Copy needs Linux.
func Copy(context.Context, Job) (Result, error) { return Result{}, errSystem }

// Sums needs Linux.
func Sums(context.Context, string, []item.Item, int, func(files int, bytes int64)) error {
	return errSystem
}

// Stat needs Linux.
func Stat(*os.File) (item.Item, error) { return item.Item{}, errSystem }

// CopyFile needs Linux.
func CopyFile(context.Context, *os.File, *os.File, FileOptions) (FileResult, error) {
	return FileResult{}, errSystem
}

// Looker needs Linux.
type Looker struct{}

// NewLooker needs Linux.
func NewLooker(string) (*Looker, error) { return nil, errSystem }

// Close does nothing.
func (*Looker) Close() {}

// Look needs Linux.
func (*Looker) Look(*item.Item) error { return errSystem }

// Holds asks the kernel about paths below root; not here.
func Holds(context.Context, string, int, int, func(int) string, func(int, *item.Item) bool) bool {
	return false
}

// Dress needs Linux.
func Dress(*os.File, *item.Item, item.Rules, int64) (bool, error) { return false, errSystem }
