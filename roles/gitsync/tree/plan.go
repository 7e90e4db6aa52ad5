package tree

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// Trees gives commits and trees by name.
type Trees interface {
	Get(h Hash) (plumbing.ObjectType, []byte, error)
}

// Objects gives git objects by name; store.Store is one.
type Objects interface {
	Trees
	CopyBlob(w io.Writer, h Hash) (int64, error)
}

// Node is a tree and where its objects are.
type Node struct {
	Objects Trees
	Tree    Hash
}

// Item is one file of a plan. Path is relative, with slashes.
type Item struct {
	Path    string
	Mode    Mode // File, Exec or Symlink; Submodule for one that stays an empty folder
	Hash    Hash
	Objects Trees
}

// Rules decide what of a tree is wanted. The zero value wants all.
type Rules struct {
	// Want tells whether a file is wanted; nil wants all. Folders exist for their files only.
	Want func(path string, dir bool) bool
	// Module gives the content of the submodule at path; without one (or with ok false) it stays an empty folder.
	Module func(path string, commit Hash) (n Node, ok bool, err error)
	// MaxFiles bounds the number of files, and loosely that of folders; 0 is no bound.
	MaxFiles int
}

// Commit returns the tree of a commit object.
func Commit(data []byte) (tree Hash, parents []Hash, err error) {
	line, _, _ := strings.Cut(string(data[:min(len(data), 64)]), "\n")
	hex, ok := strings.CutPrefix(line, "tree ")
	if !ok || !plumbing.IsHash(hex) {
		return tree, nil, fmt.Errorf("%w: commit names no tree", ErrRefused)
	}
	for _, line := range strings.Split(string(data), "\n")[1:] {
		hex, ok := strings.CutPrefix(line, "parent ")
		if !ok || !plumbing.IsHash(hex) {
			break
		}
		parents = append(parents, plumbing.NewHash(hex))
	}
	return plumbing.NewHash(hex), parents, nil
}

// Root returns the tree of commit h.
func Root(o Objects, h Hash) (Node, error) {
	typ, data, err := o.Get(h)
	if err != nil {
		return Node{}, err
	}
	if typ != plumbing.CommitObject {
		return Node{}, fmt.Errorf("%s is a %s, not a commit", h, typ)
	}
	root, _, err := Commit(data)
	return Node{o, root}, err
}

// Files calls fn for every wanted file below n, in the order of the tree.
func Files(n Node, rules Rules, fn func(Item) error) error {
	w := walker{rules: rules, fn: fn}
	return w.walk(n, "", 0)
}

type walker struct {
	rules   Rules
	fn      func(Item) error
	files   int
	folders int
}

// fewFolders are never too many, however few files are allowed.
const fewFolders = 1 << 16

// tooManyFolders refuses trees that unfold: a dozen objects can name more folders than there is memory, without one file.
func (r Rules) tooManyFolders(n int) error {
	if r.MaxFiles > 0 && n > max(r.MaxFiles, fewFolders) {
		return fmt.Errorf("%w: more folders than --max-files %d and %d", ErrRefused, r.MaxFiles, fewFolders)
	}
	return nil
}

func entries(n Node) ([]Entry, error) {
	typ, data, err := n.Objects.Get(n.Tree)
	if err != nil {
		return nil, err
	}
	if typ != plumbing.TreeObject {
		return nil, fmt.Errorf("%w: %s is a %s, not a tree", ErrRefused, n.Tree, typ)
	}
	list, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w", n.Tree, err)
	}
	return list, nil
}

