// Package place makes staged content visible: a reader of the folder sees the old file or the new one, the old tree or the
// new one, and after a kill at any instant nothing else.
//
// Files are made without a name and linked, or renamed over what they replace. A staged tree takes the place of the
// published one by an exchange of the two names. Where a tree must not be exchanged, because it is a mount point or holds
// what others put there, its entries are, one by one: each of them is old or new, the tree as a whole is both for a moment.
//
// Nothing is written through a symbolic link inside the folder, and what lies there already is never opened for writing.
package place

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/publish"
)

// prefix begins the name of everything that is not published yet. A run removes what begins so before it does anything.
const prefix = ".initcopy-"

// Shelter is a folder name that Tomcat does not deploy, unlike every other one in its folder of applications, also those
// that begin with a dot.
const Shelter = "META-INF"

// ErrForeign means that something others made is in the way.
var ErrForeign = errors.New("is not from initcopy")

// Anchor is the deepest folder on the way to path that exists; path itself where it is a folder.
func Anchor(path string) (string, error) {
	for {
		fi, err := os.Stat(path)
		switch {
		case err == nil && fi.IsDir():
			return path, nil
		case err == nil:
			return "", &fs.PathError{Op: "use", Path: path, Err: errors.New("a file is where a folder must be")}
		case !errors.Is(err, fs.ErrNotExist) || path == filepath.Dir(path):
			return "", err
		}
		path = filepath.Dir(path)
	}
}

// Sweep removes what earlier runs left unfinished in dir for longer than age. Nobody else may be at work there, see Lock;
// where there are no locks, age must be more than a run takes.
func Sweep(dir string, age time.Duration) (removed int, err error) {
	removed, err = sweep(dir, age)
	inner := filepath.Join(dir, Shelter)
	if fi, serr := os.Lstat(inner); serr != nil || !fi.IsDir() {
		return removed, err
	}
	n, serr := sweep(inner, age)
	if n > 0 || ownShelter(inner, age) {
		// Made for a stage, unless something else is in it: then this does nothing.
		_ = os.Remove(inner)
	}
	return removed + n, errors.Join(err, serr)
}

// shelterMode is what a shelter has that was made for a stage. Nobody else makes a folder like that, so that one which a
// kill left empty, just made or about to go, is known for what it is.
const shelterMode = fs.ModeSticky | 0o700

func ownShelter(dir string, age time.Duration) bool {
	fi, err := os.Lstat(dir)
	return err == nil && fi.Mode()&(fs.ModeSticky|fs.ModePerm) == shelterMode && time.Since(fi.ModTime()) >= age
}

func sweep(dir string, age time.Duration) (removed int, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, e := range entries {
		fi, err := e.Info()
		if err == nil && strings.HasPrefix(e.Name(), prefix) && time.Since(fi.ModTime()) >= age {
			errs = append(errs, publish.RemoveAll(filepath.Join(dir, e.Name())))
			removed++
		}
	}
	return removed, errors.Join(errs...)
}

// Stage is a folder for what is not published yet.
type Stage struct {
	// Dir is where content goes: the absolute path of an empty folder.
	Dir string

	wrapper string
	made    string // the shelter, when it was made for this stage
}

// NewStage makes a stage in parent, which must be on the file system of the target. sheltered stages lie where Tomcat
// does not look, unless something that is no folder has that name.
func NewStage(parent string, sheltered bool) (*Stage, error) {
	s := &Stage{}
	if sheltered {
		inner := filepath.Join(parent, Shelter)
		err := os.Mkdir(inner, shelterMode)
		if err == nil {
			s.made = inner
		} else if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		if fi, err := os.Lstat(inner); err == nil && fi.IsDir() {
			parent = inner
		}
	}
	s.wrapper = filepath.Join(parent, prefix+rand.Text()[:10])
	// Closed to others, so that nobody reads, or serves, what is not whole. A setgid bit of the parent is inherited.
	if err := os.Mkdir(s.wrapper, 0o700); err != nil {
		return nil, err
	}
	s.Dir = filepath.Join(s.wrapper, "tree")
	if err := os.Mkdir(s.Dir, 0o777); err != nil {
		return nil, errors.Join(err, s.Remove())
	}
	return s, nil
}

// File is a name in the stage, beside Dir, for content that is not part of the tree.
func (s *Stage) File(name string) string { return filepath.Join(s.wrapper, name) }

// Remove removes the stage and what is in it: what was never published, or what was replaced.
func (s *Stage) Remove() error {
	err := publish.RemoveAll(s.wrapper)
	if s.made != "" {
		_ = os.Remove(s.made) // not when it holds something else
	}
	return err
}

// MadeShelter tells whether there is a shelter only because of this stage.
func (s *Stage) MadeShelter() bool { return s.made != "" }

// KeepShelter says that the shelter has become content.
func (s *Stage) KeepShelter() { s.made = "" }

// DropShelter says that the shelter was content and is to go with the stage, if that lies in there.
func (s *Stage) DropShelter() (ok bool) {
	if dir := filepath.Dir(s.wrapper); filepath.Base(dir) == Shelter {
		s.made = dir
	}
	return s.made != ""
}

// MakeAll makes dir and the folders it lies in, and their names durable.
func MakeAll(dir string) error {
	if fi, err := os.Stat(dir); err == nil {
		if !fi.IsDir() {
			return &fs.PathError{Op: "make folder", Path: dir, Err: errors.New("a file has this name")}
		}
		return nil
	}
	if err := MakeAll(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return SyncDir(filepath.Dir(dir))
}

// SyncDir makes the names in a folder durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
