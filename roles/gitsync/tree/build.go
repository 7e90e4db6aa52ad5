package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Links says which symbolic links a tree may hold.
type Links string

// KeepLinks keeps every link as it is, as git does; LinksInside refuses a tree with a link that leaves it; NoLinks
// refuses a tree with any link.
const (
	KeepLinks   Links = "keep"
	LinksInside Links = "inside"
	NoLinks     Links = "deny"
)

// Options are how files are written.
type Options struct {
	Links Links
	Sync  bool // make each file durable as it is written
}

// Reuse is an earlier tree whose unchanged files are linked instead of written, so that they keep inode and time.
type Reuse struct {
	Folder  *Folder
	Records []Record
}

// Build writes items into the empty folder dst: files first, symbolic links last. It returns what it made, in the
// order of items, and how many files were linked from reuse, which may be nil. A file of reuse that somebody changed
// is written anew.
func Build(ctx context.Context, dst *Folder, items []Item, reuse *Reuse, opt Options) ([]Record, int, error) {
	todo, linked, err := linkUnchanged(ctx, dst, items, reuse)
	if err != nil {
		return nil, linked, err
	}
	if err := write(ctx, dst, todo, opt); err != nil {
		return nil, linked, err
	}
	records, err := Scan(dst, items)
	return records, linked, err
}

func linkUnchanged(ctx context.Context, dst *Folder, items []Item, reuse *Reuse) (todo []Item, linked int, err error) {
	if reuse == nil {
		return items, 0, nil
	}
	old := make(map[string]*Record, len(reuse.Records))
	for i := range reuse.Records {
		old[reuse.Records[i].Path] = &reuse.Records[i]
	}
	from, to := newLister(reuse.Folder), newLister(dst)
	defer from.close()
	defer to.close()
	for i, it := range items {
		if i%1024 == 0 && ctx.Err() != nil {
			return nil, linked, ctx.Err()
		}
		r := old[it.Path]
		if r == nil || r.Hash != it.Hash || r.Mode != it.Mode || it.Mode != File && it.Mode != Exec {
			todo = append(todo, it)
			continue
		}
		if st, err := from.lstat(it.Path); err != nil || st != r.Stat {
			todo = append(todo, it)
			continue
		}
		if err := to.link(from, it.Path); err != nil {
			todo = append(todo, it) // too many links, another file system, gone meanwhile: writing always works
			continue
		}
		linked++
	}
	return todo, linked, nil
}

