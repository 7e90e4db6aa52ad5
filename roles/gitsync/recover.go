package gitsync

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"golang.org/x/sys/unix"

	"github.com/sidecar-kit/sidecar/internal/exit"
	"github.com/sidecar-kit/sidecar/internal/publish"
	"github.com/sidecar-kit/sidecar/roles/gitsync/store"
	"github.com/sidecar-kit/sidecar/roles/gitsync/tree"
)

// open makes the root ready, the first time and after it failed.
func (s *Sync) open() error {
	if s.repo != nil {
		if _, err := os.Lstat(s.repo.path(own)); err == nil {
			return nil
		}
		s.log.Warn().Str("path", s.root.path).Msg("the repository in the root is gone; making it afresh")
		s.metrics.rebuilt("repository")
		return s.reset()
	}
	unix.Umask(0o022)
	if s.cfg.GroupWrite {
		unix.Umask(0o002)
	}
	var err error
	if s.root == nil {
		if s.root, err = openRoot(&s.cfg, s.log); err != nil {
			s.root = nil
			return err
		}
	}
	if s.tree, err = publish.Open(s.root.join(worktrees), s.cfg.Link); err != nil {
		err = fmt.Errorf("--link %s: %w", s.cfg.Link, err)
		if errors.Is(err, publish.ErrOccupied) || errors.Is(err, fs.ErrPermission) {
			return &exit.Error{Code: exit.Usage, Err: err}
		}
		return err
	}
	repo, err := openRepo(s.root, s.origin, s.log)
	if err != nil {
		return fmt.Errorf("--root %s: %w", s.cfg.Root, err)
	}
	s.repo = repo
	s.recall()
	return nil
}

// reset gives up the stored objects and starts with none. What is published stays.
func (s *Sync) reset() error {
	err := s.repo.close()
	s.dropSpare()
	s.closeSubmodules()
	if aerr := s.repo.setAside(); aerr != nil {
		return errors.Join(err, aerr)
	}
	s.repo, s.place, s.st = nil, "", state{}
	repo, oerr := openRepo(s.root, s.origin, s.log)
	if oerr == nil {
		s.repo = repo
		oerr = s.ledger.save()
	}
	return errors.Join(err, oerr)
}

// recall finds out whether what an earlier run published is right, and if so is ready at once.
func (s *Sync) recall() {
	s.st = readState(s.statePath())
	s.ledger.open(s.repo.path(own, "notified.json"))
	place, version := s.tree.Current()
	if s.st.Repo != s.origin {
		s.st.Complete, s.st.Shallow = nil, nil
		return
	}
	if s.st.Commit.isZero() || version != s.st.Commit.String() || place != s.root.join(worktrees, s.st.Place) || s.st.Look != s.look() {
		return
	}
	if s.st.Ref != s.cfg.Ref && s.st.Ref != "" {
		return
	}
	if bad, err := s.verify(place); err != nil || len(bad) > 0 {
		s.log.Warn().AnErr("err", err).Int("files", len(bad)).Msg("what is published was touched; building it afresh beside")
		return
	}
	s.place = place
	s.metrics.published(version)
	s.showPublished()
	// How old the last success is, only the earlier process knew: its age counts from here.
	s.lastGood = time.Now()
	s.ready.OK()
	s.log.Info().Stringer("commit", s.st.Commit).Str("path", s.cfg.Link).Msg("found an earlier publish")
	s.send()
}

// look sums up the settings that change what a tree looks like.
func (s *Sync) look() string {
	sparse := ""
	if s.cfg.Sparse != "" {
		data, err := os.ReadFile(s.cfg.Sparse)
		sparse = fmt.Sprint(store.Sum(plumbing.BlobObject, data), err)
	}
	return fmt.Sprintf("git=%t links=%s modules=%s group=%t sparse=%s", s.cfg.DotGit, s.cfg.Links, s.cfg.Submodules, s.cfg.GroupWrite, sparse)
}

func (s *Sync) statePath() string { return s.repo.path(own, "state.json") }

// check looks whether somebody touched what is published. The link is put back; a tree that is gone or changed is
// forgotten, so that this pass builds it afresh beside.
func (s *Sync) check() {
	if s.place == "" {
		return
	}
	if fi, err := os.Lstat(s.place); err != nil || !fi.IsDir() {
		s.log.Warn().Str("path", s.place).Msg("the published tree is gone; building it afresh")
		s.damaged("tree")
		return
	}
	if place, _ := s.tree.Current(); place != s.place {
		s.log.Warn().Str("path", s.cfg.Link).Msg("the link was changed; putting it back")
		s.metrics.rebuilt("link")
		if err := s.tree.Restore(s.place); err != nil {
			s.log.Warn().AnErr("err", err).Msg("the link cannot be put back")
			s.damaged("link")
			return
		}
	}
	moved := s.cfg.DotGit && s.headMoved()
	due := s.cfg.VerifyEvery > 0 && time.Since(s.verified) > s.cfg.VerifyEvery
	if !moved && !due {
		return
	}
	if bad, err := s.verify(s.place); moved || err != nil || len(bad) > 0 {
		s.log.Warn().AnErr("err", err).Int("files", len(bad)).Msg("what is published was touched; building it afresh beside")
		s.damaged("files")
	}
}

// headMoved tells whether somebody used git to move the published tree to another commit. The file is read only when its
// time or inode says that it was written: this is asked at each look at the repository.
func (s *Sync) headMoved() bool {
	name := s.repo.path("worktrees", s.st.Commit.String(), "HEAD")
	fi, err := os.Lstat(name)
	if err != nil {
		return true
	}
	if s.head != nil && os.SameFile(fi, s.head) && fi.ModTime().Equal(s.head.ModTime()) && fi.Size() == s.head.Size() {
		return false
	}
	text, err := os.ReadFile(name)
	if err != nil || string(text) != s.st.Commit.String()+"\n" {
		return true
	}
	s.head = fi
	return false
}

func (s *Sync) damaged(what string) {
	s.metrics.rebuilt(what)
	s.place = ""
}

// verify compares the tree at place with its manifest, and returns the files that differ.
func (s *Sync) verify(place string) ([]string, error) {
	records, err := s.readManifest(s.st.Commit.String())
	if err != nil {
		return nil, err
	}
	f, err := tree.OpenFolder(place)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s.verified = time.Now()
	return tree.Verify(f, records), nil
}

// standIn publishes the last commit again, from the stored objects, where its tree was lost and the server, which failed
// with err, does not say what the newest is.
func (s *Sync) standIn(ctx context.Context, err error) (bool, error) {
	commit := plumbing.Hash(s.st.Commit)
	known := !s.st.Commit.isZero() && s.st.Repo == s.origin && s.st.Ref == s.cfg.Ref && s.st.Depth == s.cfg.Depth
	if s.place != "" || !known || !s.st.complete(commit) || ctx.Err() != nil {
		return false, err
	}
	if rerr := s.replace(ctx, commit); rerr != nil {
		return false, errors.Join(err, rerr)
	}
	s.ready.OK()
	return true, err
}
