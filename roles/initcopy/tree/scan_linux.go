package tree

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

// Scan lists the tree at root, which has to be a folder. Symbolic links are listed, never followed, except in the path of
// root itself.
//
// First all folders are read, then the list is laid out, then every entry is asked for its attributes: so nothing is held
// twice, and a folder of 20,000 files is work for more than one goroutine.
func Scan(ctx context.Context, root string, o ScanOptions) (Listing, error) {
	fd, err := openRoot(root)
	if err != nil {
		return Listing{}, unreadable("read", root, err)
	}
	defer unix.Close(fd)
	workers, restore := parallel(o.Workers)
	defer restore()
	s := &scanner{root: fd, name: root, o: o}
	s.wake = sync.NewCond(&s.mu)
	top := &folder{}
	s.todo, s.open = []*folder{top}, 1
	stop := context.AfterFunc(ctx, func() { s.fail(ctx.Err()) })
	defer stop()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() { s.work(&walker{buf: make([]byte, 32<<10)}) })
	}
	wg.Wait()
	if err := s.failed(); err != nil {
		return Listing{}, err
	}
	s.list.Items = make([]item.Item, 0, s.found+1)
	s.list.Items = append(s.list.Items, item.Item{Path: ".", Kind: item.Dir})
	s.emit(top)
	if err := s.describe(ctx, workers); err != nil {
		return Listing{}, err
	}
	s.count()
	return s.list, nil
}

// folder is one that is read or will be.
type folder struct {
	path    string
	descend bool      // taken only with content
	names   []entry   // its entries, sorted
	subs    []*folder // the folders among them, in order
}

type scanner struct {
	root int
	name string
	o    ScanOptions

	mu    sync.Mutex
	wake  *sync.Cond
	todo  []*folder
	open  int // folders that are not read to their end yet
	err   error
	found int
	list  Listing
}

// walker is what a goroutine uses again for each folder.
type walker struct {
	buf   []byte
	text  []byte
	ends  []int
	kinds []uint8
}

func (s *scanner) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.wake.Broadcast()
}

// failed is why no folder is read any more. A context that ends late may still say so from its own goroutine.
func (s *scanner) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *scanner) work(w *walker) {
	for {
		s.mu.Lock()
		for len(s.todo) == 0 && s.open > 0 && s.err == nil {
			s.wake.Wait()
		}
		if s.open == 0 || s.err != nil {
			s.mu.Unlock()
			return
		}
		f := s.todo[len(s.todo)-1]
		s.todo = s.todo[:len(s.todo)-1]
		s.mu.Unlock()
		if err := s.read(w, f); err != nil {
			s.fail(err)
			return
		}
		s.mu.Lock()
		s.todo = append(s.todo, f.subs...)
		s.found += len(f.names)
		if s.open += len(f.subs) - 1; s.open == 0 || len(f.subs) > 0 {
			s.wake.Broadcast()
		}
		s.mu.Unlock()
	}
}

// read lists one folder.
func (s *scanner) read(w *walker, f *folder) error {
	fd, err := openBelow(s.root, f.path, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return sourceError("read", filepath.Join(s.name, f.path), err)
	}
	defer unix.Close(fd)
	prefix := ""
	if f.path != "" {
		prefix = f.path + "/"
	}
	all, err := w.readDir(fd, prefix)
	if err != nil {
		return unreadable("read", filepath.Join(s.name, f.path), err)
	}
	slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.path[len(prefix):], b.path[len(prefix):]) })
	f.names = all[:0]
	for _, e := range all {
		take, err := s.entry(f, fd, &e, len(prefix))
		if err != nil {
			return err
		}
		if take {
			f.names = append(f.names, e)
		}
	}
	return nil
}

// entry decides about one entry of the folder f.
func (s *scanner) entry(f *folder, fd int, e *entry, prefix int) (take bool, err error) {
	if e.kind == unix.DT_UNKNOWN {
		var st unix.Stat_t
		if err := unix.Fstatat(fd, e.path[prefix:], &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return false, sourceError("stat", filepath.Join(s.name, e.path), err)
		}
		e.kind = uint8(st.Mode & unix.S_IFMT >> 12) // DT_* are made like that
	}
	dir := e.kind == unix.DT_DIR
	verdict := Take
	if s.o.Choose != nil {
		verdict = s.o.Choose(e.path, dir)
	}
	switch {
	case verdict == Leave, verdict == Descend && !dir:
		return false, nil
	case dir:
		f.subs = append(f.subs, &folder{path: e.path, descend: verdict == Descend})
	case e.kind != unix.DT_REG && e.kind != unix.DT_LNK:
		return false, s.special(e.path, e.kind)
	}
	return true, nil
}

