//go:build !linux

package gitsync

import "runtime/debug"

// rest gives memory back that only a publish needs.
func rest() { debug.FreeOSMemory() }

// wake has nothing to do here.
func wake(int) {}
