package memory

import (
	"bufio"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Rest gives back what only work needs: the heap's free pages, and the pages of the program itself that are mapped. Code and
// constants are clean copies of the binary; what the next work needs of them comes back by a few page faults. At rest
// that is two thirds of the resident memory of a small process.
func Rest() {
	debug.FreeOSMemory()
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer f.Close()
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	for _, m := range cleanMappings(f, exe) {
		// A refusal costs nothing but the memory.
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED)
	}
}

// mapping is a range of addresses.
type mapping struct{ from, to uintptr }

// cleanMappings reads /proc/self/smaps. It returns the mappings of the program's file that cannot be written to and hold
// no page of their own: all of theirs are in the file. A position-independent program has mappings that look the same but
// were written to before they were sealed, when addresses were filled in; these must stay.
func cleanMappings(smaps io.Reader, exe string) []mapping {
	var out []mapping
	var m mapping
	ours := false
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) >= 5 && strings.Contains(fields[0], "-"):
			m, ours = cleanMapping(fields, exe)
		case len(fields) >= 2 && ours && (fields[0] == "Anonymous:" || fields[0] == "Swap:") && fields[1] != "0":
			ours = false
		case len(fields) >= 1 && ours && fields[0] == "VmFlags:": // the last line of each
			out = append(out, m)
			ours = false
		}
	}
	return out
}

// cleanMapping reads the first line of a mapping.
func cleanMapping(fields []string, exe string) (mapping, bool) {
	if len(fields) < 6 || fields[5] != exe || fields[1] != "r-xp" && fields[1] != "r--p" {
		return mapping{}, false
	}
	lo, hi, found := strings.Cut(fields[0], "-")
	a, erra := strconv.ParseUint(lo, 16, 64)
	b, errb := strconv.ParseUint(hi, 16, 64)
	if !found || erra != nil || errb != nil || b <= a {
		return mapping{}, false
	}
	return mapping{uintptr(a), uintptr(b)}, true
}
