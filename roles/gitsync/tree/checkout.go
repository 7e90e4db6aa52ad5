package tree

import (
	"context"
	"errors"
	"fmt"
	"path"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
)

// Checkout writes a commit's files while its pack arrives: it is the store's sink. Git sends a tree before what is in it,
// so each blob can go to its files in the moment it was inflated and hashed. What came in another order, twice, or was
// too large is written by Finish from the store.
type Checkout struct {
	dst    *Folder
	commit Hash
	rules  Rules
	opt    Options

	mu      sync.Mutex
	trees   map[Hash][]string // paths of trees that are expected, by name
	places  map[Hash][]place  // of blobs that are expected
	written map[string]bool
	files   int
	folders int
	started bool
}

type place struct {
	path string
	mode Mode
}

// NewCheckout prepares writing commit into the empty folder dst.
func NewCheckout(dst *Folder, commit Hash, rules Rules, opt Options) *Checkout {
	return &Checkout{
		dst: dst, commit: commit, rules: rules, opt: opt,
		trees: make(map[Hash][]string), places: make(map[Hash][]place), written: make(map[string]bool),
	}
}

// Object takes one object; see store.Sink.
func (c *Checkout) Object(typ plumbing.ObjectType, h Hash, data []byte) error {
	switch typ {
	case plumbing.CommitObject:
		if h != c.commit || c.started {
			return nil
		}
		c.started = true
		root, _, err := Commit(data)
		c.trees[root] = []string{""}
		return err
	case plumbing.TreeObject:
		return c.takeTree(h, data)
	case plumbing.BlobObject:
		return c.takeBlob(h, data)
	}
	return nil
}

// takeTree notes where what is in a tree belongs. It is called by one goroutine only.
func (c *Checkout) takeTree(h Hash, data []byte) error {
	dirs := c.trees[h]
	delete(c.trees, h)
	if len(dirs) == 0 {
		return nil // of an earlier commit
	}
	list, err := Parse(data)
	if err != nil {
		return fmt.Errorf("tree %s: %w", h, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, dir := range dirs {
		if len(dir) > maxPath {
			return fmt.Errorf("%w: path %.100q... is longer than %d bytes", ErrRefused, dir, maxPath)
		}
		made := dir == ""
		for _, e := range list {
			name := path.Join(dir, e.Name)
			if c.rules.Want != nil && !c.rules.Want(name, e.Mode == Dir) {
				continue
			}
			switch e.Mode {
			case Dir:
				c.folders++
				if err := c.rules.tooManyFolders(c.folders); err != nil {
					return err
				}
				c.trees[e.Hash] = append(c.trees[e.Hash], name)
			case File, Exec:
				if c.files++; c.rules.MaxFiles > 0 && c.files > c.rules.MaxFiles {
					return fmt.Errorf("%w: more than --max-files %d", ErrRefused, c.rules.MaxFiles)
				}
				if !made {
					if err := c.dst.MkdirAll(dir, 0o777); err != nil {
						return err
					}
					made = true
				}
				c.places[e.Hash] = append(c.places[e.Hash], place{name, e.Mode})
			}
		}
	}
	return nil
}

func (c *Checkout) takeBlob(h Hash, data []byte) error {
	c.mu.Lock()
	places := c.places[h]
	delete(c.places, h)
	c.mu.Unlock()
	for _, p := range places {
		w, err := c.dst.Create(p.path, permOf(p.mode))
		if err != nil {
			return err
		}
		_, err = w.Write(data)
		if err = errors.Join(err, w.Close(c.opt.Sync)); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range places {
		c.written[p.path] = true
	}
	return nil
}

// Finish writes what is still missing from the store, and returns the state of every file.
func (c *Checkout) Finish(ctx context.Context, objects Objects) ([]Record, error) {
	root, err := Root(objects, c.commit)
	if err != nil {
		return nil, fmt.Errorf("commit %s: %w", c.commit, err)
	}
	written := c.written
	c.trees, c.places, c.written = nil, nil, nil
	var items, todo []Item
	err = Files(root, c.rules, func(it Item) error {
		items = append(items, it)
		if !written[it.Path] {
			todo = append(todo, it)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := write(ctx, c.dst, todo, c.opt); err != nil {
		return nil, err
	}
	return Scan(c.dst, items)
}
