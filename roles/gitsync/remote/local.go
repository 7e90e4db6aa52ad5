package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/sidecar-kit/sidecar/roles/gitsync/remote/packout"
)

// localRemote reads a repository on this machine directly: there is no git program to ask. It is opened anew
// for each call, because another process may repack it in between.
type localRemote struct {
	cfg Config
	loc location
}

func openLocal(cfg Config, loc location) (Remote, error) {
	return &localRemote{cfg: cfg, loc: loc}, nil
}

func (l *localRemote) Close() error { return nil }

func (l *localRemote) List(ctx context.Context, prefixes []string) ([]Ref, error) {
	refs, err := l.list(ctx, prefixes)
	if err != nil {
		return nil, explain("list refs", l.loc, err)
	}
	return refs, nil
}

func (l *localRemote) list(ctx context.Context, prefixes []string) ([]Ref, error) {
	repo, err := openLocalRepo(l.loc.path)
	if err != nil {
		return nil, err
	}
	defer repo.Close()
	it, err := repo.refs.IterReferences()
	if err != nil {
		return nil, fmt.Errorf("%w: read refs: %w", ErrProtocol, err)
	}
	defer it.Close()
	byName := map[plumbing.ReferenceName]*plumbing.Reference{}
	err = it.ForEach(func(r *plumbing.Reference) error {
		if len(byName) >= l.cfg.Limits.Refs {
			return fmt.Errorf("%w: more than %d refs", ErrLimit, l.cfg.Limits.Refs)
		}
		byName[r.Name()] = r
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	var out []Ref
	for name, r := range byName {
		if !wanted(name.String(), prefixes) {
			continue
		}
		ref, ok, err := l.resolve(repo, byName, r)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, ref)
		}
	}
	slices.SortFunc(out, func(a, b Ref) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// resolve follows a symbolic ref and peels a tag. A ref that leads nowhere is left out, as git does.
func (l *localRemote) resolve(repo *localRepo, byName map[plumbing.ReferenceName]*plumbing.Reference, r *plumbing.Reference) (Ref, bool, error) {
	ref := Ref{Name: r.Name().String()}
	for range 5 {
		if r.Type() == plumbing.HashReference {
			break
		}
		if ref.Target == "" {
			ref.Target = r.Target().String()
		}
		next, ok := byName[r.Target()]
		if !ok {
			return Ref{}, false, nil
		}
		r = next
	}
	ref.Hash = r.Hash()
	if ref.Hash.IsZero() {
		return Ref{}, false, nil
	}
	if strings.HasPrefix(ref.Name, "refs/tags/") {
		peeled, err := packout.Peel(repo, ref.Hash)
		if err != nil {
			return Ref{}, false, fmt.Errorf("%w: %s: %w", ErrProtocol, ref.Name, err)
		}
		ref.Peeled = peeled
	}
	return ref, true, nil
}

func (l *localRemote) Fetch(ctx context.Context, req FetchRequest) (*FetchResponse, error) {
	resp, err := l.fetch(ctx, req)
	if err != nil {
		return nil, explain("fetch", l.loc, err)
	}
	return resp, nil
}

func (l *localRemote) fetch(ctx context.Context, req FetchRequest) (*FetchResponse, error) {
	if err := req.check(); err != nil {
		return nil, err
	}
	if req.Filter != "" && req.Filter != "blob:none" {
		return nil, fmt.Errorf("%w: --filter=%s: a local repository is read with blob:none or without a filter", ErrUnsupported, req.Filter)
	}
	repo, err := openLocalRepo(l.loc.path)
	if err != nil {
		return nil, err
	}
	plan, err := repo.plan(ctx, req)
	if err != nil {
		repo.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	r, w := io.Pipe()
	pack := &localPack{PipeReader: r, cancel: cancel}
	pack.done.Go(func() {
		defer repo.Close()
		// Large writes: a pipe hands each one over by itself.
		out := &chunkWriter{w: w}
		err := plan.Write(ctx, out, repo, nil)
		if err == nil {
			err = out.flush()
		}
		_ = w.CloseWithError(err)
	})
	return &FetchResponse{Shallow: plan.Shallow, Unshallow: plan.Unshallow, Pack: pack}, nil
}

func (r *localRepo) plan(ctx context.Context, req FetchRequest) (*packout.Plan, error) {
	roots, err := r.shallow()
	if err != nil {
		return nil, fmt.Errorf("%w: read shallow: %w", ErrProtocol, err)
	}
	plan, err := packout.Select(ctx, r, packout.Request{
		Wants: req.Wants, Haves: req.Haves, Shallow: req.Shallow, Depth: req.Depth, Filter: req.Filter, Roots: roots,
	})
	switch {
	case err == nil:
		return plan, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, packout.ErrMissing):
		return nil, fmt.Errorf("%w: %w", ErrWant, err)
	}
	return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
}

// localPack ends its writer before Close returns.
type localPack struct {
	*io.PipeReader
	cancel context.CancelFunc
	done   sync.WaitGroup
}

func (p *localPack) Close() error {
	p.cancel()
	err := p.PipeReader.Close()
	p.done.Wait()
	return err
}

// chunkWriter gathers small writes; bufio would do the same but keep its errors from the caller.
type chunkWriter struct {
	w   io.Writer
	buf bytes.Buffer
}

func (c *chunkWriter) Write(b []byte) (int, error) {
	c.buf.Write(b)
	if c.buf.Len() < packBuffer {
		return len(b), nil
	}
	return len(b), c.flush()
}

func (c *chunkWriter) flush() error {
	_, err := c.w.Write(c.buf.Bytes())
	c.buf.Reset()
	return err
}
