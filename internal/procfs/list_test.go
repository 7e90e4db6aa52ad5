package procfs

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

func TestListFindsThisProcess(t *testing.T) {
	table, err := List()
	if err != nil {
		t.Skipf("no process table: %v", err)
	}
	for _, p := range table {
		if p.ID == os.Getpid() {
			if p.Parent != os.Getppid() || p.Group != syscall.Getpgrp() || p.Start == 0 || p.Dead() {
				t.Errorf("List has %+v; want parent %d, group %d, alive", p, os.Getppid(), syscall.Getpgrp())
			}
			return
		}
	}
	t.Error("List lacks this process")
}

func TestListLeavesOutWhatItCanNotRead(t *testing.T) {
	root := table(t, map[int][3]string{
		2: {"", "", "2 (a b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 9"},
		3: {"", "", "3 (short) S 1 7"},
		4: {"", "", "4 (odd) S 1 x 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 9"},
	})
	got, err := list(root)
	if want := (Process{ID: 2, Parent: 1, Group: 7, Start: 4242, State: 'S'}); err != nil || len(got) != 1 || got[0] != want {
		t.Errorf("list = %+v, %v; want %+v", got, err, want)
	}
}

func TestGetenvReadsWholeNames(t *testing.T) {
	root := table(t, map[int][3]string{2: {}})
	if err := os.WriteFile(filepath.Join(root, "2", "environ"), []byte("AB=1\x00B=2=3\x00C=\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"AB": "1", "B": "2=3", "C": ""} {
		if got, ok := getenv(root, 2, name); !ok || got != want {
			t.Errorf("getenv(%s) = %q, %v; want %q", name, got, ok, want)
		}
	}
	for _, name := range []string{"A", "D", ""} {
		if got, ok := getenv(root, 2, name); ok {
			t.Errorf("getenv(%q) = %q; want none", name, got)
		}
	}
}

func TestChildrenOfAllThreads(t *testing.T) {
	root := t.TempDir()
	for task, text := range map[string]string{"7": "8 9 ", "12": "", "13": "10 "} {
		dir := filepath.Join(root, "7", "task", task)
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "children"), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := children(root, 7)
	slices.Sort(got)
	if want := []int{8, 9, 10}; err != nil || !slices.Equal(got, want) {
		t.Errorf("children = %v, %v; want %v", got, err, want)
	}
	if err := os.Remove(filepath.Join(root, "7", "task", "13", "children")); err != nil {
		t.Fatal(err)
	}
	if _, err := children(root, 7); err == nil {
		t.Error("children on a kernel that does not tell = nil; want an error")
	}
}
