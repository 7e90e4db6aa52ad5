package gitsync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/sidecar-kit/sidecar/internal/publish"
	"github.com/sidecar-kit/sidecar/roles/gitsync/remote"
	"github.com/sidecar-kit/sidecar/roles/gitsync/store"
	"github.com/sidecar-kit/sidecar/roles/gitsync/tree"
)

// built is a tree that is ready to be published.
type built struct {
	commit  plumbing.Hash
	stage   string
	folder  *tree.Folder
	records []tree.Record
	durable bool // every file is on the disk already
}

// discard removes what was not published.
func (b *built) discard() error {
	if b == nil || b.stage == "" {
		return nil
	}
	return errors.Join(b.folder.Close(), publish.RemoveAll(b.stage))
}

func (s *Sync) newStage(commit plumbing.Hash) (*built, error) {
	stage, err := s.tree.Stage()
	if err != nil {
		return nil, err
	}
	folder, err := tree.OpenFolder(stage)
	if err != nil {
		return nil, errors.Join(err, os.Remove(stage))
	}
	return &built{commit: commit, stage: stage, folder: folder}, nil
}

func (s *Sync) rules(ctx context.Context, commit plumbing.Hash) tree.Rules {
	r := tree.Rules{Want: s.want, MaxFiles: s.cfg.MaxFiles}
	if s.cfg.Submodules != "off" {
		r.Module = s.modulesOf(ctx, commit)
	}
	return r
}

// materialise makes the tree of a commit beside the published one, in the cheapest way there is: the changes alone where
// a spare is ready, new files beside links to unchanged ones, or everything, while it arrives.
func (s *Sync) materialise(ctx context.Context, commit plumbing.Hash) (*built, error) {
	need := !s.st.complete(commit) || s.st.Depth != s.cfg.Depth
	spare := s.takeSpare(commit)
	reuse, err := s.published()
	if err != nil {
		return nil, errors.Join(err, spare.discard())
	}
	if reuse != nil {
		defer reuse.Folder.Close()
	}
	if need && reuse == nil {
		if err := spare.discard(); err != nil {
			return nil, err
		}
		return s.fetchAndBuild(ctx, commit)
	}
	if need {
		if err := s.metrics.phase("fetch", func() error { return s.fetch(ctx, commit, nil) }); err != nil {
			return nil, errors.Join(err, s.keepSpare(spare))
		}
	}
	if b := spare.ready(); b != nil {
		b.commit = commit
		err := s.metrics.phase("materialise", func() error { return s.applyTo(ctx, b, spare.commit) })
		if err == nil || ctx.Err() != nil {
			return b, err
		}
		if derr := b.discard(); derr != nil || errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrNotFound) {
			return nil, errors.Join(err, derr)
		}
		s.log.Debug().AnErr("err", err).Msg("the spare tree could not be used")
	} else if err := spare.discard(); err != nil {
		return nil, err
	}
	return s.build(ctx, commit, reuse)
}

// maxComplete bounds the commits that a server is told we have.
const maxComplete = 32

// fetch brings a commit and records what is complete now.
func (s *Sync) fetch(ctx context.Context, commit plumbing.Hash, sink store.Sink) error {
	req := remote.FetchRequest{
		Wants: []plumbing.Hash{commit}, Haves: plain(s.st.Complete), Shallow: plain(s.st.Shallow), Depth: s.cfg.Depth,
	}
	got, err := fetch(ctx, s.remote, s.repo.store, req, sink, s.cfg.MaxBytes)
	if errors.Is(err, store.ErrCorrupt) && len(req.Haves) > 0 {
		// Either what is here is damaged, or what was sent. Without what is here, only the latter is left.
		s.log.Warn().AnErr("err", err).Msg("the pack cannot be used; asking for all of it")
		req.Haves, req.Shallow = nil, nil
		// What the sink has written is right, and it writes nothing twice: the rest comes from the store.
		got, err = fetch(ctx, s.remote, s.repo.store, req, nil, s.cfg.MaxBytes)
	}
	if errors.Is(err, store.ErrCorrupt) {
		return fmt.Errorf("the server sent what is no right pack: %v", err) //nolint:errorlint // nothing here is corrupt
	}
	if err != nil {
		return err
	}
	s.metrics.fetched(got.Bytes, got.Objects)
	if !s.repo.store.Has(commit) {
		err := fmt.Errorf("the server's pack does not hold %s", commit)
		if len(req.Haves) > 0 { // it believes that it is here, as we said
			err = fmt.Errorf("%w: %w", store.ErrCorrupt, err)
		}
		return err
	}
	s.st.Shallow = nil
	for _, h := range got.shallow {
		s.st.Shallow = append(s.st.Shallow, hash(h))
	}
	s.st.Depth = s.cfg.Depth
	if !s.st.complete(commit) {
		s.st.Complete = append(s.st.Complete, hash(commit))
		// Without --git-gc the list would grow for ever; an old commit that comes back is fetched again.
		s.st.Complete = s.st.Complete[max(0, len(s.st.Complete)-maxComplete):]
	}
	return nil
}