func (w *walker) walk(n Node, dir string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: folders are nested deeper than %d", ErrRefused, maxDepth)
	}
	w.folders++
	if err := w.rules.tooManyFolders(w.folders); err != nil {
		return err
	}
	list, err := entries(n)
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := w.entry(n, e, path.Join(dir, e.Name), depth); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) entry(n Node, e Entry, name string, depth int) error {
	if len(name) > maxPath {
		return fmt.Errorf("%w: path %.100q... is longer than %d bytes", ErrRefused, name, maxPath)
	}
	if w.rules.Want != nil && !w.rules.Want(name, e.Mode == Dir || e.Mode == Submodule) {
		return nil
	}
	switch e.Mode {
	case Dir:
		return w.walk(Node{n.Objects, e.Hash}, name, depth+1)
	case Submodule:
		sub, ok, err := w.module(name, e.Hash)
		if err != nil {
			return err
		}
		if ok {
			return w.walk(sub, name, depth+1)
		}
	}
	if w.files++; w.rules.MaxFiles > 0 && w.files > w.rules.MaxFiles {
		return fmt.Errorf("%w: more than --max-files %d", ErrRefused, w.rules.MaxFiles)
	}
	return w.fn(Item{Path: name, Mode: e.Mode, Hash: e.Hash, Objects: n.Objects})
}

func (w *walker) module(name string, commit Hash) (Node, bool, error) {
	if w.rules.Module == nil {
		return Node{}, false, nil
	}
	return w.rules.Module(name, commit)
}

// Change is what differs between two trees.
type Change struct {
	Remove []string // files and links, in the order of the tree
	Write  []Item
}

// Diff compares two trees and leaves out what is equal, whole folders by one comparison. It does not look into
// submodules, so it is not for rules that have some.
func Diff(before, after Node, rules Rules) (Change, error) {
	if rules.Module != nil {
		return Change{}, errors.New("a comparison does not look into submodules")
	}
	var c Change
	d := differ{rules: rules, c: &c}
	return c, d.diff(before, after, "", 0)
}

type differ struct {
	rules Rules
	c     *Change
}

func (d differ) diff(before, after Node, dir string, depth int) error {
	if before.Tree == after.Tree {
		return nil
	}
	if depth > maxDepth {
		return fmt.Errorf("%w: folders are nested deeper than %d", ErrRefused, maxDepth)
	}
	was, err := entries(before)
	if err != nil {
		return err
	}
	is, err := entries(after)
	if err != nil {
		return err
	}
	old := make(map[string]Entry, len(was))
	for _, e := range was {
		old[e.Name] = e
	}
	for _, e := range is {
		o, both := old[e.Name]
		delete(old, e.Name)
		name := path.Join(dir, e.Name)
		switch {
		case both && o == e:
		case both && o.Mode == Dir && e.Mode == Dir:
			if d.rules.Want != nil && !d.rules.Want(name, true) {
				continue
			}
			err = d.diff(Node{before.Objects, o.Hash}, Node{after.Objects, e.Hash}, name, depth+1)
		default:
			if both {
				err = d.remove(before, o, name)
			}
			if err == nil {
				err = d.add(after, e, name, depth)
			}
		}
		if err != nil {
			return err
		}
	}
	for _, e := range was {
		if _, gone := old[e.Name]; gone {
			if err := d.remove(before, e, path.Join(dir, e.Name)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d differ) add(n Node, e Entry, name string, depth int) error {
	w := walker{rules: d.rules, fn: func(it Item) error {
		d.c.Write = append(d.c.Write, it)
		return nil
	}}
	return w.entry(n, e, name, depth)
}

func (d differ) remove(n Node, e Entry, name string) error {
	w := walker{rules: Rules{Want: d.rules.Want}, fn: func(it Item) error {
		d.c.Remove = append(d.c.Remove, it.Path)
		return nil
	}}
	return w.entry(n, e, name, 0)
}

// Find looks an entry up in a tree's own list.
func Find(n Node, name string) (Entry, bool, error) {
	list, err := entries(n)
	if err != nil {
		return Entry{}, false, err
	}
	for _, e := range list {
		if e.Name == name {
			return e, true, nil
		}
	}
	return Entry{}, false, nil
}
