package run

import (
	"os"

	"github.com/sidecar-kit/sidecar/internal/procfs"
)

// table is the process table as stops need it.
type table struct {
	err      error
	byID     map[int]procfs.Process
	children map[int][]int
	groups   map[int][]int
	marked   map[string][]int
}

// survey reads the process table; without one it is empty, and stops reach the
// process group only.
func survey() *table {
	all, err := procfs.List()
	t := &table{err, map[int]procfs.Process{}, map[int][]int{}, map[int][]int{}, map[string][]int{}}
	self := os.Getpid()
	for _, p := range all {
		if p.ID == self || p.Dead() {
			continue
		}
		t.byID[p.ID] = p
		t.children[p.Parent] = append(t.children[p.Parent], p.ID)
		t.groups[p.Group] = append(t.groups[p.Group], p.ID)
		if run, ok := procfs.Getenv(p.ID, mark); ok {
			t.marked[run] = append(t.marked[run], p.ID)
		}
	}
	return t
}

// members are the living processes of a run: its group, those with its mark,
// those seen before, and the children of all of them. The caller holds x.mu.
func (t *table) members(x *Run) []procfs.Process {
	known := x.stopping.known
	var found []procfs.Process
	seen := map[int]bool{}
	var visit func(ids []int)
	visit = func(ids []int) {
		for _, id := range ids {
			p, ok := t.byID[id]
			if !ok || seen[id] {
				continue
			}
			seen[id] = true
			known[id] = p.Start
			found = append(found, p)
			visit(t.children[id])
		}
	}
	// While anything is in the group, its id is given to no other process. So
	// one of that id, after ours was waited for, leads a group of its own.
	if _, there := t.byID[x.pid]; !there || !x.reaped {
		visit(t.groups[x.pid])
	}
	visit(t.marked[x.mark])
	for id, start := range known {
		if t.byID[id].Start == start {
			visit([]int{id})
		}
	}
	return found
}
