package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/sidecar-kit/sidecar/roles/logship/source/ident"
)

// depthMax bounds how deep ** goes.
const depthMax = 32

// foldersMax bounds how many folders are watched.
const foldersMax = 10_000

// folder is one that files are read from, or that leads to one.
type folder struct {
	path    string
	key     ident.Key
	mtime   int64 // when it was listed last
	watched bool
	remote  bool // others may write there, of which inotify says nothing
	final   bool // patterns name files in it
	names   map[string]*entry
}

// entry is a name in a folder that means something.
type entry struct {
	folder *folder
	name   string
	key    ident.Key
	gen    *gen // the generation that is there
	copyOf *gen // or the one it is a copy of
	size   int64
	mtime  int64
}

func (e *entry) path() string { return filepath.Join(e.folder.path, e.name) }

func (s *Set) folder(path string) *folder {
	f := s.folders[path]
	if f == nil {
		f = &folder{path: path, names: map[string]*entry{}}
		s.folders[path] = f
	}
	return f
}

// walk goes through all folders that patterns lead to.
func (s *Set) walk(ctx context.Context) {
	seen := map[*folder]bool{}
	for i := range s.conf.Inputs {
		in := &s.conf.Inputs[i]
		for _, p := range in.Paths {
			dir, parts := base(p)
			s.descend(ctx, in, dir, parts, 0, seen)
		}
	}
	for path, f := range s.folders {
		if path != s.conf.Spool && !seen[f] && f.final {
			s.scan(f, nil) // gone, or not to be reached any more
			if len(f.names) == 0 && !s.inUse(f) {
				s.unwatch(path)
			}
		}
	}
}

func (s *Set) inUse(f *folder) bool {
	for _, g := range s.gens {
		if g.folder == f {
			return true
		}
	}
	return false
}

func (s *Set) unwatch(path string) {
	if s.watch != nil {
		s.watch.Remove(path)
	}
	delete(s.folders, path)
}

// descend looks into a folder for what is left of a pattern.
func (s *Set) descend(ctx context.Context, in *Input, dir string, parts []string, depth int, seen map[*folder]bool) {
	if depth > depthMax || len(s.folders) > foldersMax || ctx.Err() != nil || s.never(dir) {
		return
	}
	f := s.folder(dir)
	last := len(parts) == 1
	f.final = f.final || last || parts[0] == "**"
	names, err := s.list(f, seen[f])
	seen[f] = true
	if err != nil {
		s.complain("folder", dir, err)
		return
	}
	if parts[0] == "**" {
		if !last {
			s.descend(ctx, in, dir, parts[1:], depth+1, seen)
		}
		for _, sub := range names {
			s.descend(ctx, in, filepath.Join(dir, sub), parts, depth+1, seen)
		}
		return
	}
	if last {
		return
	}
	for _, sub := range names {
		if ok, _ := doublestar.Match(parts[0], sub); ok {
			s.descend(ctx, in, filepath.Join(dir, sub), parts[1:], depth+1, seen)
		}
	}
}

// list returns the folders in f; its files are looked at on the way, if it is not already done in this walk.
func (s *Set) list(f *folder, done bool) (subs []string, err error) {
	st, err := ident.Lstat(f.path)
	if err == nil && st.Mode&fs.ModeSymlink != 0 {
		if st, err = s.statLink(f.path); err == nil && !st.Mode.IsDir() {
			err = errors.New("it is no folder")
		}
	}
	if err != nil {
		if !done {
			s.scan(f, nil)
		}
		return nil, err
	}
	if s.watch != nil && (!f.watched || f.key != st.Key) {
		err := s.watch.Add(f.path)
		f.watched, f.remote = err == nil, isRemote(f.path)
		if err != nil {
			s.complain("watch", f.path, err)
		}
	}
	f.key = st.Key
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return nil, err
	}
	f.mtime = st.Mtime
	var files []string
	for _, e := range entries {
		switch {
		case e.Name() == PinFolder:
		case e.IsDir() || e.Type()&fs.ModeSymlink != 0 && s.linkedFolder(f, e.Name()):
			subs = append(subs, e.Name())
		default:
			files = append(files, e.Name())
		}
	}
	if !done && f.final {
		s.scan(f, files)
	}
	return subs, nil
}

