package follow

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestNamesThatChangeAreTold(t *testing.T) {
	w, err := New()
	if err != nil {
		t.Fatal(err)
	}
	dir, other := t.TempDir(), t.TempDir()
	if err := w.Add(dir); err != nil {
		t.Fatal(err)
	}
	if err := w.Add(other); err != nil {
		t.Fatal(err)
	}
	w.Remove(other)
	if err := w.Add(filepath.Join(dir, "missing")); err == nil {
		t.Error("Add of a folder that is not there = nil; want an error")
	}
	for _, name := range []string{filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(other, "c")} {
		if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	deadline := time.After(10 * time.Second)
	for len(got) < 2 {
		select {
		case <-w.Ready():
			for _, n := range w.Take() {
				for _, name := range n.Names {
					if name = filepath.Join(n.Folder, name); !slices.Contains(got, name) {
						got = append(got, name)
					}
				}
			}
		case <-deadline:
			t.Fatalf("told: %q; want a and b", got)
		}
	}
	slices.Sort(got)
	if want := []string{filepath.Join(dir, "a"), filepath.Join(dir, "b")}; !slices.Equal(got, want) {
		t.Errorf("told: %q; want %q", got, want)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}
