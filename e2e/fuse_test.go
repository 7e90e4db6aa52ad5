package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCopiesWhereNamesCannotBeExchanged copies to a real file system without exchanges and unnamed files (bindfs, by
// FUSE): a new target becomes a link that is swapped, and a folder that exists is replaced entry by entry.
func TestCopiesWhereNamesCannotBeExchanged(t *testing.T) {
	program := needs(t, "bindfs")
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	real, volume, src := filepath.Join(dir, "real"), filepath.Join(dir, "volume"), filepath.Join(dir, "src")
	for _, d := range []string{real, volume, src, filepath.Join(real, "exists/theirs")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), program, real, volume).CombinedOutput(); err != nil {
		t.Skipf("bindfs cannot mount here: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("fusermount", "-u", volume).CombinedOutput(); err != nil {
			t.Errorf("unmount: %v: %s", err, out)
		}
	})
	copyTo := func(target string, more ...string) string {
		t.Helper()
		args := append([]string{"initcopy", src + "/", filepath.Join(volume, target)}, more...)
		out, err := exec.CommandContext(t.Context(), sidecar(t), args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
		return string(out)
	}
	for _, words := range []string{"one", "two"} {
		for _, name := range []string{"a", words} {
			if err := os.WriteFile(filepath.Join(src, name), []byte(words), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		for _, target := range []string{"new", "exists"} {
			copyTo(target)
			if again := copyTo(target); !strings.Contains(again, `"message":"unchanged"`) {
				t.Errorf("%s: the second run said %s", target, again)
			}
			for _, name := range []string{"a", words} {
				if got, err := os.ReadFile(filepath.Join(volume, target, name)); string(got) != words || err != nil {
					t.Errorf("%s/%s = %q, %v; want %q", target, name, got, err, words)
				}
			}
		}
		if err := os.Remove(filepath.Join(src, words)); err != nil {
			t.Fatal(err)
		}
	}
	copyTo("exists")
	if _, err := os.Stat(filepath.Join(volume, "exists/two")); err == nil {
		t.Error("exists/two is left, and is gone from the source")
	}
	if _, err := os.Stat(filepath.Join(volume, "exists/theirs")); err != nil {
		t.Error("what others put there is gone")
	}
	if to, err := os.Readlink(filepath.Join(volume, "new")); !strings.HasPrefix(to, ".new.versions/") {
		t.Errorf("new is no link to a version: %q, %v", to, err)
	}
	if left, _ := filepath.Glob(filepath.Join(volume, ".initcopy-*")); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}
