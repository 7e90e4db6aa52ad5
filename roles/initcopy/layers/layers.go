// Package layers puts the content of an image together from its layers, from the top down: what an upper layer has, or
// says is gone, no lower one can bring back, so nothing is made that is replaced later, and lower layers that cannot
// matter need not be read.
//
// It promises to follow the rules of OCI layers: names that begin with .wh. stand for what is gone from the layers below,
// .wh..wh..opq for everything in a folder. It decides and does no I/O: who unpacks asks Take, and moves what Add says.
//
// A symbolic link on the way to what is wanted is an error that names where it leads: to follow it could need layers that
// were read already. It is not for images as a whole that a program shall be run in: owners and devices are no part of it.
package layers

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

const (
	white  = ".wh."
	opaque = ".wh..wh..opq"
)

// Builder is the image as far as it is known. Layers come from the top down: Begin, Take for every name, Add.
type Builder struct {
	// Filter, when set, is asked for what lies in the wanted folder, with paths relative to it.
	Filter func(path string, dir bool) bool

	want string // without slashes at the ends, "." for the root
	tree bool   // its content is wanted, otherwise itself, which is a file then

	kinds  map[string]item.Kind // what the layers so far have
	links  map[string]string
	gone   map[string]bool // what lower layers cannot have
	closed map[string]bool // folders to which lower layers cannot add

	// Of the layer that is read:
	newGone, newClosed []string
	bad                error
	folder             bool // what should be a file has something below it

	items []item.Item
	done  bool
	err   error
}

// New is for a path in an image: the content of a folder (tree), or one file.
func New(want string, tree bool) *Builder {
	if want == "" {
		want = "."
	}
	return &Builder{
		want: want, tree: tree, kinds: map[string]item.Kind{".": item.Dir}, links: map[string]string{},
		gone: map[string]bool{}, closed: map[string]bool{},
	}
}

// Complete tells whether lower layers cannot matter.
func (b *Builder) Complete() bool { return b.done }

// Begin comes before the names of each layer, and again when it is read once more.
func (b *Builder) Begin() { b.newGone, b.newClosed, b.bad, b.folder = nil, nil, nil, false }

// Take tells whether a name of the layer is to be made. Files that an upper layer replaces are, because others of this
// layer may be further names of them; Add leaves them behind.
func (b *Builder) Take(name string, dir bool) bool {
	up, base := path.Dir(name), path.Base(name)
	if b.closed[up] || dir && b.gone[name] {
		return false
	}
	if strings.HasPrefix(base, white) {
		b.whiteout(up, base)
		return false
	}
	switch kind, known := b.kinds[name]; {
	case known && dir && kind != item.Dir:
		return false
	case known && !dir && kind == item.Dir:
		b.newClosed = append(b.newClosed, name) // a folder of this name below is another one
	}
	b.folder = b.folder || dir && name == b.want
	rel, below := b.below(name)
	switch {
	case b.onTheWay(name), name == b.want:
		return true
	case !below || !b.tree:
		return false
	}
	return b.Filter == nil || b.Filter(rel, dir)
}

func (b *Builder) whiteout(dir, base string) {
	what := strings.TrimPrefix(base, white)
	switch {
	case base == opaque:
		b.newClosed = append(b.newClosed, dir)
	case strings.HasPrefix(what, white): // other marks of the format's ancestor
	case what == "" || what == "." || what == "..":
		b.bad = fmt.Errorf("a layer says that %q is gone from %q, which is no name", what, dir)
	default:
		b.newGone = append(b.newGone, path.Join(dir, what))
	}
}

// onTheWay tells whether name is a folder in which the wanted thing lies.
func (b *Builder) onTheWay(name string) bool {
	return name == "." || strings.HasPrefix(b.want, name+"/")
}

// below is the path of name relative to the wanted folder.
func (b *Builder) below(name string) (rel string, ok bool) {
	if b.want == "." {
		return name, true
	}
	return strings.CutPrefix(name, b.want+"/")
}

