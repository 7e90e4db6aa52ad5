// Package procfs reads the process table. In a pod with a shared process
// namespace that is how a helper finds the application. Used by notify, probe and proc.
package procfs

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
)

const root = "/proc"

// commMax is how much of a name the kernel keeps.
const commMax = 15

// Find returns the ids of the processes whose name, or the base name of the
// program they were started as, is comm. This process is not among them.
func Find(comm string) ([]int, error) { return find(root, comm, os.Getpid()) }

func find(root, comm string, self int) ([]int, error) {
	pids, err := all(root)
	if err != nil {
		return nil, fmt.Errorf("find process %s: %w", comm, err)
	}
	var found []int
	for _, pid := range pids {
		if pid != self && matches(root, pid, comm) {
			found = append(found, pid)
		}
	}
	return found, nil
}

// matches is false for a process that ended meanwhile.
func matches(root string, pid int, comm string) bool {
	name, err := os.ReadFile(file(root, pid, "comm"))
	if err != nil {
		return false
	}
	short := strings.TrimSuffix(string(name), "\n")
	if short == comm {
		return true
	}
	cmdline, err := os.ReadFile(file(root, pid, "cmdline"))
	if err != nil {
		return false
	}
	arg0, _, _ := bytes.Cut(cmdline, []byte{0})
	if len(arg0) == 0 {
		return len(comm) > commMax && short == comm[:commMax]
	}
	return path.Base(string(arg0)) == comm
}

// Zombies returns the ids of the dead children of parent that nobody waited for.
func Zombies(parent int) ([]int, error) { return zombies(root, parent) }

func zombies(root string, parent int) ([]int, error) {
	pids, err := all(root)
	if err != nil {
		return nil, fmt.Errorf("list zombies: %w", err)
	}
	var found []int
	for _, pid := range pids {
		data, err := os.ReadFile(file(root, pid, "stat"))
		if err != nil {
			continue
		}
		if state, ppid := parseStat(data); state == 'Z' && ppid == parent {
			found = append(found, pid)
		}
	}
	return found, nil
}

// parseStat reads the state and the parent. The name before them is in
// parentheses and may hold anything, so the last one counts.
func parseStat(data []byte) (state byte, ppid int) {
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(fields) < 2 || len(fields[0]) != 1 || fields[0][0] < 'A' {
		return 0, 0
	}
	ppid, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return 0, 0
	}
	return fields[0][0], ppid
}

func all(root string) ([]int, error) {
	dir, err := os.Open(root)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func file(root string, pid int, name string) string {
	return path.Join(root, strconv.Itoa(pid), name)
}
