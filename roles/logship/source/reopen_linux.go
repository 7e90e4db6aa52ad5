package source

import (
	"os"
	"strconv"
)

// reopen opens the file that is open once more.
func reopen(f *os.File) (*os.File, error) {
	return os.Open("/proc/self/fd/" + strconv.Itoa(int(f.Fd())))
}
