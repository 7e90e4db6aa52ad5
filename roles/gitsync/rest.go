package gitsync

import (
	"runtime"

	"github.com/sidecar-kit/sidecar/internal/memory"
)

// rest gives back what only a publish needs: memory and parallelism. A look at the repository is a row of small steps in
// several goroutines, and with one processor they follow each other without waking a thread for each. wake takes it back.
func rest() {
	runtime.GOMAXPROCS(1)
	memory.Rest()
}

// wake lets the next publish use as many processors as the program was started with.
func wake(processors int) { runtime.GOMAXPROCS(processors) }
