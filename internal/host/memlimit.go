package host

import (
	"math"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/rs/zerolog"
)

// headroom is the share of the container's memory the Go heap may grow to; the
// rest is for stacks, buffers of the kernel and the binary itself.
const headroom = 0.9

// limitMemory sets GOMEMLIMIT from the cgroup unless it was given: the runtime
// does not read the cgroup, and a heap that grows into the limit is killed.
func limitMemory(log zerolog.Logger, root string) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	limit, from := cgroupLimit(root)
	if limit <= 0 {
		log.Debug().Msg("no memory limit found")
		return
	}
	soft := int64(float64(limit) * headroom)
	debug.SetMemoryLimit(soft)
	log.Info().Int64("limit_bytes", limit).Int64("gomemlimit_bytes", soft).Str("path", from).Msg("memory limit set")
}

// cgroupLimit returns the tightest memory limit above this process and the file
// it was read from; 0 means none.
func cgroupLimit(root string) (int64, string) {
	data, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return 0, ""
	}
	best, from := int64(math.MaxInt64), ""
	for line := range strings.Lines(string(data)) {
		dir, file, group := controller(strings.TrimSpace(line))
		if file == "" {
			continue
		}
		// A container often sees its own cgroup as the root and the path of
		// the host in the list, so every parent up to the root is tried.
		for p := path.Clean("/" + group); ; p = path.Dir(p) {
			name := path.Join(dir, p, file)
			if n := readLimit(filepath.Join(root, name)); n > 0 && n < best {
				best, from = n, name
			}
			if p == "/" {
				break
			}
		}
	}
	// v1 says "no limit" by the largest number of whole pages.
	if from == "" || best > math.MaxInt64/2 {
		return 0, ""
	}
	return best, from
}

// controller tells where the memory limit of one line of the list is kept.
func controller(line string) (dir, file, group string) {
	id, rest, _ := strings.Cut(line, ":")
	names, group, ok := strings.Cut(rest, ":")
	switch {
	case !ok:
		return "", "", ""
	case id == "0" && names == "":
		return "/sys/fs/cgroup", "memory.max", group
	}
	for name := range strings.SplitSeq(names, ",") {
		if name == "memory" {
			return "/sys/fs/cgroup/memory", "memory.limit_in_bytes", group
		}
	}
	return "", "", ""
}

func readLimit(name string) int64 {
	data, err := os.ReadFile(name)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	if err != nil {
		return 0 // "max"
	}
	return n
}
