//go:build !linux

package place

// Mounts is not known here.
func Mounts() []string { return nil }
