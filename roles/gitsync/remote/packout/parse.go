package packout

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// Only what a walk needs is parsed: the objects go to the other side byte for byte, whatever they hold.

type commit struct {
	tree    Hash
	parents []Hash
	when    int64
}

func parseCommit(b []byte) (*commit, error) {
	c := &commit{}
	found := false
	for len(b) > 0 {
		line, rest, _ := bytes.Cut(b, []byte{'\n'})
		b = rest
		if len(line) == 0 {
			break
		}
		key, value, _ := strings.Cut(string(line), " ")
		switch key {
		case "tree":
			c.tree, found = plumbing.NewHash(value), true
		case "parent":
			c.parents = append(c.parents, plumbing.NewHash(value))
		case "committer":
			if f := strings.Fields(value); len(f) >= 2 {
				c.when, _ = strconv.ParseInt(f[len(f)-2], 10, 64)
			}
		}
	}
	if !found {
		return nil, errors.New("no tree line")
	}
	return c, nil
}

type treeEntry struct {
	mode string
	name string
	hash Hash
}

func (e treeEntry) kind() plumbing.ObjectType {
	switch {
	case e.mode == "":
		return plumbing.InvalidObject
	case e.mode == "40000" || e.mode == "040000":
		return plumbing.TreeObject
	case strings.HasPrefix(e.mode, "16"):
		return plumbing.CommitObject // a submodule: its objects live elsewhere
	}
	return plumbing.BlobObject
}

func parseTree(b []byte) ([]treeEntry, error) {
	var out []treeEntry
	for len(b) > 0 {
		head, rest, ok := bytes.Cut(b, []byte{0})
		mode, name, ok2 := bytes.Cut(head, []byte{' '})
		if !ok || !ok2 || len(rest) < len(Hash{}) {
			return nil, fmt.Errorf("tree is cut off after %d entries", len(out))
		}
		e := treeEntry{mode: string(mode), name: string(name)}
		copy(e.hash[:], rest)
		out = append(out, e)
		b = rest[len(e.hash):]
	}
	return out, nil
}

// tagTarget returns what an annotated tag names.
func tagTarget(obj plumbing.EncodedObject) (Hash, error) {
	b, err := readAll(obj)
	if err != nil {
		return Hash{}, fmt.Errorf("read tag %s: %w", obj.Hash(), err)
	}
	line, _, _ := bytes.Cut(b, []byte{'\n'})
	value, ok := strings.CutPrefix(string(line), "object ")
	if !ok || len(value) != 40 {
		return Hash{}, fmt.Errorf("tag %s names no object", obj.Hash())
	}
	return plumbing.NewHash(value), nil
}

// Peel follows annotated tags to what they name in the end. For anything else it returns the zero hash.
func Peel(src Source, h Hash) (Hash, error) {
	var target Hash
	for range 16 {
		obj, err := src.EncodedObject(plumbing.AnyObject, h)
		if err != nil {
			return Hash{}, fmt.Errorf("%w: %s: %w", ErrMissing, h, err)
		}
		if obj.Type() != plumbing.TagObject {
			return target, nil
		}
		if target, err = tagTarget(obj); err != nil {
			return Hash{}, err
		}
		h = target
	}
	return Hash{}, fmt.Errorf("tag %s is nested too deep", h)
}
