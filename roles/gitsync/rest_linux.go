package gitsync

import (
	"bufio"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// rest gives back what only a publish needs. Two things are memory: the heap's free pages, and the pages of the program itself that are
// mapped. Code and constants are clean copies of the binary; what the next look at the repository needs of them comes
// back by a few page faults. At rest that is two thirds of the process's resident memory.
//
// The third is parallelism: a look at the repository is a row of small steps in several goroutines, and with one
// processor they follow each other without waking a thread for each. wake takes it back.
func rest() {
	runtime.GOMAXPROCS(1)
	debug.FreeOSMemory()
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer f.Close()
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if from, to, ok := cleanMapping(lines.Text(), exe); ok {
			// A refusal costs nothing but the memory.
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED)
		}
	}
}

// wake lets the next publish use every processor that the container may use.
func wake() { runtime.SetDefaultGOMAXPROCS() }

// cleanMapping reads a line of /proc/self/maps. It is for mappings of the program's file that cannot be written to:
// their pages are the same as in the file.
func cleanMapping(line, exe string) (from, to uintptr, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 6 || fields[5] != exe || fields[1] != "r-xp" && fields[1] != "r--p" {
		return 0, 0, false
	}
	lo, hi, found := strings.Cut(fields[0], "-")
	a, erra := strconv.ParseUint(lo, 16, 64)
	b, errb := strconv.ParseUint(hi, 16, 64)
	if !found || erra != nil || errb != nil || b <= a {
		return 0, 0, false
	}
	return uintptr(a), uintptr(b), true
}
