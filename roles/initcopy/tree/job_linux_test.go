package tree

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

func TestEmptyTree(t *testing.T) {
	from := t.TempDir()
	to, j, r := copied(t, from, nil)
	if got, want := look(t, to), look(t, from); got != want || len(j.Items) != 1 || r != (Result{}) {
		t.Errorf("Copy = %+v and\n%s; want\n%s", r, got, want)
	}
	if r, err := Copy(t.Context(), Job{From: from, To: to}); err != nil || r != (Result{}) {
		t.Errorf("Copy of nothing = %+v, %v", r, err)
	}
}

// TestManyNamesOfManyFiles: groups of further names that end in different pieces of work.
func TestManyNamesOfManyFiles(t *testing.T) {
	files := map[string]string{}
	for i := range 150 {
		files[fmt.Sprintf("a/%03d", i)] = fmt.Sprint(i)
		files[fmt.Sprintf("b/%03d = a/%03d", i, i)] = ""
		files[fmt.Sprintf("c/d/%03d = a/%03d", i, i)] = ""
	}
	from := plant(t, files)
	to, j, _ := copied(t, from, func(j *Job) { j.Workers = 4 })
	if got, want := look(t, to), look(t, from); got != want {
		t.Errorf("Copy made\n%.2000s; want\n%.2000s", got, want)
	}
	for _, it := range j.Items {
		if it.Kind == item.File && it.Sum.IsZero() {
			t.Errorf("%s has no digest", it.Path)
		}
	}
}

func TestReuseLinksWhatItMay(t *testing.T) {
	from := plant(t, map[string]string{"same": "1", "changed": "2", "d/same": "3", "new": "4", "l -> same": "", "lost": "5"})
	old, _, _ := copied(t, from, nil)
	must(t, os.Remove(filepath.Join(old, "lost")))
	reuse := map[string]bool{"same": true, "d/same": true, "lost": true, "l": true}
	to, j, r := copied(t, from, func(j *Job) {
		j.Old, j.Reuse = old, make([]bool, len(j.Items))
		for i := range j.Items {
			j.Reuse[i] = reuse[j.Items[i].Path]
			if j.Reuse[i] {
				j.Items[i].Sum = item.Sum{7}
			}
		}
	})
	if got, want := look(t, to), look(t, from); got != want {
		t.Errorf("Copy made\n%s; want\n%s", got, want)
	}
	if r.Linked != 3 {
		t.Errorf("%d linked; want 3", r.Linked)
	}
	for i, it := range j.Items {
		if it.Kind == item.Dir || it.Path == "lost" {
			continue
		}
		same := stat(t, filepath.Join(old, it.Path)).Ino == stat(t, filepath.Join(to, it.Path)).Ino
		if same != j.Reuse[i] || j.Reuse[i] && it.Sum != (item.Sum{7}) {
			t.Errorf("%s is linked: %v, digest %v; want %v", it.Path, same, it.Sum, j.Reuse[i])
		}
	}
}

// TestLinksAcrossFileSystemsAreCopies: /dev/shm is another one than the temporary folder, or the links simply work.
func TestLinksAcrossFileSystemsAreCopies(t *testing.T) {
	from := plant(t, map[string]string{"a": "1", "b": "2"})
	old, err := os.MkdirTemp("/dev/shm", "sidecar-test-")
	if err != nil {
		t.Skip("no /dev/shm: ", err)
	}
	defer os.RemoveAll(old)
	must(t, os.WriteFile(filepath.Join(old, "a"), []byte("1"), 0o600))
	to, _, _ := copied(t, from, func(j *Job) { j.Old, j.Reuse = old, []bool{false, true, true} })
	if content, err := os.ReadFile(filepath.Join(to, "a")); string(content) != "1" || err != nil {
		t.Errorf("a = %q, %v; want it copied", content, err)
	}
}

func TestDoneAddsUp(t *testing.T) {
	from := plant(t, map[string]string{"a": "123", "d/b": "45", "l -> a": "", "big": strings.Repeat("x", 3<<20)})
	var mu sync.Mutex
	var files int
	var total int64
	_, _, r := copied(t, from, func(j *Job) {
		j.Done = func(f int, b int64) {
			mu.Lock()
			defer mu.Unlock()
			files += f
			total += b
		}
	})
	if files != 4 || total != 5+3<<20 || r.Written != total {
		t.Errorf("Done was told of %d files, %d bytes, %d written; want 4, %d", files, total, r.Written, 5+3<<20)
	}
}