// fetchAndBuild writes the files while they arrive.
func (s *Sync) fetchAndBuild(ctx context.Context, commit plumbing.Hash) (*built, error) {
	b, err := s.newStage(commit)
	if err != nil {
		return nil, err
	}
	co := tree.NewCheckout(b.folder, commit, s.rules(ctx, commit), s.options())
	err = s.metrics.phase("fetch", func() error { return s.fetch(ctx, commit, co) })
	if err != nil {
		return b, err
	}
	err = s.metrics.phase("materialise", func() error {
		b.records, err = co.Finish(ctx, s.repo.store)
		return err
	})
	return b, err
}

func (s *Sync) options() tree.Options { return tree.Options{Links: tree.Links(s.cfg.Links)} }

// build writes the tree from the store, and links what is unchanged in reuse.
func (s *Sync) build(ctx context.Context, commit plumbing.Hash, reuse *tree.Reuse) (*built, error) {
	b, err := s.newStage(commit)
	if err != nil {
		return nil, err
	}
	return b, s.metrics.phase("materialise", func() error { return s.fill(ctx, b, reuse) })
}

func (s *Sync) fill(ctx context.Context, b *built, reuse *tree.Reuse) error {
	node, err := tree.Root(s.repo.store, b.commit)
	if err != nil {
		return fmt.Errorf("commit %s: %w", b.commit, err)
	}
	var items []tree.Item
	err = tree.Files(node, s.rules(ctx, b.commit), func(it tree.Item) error {
		items = append(items, it)
		return nil
	})
	if err != nil {
		return err
	}
	b.records, _, err = tree.Build(ctx, b.folder, items, reuse, s.options())
	return err
}

// fewFiles is up to how many changed files are synced one by one; more are cheaper with the whole file system.
const fewFiles = 24

// applyTo brings the spare tree of one commit to the next.
func (s *Sync) applyTo(ctx context.Context, b *built, from plumbing.Hash) error {
	before, err := tree.Root(s.repo.store, from)
	if err != nil {
		return err
	}
	after, err := tree.Root(s.repo.store, b.commit)
	if err != nil {
		return err
	}
	c, err := tree.Diff(before, after, tree.Rules{Want: s.want, MaxFiles: s.cfg.MaxFiles})
	if err != nil {
		return err
	}
	for _, it := range c.Write {
		if it.Mode == tree.Submodule && s.cfg.Submodules != "off" {
			return errors.New("a submodule came")
		}
	}
	if n := len(b.records) - len(c.Remove) + len(c.Write); s.cfg.MaxFiles > 0 && n > s.cfg.MaxFiles {
		return fmt.Errorf("%w: more than --max-files %d", tree.ErrRefused, s.cfg.MaxFiles)
	}
	opt := s.options()
	opt.Sync = len(c.Write)+len(c.Remove) <= fewFiles
	fresh, err := tree.Apply(ctx, b.folder, c, opt)
	if err != nil {
		return err
	}
	b.durable = opt.Sync
	b.records = tree.Merge(b.records, c, fresh)
	return nil
}

// published opens the tree that readers see, so that its unchanged files can be linked. It is nil when there is none or
// nothing certain is known of it.
func (s *Sync) published() (*tree.Reuse, error) {
	if s.cfg.Hooks.PrePublish != "" {
		return nil, nil //nolint:nilnil // a program that may write to the new tree must not reach the old one's files
	}
	place, version := s.tree.Current()
	if version == "" || version != s.st.Commit.String() || place != s.root.join(worktrees, s.st.Place) {
		return nil, nil //nolint:nilnil // nothing to reuse is no failure
	}
	records, err := s.readManifest(version)
	if err != nil {
		return nil, nil //nolint:nilnil,nilerr // without its manifest the tree is built afresh
	}
	folder, err := tree.OpenFolder(place)
	if err != nil {
		return nil, err
	}
	return &tree.Reuse{Folder: folder, Records: records}, nil
}

func (s *Sync) manifestPath(version string) string { return s.repo.path(own, version+".manifest") }

func (s *Sync) readManifest(version string) ([]tree.Record, error) {
	f, err := os.Open(s.manifestPath(version))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return tree.ReadManifest(f)
}

func (s *Sync) writeManifest(version string, records []tree.Record) error {
	return publish.File(s.manifestPath(version), 0o644, func(w io.Writer) error {
		return tree.WriteManifest(w, records)
	})
}
