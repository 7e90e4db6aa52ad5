package tree

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

// look describes a tree for comparison: kind, mode, owner, times and content of every entry, and which are one file.
func look(t *testing.T, root string) string {
	t.Helper()
	var b strings.Builder
	names := map[uint64]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		mtime := time.Unix(0, st.Mtim.Nano()).UTC().Format(time.RFC3339Nano)
		fmt.Fprintf(&b, "%q %o %d:%d %s", rel, st.Mode, st.Uid, st.Gid, mtime)
		switch {
		case d.Type() == fs.ModeSymlink:
			link, _ := os.Readlink(path)
			fmt.Fprintf(&b, " -> %q", link)
		case d.Type().IsRegular():
			if first, ok := names[st.Ino]; ok {
				fmt.Fprintf(&b, " = %q", first)
				break
			}
			names[st.Ino] = rel
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %d %.40q", len(content), content)
		}
		b.WriteString("\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// plant makes a tree: "name": content; "name/": a folder; "name -> target": a link; "name = other": a further name.
func plant(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	var later []string
	for name, content := range files {
		path := filepath.Join(root, name)
		switch {
		case strings.Contains(name, " = "):
			later = append(later, name)
			continue
		case strings.Contains(name, " -> "):
			link, target, _ := strings.Cut(name, " -> ")
			must(t, os.MkdirAll(filepath.Dir(filepath.Join(root, link)), 0o755))
			must(t, os.Symlink(target, filepath.Join(root, link)))
			continue
		case strings.HasSuffix(name, "/"):
			must(t, os.MkdirAll(path, 0o755))
			continue
		}
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(content), 0o644))
	}
	for _, name := range later {
		link, target, _ := strings.Cut(name, " = ")
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(root, link)), 0o755))
		must(t, os.Link(filepath.Join(root, target), filepath.Join(root, link)))
	}
	return root
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func scan(t *testing.T, root string, o ScanOptions) Listing {
	t.Helper()
	l, err := Scan(t.Context(), root, o)
	if err != nil {
		t.Fatalf("Scan = %v", err)
	}
	return l
}

// copied copies all of from into a new folder.
func copied(t *testing.T, from string, change func(*Job)) (to string, j Job, r Result) {
	t.Helper()
	j = Job{From: from, To: t.TempDir(), Items: scan(t, from, ScanOptions{}).Items, Rules: item.Default(), Digest: true, Xattrs: true}
	if change != nil {
		change(&j)
	}
	r, err := Copy(t.Context(), j)
	if err != nil {
		t.Fatalf("Copy = %v", err)
	}
	return j.To, j, r
}

func paths(items []item.Item) string {
	var names []string
	for i := range items {
		names = append(names, items[i].Path)
	}
	return strings.Join(names, " ")
}
