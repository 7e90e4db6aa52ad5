package place

import (
	"os"
	"strings"
)

// Mounts are the absolute paths at which something is mounted; none where /proc is not. See proc_pid_mountinfo(5).
func Mounts() []string {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	return mountPoints(string(data))
}

func mountPoints(info string) (paths []string) {
	// The kernel writes four characters of a path as octal numbers.
	plain := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for line := range strings.SplitSeq(info, "\n") {
		if f := strings.Fields(line); len(f) > 4 {
			paths = append(paths, plain.Replace(f[4]))
		}
	}
	return paths
}
