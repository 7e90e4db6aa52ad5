package tree

import (
	"context"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sidecar-kit/sidecar/roles/initcopy/bulk"
	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

// smallFile is what is copied by one read and one write.
const smallFile = 256 << 10

// copier is what the workers share.
type copier struct {
	Job
	from, to, old int // descriptors of the roots; old is -1 without one
	dress         dresser
	bulk          bulk.Copier

	mu      sync.Mutex
	result  Result
	pending []int // items that are links to others of this copy
}

// Copy makes the copy that the job describes. After an error, To holds a part of it.
func Copy(ctx context.Context, j Job) (Result, error) {
	c := &copier{Job: j, old: -1}
	defer c.bulk.Close()
	release, err := c.openRoots()
	defer release()
	if err != nil {
		return Result{}, err
	}
	c.dress.init(c.to, j.Rules, j.Xattrs)
	if err := c.makeFolders(ctx); err != nil {
		return Result{}, err
	}
	if err := c.copyFiles(ctx); err != nil {
		return Result{}, err
	}
	if err := c.linkNames(ctx); err != nil {
		return Result{}, err
	}
	c.shareSums()
	if err := c.finishFolders(ctx); err != nil {
		return Result{}, err
	}
	c.dress.report(&c.result)
	return c.result, nil
}

func (c *copier) openRoots() (release func(), err error) {
	var fds []int
	release = func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}
	for _, r := range []struct {
		path string
		fd   *int
	}{{c.From, &c.from}, {c.To, &c.to}, {c.Old, &c.old}} {
		if r.path == "" {
			continue
		}
		fd, err := openRoot(r.path)
		if err != nil {
			return release, unreadable("open", r.path, err)
		}
		*r.fd = fd
		fds = append(fds, fd)
	}
	return release, nil
}

