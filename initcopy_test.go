package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestInterruptedCopyLeavesTheTargetAsItWas stops a copy that waits for the rest of its archive.
func TestInterruptedCopyLeavesTheTargetAsItWas(t *testing.T) {
	volume := t.TempDir()
	if err := os.MkdirAll(filepath.Join(volume, "app"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(volume, "app/old"), []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sidecar", "initcopy", "-", filepath.Join(volume, "app"))
	var log bytes.Buffer
	cmd.Stderr = &log
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(in)
	if err := w.WriteHeader(&tar.Header{Name: "new", Mode: 0o644, Size: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 1<<19)); err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ { // until it is in the middle of it
		if left, _ := filepath.Glob(filepath.Join(volume, "META-INF/.initcopy-*")); len(left) > 0 {
			break
		}
		if n == tries {
			t.Fatalf("no stage: %s", log.String())
		}
		nap()
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err = <-done:
	case <-time.After(20 * time.Second):
		_ = cmd.Process.Kill()
		t.Fatal("it does not stop while its input is silent")
	}
	if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.ExitCode() != 143 {
		t.Errorf("ended with %v; want 143\n%s", err, log.String())
	}
	var names []string
	err = filepath.WalkDir(volume, func(path string, _ os.DirEntry, err error) error {
		rel, _ := filepath.Rel(volume, path)
		names = append(names, rel)
		return err
	})
	if got := strings.Join(names, " "); got != ". app app/old" || err != nil {
		t.Errorf("the volume holds %q, %v; want what it held", got, err)
	}
}

// TestCopiesToOneTargetWaitForEachOther starts several copies of two versions at once: the result is one of them, whole.
func TestCopiesToOneTargetWaitForEachOther(t *testing.T) {
	dir := t.TempDir()
	for _, v := range []string{"one", "two"} {
		for _, name := range []string{"a", "b", "c/d"} {
			path := filepath.Join(dir, v, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(v), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
	}
	volume := filepath.Join(dir, "volume")
	var wg sync.WaitGroup
	for n := range 6 {
		wg.Go(func() {
			out, err := exec.Command("sidecar", "initcopy", filepath.Join(dir, []string{"one", "two"}[n%2])+"/", filepath.Join(volume, "app")).CombinedOutput()
			if err != nil {
				t.Errorf("run %d: %v: %s", n, err, out)
			}
		})
	}
	wg.Wait()
	read := func(name string) string {
		f, err := os.Open(filepath.Join(volume, "app", name))
		if err != nil {
			return err.Error()
		}
		defer f.Close()
		data, _ := io.ReadAll(f)
		return string(data)
	}
	if a, b, c := read("a"), read("b"), read("c/d"); a != b || b != c || a != "one" && a != "two" {
		t.Errorf("the files say %q, %q, %q; want one version", a, b, c)
	}
	if left, _ := filepath.Glob(filepath.Join(volume, ".initcopy-*")); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}