// write makes items, the folders they lie in first, symbolic links last.
func write(ctx context.Context, dst *Folder, items []Item, opt Options) error {
	if err := makeDirs(dst, items); err != nil {
		return err
	}
	work := make(chan Item)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for range min(4, runtime.GOMAXPROCS(0), len(items)) {
		wg.Go(func() {
			for it := range work {
				if err := writeFile(dst, it, opt.Sync); err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, it := range items {
		if ctx.Err() != nil {
			break
		}
		if it.Mode == File || it.Mode == Exec {
			work <- it
		}
	}
	close(work)
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, it := range items {
		if it.Mode != Symlink {
			continue
		}
		if err := writeLink(dst, it, opt.Links); err != nil {
			return err
		}
	}
	return nil
}

func makeDirs(dst *Folder, items []Item) error {
	made := ""
	for _, it := range items {
		dir := path.Dir(it.Path)
		if it.Mode == Submodule {
			dir = it.Path
		}
		if dir == made || dir == "." {
			continue
		}
		if err := dst.MkdirAll(dir, 0o777); err != nil {
			return err
		}
		made = dir
	}
	return nil
}

func permOf(m Mode) fs.FileMode {
	if m == Exec {
		return 0o777
	}
	return 0o666
}

func writeFile(dst *Folder, it Item, sync bool) error {
	w, err := dst.Create(it.Path, permOf(it.Mode))
	if err != nil {
		return err
	}
	_, err = copyBlob(w, it)
	return errors.Join(err, w.Close(sync))
}

func copyBlob(w io.Writer, it Item) (int64, error) {
	o, ok := it.Objects.(Objects)
	if !ok {
		return 0, fmt.Errorf("%q: no blobs in %T", it.Path, it.Objects)
	}
	return o.CopyBlob(w, it.Hash)
}

func writeLink(dst *Folder, it Item, links Links) error {
	var b bytes.Buffer
	if _, err := copyBlob(&limited{&b, maxPath}, it); err != nil {
		return fmt.Errorf("symbolic link %q: %w", it.Path, err)
	}
	target := b.String()
	if why := badLink(it.Path, target, links); why != "" {
		return fmt.Errorf("%w: symbolic link %q %s", ErrRefused, it.Path, why)
	}
	return dst.Symlink(target, it.Path)
}

// badLink says what is wrong with a symbolic link, or nothing.
func badLink(name, target string, links Links) string {
	switch {
	case target == "" || bytes.IndexByte([]byte(target), 0) >= 0:
		return "has no valid target"
	case links == NoLinks:
		return "is not allowed by --symlinks=deny"
	case links == LinksInside && (path.IsAbs(target) || !fs.ValidPath(path.Join(path.Dir(name), target))):
		return fmt.Sprintf("leaves the tree (to %.200q), which --symlinks=inside does not allow", target)
	case links == LinksInside && turnsBack(target):
		return fmt.Sprintf("goes down and up again (to %.200q), which --symlinks=inside does not allow: the folder may be a link to elsewhere", target)
	}
	return ""
}

// turnsBack tells whether a ".." follows a name. That name may be a link to a folder near the top of the tree, and then
// the way up ends outside, although the path reads as if it stayed.
func turnsBack(target string) bool {
	down := false
	for part := range strings.SplitSeq(target, "/") {
		if part == ".." && down {
			return true
		}
		down = down || part != ".." && part != "." && part != ""
	}
	return false
}

// limited is a buffer that takes so many bytes and no more.
type limited struct {
	b    *bytes.Buffer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, fmt.Errorf("%w: longer than %d bytes", ErrRefused, maxPath)
	}
	return l.b.Write(p)
}

// Apply brings dst from one tree to the next by what differs, and returns the new state of what it wrote. On an error
// dst is neither, and has to be thrown away.
func Apply(ctx context.Context, dst *Folder, c Change, opt Options) ([]Record, error) {
	for _, name := range c.Remove {
		err := dst.Remove(name)
		if errors.Is(err, errIsDir) || errors.Is(err, fs.ErrPermission) {
			err = dst.RemoveDir(name)
		}
		if err != nil {
			return nil, err
		}
		// A folder goes with its last file; one that is not empty yet stays.
		for dir := path.Dir(name); dir != "." && dst.RemoveDir(dir) == nil; dir = path.Dir(dir) {
		}
	}
	if err := write(ctx, dst, c.Write, opt); err != nil {
		return nil, err
	}
	if opt.Sync {
		if err := syncDirs(dst, c); err != nil {
			return nil, err
		}
	}
	return Scan(dst, c.Write)
}

// syncDirs makes the folders in which something was made or removed durable.
func syncDirs(dst *Folder, c Change) error {
	dirs := make(map[string]bool)
	add := func(name string) {
		for dir := path.Dir(name); !dirs[dir]; dir = path.Dir(dir) {
			dirs[dir] = true
		}
	}
	for _, it := range c.Write {
		add(it.Path)
	}
	for _, name := range c.Remove {
		add(name)
	}
	for dir := range dirs {
		err := dst.syncDir(dir)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			continue // went with its last file, and may have become a file or a link; the folder above is synced too
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Merge applies a change to the records of a tree.
func Merge(records []Record, c Change, fresh []Record) []Record {
	gone := make(map[string]bool, len(c.Remove)+len(fresh))
	for _, name := range c.Remove {
		gone[name] = true
	}
	for i := range fresh {
		gone[fresh[i].Path] = true
	}
	out := records[:0]
	for i := range records {
		if !gone[records[i].Path] {
			out = append(out, records[i])
		}
	}
	return append(out, fresh...)
}
