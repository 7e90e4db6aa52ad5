package initcopy

import (
	"os"
	"runtime/debug"
)

// roomy is the memory limit from which on the collector may wait longer.
const roomy = 64 << 20

// collectLess lets the collector run a few times less: a run ends soon, and lists of tens of thousands of entries are
// a few megabytes. In a small container, and where the user chose, it stays as it is.
func collectLess() (undo func()) {
	if os.Getenv("GOGC") != "" || debug.SetMemoryLimit(-1) < roomy {
		return func() {}
	}
	before := debug.SetGCPercent(400)
	return func() { debug.SetGCPercent(before) }
}
