// Package packout answers a fetch from an object store: it selects the objects the other side lacks and
// writes them as a pack.
//
// It promises that a selection is complete for the commits the other side says it has, that its memory grows
// with the number of objects and not with their size, and that it never follows what a truncated history
// lacks. It does not search for good deltas: with Thin, a changed file is written against its former version.
//
// Its users are the file:// remote and gitserve.
package packout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// Hash is the name of an object.
type Hash = plumbing.Hash

// Source is where objects are read.
type Source interface {
	EncodedObject(plumbing.ObjectType, Hash) (plumbing.EncodedObject, error)
}

// Request says what the other side wants and has.
type Request struct {
	Wants   []Hash
	Haves   []Hash
	Shallow []Hash // commits whose parents the other side lacks
	Depth   int    // 0 means no bound
	Filter  string // empty or blob:none
	Thin    bool   // deltas against objects of the other side are welcome
	Roots   []Hash // commits whose parents the source itself lacks
}

// Plan is a selection of objects.
type Plan struct {
	Objects   []Object
	Shallow   []Hash
	Unshallow []Hash
}

// Object is one member of the pack; Base is its delta base, zero for none.
type Object struct {
	Hash Hash
	Base Hash
}

// ErrMissing says that a wanted object is not in the source.
var ErrMissing = errors.New("object not found")

type set map[Hash]struct{}

func (s set) add(h Hash) bool {
	if _, ok := s[h]; ok {
		return false
	}
	s[h] = struct{}{}
	return true
}

func (s set) has(h Hash) bool {
	_, ok := s[h]
	return ok
}

func setOf(hashes []Hash) set {
	s := make(set, len(hashes))
	for _, h := range hashes {
		s.add(h)
	}
	return s
}

// selection is the state of one Select.
type selection struct {
	ctx     context.Context //nolint:containedctx // lives for one call
	src     Source
	req     Request
	roots   set
	commits map[Hash]*commit // parsed once
	seen    set              // objects the other side has, or that were already selected
	plan    *Plan
}

// Select finds what the other side lacks.
func Select(ctx context.Context, src Source, req Request) (*Plan, error) {
	if req.Filter != "" && req.Filter != "blob:none" {
		return nil, fmt.Errorf("filter %q is not blob:none", req.Filter)
	}
	s := &selection{
		ctx: ctx, src: src, req: req, roots: setOf(req.Roots), plan: &Plan{},
		commits: map[Hash]*commit{}, seen: set{},
	}
	tips, others, err := s.peelWants()
	if err != nil {
		return nil, err
	}
	send, edge, err := s.history(tips)
	if err != nil {
		return nil, err
	}
	// What is asked for by name is sent even when it hangs from a have: a partial clone may lack it.
	if err := s.addOthers(others); err != nil {
		return nil, err
	}
	if err := s.markKnown(edge); err != nil {
		return nil, err
	}
	for _, h := range send {
		if s.seen.add(h) {
			s.plan.Objects = append(s.plan.Objects, Object{Hash: h})
		}
	}
	for _, h := range send {
		c := s.commits[h]
		if err := s.addTree(c.tree, s.baseTree(c, edge), 0); err != nil {
			return nil, err
		}
	}
	return s.plan, nil
}

// peelWants sorts the wants: commits to walk from, and objects to send by themselves.
func (s *selection) peelWants() (tips, others []Hash, err error) {
	for _, h := range s.req.Wants {
		for range 16 { // a tag of a tag of a tag
			obj, err := s.src.EncodedObject(plumbing.AnyObject, h)
			if err != nil {
				return nil, nil, fmt.Errorf("%w: %s: %w", ErrMissing, h, err)
			}
			if obj.Type() == plumbing.CommitObject {
				tips = append(tips, h)
				break
			}
			others = append(others, h)
			if obj.Type() != plumbing.TagObject {
				break
			}
			if h, err = tagTarget(obj); err != nil {
				return nil, nil, err
			}
		}
	}
	return tips, others, nil
}