func (s *scanner) special(path string, kind uint8) error {
	if s.o.Specials == SkipSpecials {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.list.Skipped = append(s.list.Skipped, path)
		return nil
	}
	what := map[uint8]string{unix.DT_FIFO: "a FIFO", unix.DT_SOCK: "a socket", unix.DT_CHR: "a device", unix.DT_BLK: "a device"}[kind]
	if what == "" {
		what = "of an unknown kind"
	}
	return fmt.Errorf("%s is %s, which cannot be copied\nhint: leave it out with --exclude %q", filepath.Join(s.name, path), what, "/"+path)
}

// emit appends what lies below a folder.
func (s *scanner) emit(f *folder) {
	subs := f.subs
	for _, e := range f.names {
		kinds := [...]item.Kind{unix.DT_REG: item.File, unix.DT_LNK: item.Symlink, unix.DT_DIR: item.Dir}
		at := len(s.list.Items)
		s.list.Items = append(s.list.Items, item.Item{Path: e.path, Kind: kinds[e.kind]})
		if e.kind != unix.DT_DIR {
			continue
		}
		if s.emit(subs[0]); subs[0].descend && len(s.list.Items) == at+1 {
			s.list.Items = s.list.Items[:at]
		}
		subs = subs[1:]
	}
	f.names, f.subs = nil, nil
}

// describe asks every entry for its attributes.
func (s *scanner) describe(ctx context.Context, workers int) error {
	return inChunks(ctx, s.list.Items, workers, func(ctx context.Context, next func() (span, bool)) error {
		dir := cursor{root: s.root}
		defer dir.close()
		for part, ok := next(); ok; part, ok = next() {
			for i := part.start; i < part.end; i++ {
				if err := s.attributes(&dir, &s.list.Items[i]); err != nil {
					return err
				}
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		return nil
	})
}

func (s *scanner) attributes(dir *cursor, it *item.Item) error {
	fd, base, err := dir.at(it.Path)
	if err != nil {
		return sourceError("open", filepath.Join(s.name, it.Path), err)
	}
	var st unix.Stat_t
	if err := unix.Fstatat(fd, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return sourceError("stat", filepath.Join(s.name, it.Path), err)
	}
	if kindOf(st.Mode) != it.Kind {
		return changed(filepath.Join(s.name, it.Path), "was replaced")
	}
	describe(it, &st)
	if it.Kind == item.Symlink {
		if it.Link, err = readlink(fd, base, st.Size); err != nil {
			return sourceError("read link", filepath.Join(s.name, it.Path), err)
		}
	}
	if it.Kind == item.File && st.Nlink > 1 {
		it.Hard = several
	}
	return nil
}

// several marks files with more names, until the list is whole.
const several = "/"

// count finds the other names of files and adds up.
func (s *scanner) count() {
	type key struct{ dev, ino uint64 }
	var first map[key]string
	for i := range s.list.Items {
		it := &s.list.Items[i]
		if it.Kind != item.File {
			continue
		}
		if it.Hard != "" {
			k := key{it.Ident.Dev, it.Ident.Ino}
			if it.Hard = first[k]; it.Hard != "" {
				continue
			}
			if first == nil {
				first = make(map[key]string)
			}
			first[k] = it.Path
		}
		s.list.Files++
		s.list.Bytes += it.Size
	}
}

// kindOf is 0 for what is no item.
func kindOf(mode uint32) item.Kind {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return item.File
	case unix.S_IFDIR:
		return item.Dir
	case unix.S_IFLNK:
		return item.Symlink
	}
	return 0
}

func describe(it *item.Item, st *unix.Stat_t) {
	if it.Kind == item.File {
		it.Size, it.Disk = st.Size, st.Blocks*512
	}
	it.Mode, it.UID, it.GID = st.Mode&0o7777, st.Uid, st.Gid
	it.Mtime = st.Mtim.Nano()
	it.Ident = item.Ident{Dev: st.Dev, Ino: st.Ino, Ctime: st.Ctim.Nano()}
}

func readlink(dir int, name string, size int64) (string, error) {
	for n := max(size, 127) + 1; ; n *= 2 {
		buf := make([]byte, n)
		got, err := unix.Readlinkat(dir, name, buf)
		if err != nil {
			return "", err
		}
		if int64(got) < n {
			return string(buf[:got]), nil
		}
	}
}
