package tree

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

// memory is an object store without a disk.
type memory map[Hash]object

type object struct {
	typ  plumbing.ObjectType
	data []byte
}

func (m memory) Get(h Hash) (plumbing.ObjectType, []byte, error) {
	o, ok := m[h]
	if !ok {
		return 0, nil, fmt.Errorf("%s: %w", h, fs.ErrNotExist)
	}
	return o.typ, o.data, nil
}

func (m memory) CopyBlob(w io.Writer, h Hash) (int64, error) {
	_, data, err := m.Get(h)
	if err != nil {
		return 0, err
	}
	n, err := w.Write(data)
	return int64(n), err
}

func (m memory) put(typ plumbing.ObjectType, data []byte) Hash {
	h := plumbing.ComputeHash(typ, data)
	m[h] = object{typ, data}
	return h
}

// leaf is a file of a tree to be: a mode and its content, or a submodule's commit.
type leaf struct {
	mode    Mode
	content string
}

// write stores the tree of these files and returns its name.
func (m memory) write(files map[string]leaf) Hash {
	below := map[string]map[string]leaf{}
	list := []Entry{}
	for name, f := range files {
		first, rest, deep := strings.Cut(name, "/")
		switch {
		case deep:
			if below[first] == nil {
				below[first] = map[string]leaf{}
			}
			below[first][rest] = f
		case f.mode == Submodule:
			list = append(list, Entry{first, Submodule, plumbing.ComputeHash(plumbing.CommitObject, []byte(f.content))})
		default:
			list = append(list, Entry{first, f.mode, m.put(plumbing.BlobObject, []byte(f.content))})
		}
	}
	for name, sub := range below {
		list = append(list, Entry{name, Dir, m.write(sub)})
	}
	return m.tree(list...)
}

// tree stores a tree of any entries.
func (m memory) tree(list ...Entry) Hash {
	slices.SortFunc(list, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	var b bytes.Buffer
	for _, e := range list {
		fmt.Fprintf(&b, "%o %s\x00%s", uint32(e.Mode), e.Name, e.Hash[:])
	}
	return m.put(plumbing.TreeObject, b.Bytes())
}

func (m memory) commit(tree Hash) Hash {
	return m.put(plumbing.CommitObject, fmt.Appendf(nil, "tree %s\nauthor a <a@b> 1 +0000\n\n", tree))
}

// randomTree makes paths collide on purpose: a name is a file in one tree and a folder in the next.
func randomTree(rnd *rand.Rand) map[string]leaf {
	files := map[string]leaf{}
	for range rnd.IntN(25) {
		parts := make([]string, 1+rnd.IntN(3))
		for i := range parts {
			parts[i] = string(rune('a' + rnd.IntN(4)))
		}
		name := strings.Join(parts, "/")
		if clash(files, name) {
			continue
		}
		mode := []Mode{File, File, File, Exec, Symlink, Submodule}[rnd.IntN(6)]
		files[name] = leaf{mode, []string{"one", "two", "a", "b/c", strings.Repeat("long ", 3000)}[rnd.IntN(4+int(mode&1))]}
	}
	return files
}

func clash(files map[string]leaf, name string) bool {
	for dir := name; dir != "."; dir = path.Dir(dir) {
		if _, ok := files[dir]; ok {
			return true
		}
	}
	for have := range files {
		if strings.HasPrefix(have, name+"/") {
			return true
		}
	}
	return false
}

// look describes a folder: every path with its kind, mode and content.
func look(tb testing.TB, dir string) string {
	tb.Helper()
	var out strings.Builder
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		fi, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			fmt.Fprintf(&out, "%s dir %o\n", rel, fi.Mode().Perm())
		case fi.Mode().IsRegular():
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			fmt.Fprintf(&out, "%s file %o %q\n", rel, fi.Mode().Perm(), data)
		default:
			target, err := os.Readlink(p)
			fmt.Fprintf(&out, "%s link %q %v\n", rel, target, err)
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return out.String()
}

func items(tb testing.TB, n Node, rules Rules) []Item {
	tb.Helper()
	var out []Item
	err := Files(n, rules, func(it Item) error {
		out = append(out, it)
		return nil
	})
	if err != nil {
		tb.Fatalf("Files = %v", err)
	}
	return out
}

// folder makes an empty folder and opens it.
func folder(tb testing.TB) (*Folder, string) {
	tb.Helper()
	dir := tb.TempDir()
	f, err := OpenFolder(dir)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { f.Close() })
	return f, dir
}

// built is a tree in a folder of its own.
func built(tb testing.TB, n Node, reuse *Reuse) (*Folder, string, []Record) {
	tb.Helper()
	f, dir := folder(tb)
	records, _, err := Build(tb.Context(), f, items(tb, n, Rules{}), reuse, Options{Links: KeepLinks})
	if err != nil {
		tb.Fatalf("Build = %v", err)
	}
	return f, dir, records
}

func byPath(records []Record) map[string]Record {
	out := make(map[string]Record, len(records))
	for _, r := range records {
		out[r.Path] = r
	}
	return out
}