// scan looks at all names of a folder, and at those that were there.
func (s *Set) scan(f *folder, files []string) {
	here := make(map[string]bool, len(files))
	for _, name := range files {
		here[name] = true
	}
	for name := range f.names {
		if !here[name] {
			s.look(f, name)
		}
	}
	for _, name := range files {
		s.look(f, name)
	}
}

// linkedFolder says whether a link leads to a folder that may be walked.
func (s *Set) linkedFolder(f *folder, name string) bool {
	st, err := s.statLink(filepath.Join(f.path, name))
	return err == nil && st.Mode.IsDir()
}

// statLink looks at what a link leads to, if an input allows it.
func (s *Set) statLink(path string) (ident.Stat, error) {
	real, err := s.follow(path)
	if err != nil {
		return ident.Stat{}, err
	}
	return ident.Lstat(real)
}

// follow resolves a link that stays within the folders that are allowed.
func (s *Set) follow(path string) (string, error) {
	for i := range s.conf.Inputs {
		in := &s.conf.Inputs[i]
		if in.matches(path) && !in.Symlinks {
			return "", errLink
		}
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	if s.never(real) {
		return "", fmt.Errorf("it is a link to %s, from where nothing may be read", real)
	}
	for i := range s.conf.Inputs {
		if in := &s.conf.Inputs[i]; in.Symlinks && within(in.links(), real) != "" {
			return real, nil
		}
	}
	return "", fmt.Errorf("it is a link to %s, which is in none of the folders that links may lead to; add it to symlinks", real)
}

var errLink = errors.New("it is a link, which is not followed unless symlinks: true is set")

// links are the folders that links of an input may lead to.
func (in *Input) links() []string {
	if len(in.Roots) > 0 {
		return in.Roots
	}
	return in.bases()
}

// bases are the folders that the patterns of an input begin in.
func (in *Input) bases() []string {
	var dirs []string
	for _, p := range in.Paths {
		dir, _ := base(p)
		dirs = append(dirs, dir)
	}
	return dirs
}

// within returns which of some folders holds a path, the longest; empty if none does.
func within(dirs []string, path string) string {
	found := ""
	for _, dir := range dirs {
		real := dir
		if r, err := filepath.EvalSymlinks(dir); err == nil {
			real = r
		}
		for _, d := range []string{dir, real} {
			if (path == d || strings.HasPrefix(path, strings.TrimSuffix(d, "/")+"/")) && len(d) > len(found) {
				found = d
			}
		}
	}
	return found
}

func (s *Set) never(path string) bool {
	return within(s.conf.Never, path) != "" || strings.Contains(path+"/", "/"+PinFolder+"/")
}

// openFile opens a plain file beneath the folders of its input; nothing that is swapped meanwhile leads out of them.
func (s *Set) openFile(in *Input, path string) (*os.File, ident.Stat, error) {
	f, err := s.openRoot(in, path, os.O_RDONLY|openFlags)
	if err != nil {
		return nil, ident.Stat{}, err
	}
	st, err := ident.Fstat(f)
	if err == nil && !st.Regular() {
		err = fmt.Errorf("open %s: it is no plain file", path)
	}
	if err != nil {
		f.Close()
		return nil, st, err
	}
	return f, st, nil
}

// openRoot opens a path beneath the folders that an input may read from.
func (s *Set) openRoot(in *Input, path string, flags int) (*os.File, error) {
	allowed := in.bases()
	if in.Symlinks {
		allowed = append(allowed, in.links()...)
	}
	if in.FIFO && s.conf.Spool != "" {
		allowed = append(allowed, s.conf.Spool)
	}
	dir := within(allowed, path)
	if dir == "" {
		return nil, fmt.Errorf("open %s: it is outside of the folders of input %s", path, in.Name)
	}
	rel := strings.TrimPrefix(strings.TrimPrefix(path, dir), "/")
	for fresh := false; ; fresh = true {
		root := s.roots[dir]
		if root == nil {
			var err error
			if root, err = os.OpenRoot(dir); err != nil {
				return nil, err
			}
			s.roots[dir], fresh = root, true
		}
		f, err := root.OpenFile(rel, flags, 0)
		if err == nil || fresh {
			return f, err
		}
		root.Close() // the folder may be another one by now
		delete(s.roots, dir)
	}
}
