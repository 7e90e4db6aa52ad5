//go:build !linux

package timer

// New returns the best Timer there is.
func New() Timer { return Portable() }
