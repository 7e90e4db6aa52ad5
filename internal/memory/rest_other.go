//go:build !linux

package memory

import "runtime/debug"

// Rest gives back what only work needs.
func Rest() { debug.FreeOSMemory() }
