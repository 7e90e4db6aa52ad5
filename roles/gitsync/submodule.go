package gitsync

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/sidecar-kit/sidecar/roles/gitsync/remote"
	"github.com/sidecar-kit/sidecar/roles/gitsync/store"
	"github.com/sidecar-kit/sidecar/roles/gitsync/tree"
)

const (
	maxModuleDepth = 16
	maxModules     = 1000
	maxGitmodules  = 1 << 20
)

// submodule is a repository that another one holds by a commit. Its objects have a store of their own.
type submodule struct {
	remote remote.Remote
	store  *store.Store
	// tips are commits that are complete here, and the walk that wanted each last.
	tips map[plumbing.Hash]int
}

// level is one repository on the way down: the top one or a submodule.
type level struct {
	prefix string // of its path, with a slash; empty for the top
	url    string
	node   tree.Node
	deep   int
	addrs  map[string]string // of its submodules, by path below prefix
}

// modulesOf returns what gives the walk the content of submodules.
func (s *Sync) modulesOf(ctx context.Context, commit plumbing.Hash) func(string, plumbing.Hash) (tree.Node, bool, error) {
	var levels []*level
	s.walk++
	return func(path string, want plumbing.Hash) (tree.Node, bool, error) {
		if levels == nil {
			top, err := tree.Root(s.repo.store, commit)
			if err != nil {
				return tree.Node{}, false, err
			}
			levels = []*level{{url: s.cfg.Repo.Reveal(), node: top}}
		}
		parent := levels[0]
		for _, l := range levels {
			if strings.HasPrefix(path, l.prefix) && len(l.prefix) > len(parent.prefix) {
				parent = l
			}
		}
		if s.cfg.Submodules == "shallow" && parent.deep > 0 {
			return tree.Node{}, false, nil
		}
		if parent.deep >= maxModuleDepth || len(levels) > maxModules {
			return tree.Node{}, false, fmt.Errorf("%w: submodules are nested deeper than %d, or more than %d", tree.ErrRefused, maxModuleDepth, maxModules)
		}
		l, err := s.module(ctx, parent, strings.TrimPrefix(path, parent.prefix), want)
		if err != nil {
			return tree.Node{}, false, fmt.Errorf("submodule %q: %w", path, err)
		}
		l.prefix = path + "/"
		levels = append(levels, l)
		return l.node, true, nil
	}
}

// module fetches one submodule, unless its commit is here already.
func (s *Sync) module(ctx context.Context, parent *level, path string, want plumbing.Hash) (*level, error) {
	if parent.addrs == nil {
		addrs, err := gitmodules(parent.node)
		if err != nil {
			return nil, err
		}
		parent.addrs = addrs
	}
	raw, ok := parent.addrs[path]
	if !ok {
		return nil, errors.New("there is no address for it in .gitmodules; correct that, or say --submodules=off")
	}
	addr, err := submoduleURL(parent.url, raw)
	if err != nil {
		return nil, err
	}
	sub, err := s.submodule(addr)
	if err != nil {
		return nil, err
	}
	if !sub.store.Has(want) {
		have := slices.Collect(maps.Keys(sub.tips))
		req := remote.FetchRequest{Wants: []plumbing.Hash{want}, Haves: have, Shallow: have, Depth: 1}
		got, err := fetch(ctx, sub.remote, sub.store, req, nil, s.cfg.MaxBytes)
		if err != nil {
			return nil, err
		}
		s.metrics.fetched(got.Bytes, got.Objects)
	}
	sub.tips[want] = s.walk
	node, err := tree.Root(sub.store, want)
	return &level{url: addr, node: node, deep: parent.deep + 1}, err
}

// gitmodules reads the addresses that a tree's .gitmodules names.
func gitmodules(n tree.Node) (map[string]string, error) {
	e, ok, err := tree.Find(n, ".gitmodules")
	if err != nil || !ok {
		return map[string]string{}, err
	}
	objects, isStore := n.Objects.(tree.Objects)
	if !isStore {
		return nil, errors.New(".gitmodules cannot be read")
	}
	out := limitWriter{left: maxGitmodules}
	if _, err := objects.CopyBlob(&out, e.Hash); err != nil {
		return nil, fmt.Errorf("read .gitmodules: %w", err)
	}
	return modules(out.Bytes()), nil
}

func (s *Sync) submodule(addr string) (*submodule, error) {
	if sub, ok := s.subs[addr]; ok {
		return sub, nil
	}
	r, err := s.door.open(addr, sameServer(addr, s.cfg.Repo.Reveal()))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(addr))
	st, err := store.Open(s.repo.path("modules", hex.EncodeToString(sum[:8]), "objects", "pack"))
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	sub := &submodule{r, st, make(map[plumbing.Hash]int)}
	s.subs[addr] = sub
	return sub, nil
}

// compactModules drops what the published tree does not need of submodules that changed often.
func (s *Sync) compactModules() error {
	var errs []error
	for _, sub := range s.subs {
		if packs, _ := sub.store.Stats(); packs <= maxPacks || s.cfg.GC == "off" {
			continue
		}
		maps.DeleteFunc(sub.tips, func(_ plumbing.Hash, walk int) bool { return walk != s.walk })
		tips := slices.Collect(maps.Keys(sub.tips))
		if len(tips) > 0 {
			_, err := sub.store.Compact(tips, tips)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// sameServer tells whether two addresses lead to one server, so that the credentials of the one may go to the other.
func sameServer(a, b string) bool {
	ua, erra := url.Parse(a)
	ub, errb := url.Parse(b)
	return erra == nil && errb == nil && ua.Scheme == ub.Scheme && strings.EqualFold(ua.Host, ub.Host) && ua.Host != ""
}

func (s *Sync) closeSubmodules() {
	for addr, sub := range s.subs {
		if err := errors.Join(sub.remote.Close(), sub.store.Close()); err != nil {
			s.log.Debug().AnErr("err", err).Msg("closing a submodule")
		}
		delete(s.subs, addr)
	}
}
