package file

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/out/outtest"
	"github.com/sidecar-kit/sidecar/roles/logship/out/plain"
)

func sink(t *testing.T, o Config) *Sink {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func lines(t *testing.T, path string) int {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(data), "\n")
}

func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	s := sink(t, Config{Path: path, Format: plain.Text, MaxSize: 3000, Keep: 2})
	for i := range 10 {
		outtest.Deliver(t, s, outtest.Batch(t, s, i*10, i*10+10), 1) // 1,100 bytes each
	}
	for name, want := range map[string]int{path: 20, path + ".1": 20, path + ".2": 20} {
		if got := lines(t, name); got != want {
			t.Errorf("%s has %d lines; want %d", filepath.Base(name), got, want)
		}
	}
	if _, err := os.Stat(path + ".3"); err == nil {
		t.Error("a third old file stays; want two")
	}
}

func TestTornLineIsEnded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	if err := os.WriteFile(path, []byte("whole\ntor"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := sink(t, Config{Path: path, Format: plain.Text})
	outtest.Deliver(t, s, outtest.Batch(t, s, 0, 1), 1)
	data, _ := os.ReadFile(path)
	if !strings.HasPrefix(string(data), "whole\ntor\nlevel=info") {
		t.Errorf("file = %q; want the event in a line of its own", data)
	}
}

func TestTakenAwayFileIsMadeAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	s := sink(t, Config{Path: path})
	outtest.Deliver(t, s, outtest.Batch(t, s, 0, 5), 1)
	if err := os.Rename(path, path+".moved"); err != nil {
		t.Fatal(err)
	}
	outtest.Deliver(t, s, outtest.Batch(t, s, 5, 8), 1)
	if a, b := lines(t, path+".moved"), lines(t, path); a != 5 || b != 3 {
		t.Errorf("%d and %d lines; want 5 in the moved file and 3 in the new one", a, b)
	}
}

func TestMissingFolderIsSaid(t *testing.T) {
	s := sink(t, Config{Path: filepath.Join(t.TempDir(), "no", "a.log")})
	err := s.Send(t.Context(), outtest.Batch(t, s, 0, 1))
	if f := out.AsFailure(err); err == nil || f.How != out.Pause || !strings.Contains(err.Error(), "/no/a.log") {
		t.Errorf("Send = %v; want Pause and the path", err)
	}
}
