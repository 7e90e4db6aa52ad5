package engine

import (
	"os"
	"strconv"
)

// descriptorName is a path that opens the file that f is, whatever its names say.
func descriptorName(f *os.File) string { return "/proc/self/fd/" + strconv.Itoa(int(f.Fd())) }
