package tree

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// opener is open by the kernel, and walk, which stands in for it.
type opener func(name string, flags int, perm uint32) (int, error)

func openers(f *Folder) map[string]opener { return map[string]opener{"kernel": f.open, "walk": f.walk} }

func TestOpenStaysInsideBothWays(t *testing.T) {
	f, dir := folder(t)
	outside := t.TempDir()
	for name, data := range map[string]string{filepath.Join(outside, "secret"): "s", filepath.Join(dir, "file"): "f"} {
		if err := os.WriteFile(name, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	os.MkdirAll(filepath.Join(dir, "d/e"), 0o755)
	os.WriteFile(filepath.Join(dir, "d/e/f"), []byte("deep"), 0o644)
	os.Symlink(outside, filepath.Join(dir, "out"))
	os.Symlink(filepath.Join(outside, "secret"), filepath.Join(dir, "outfile"))
	os.Symlink("d", filepath.Join(dir, "in"))
	os.Symlink(outside, filepath.Join(dir, "d/out"))
	for how, open := range openers(f) {
		for name, want := range map[string]bool{
			"file": true, "d/e/f": true, "d/e": true, "out/secret": false, "outfile": false, "in/e/f": false, "d/out/secret": false,
			"out": false, "missing": false, "d/missing/x": false, "file/x": false, "d/out/new": false,
		} {
			fd, err := open(name, unix.O_RDONLY, 0)
			if (err == nil) != want {
				t.Errorf("%s: open %s = %v; want success %v", how, name, err, want)
			}
			if err == nil {
				unix.Close(fd)
			}
		}
		for _, name := range []string{"out/planted", "outfile", "d/out/planted", "in/planted"} {
			if fd, err := open(name, unix.O_WRONLY|unix.O_CREAT, 0o644); err == nil {
				unix.Close(fd)
				t.Errorf("%s: created through the link %s", how, name)
			}
		}
		if fd, err := open("file", unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o644); !errors.Is(err, fs.ErrExist) {
			unix.Close(fd)
			t.Errorf("%s: exclusive create over a file = %v; want ErrExist", how, err)
		}
		fd, err := open("d/e/new-"+how, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o640)
		if err != nil {
			t.Fatalf("%s: create = %v", how, err)
		}
		unix.Close(fd)
	}
	if names, _ := os.ReadDir(outside); len(names) != 1 {
		t.Errorf("something was written outside: %v", names)
	}
}

// TestWalkLeavesNoOpenFiles counts descriptors, since walk closes folders on the way.
func TestWalkLeavesNoOpenFiles(t *testing.T) {
	f, dir := folder(t)
	os.MkdirAll(filepath.Join(dir, "a/b/c"), 0o755)
	count := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(names)
	}
	before := count()
	for range 50 {
		for _, name := range []string{"a/b/c", "a/b/missing", "a/missing/c", "missing", "a"} {
			if fd, err := f.walk(name, unix.O_RDONLY|unix.O_DIRECTORY, 0); err == nil {
				unix.Close(fd)
			}
		}
	}
	if after := count(); after > before+3 {
		t.Errorf("%d open files; %d before", after, before)
	}
}

func TestPlantedLinksInTheStageAreNotFollowed(t *testing.T) {
	m := memory{}
	n := Node{m, m.write(map[string]leaf{"a/b": {File, "evil"}, "c": {File, "evil"}, "d": {Exec, "evil"}})}
	for _, plant := range []string{"a", "c", "d"} {
		f, dir := folder(t)
		outside := t.TempDir()
		target := filepath.Join(outside, "precious")
		if plant == "a" {
			target = outside
		}
		if err := os.WriteFile(filepath.Join(outside, "precious"), []byte("mine"), 0o644); err != nil {
			t.Fatal(err)
		}
		os.Symlink(target, filepath.Join(dir, plant))
		if _, _, err := Build(t.Context(), f, items(t, n, Rules{}), nil, Options{}); err == nil {
			t.Errorf("link planted at %s: Build did not notice", plant)
		}
		co := NewCheckout(f, m.commit(n.Tree), Rules{}, Options{})
		err := feed(co, m, m.commit(n.Tree))
		if err == nil {
			_, err = co.Finish(t.Context(), m)
		}
		if err == nil {
			t.Errorf("link planted at %s: Checkout did not notice", plant)
		}
		c := Change{Write: []Item{{Path: "a/b", Mode: File, Hash: n.Tree, Objects: m}}, Remove: []string{"a/precious"}}
		if _, err := Apply(t.Context(), f, c, Options{}); err == nil {
			t.Errorf("link planted at %s: Apply did not notice", plant)
		}
		data, err := os.ReadFile(filepath.Join(outside, "precious"))
		if names, _ := os.ReadDir(outside); string(data) != "mine" || err != nil || len(names) != 1 {
			t.Errorf("link planted at %s: outside now holds %v, %q, %v", plant, names, data, err)
		}
	}
}

func TestReuseOfALinkedFolderIsNotFollowed(t *testing.T) {
	m := memory{}
	n := Node{m, m.write(map[string]leaf{"a/b": {File, "right"}})}
	old, oldDir, records := built(t, n, nil)
	outside := t.TempDir()
	os.WriteFile(filepath.Join(outside, "b"), []byte("wrong"), 0o644)
	os.RemoveAll(filepath.Join(oldDir, "a"))
	os.Symlink(outside, filepath.Join(oldDir, "a"))
	f, dir := folder(t)
	if _, linked, err := Build(t.Context(), f, items(t, n, Rules{}), &Reuse{old, records}, Options{}); err != nil || linked != 0 {
		t.Errorf("Build linked %d, %v; want a fresh file", linked, err)
	}
	if data, _ := os.ReadFile(filepath.Join(dir, "a/b")); string(data) != "right" {
		t.Errorf("a/b = %q", data)
	}
}

func TestFolderOperations(t *testing.T) {
	f, dir := folder(t)
	if err := errors.Join(f.MkdirAll("a/b/c", 0o755), f.MkdirAll("a/b", 0o755), f.Symlink("x", "a/l"), f.Sync(), f.SyncAll(), f.syncDir("a/b"), f.syncDir(".")); err != nil {
		t.Fatal(err)
	}
	w, err := f.Create("a/f", 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("hello")); err != nil || w.Close(true) != nil {
		t.Fatal(err)
	}
	if _, err := f.Create("a/f", 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create of a file that exists = %v", err)
	}
	if err := f.MkdirAll("a/f/x", 0o755); err == nil {
		t.Error("MkdirAll went through a file")
	}
	if err := f.MkdirAll("a/l", 0o755); !errors.Is(err, fs.ErrExist) {
		t.Errorf("MkdirAll over a link = %v; want ErrExist", err)
	}
	r, err := f.Open("a/f")
	if err != nil {
		t.Fatal(err)
	}
	data, _ := io.ReadAll(r)
	r.Close()
	if target, err := f.Readlink("a/l"); string(data) != "hello" || target != "x" || err != nil {
		t.Errorf("read %q, link %q, %v", data, target, err)
	}
	if err := f.Remove("a/b"); !errors.Is(err, errIsDir) && !errors.Is(err, fs.ErrPermission) {
		t.Errorf("Remove of a folder = %v; want EISDIR", err)
	}
	if err := f.RemoveDir("a"); err == nil {
		t.Error("RemoveDir removed a full folder")
	}
	if err := errors.Join(f.Remove("a/f"), f.Remove("a/l"), f.RemoveDir("a/b/c")); err != nil {
		t.Error(err)
	}
	if _, err := f.Lstat("a/f"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Lstat of what was removed = %v", err)
	}
	names, _ := os.ReadDir(filepath.Join(dir, "a"))
	if len(names) != 1 || !slices.ContainsFunc(names, func(e fs.DirEntry) bool { return e.Name() == "b" }) {
		t.Errorf("left %v; want b", names)
	}
	if _, err := OpenFolder(filepath.Join(dir, "nowhere")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("OpenFolder = %v", err)
	}
}

func TestWriteFailsOnAFullDisk(t *testing.T) {
	fd, err := unix.Open("/dev/full", unix.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	w := &Writer{fd: fd, d: &Folder{name: "x"}, n: "f"}
	if _, err := w.Write([]byte("data")); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("Write = %v; want ENOSPC", err)
	}
	if err := w.Close(false); err != nil {
		t.Error(err)
	}
}
