package tree

import (
	"context"
	"errors"
	"fmt"
	"path"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
)

// Checkout writes a commit's files while its pack arrives: it is the store's sink. Each blob goes to its files in the
// moment it was inflated and hashed; what could not be written that way, because a server sent blobs before trees or
// an object was too large, is written by Finish from the store.
type Checkout struct {
	dst    *Folder
	commit Hash
	rules  Rules
	opt    Options

	mu     sync.Mutex
	root   Hash
	trees  map[Hash][]byte
	held   int // bytes in trees
	items  []Item
	places map[Hash][]int
	done   []bool
}

// maxHeld bounds the trees that are kept in memory until the first blob arrives, in bytes. A history has more; then
// Finish writes everything.
const maxHeld = 16 << 20

// NewCheckout prepares writing commit into the empty folder dst.
func NewCheckout(dst *Folder, commit Hash, rules Rules, opt Options) *Checkout {
	return &Checkout{dst: dst, commit: commit, rules: rules, opt: opt, trees: make(map[Hash][]byte)}
}

// Object takes one object; see store.Sink.
func (c *Checkout) Object(typ plumbing.ObjectType, h Hash, data []byte) error {
	switch typ {
	case plumbing.CommitObject:
		return c.takeCommit(h, data)
	case plumbing.TreeObject:
		c.takeTree(h, data)
	case plumbing.BlobObject:
		return c.takeBlob(h, data)
	}
	return nil
}

func (c *Checkout) takeCommit(h Hash, data []byte) error {
	if h != c.commit {
		return nil
	}
	root, _, err := Commit(data)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.root = root
	return err
}

func (c *Checkout) takeTree(h Hash, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.places != nil || c.held > maxHeld {
		return
	}
	c.held += len(data)
	c.trees[h] = append([]byte(nil), data...)
}

// Ready plans the files, if everything that needs has arrived.
func (c *Checkout) Ready() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var items []Item
	rules := c.rules
	rules.Module = nil // their content comes from elsewhere, by Finish
	err := Files(Node{heldTrees(c.trees), c.root}, rules, func(it Item) error {
		items = append(items, it)
		return nil
	})
	c.trees = nil
	if errors.Is(err, errNotHeld) {
		return nil
	}
	if err != nil {
		return err
	}
	places := make(map[Hash][]int, len(items))
	for i, it := range items {
		if it.Mode == File || it.Mode == Exec {
			places[it.Hash] = append(places[it.Hash], i)
		}
	}
	c.items, c.places, c.done = items, places, make([]bool, len(items))
	return makeDirs(c.dst, items)
}

func (c *Checkout) takeBlob(h Hash, data []byte) error {
	c.mu.Lock()
	at := c.places[h]
	delete(c.places, h)
	c.mu.Unlock()
	for _, i := range at {
		w, err := c.dst.Create(c.items[i].Path, permOf(c.items[i].Mode))
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
	for _, i := range at {
		c.done[i] = true
	}
	return nil
}

// Finish writes what is still missing from the store, and returns the state of every file.
func (c *Checkout) Finish(ctx context.Context, objects Objects) ([]Record, error) {
	root, err := Root(objects, c.commit)
	if err != nil {
		return nil, fmt.Errorf("commit %s: %w", c.commit, err)
	}
	written := make(map[string]bool)
	for i, ok := range c.done {
		if ok {
			written[c.items[i].Path] = true
		}
	}
	c.items, c.places, c.done = nil, nil, nil
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

var errNotHeld = errors.New("object is not held")

// heldTrees gives the trees that arrived, and nothing else.
type heldTrees map[Hash][]byte

func (t heldTrees) Get(h Hash) (plumbing.ObjectType, []byte, error) {
	data, ok := t[h]
	if !ok {
		return 0, nil, fmt.Errorf("%s: %w", path.Base(h.String()), errNotHeld)
	}
	return plumbing.TreeObject, data, nil
}
