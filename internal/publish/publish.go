// Package publish shows readers of a shared volume the old content or the new, never a mixture, and survives a kill
// or a power cut at any instant.
//
// Two things are published: a single file (File), and a folder tree that readers reach through one symbolic link
// (Tree). A tree is made beside the published one under a name nobody looks at, gets its real name when it is whole,
// and is then swapped in by renaming a link. What the link points at is never changed, moved or removed.
//
// Used by the sync role.
package publish

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// File writes the file path through write and gives it its name only when its content is whole and on the disk. A
// reader sees the old file or the new one. The parent folder has to exist. perm is subject to the umask.
func File(path string, perm fs.FileMode, write func(io.Writer) error) error {
	dir, base := filepath.Split(path)
	tmp := filepath.Join(dir, "."+base+".tmp-"+rand.Text()[:8])
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(f, 32<<10)
	err = write(out)
	if err == nil {
		err = out.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

const (
	stagePrefix = ".stage-"
	trashPrefix = ".trash-"
	linkPrefix  = ".sidecar-link-"
)

// Tree is a folder of versions and the link through which readers see one of them. The link's target is relative, and
// its last part is the version: consumers may rely on that. A Tree is for one writer.
type Tree struct {
	dir  string // absolute and free of symbolic links
	link string
}

// ErrOccupied means that something else stands where the link belongs. It is not ours to remove.
var ErrOccupied = errors.New("not a symbolic link")

// Open prepares dir, where versions lie, and the folder that link lies in. What an interrupted run left unfinished is
// removed. Something at link that is not a symbolic link is ErrOccupied.
func Open(dir, link string) (*Tree, error) {
	for _, d := range []string{dir, filepath.Dir(link)} {
		if err := os.MkdirAll(d, 0o777); err != nil {
			return nil, err
		}
	}
	realDir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(link))
	if err != nil {
		return nil, err
	}
	t := &Tree{dir: realDir, link: filepath.Join(parent, filepath.Base(link))}
	if fi, err := os.Lstat(t.link); err == nil && fi.Mode().Type() != fs.ModeSymlink {
		return nil, fmt.Errorf("%s is %w: move it away, or choose another name", link, ErrOccupied)
	}
	return t, t.sweep()
}

func (t *Tree) sweep() error {
	var errs []error
	for _, place := range []struct{ dir, prefix string }{
		{t.dir, stagePrefix}, {t.dir, trashPrefix}, {filepath.Dir(t.link), linkPrefix},
	} {
		names, err := os.ReadDir(place.dir)
		errs = append(errs, err)
		for _, e := range names {
			if strings.HasPrefix(e.Name(), place.prefix) {
				errs = append(errs, RemoveAll(filepath.Join(place.dir, e.Name())))
			}
		}
	}
	return errors.Join(errs...)
}

// Current returns the folder that readers see, as an absolute path, and its version. Both are empty when there is no
// link, when it is broken, or when it leads out of the folder of versions.
func (t *Tree) Current() (path, version string) {
	target, err := os.Readlink(t.link)
	if err != nil {
		return "", ""
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(t.link), target)
	}
	rel, err := filepath.Rel(t.dir, target)
	if err != nil || !filepath.IsLocal(rel) || rel == "." {
		return "", ""
	}
	if fi, err := os.Lstat(target); err != nil || !fi.IsDir() {
		return "", ""
	}
	return target, filepath.Base(target)
}

// Stage makes a new empty folder for the next version and returns its absolute path. The folder of versions is made
// again where somebody removed it.
func (t *Tree) Stage() (string, error) {
	if err := os.MkdirAll(t.dir, 0o777); err != nil {
		return "", err
	}
	path := filepath.Join(t.dir, stagePrefix+rand.Text()[:10])
	return path, os.Mkdir(path, 0o777)
}

// Place says where a version that is staged now would come to lie. Where that version is what readers see, the new
// tree lies beside it, under the same last name.
func (t *Tree) Place(version string) string {
	current, _ := t.Current()
	path := filepath.Join(t.dir, version)
	for n := 2; path == current; n++ {
		path = filepath.Join(t.dir, "."+strconv.Itoa(n), version)
	}
	return path
}

