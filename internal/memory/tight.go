package memory

import (
	"os"
	"runtime/debug"
)

// Tight has garbage collected when the heap has grown by percent, not by all it is: for roles whose memory is buffers that are used
// again and again, so that a collection is rare anyway. GOGC of the environment wins.
func Tight(percent int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}