func (s *selection) addOthers(others []Hash) error {
	for _, h := range others {
		obj, err := s.src.EncodedObject(plumbing.AnyObject, h)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrMissing, h, err)
		}
		if obj.Type() == plumbing.TreeObject {
			if err := s.addTree(h, Hash{}, 0); err != nil {
				return err
			}
			continue
		}
		s.add(h, Hash{})
	}
	return nil
}

func (s *selection) add(h, base Hash) {
	if s.seen.add(h) {
		s.plan.Objects = append(s.plan.Objects, Object{Hash: h, Base: base})
	}
}

// markKnown notes every tree and blob of the commits at the edge of what the other side has.
func (s *selection) markKnown(edge []Hash) error {
	for _, h := range edge {
		c, err := s.commit(h)
		if err != nil {
			continue // the other side may name commits this source never had
		}
		if err := s.mark(c.tree, 0); err != nil {
			return err
		}
	}
	return nil
}

// Deeper trees exist in attacks only.
const maxTreeDepth = 2048

func (s *selection) mark(tree Hash, depth int) error {
	if !s.seen.add(tree) {
		return nil
	}
	entries, err := s.tree(tree, depth)
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch e.kind() {
		case plumbing.TreeObject:
			if err := s.mark(e.hash, depth+1); err != nil {
				return err
			}
		case plumbing.BlobObject:
			s.seen.add(e.hash)
		}
	}
	return nil
}

// addTree selects a tree and what hangs from it; base is the tree the other side has in its place.
func (s *selection) addTree(tree, base Hash, depth int) error {
	if s.seen.has(tree) {
		return nil
	}
	entries, err := s.tree(tree, depth)
	if err != nil {
		return err
	}
	s.add(tree, base)
	var old map[string]treeEntry
	if !base.IsZero() {
		old = s.byName(base, depth)
	}
	for _, e := range entries {
		from := old[e.name]
		if from.kind() != e.kind() {
			from = treeEntry{}
		}
		switch e.kind() {
		case plumbing.TreeObject:
			if err := s.addTree(e.hash, from.hash, depth+1); err != nil {
				return err
			}
		case plumbing.BlobObject:
			if s.req.Filter == "" {
				s.add(e.hash, from.hash)
			}
		}
	}
	return nil
}

func (s *selection) byName(tree Hash, depth int) map[string]treeEntry {
	entries, err := s.tree(tree, depth)
	if err != nil {
		return nil // only a chance for smaller deltas is lost
	}
	m := make(map[string]treeEntry, len(entries))
	for _, e := range entries {
		m[e.name] = e
	}
	return m
}

// baseTree finds the tree to write c's tree against.
func (s *selection) baseTree(c *commit, edge []Hash) Hash {
	if !s.req.Thin || s.req.Filter != "" {
		return Hash{}
	}
	for _, h := range slices.Concat(c.parents, edge) {
		if known, ok := s.commits[h]; ok && known.tree != c.tree && slices.Contains(edge, h) {
			return known.tree
		}
	}
	return Hash{}
}

func (s *selection) tree(h Hash, depth int) ([]treeEntry, error) {
	if depth > maxTreeDepth {
		return nil, fmt.Errorf("tree %s is nested deeper than %d", h, maxTreeDepth)
	}
	if err := s.ctx.Err(); err != nil {
		return nil, err
	}
	obj, err := s.src.EncodedObject(plumbing.TreeObject, h)
	if err != nil {
		return nil, fmt.Errorf("%w: tree %s: %w", ErrMissing, h, err)
	}
	b, err := readAll(obj)
	if err != nil {
		return nil, fmt.Errorf("read tree %s: %w", h, err)
	}
	return parseTree(b)
}

func readAll(obj plumbing.EncodedObject) ([]byte, error) {
	r, err := obj.Reader()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b := make([]byte, obj.Size())
	_, err = io.ReadFull(r, b)
	return b, err
}