// Commit gives the staged folder its place and swaps the link to it: durably, the content being the caller's to sync.
// It returns the place once readers see the new tree, also with an error of what comes after that. The tree that was
// seen before stays until Prune.
func (t *Tree) Commit(stage, version string) (string, error) {
	if filepath.Base(version) != version || strings.HasPrefix(version, ".") {
		return "", fmt.Errorf("version %q is not a plain name", version)
	}
	old, _ := t.Current()
	place := t.Place(version)
	parent := filepath.Dir(place)
	if parent != t.dir {
		if err := os.MkdirAll(parent, 0o777); err != nil {
			return "", err
		}
	}
	if err := t.aside(place, version); err != nil {
		return "", err
	}
	if err := os.Rename(stage, place); err != nil {
		return "", err
	}
	err := syncDir(parent)
	if err == nil && parent != t.dir {
		err = syncDir(t.dir)
	}
	if err == nil {
		err = t.swap(place)
	}
	if err != nil {
		return "", err
	}
	if old != "" {
		// The age of a tree that was replaced counts from now, and survives a restart. A tree that another user made, or
		// that somebody removed meanwhile, refuses that; the new one is what readers see all the same.
		now := time.Now()
		_ = os.Chtimes(old, now, now)
	}
	return place, syncDir(filepath.Dir(t.link))
}

// aside makes room at place. What lies there is an earlier tree of the same version, which a reader may still hold: it
// gets another place, and goes when its time is over.
func (t *Tree) aside(place, version string) error {
	if _, err := os.Lstat(place); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for n := 2; ; n++ {
		dir := filepath.Join(t.dir, "."+strconv.Itoa(n))
		free := filepath.Join(dir, version)
		if _, err := os.Lstat(free); err == nil {
			continue
		}
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
		return os.Rename(place, free)
	}
}

// swap points the link at place.
func (t *Tree) swap(place string) error {
	parent := filepath.Dir(t.link)
	target, err := filepath.Rel(parent, place)
	if err != nil {
		return err
	}
	tmp := filepath.Join(parent, linkPrefix+rand.Text()[:10])
	if err := os.Symlink(target, tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, t.link); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return nil
}

// Restore points the link at a place that Commit returned, where somebody removed or changed the link.
func (t *Tree) Restore(place string) error {
	return errors.Join(t.swap(place), syncDir(filepath.Dir(t.link)))
}

// discard removes a path that readers do not see, in one step for whoever looks.
func (t *Tree) discard(path string) error {
	trash := filepath.Join(t.dir, trashPrefix+rand.Text()[:10])
	err := os.Rename(path, trash)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return RemoveAll(trash)
}

// Prune removes everything in the folder of versions that readers do not see, keep does not name and that was replaced
// longer than age ago; nothing while the link does not lead to one of them. It returns how many trees went, and when the next one is due (zero for none).
func (t *Tree) Prune(age time.Duration, keep ...string) (removed int, next time.Duration, err error) {
	current, _ := t.Current()
	if current == "" {
		return 0, 0, nil // what readers see is not known: they may see any of them
	}
	spared := map[string]bool{current: true}
	for _, k := range keep {
		spared[k] = true
	}
	var errs []error
	for _, path := range t.all() {
		if spared[path] {
			continue
		}
		fi, err := os.Lstat(path)
		if err != nil {
			continue
		}
		left := age - time.Since(fi.ModTime())
		if isVersion := !strings.HasPrefix(filepath.Base(path), "."); isVersion && left > 0 {
			if next == 0 || left < next {
				next = left
			}
			continue
		}
		errs = append(errs, t.discard(path))
		removed++
	}
	return removed, next, errors.Join(errs...)
}

// all lists what lies in the folder of versions, and for the numbered folders what lies in them.
func (t *Tree) all() []string {
	var out []string
	names, err := os.ReadDir(t.dir)
	if err != nil {
		return nil
	}
	for _, e := range names {
		path := filepath.Join(t.dir, e.Name())
		if _, err := strconv.Atoi(strings.TrimPrefix(e.Name(), ".")); err == nil && strings.HasPrefix(e.Name(), ".") {
			inner, err := os.ReadDir(path)
			if err == nil && len(inner) > 0 {
				for _, in := range inner {
					out = append(out, filepath.Join(path, in.Name()))
				}
				continue
			}
		}
		out = append(out, path)
	}
	return out
}

// RemoveAll removes a tree even where its folders were published without the right to write.
func RemoveAll(path string) error {
	err := os.RemoveAll(path)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	err = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(p, 0o700) //nolint:gosec // a folder on its way out
		}
		return err
	})
	return errors.Join(err, os.RemoveAll(path))
}

// Versions lists the versions that are still there.
func (t *Tree) Versions() []string {
	var out []string
	for _, path := range t.all() {
		if base := filepath.Base(path); !strings.HasPrefix(base, ".") {
			out = append(out, base)
		}
	}
	return out
}
