package procfs

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

func table(t *testing.T, procs map[int][3]string) string {
	t.Helper()
	root := t.TempDir()
	for pid, content := range procs {
		dir := filepath.Join(root, strconv.Itoa(pid))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for i, name := range []string{"comm", "cmdline", "stat"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content[i]), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Mkdir(filepath.Join(root, "self"), 0o755); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestFind(t *testing.T) {
	root := table(t, map[int][3]string{
		1:  {"nginx\n", "nginx: master process\x00", ""},
		7:  {"nginx\n", "nginx: worker process\x00", ""},
		8:  {"ld-linux\n", "/opt/bin/nginx\x00-g\x00", ""},
		9:  {"very-long-appli\n", "/bin/very-long-application\x00", ""},
		10: {"very-long-appli\n", "", ""},
		11: {"sh\n", "/bin/sh\x00nginx\x00", ""},
	})
	tests := []struct {
		comm string
		want []int
	}{
		{"nginx", []int{1, 8}},
		{"very-long-application", []int{9, 10}},
		{"sh", []int{11}},
		{"none", nil},
	}
	for _, tt := range tests {
		got, err := find(root, tt.comm, 7)
		slices.Sort(got)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("find(%q) = %v, %v; want %v", tt.comm, got, err, tt.want)
		}
	}
	if _, err := find(filepath.Join(root, "none"), "x", 0); err == nil {
		t.Error("find without a process table = nil; want an error")
	}
}

func TestZombiesAreDeadChildrenOfTheParent(t *testing.T) {
	root := table(t, map[int][3]string{
		2: {"", "", "2 (a) Z 1 2 2"},
		3: {"", "", "3 (b) S 1 3 3"},
		4: {"", "", "4 (c) Z 9 4 4"},
		5: {"", "", "5 (evil) Z 9) Z 1 5 5"},
		6: {"", "", "6 (short)"},
		7: {"", "", "nonsense"},
	})
	got, err := zombies(root, 1)
	slices.Sort(got)
	if want := []int{2, 5}; err != nil || !slices.Equal(got, want) {
		t.Errorf("zombies(1) = %v, %v; want %v", got, err, want)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("2 (a) Z 1 2 2"))
	f.Add([]byte("2 (a"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if state, ppid := parseStat(data); state == 0 && ppid != 0 {
			t.Errorf("parseStat(%q) = %c, %d; want no parent without a state", data, state, ppid)
		}
	})
}