// Add takes in what the layer has, sorted with parents first. move is told what of it counts: from a path in the layer to a
// path below the wanted folder, or to the name of the wanted file. What lies in a folder moves with it, and remove is told
// what of that does not count.
func (b *Builder) Add(items []item.Item, move func(from, to string) error, remove func(name string) error) error {
	if b.bad != nil {
		return b.bad
	}
	moved := "" // a folder that was
	for _, it := range items {
		_, known := b.kinds[it.Path]
		within := moved != "" && strings.HasPrefix(it.Path, moved+"/")
		if b.gone[it.Path] && within {
			name, _ := b.below(it.Path)
			if err := remove(name); err != nil {
				return err
			}
		}
		if b.gone[it.Path] || known && it.Path != "." {
			continue
		}
		if it.Path != "." {
			b.kinds[it.Path], b.links[it.Path] = it.Kind, it.Link
		}
		to, counts := b.counts(it)
		if !counts || it.Path == "." && b.has(".") {
			continue
		}
		from := it.Path
		it.Path, it.Mode = to, it.Mode&item.Perm
		if it.Hard != "" {
			it.Hard, _ = b.below(it.Hard)
		}
		b.items = append(b.items, it)
		if to == "." || within {
			continue
		}
		if it.Kind == item.Dir {
			moved = from
		}
		if err := move(from, to); err != nil {
			return err
		}
	}
	if _, known := b.kinds[b.want]; b.folder && !known {
		b.kinds[b.want] = item.Dir // of which the layer names only what is in it
	}
	for _, name := range b.newGone {
		b.gone[name] = true
	}
	for _, name := range b.newClosed {
		b.closed[name] = true
	}
	b.decide()
	return b.err
}

// has tells whether the root of what is wanted is among the items.
func (b *Builder) has(name string) bool {
	return slices.ContainsFunc(b.items, func(it item.Item) bool { return it.Path == name })
}

// counts tells under which name an item belongs to what is wanted.
func (b *Builder) counts(it item.Item) (to string, ok bool) {
	switch {
	case it.Path == b.want && !b.tree:
		return path.Base(it.Path), it.Kind == item.File
	case it.Path == b.want:
		return ".", it.Kind == item.Dir
	case !b.tree:
		return "", false
	}
	return b.below(it.Path)
}

// decide finds out whether lower layers matter, and whether there is something in the way.
func (b *Builder) decide() {
	if b.want == "." {
		b.done = b.closed["."]
		return
	}
	parts := strings.Split(b.want, "/")
	for i := range parts {
		at := strings.Join(parts[:i+1], "/")
		last := i == len(parts)-1
		kind, known := b.kinds[at]
		switch {
		case known && kind == item.Symlink:
			b.done, b.err = true, b.linked(at, parts[i+1:])
			return
		case known && last && !b.tree && kind == item.Dir:
			b.done, b.err = true, fmt.Errorf("/%s is a folder in the image\nhint: write /%s/ for its content", at, at)
			return
		case known && last && b.tree && kind == item.File:
			b.done, b.err = true, fmt.Errorf("/%s is a file in the image\nhint: leave the slash at the end out", at)
			return
		case known && kind == item.File:
			b.done = true
			return
		}
		if b.gone[at] || b.closed[path.Dir(at)] {
			b.done = true
			return
		}
	}
	b.done = b.closed[b.want]
}

// linked is the error for a link on the way, with the address that does without.
func (b *Builder) linked(at string, rest []string) error {
	to := b.links[at]
	if !path.IsAbs(to) {
		to = path.Join("/", path.Dir(at), to)
	}
	slash := ""
	if b.tree {
		slash = "/"
	}
	return fmt.Errorf("/%s is a symbolic link to %q in the image, and links are not followed there\nhint: write %q",
		at, b.links[at], path.Join(append([]string{to}, rest...)...)+slash)
}

// Items are what is wanted, sorted, with paths below it; of a file its name.
func (b *Builder) Items() ([]item.Item, error) {
	if b.err != nil {
		return nil, b.err
	}
	if len(b.items) == 0 {
		if b.want == "." {
			return nil, errors.New("the image is empty, or nothing in it is to be copied")
		}
		return nil, fmt.Errorf("there is no /%s in the image\nhint: is it the image that was meant, and the platform?", strings.TrimPrefix(b.want, "/"))
	}
	slices.SortFunc(b.items, func(a, c item.Item) int { return item.Compare(a.Path, c.Path) })
	return b.items, nil
}