// makeFolders makes every folder, open only to this process until its content is there.
func (c *copier) makeFolders(ctx context.Context) error {
	to := cursor{root: c.to}
	defer to.close()
	for i := range c.Items {
		it := &c.Items[i]
		if it.Kind != item.Dir || it.Path == "." {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		dir, base, err := to.at(it.Path)
		if err == nil {
			err = unix.Mkdirat(dir, base, 0o700)
		}
		if err != nil {
			return c.target("make folder", it.Path, err)
		}
	}
	return nil
}

// copyFiles copies files and symbolic links.
func (c *copier) copyFiles(ctx context.Context) error {
	return inChunks(ctx, c.Items, c.Workers, func(ctx context.Context, next func() (span, bool)) error {
		w := newWorker(c)
		defer w.close()
		for part, ok := next(); ok; part, ok = next() {
			if err := w.chunk(ctx, part); err != nil {
				return err
			}
		}
		return nil
	})
}

// worker copies one file after the other.
type worker struct {
	*copier
	src, dst, was cursor
	buf           []byte
	dresser       outfit
	linked        int
	written       int64
}

func newWorker(c *copier) *worker {
	return &worker{copier: c, src: cursor{root: c.from}, dst: cursor{root: c.to}, was: cursor{root: c.old},
		buf: make([]byte, smallFile+1), dresser: outfit{dresser: &c.dress}}
}

func (w *worker) close() {
	w.src.close()
	w.dst.close()
	w.was.close()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.result.Linked += w.linked
	w.result.Written += w.written
}

func (w *worker) chunk(ctx context.Context, s span) error {
	files, bytes := 0, int64(0)
	for i := s.start; i < s.end; i++ {
		it := &w.Items[i]
		if it.Kind == item.Dir {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := w.one(ctx, i, it); err != nil {
			return err
		}
		files++
		if it.Size <= smallFile {
			bytes += it.Size
		}
	}
	w.tell(files, bytes)
	return nil
}

func (w *worker) tell(files int, bytes int64) {
	if w.Done != nil && (files > 0 || bytes > 0) {
		w.Done(files, bytes)
	}
}

func (w *worker) one(ctx context.Context, i int, it *item.Item) error {
	dir, base, err := w.dst.at(it.Path)
	if err != nil {
		return w.target("open", it.Path, err)
	}
	if i < len(w.Reuse) && w.Reuse[i] && w.old >= 0 && w.reuse(dir, base, it) {
		w.linked++
		return nil
	}
	mtime := it.Mtime
	if w.Mtime != nil {
		mtime = w.Mtime(i)
	}
	switch {
	case it.Kind == item.Symlink:
		if err := unix.Symlinkat(it.Link, dir, base); err != nil {
			return w.target("make link", it.Path, err)
		}
		return w.targetErr(it.Path, w.dresser.symlink(dir, base, it, mtime))
	case it.Hard != "":
		w.mu.Lock()
		defer w.mu.Unlock()
		w.pending = append(w.pending, i)
		return nil
	}
	var made *Made
	if len(w.Made) > 0 {
		made = &w.Made[i]
	}
	return w.file(ctx, dir, base, it, mtime, made)
}

// reuse links a file from the earlier copy; where that is impossible for whatever reason, copying is not.
func (w *worker) reuse(dir int, base string, it *item.Item) bool {
	old, name, err := w.was.at(it.Path)
	return err == nil && unix.Linkat(old, name, dir, base, 0) == nil
}

// linkNames makes the further names of files, which exist by now.
func (c *copier) linkNames(ctx context.Context) error {
	if len(c.pending) == 0 {
		return nil
	}
	w := newWorker(c)
	defer w.close()
	first := cursor{root: c.to}
	defer first.close()
	if len(c.Made) > 0 {
		c.forgetNamed()
	}
	for _, i := range c.pending {
		it := &c.Items[i]
		if ctx.Err() != nil {
			return ctx.Err()
		}
		dir, base, err := w.dst.at(it.Path)
		if err != nil {
			return c.target("open", it.Path, err)
		}
		there, name, err := first.at(it.Hard)
		if err != nil {
			return c.target("open", it.Hard, err)
		}
		if unix.Linkat(there, name, dir, base, 0) == nil {
			continue
		}
		// The file system has no links, or not so many: a copy is the same to readers.
		mtime := it.Mtime
		if c.Mtime != nil {
			mtime = c.Mtime(i)
		}
		if err := w.file(ctx, dir, base, it, mtime, nil); err != nil {
			return err
		}
	}
	return nil
}

// forgetNamed forgets what was known of files that get further names, which changes it.
func (c *copier) forgetNamed() {
	named := make(map[string]bool, len(c.pending))
	for _, i := range c.pending {
		named[c.Items[i].Hard] = true
	}
	for i := range c.Items {
		if named[c.Items[i].Path] {
			c.Made[i] = Made{}
		}
	}
}

// shareSums gives further names the digest of the first.
func (c *copier) shareSums() {
	want := make(map[string]int, len(c.pending))
	for _, i := range c.pending {
		want[c.Items[i].Hard] = -1
	}
	for i := range c.Items {
		if _, ok := want[c.Items[i].Path]; ok {
			want[c.Items[i].Path] = i
		}
	}
	for _, i := range c.pending {
		if at := want[c.Items[i].Hard]; at >= 0 {
			c.Items[i].Sum, c.Items[i].Size = c.Items[at].Sum, c.Items[at].Size
		}
	}
}

// finishFolders gives the folders their attributes, from the inside out: a time would be lost with the next entry, and a
// mode may close the way.
func (c *copier) finishFolders(ctx context.Context) error {
	o := outfit{dresser: &c.dress}
	for i := len(c.Items) - 1; i >= 0; i-- {
		it := &c.Items[i]
		if it.Kind != item.Dir {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		mtime := it.Mtime
		if c.Mtime != nil {
			mtime = c.Mtime(i)
		}
		if err := c.finishFolder(&o, it, mtime); err != nil {
			return err
		}
	}
	return nil
}

func (c *copier) finishFolder(o *outfit, it *item.Item, mtime int64) error {
	from := -1
	if c.Xattrs {
		fd, err := openBelow(c.from, it.Path, unix.O_RDONLY|unix.O_DIRECTORY)
		if err != nil {
			return c.source("open", it.Path, err)
		}
		defer unix.Close(fd)
		from = fd
	}
	fd, err := openBelow(c.to, it.Path, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return c.target("open", it.Path, err)
	}
	defer unix.Close(fd)
	return c.targetErr(it.Path, o.folder(fd, from, it, mtime))
}

func (c *copier) source(op, path string, err error) error {
	return sourceError(op, filepath.Join(c.From, path), err)
}

func (c *copier) target(op, path string, err error) error {
	return &os.PathError{Op: op, Path: filepath.Join(c.To, path), Err: err}
}

func (c *copier) targetErr(path string, err error) error {
	if err == nil {
		return nil
	}
	return c.target("write", path, err)
}
