package tree

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

func TestScanIsSortedAndCounts(t *testing.T) {
	root := plant(t, map[string]string{"b": "12", "a/z": "3", "a/b/c": "4", "a-b": "5", "l -> b": "", "again = b": "", "e/": ""})
	l := scan(t, root, ScanOptions{})
	if got, want := paths(l.Items), ". a a/b a/b/c a/z a-b again b e l"; got != want {
		t.Errorf("Scan lists %s; want %s", got, want)
	}
	if !slices.IsSortedFunc(l.Items, func(a, b item.Item) int { return item.Compare(a.Path, b.Path) }) {
		t.Errorf("Scan is not sorted as item.Compare says")
	}
	if l.Files != 4 || l.Bytes != 5 {
		t.Errorf("Scan counts %d files of %d bytes; want 4 of 5", l.Files, l.Bytes)
	}
	if b := l.Items[7]; b.Hard != "again" || l.Items[6].Hard != "" {
		t.Errorf("%q is another name of %q; want again", b.Path, b.Hard)
	}
	if link := l.Items[9]; link.Kind != item.Symlink || link.Link != "b" {
		t.Errorf("Scan reads the link as %+v", link)
	}
}

// TestScanOfLargeFolders: more entries than one read of the folder gives, in more than one piece of work.
func TestScanOfLargeFolders(t *testing.T) {
	root := t.TempDir()
	const n = 3000
	for i := range n {
		name := strings.Repeat(string(rune('a'+i%26)), 20) + strings.Repeat("x", i%7) + string(rune('0'+i%10)) + "-" + filepath.Base(root) + strings.Repeat("y", i/26%30) + strings.Repeat("z", i/780)
		must(t, os.WriteFile(filepath.Join(root, name), nil, 0o600))
	}
	names, err := os.ReadDir(root)
	must(t, err)
	for _, workers := range []int{0, 1, 7} {
		l := scan(t, root, ScanOptions{Workers: workers})
		if len(l.Items) != len(names)+1 {
			t.Fatalf("%d workers: %d items; want %d", workers, len(l.Items), len(names)+1)
		}
		for i, e := range names {
			if l.Items[i+1].Path != e.Name() || l.Items[i+1].Ident.Ino == 0 {
				t.Fatalf("%d workers: item %d = %+v; want %s", workers, i, l.Items[i+1], e.Name())
			}
		}
	}
}

func TestScanChooses(t *testing.T) {
	root := plant(t, map[string]string{"a.war": "", "docs/x.txt": "", "apps/b.war": "", "apps/deep/c.war": "", "apps/deep/d.txt": "", "none/": ""})
	f, err := NewFilter([]string{"*.war"}, nil)
	must(t, err)
	l := scan(t, root, ScanOptions{Choose: f.Choose})
	if got, want := paths(l.Items), ". a.war apps apps/b.war apps/deep apps/deep/c.war"; got != want {
		t.Errorf("Scan of *.war = %s; want %s", got, want)
	}
	f, err = NewFilter(nil, []string{"apps/"})
	must(t, err)
	if got, want := paths(scan(t, root, ScanOptions{Choose: f.Choose}).Items), ". a.war docs docs/x.txt none"; got != want {
		t.Errorf("Scan without apps/ = %s; want %s", got, want)
	}
}

func TestScanNamesWhatCannotBeCopied(t *testing.T) {
	root := plant(t, map[string]string{"a": "", "d/b": ""})
	must(t, unix.Mkfifo(filepath.Join(root, "d/pipe"), 0o600))
	_, err := Scan(t.Context(), root, ScanOptions{})
	if err == nil || !strings.Contains(err.Error(), filepath.Join(root, "d/pipe")+" is a FIFO") || !strings.Contains(err.Error(), `--exclude "/d/pipe"`) {
		t.Errorf("Scan = %v; want the FIFO named and the remedy", err)
	}
	l := scan(t, root, ScanOptions{Specials: SkipSpecials})
	if paths(l.Items) != ". a d d/b" || len(l.Skipped) != 1 || l.Skipped[0] != "d/pipe" {
		t.Errorf("Scan skipping = %s, %q; want d/pipe skipped", paths(l.Items), l.Skipped)
	}
	if _, err := Scan(t.Context(), filepath.Join(root, "a"), ScanOptions{}); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("Scan of a file = %v; want ENOTDIR", err)
	}
	if _, err := Scan(t.Context(), filepath.Join(root, "none"), ScanOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Scan of nothing = %v; want ErrNotExist", err)
	}
	if os.Getuid() != 0 {
		must(t, os.Chmod(filepath.Join(root, "d"), 0))
		if _, err := Scan(t.Context(), root, ScanOptions{}); !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "hint:") {
			t.Errorf("Scan of a closed folder = %v; want ErrPermission with a hint", err)
		}
		must(t, os.Chmod(filepath.Join(root, "d"), 0o700))
	}
}

func TestScanEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Scan(ctx, plant(t, map[string]string{"a/b/c": ""}), ScanOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Scan = %v; want context.Canceled", err)
	}
}

// TestLongPathsAndFewDescriptors: deeper than PATH_MAX, with hardly a descriptor to spare.
func TestLongPathsAndFewDescriptors(t *testing.T) {
	root := t.TempDir()
	fd, err := openRoot(root)
	must(t, err)
	for range 100 {
		name := strings.Repeat("d", 60)
		must(t, unix.Mkdirat(fd, name, 0o755))
		next, err := openat(fd, name, unix.O_PATH|unix.O_DIRECTORY, 0)
		must(t, err)
		must(t, unix.Close(fd))
		fd = next
	}
	file, err := openat(fd, "end", unix.O_WRONLY|unix.O_CREAT, 0o640)
	must(t, err)
	must(t, writeFull(file, []byte("deep")))
	must(t, errors.Join(unix.Close(file), unix.Linkat(fd, "end", fd, "end2", 0), unix.Symlinkat("end", fd, "link"), unix.Close(fd)))

	var limit unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	few := limit
	few.Cur = 50
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &few))
	defer func() { must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)) }()
	to, j, _ := copied(t, root, nil)
	got := scan(t, to, ScanOptions{})
	if len(got.Items) != 104 || len(j.Items) != 104 {
		t.Fatalf("%d of %d items; want 104", len(got.Items), len(j.Items))
	}
	for i := range got.Items {
		a, b := got.Items[i], j.Items[i]
		if a.Path != b.Path || a.Mode != b.Mode || a.Mtime != b.Mtime || a.Size != b.Size || a.Hard != b.Hard {
			t.Fatalf("copied %+v; want %+v", a, b)
		}
	}
	must(t, Sums(t.Context(), to, got.Items, 0, nil))
	if last := got.Items[101]; last.Sum != j.Items[101].Sum || last.Sum.IsZero() {
		t.Errorf("Sums of %.20q... = %v; want %v", last.Path, last.Sum, j.Items[101].Sum)
	}
}
