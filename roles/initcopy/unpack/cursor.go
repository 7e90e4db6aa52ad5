package unpack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

// cursor holds the folders open that lead to where the last file was made, so that the next one beside it costs one
// openat. It is for one goroutine.
type cursor struct {
	stack []level // from the root on
}

// level is an open folder.
type level struct {
	path string
	root *os.Root
	dir  *os.File // the same, for what os.Root cannot do; opened when it is needed
}

func newCursor(into *os.Root) *cursor { return &cursor{stack: []level{{path: ".", root: into}}} }

// close lets go of everything but the root, which is the caller's.
func (c *cursor) close() {
	for len(c.stack) > 1 {
		c.pop()
	}
	c.shut(&c.stack[0])
}

func (c *cursor) shut(l *level) {
	if l.dir != nil {
		_ = l.dir.Close()
		l.dir = nil
	}
}

func (c *cursor) pop() {
	top := &c.stack[len(c.stack)-1]
	c.shut(top)
	_ = top.root.Close()
	c.stack = c.stack[:len(c.stack)-1]
}

// enter opens a planned folder, and makes it and those it lies in when they are not there yet. The level is valid
// until the next call.
func (c *cursor) enter(p *plan, path string) (*level, error) {
	for {
		top := &c.stack[len(c.stack)-1]
		if top.path == path {
			return top, nil
		}
		if top.path == "." || strings.HasPrefix(path, top.path) && path[len(top.path)] == '/' {
			break
		}
		c.pop()
	}
	for {
		top := &c.stack[len(c.stack)-1]
		if top.path == path {
			return top, nil
		}
		below := path
		if top.path != "." {
			below = path[len(top.path)+1:]
		}
		base, _, _ := strings.Cut(below, "/")
		next := path[:len(path)-len(below)+len(base)]
		if err := c.push(p, top, next, base); err != nil {
			return nil, err
		}
	}
}

// push enters one component. Folders are closed to everybody else until the archive is unpacked; together with the
// look at what was opened this keeps neighbours on a shared volume from putting a link in the way.
func (c *cursor) push(p *plan, top *level, path, base string) error {
	i, ok := p.at[path]
	if !ok {
		return fmt.Errorf("enter %s: not planned", quote(path)) // a bug
	}
	e := &p.entries[i]
	if !e.made {
		if err := top.root.Mkdir(base, 0o700); err != nil {
			return exists(path, err)
		}
	}
	sub, err := top.root.OpenRoot(base)
	if err != nil {
		return err
	}
	at, err := top.root.Lstat(base)
	if err == nil {
		var st os.FileInfo
		if st, err = sub.Stat("."); err == nil && !os.SameFile(at, st) {
			err = fmt.Errorf("folder %s was replaced while it was filled", quote(path))
		}
	}
	if err != nil {
		return errors.Join(err, sub.Close())
	}
	if !e.made {
		e.made, e.grew = true, at.Mode()&fs.ModeSetgid != 0
	}
	c.stack = append(c.stack, level{path: path, root: sub})
	return nil
}

// create makes a new file that only the owner can open.
func (l *level) create(base string) (*os.File, error) {
	f, err := l.root.OpenFile(base, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, exists(join(l.path, base), err)
	}
	return f, nil
}

// open is the folder as a file.
func (l *level) open() (*os.File, error) {
	if l.dir == nil {
		f, err := l.root.OpenFile(".", os.O_RDONLY|syscall.O_DIRECTORY, 0)
		if err != nil {
			return nil, err
		}
		l.dir = f
	}
	return l.dir, nil
}

// exists explains why something is where nothing was made: two names are one to the file system, or somebody else is at work.
func exists(path string, err error) error {
	if errors.Is(err, fs.ErrExist) {
		return reject(path, "is there already, though nothing was made under this name",
			"the file system may take names for equal that differ in case; otherwise somebody else writes here")
	}
	return err
}

func join(dir, base string) string {
	if dir == "." {
		return base
	}
	return dir + "/" + base
}

// attributes gives an open file or folder its owner, mode and time, in the order in which one does not undo the other.
func (r *run) attributes(f *os.File, e *entry) error {
	uid, gid := r.owner(e)
	if uid != item.Keep || gid != item.Keep {
		if err := f.Chown(uid, gid); err != nil {
			if err := r.unowned(err); err != nil {
				return err
			}
		}
	}
	mode := r.o.Rules.ModeOf(&e.Item)
	if e.grew {
		mode |= item.Setgid
	}
	if err := f.Chmod(item.FileMode(mode)); err != nil {
		return err
	}
	return setTime(f, e.Mtime)
}

// owner is who the rules want an entry to belong to, as far as the archive knows.
func (r *run) owner(e *entry) (uid, gid int) {
	rules := r.o.Rules
	rules.Owner = rules.Owner && e.owned
	return rules.OwnerOf(&e.Item)
}

// unowned lets a missing permission pass, and counts.
func (r *run) unowned(err error) error {
	if !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rep.Unowned++
	return nil
}
