package procfs

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"strconv"
)

// Process is a line of the process table. Id and start together name a process:
// ids come again.
type Process struct {
	ID, Parent, Group int
	Start             uint64 // ticks since boot
	State             byte   // Z and X have ended
}

// Dead says that the process has ended and waits for its parent.
func (p Process) Dead() bool { return p.State == 'Z' || p.State == 'X' }

// List returns the whole table.
func List() ([]Process, error) { return list(root) }

func list(root string) ([]Process, error) {
	pids, err := all(root)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	table := make([]Process, 0, len(pids))
	for _, pid := range pids {
		if p, err := read(root, pid); err == nil {
			table = append(table, p)
		}
	}
	return table, nil
}

// Read returns the line of one process.
func Read(pid int) (Process, error) { return read(root, pid) }

func read(root string, pid int) (Process, error) {
	data, err := os.ReadFile(file(root, pid, "stat"))
	if err != nil {
		return Process{}, err
	}
	p := Process{ID: pid}
	p.State, p.Parent = parseStat(data)
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if p.State == 0 || len(fields) < 20 {
		return Process{}, fmt.Errorf("process %d: %w", pid, ErrNotRunning)
	}
	if p.Group, err = strconv.Atoi(string(fields[2])); err != nil {
		return Process{}, fmt.Errorf("group of process %d: %w", pid, err)
	}
	if p.Start, err = strconv.ParseUint(string(fields[19]), 10, 64); err != nil {
		return Process{}, fmt.Errorf("start of process %d: %w", pid, err)
	}
	return p, nil
}

// Getenv returns a variable that the process was started with. It is not seen
// of other users' processes.
func Getenv(pid int, name string) (string, bool) { return getenv(root, pid, name) }

func getenv(root string, pid int, name string) (string, bool) {
	data, err := os.ReadFile(file(root, pid, "environ"))
	if err != nil {
		return "", false
	}
	prefix := []byte(name + "=")
	for pair := range bytes.SplitSeq(data, []byte{0}) {
		if value, ok := bytes.CutPrefix(pair, prefix); ok {
			return string(value), true
		}
	}
	return "", false
}

// Children returns the ids of the children of a process, dead ones too. Not
// every kernel tells; reading the whole table takes a file for each process.
func Children(parent int) ([]int, error) { return children(root, parent) }

func children(root string, parent int) ([]int, error) {
	tasks, err := os.ReadDir(file(root, parent, "task"))
	if err != nil {
		return nil, fmt.Errorf("children of process %d: %w", parent, err)
	}
	var found []int
	for _, task := range tasks {
		// A thread that ended meanwhile has handed its children to another one,
		// which may have been read already: the next look finds them.
		data, err := os.ReadFile(path.Join(file(root, parent, "task"), task.Name(), "children"))
		if err != nil && exists(file(root, parent, path.Join("task", task.Name()))) {
			return nil, fmt.Errorf("children of process %d: %w", parent, err)
		}
		for field := range bytes.FieldsSeq(data) {
			if pid, err := strconv.Atoi(string(field)); err == nil {
				found = append(found, pid)
			}
		}
	}
	return found, nil
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