func TestSumsFindWhatDiffers(t *testing.T) {
	root := plant(t, map[string]string{"ok": "1", "other": "2", "longer": "3", "gone/x": "4", "linked": "5", "big": strings.Repeat("x", 3<<20), "l -> ok": ""})
	items := scan(t, root, ScanOptions{}).Items
	must(t, Sums(t.Context(), root, items, 0, nil))
	first := map[string]item.Sum{}
	for _, it := range items {
		first[it.Path] = it.Sum
	}
	if first["ok"] != sha256.Sum256([]byte("1")) || first["big"] != sha256.Sum256([]byte(strings.Repeat("x", 3<<20))) {
		t.Errorf("Sums are wrong")
	}
	must(t, os.WriteFile(filepath.Join(root, "other"), []byte("X"), 0o600))
	must(t, os.WriteFile(filepath.Join(root, "longer"), []byte("33"), 0o600))
	must(t, os.RemoveAll(filepath.Join(root, "gone")))
	must(t, os.Remove(filepath.Join(root, "linked")))
	must(t, os.Symlink("ok", filepath.Join(root, "linked")))
	must(t, Sums(t.Context(), root, items, 0, nil))
	for _, it := range items {
		intact := it.Path == "ok" || it.Path == "big" || it.Kind != item.File
		if (it.Sum == first[it.Path]) != intact {
			t.Errorf("Sums of %s: unchanged %v; want %v", it.Path, !intact, intact)
		}
	}
}

// TestFilesWithoutALength are those of /proc: stat says 0 bytes.
func TestFilesWithoutALength(t *testing.T) {
	want, err := os.ReadFile("/proc/version")
	if err != nil {
		t.Skip("no /proc: ", err)
	}
	only := func(path string, dir bool) Verdict {
		if path == "version" {
			return Take
		}
		return Leave
	}
	j := Job{From: "/proc", To: t.TempDir(), Items: scan(t, "/proc", ScanOptions{Choose: only}).Items[1:], Rules: item.Default(), Digest: true}
	_, err = Copy(t.Context(), j)
	must(t, err)
	got, _ := os.ReadFile(filepath.Join(j.To, "version"))
	if string(got) != string(want) || j.Items[0].Size != int64(len(want)) || j.Items[0].Sum != sha256.Sum256(want) {
		t.Errorf("version = %q, item %+v; want %q", got, j.Items[0], want)
	}
}

func TestCopyFile(t *testing.T) {
	from := plant(t, map[string]string{"f": strings.Repeat("x", 3<<20), "d/": ""})
	path := filepath.Join(from, "f")
	must(t, os.Chmod(path, 0o4750))
	must(t, unix.Chmod(path, 0o4750))
	src, err := os.Open(path)
	must(t, err)
	defer src.Close()
	to := filepath.Join(t.TempDir(), "copy")
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	must(t, err)
	r, err := CopyFile(t.Context(), dst, src, FileOptions{Rules: item.Default(), Digest: true, Xattrs: true})
	must(t, errors.Join(err, dst.Close()))
	a, b := stat(t, path), stat(t, to)
	if a.Mode != b.Mode || a.Mtim != b.Mtim || a.Size != b.Size || r.Item.Size != 3<<20 || r.Item.Sum != sha256.Sum256([]byte(strings.Repeat("x", 3<<20))) {
		t.Errorf("CopyFile = %+v, mode %o, size %d; want the source's", r, b.Mode, b.Size)
	}
	dir, err := os.Open(filepath.Join(from, "d"))
	must(t, err)
	defer dir.Close()
	if _, err := CopyFile(t.Context(), dst, dir, FileOptions{}); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("CopyFile of a folder = %v; want a refusal", err)
	}
}

func TestFree(t *testing.T) {
	s, err := Free(t.TempDir())
	if err != nil || s.Bytes == 0 || s.Inodes == 0 || s.Block <= 0 {
		t.Errorf("Free = %+v, %v", s, err)
	}
	if _, err := Free("/nonexistent/x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Free = %v; want ErrNotExist", err)
	}
	items := []item.Item{{Kind: item.Dir}, {Kind: item.File, Size: 1}, {Kind: item.File, Size: 4097}, {Kind: item.File, Size: 9, Hard: "x"}, {Kind: item.File, Size: 1 << 30, Disk: 8192}}
	if bytes, inodes := Need(items, 4096); bytes != 4096*6 || inodes != 4 {
		t.Errorf("Need = %d, %d; want %d, 4", bytes, inodes, 4096*6)
	}
}
