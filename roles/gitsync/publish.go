package gitsync

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/sidecar-kit/sidecar/internal/notify"
	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/gitsync/tree"
)

// publish makes a built tree what readers see.
func (s *Sync) publish(ctx context.Context, b *built) error {
	version := b.commit.String()
	if err := s.prepare(b, s.tree.Place(version)); err != nil {
		return err
	}
	if err := s.gate(ctx, b); err != nil {
		return err
	}
	if !b.durable {
		if err := s.metrics.phase("sync", b.folder.SyncAll); err != nil {
			return err
		}
	}
	// From here on nothing asks ctx: the swap happens whole or not at all, and takes no time.
	start := time.Now()
	place, err := s.tree.Commit(b.stage, version)
	if place == "" {
		return fmt.Errorf("publish %s: %w", version, err)
	}
	if err != nil {
		s.log.Warn().AnErr("err", err).Msg("readers see the new tree, but a power cut may undo that")
	}
	b.stage = ""
	s.metrics.observe("publish", time.Since(start))
	old := s.st.Commit
	s.place, s.verified = place, time.Now()
	s.st.Repo, s.st.Ref, s.st.Look = s.origin, s.cfg.Ref, s.look()
	s.st.Commit, s.st.Published = hash(b.commit), time.Now().UTC()
	if s.st.Place, err = filepath.Rel(s.root.join(worktrees), place); err != nil {
		return err
	}
	note := s.log.Info().Stringer("commit", s.st.Commit).Str("path", s.cfg.Link)
	if !old.isZero() {
		note = note.Stringer("was", old)
	}
	note.Msg("published")
	s.showPublished()
	s.metrics.published(version)
	// What follows is not what readers see: a failure is told, and does not undo the publish.
	err = errors.Join(s.writeManifest(version, b.records), s.st.write(s.statePath()), touch(absIn(s.cfg.Root, s.cfg.TouchFile)), b.folder.Close())
	if err != nil {
		s.log.Warn().AnErr("err", err).Msg("the publish could not be noted; after a restart it is made again")
	}
	return nil
}

// prepare writes what git needs to work in the tree.
func (s *Sync) prepare(b *built, place string) error {
	if err := writeShallow(s.repo.path("shallow"), plain(s.st.Shallow)); err != nil {
		return err
	}
	if err := s.repo.adopt(b.commit.String()); err != nil {
		return err
	}
	if !s.cfg.DotGit {
		return nil
	}
	text, err := s.repo.dotGit(place, b.commit.String())
	if err != nil {
		return err
	}
	w, err := b.folder.Create(".git", 0o666)
	if err != nil {
		return err
	}
	_, err = w.Write([]byte(text))
	if err = errors.Join(err, w.Close(b.durable)); err == nil && b.durable {
		err = b.folder.Sync()
	}
	return err
}

// gate runs the programs that want to see a tree before it is published. Only --validate-command can refuse it.
func (s *Sync) gate(ctx context.Context, b *built) error {
	h := s.cfg.Hooks
	if h.PrePublish != "" {
		if err := s.inTree(ctx, b, h.PrePublish, h.PrePublishTimeout); err != nil {
			s.log.Warn().AnErr("err", err).Msg("--pre-publish-exechook-command failed; publishing all the same")
			s.metrics.hook("pre-publish", err)
			s.prePublish = err
		} else {
			s.metrics.hook("pre-publish", nil)
		}
	}
	if h.PrePublish != "" {
		b.rescan()
	}
	if h.Validate == "" {
		return nil
	}
	err := s.inTree(ctx, b, h.Validate, h.ValidateTimeout)
	s.metrics.hook("validate", err)
	if err != nil {
		return fmt.Errorf("--validate-command refused %s: %w", b.commit, err)
	}
	if bad := tree.Verify(b.folder, b.records); len(bad) > 0 {
		return fmt.Errorf("--validate-command changed %q and %d others: it may only look; use --pre-publish-exechook-command to change files", bad[0], len(bad)-1)
	}
	return nil
}

// rescan accepts what a program made of the tree: files that it changed or removed count as they are now.
func (b *built) rescan() {
	kept := b.records[:0]
	for _, r := range b.records {
		if st, err := b.folder.Lstat(r.Path); err == nil {
			if r.Mode != tree.Submodule {
				r.Stat = st
			}
			kept = append(kept, r)
		}
	}
	b.records = kept
	b.durable = false
}

// inTree runs a program in a tree that is not published yet.
func (s *Sync) inTree(ctx context.Context, b *built, command string, timeout time.Duration) error {
	x := notify.Exec{Command: command, Timeout: timeout, Env: hookEnv(), Scrub: s.door.scrub, Log: s.log}
	return x.Notify(ctx, notify.Event{Version: b.commit.String(), Path: b.stage})
}

// hookEnv is the environment of the programs that are run: this process's own without what opens a repository.
func hookEnv() []string {
	hidden := map[string]bool{}
	for _, name := range []string{"PASSWORD", "CREDENTIAL", "GITHUB_APP_PRIVATE_KEY", "GIT_CONFIG", "GIT_CONFIG_ADD", "ASKPASS_URL", "WEBHOOK_URL"} {
		for _, prefix := range []string{"SIDECAR_SYNC_", "GITSYNC_", "GIT_SYNC_"} {
			hidden[prefix+name] = true
		}
	}
	hidden["GIT_ASKPASS_URL"] = true
	env := []string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		address := strings.HasSuffix(name, "_REPO") || name == "CONTENTS_SOURCE_URL"
		if !hidden[name] && !(address && secret.Redact(value) != value) {
			env = append(env, pair)
		}
	}
	return env
}

// tidy does in quiet times what a push should not wait for.
func (s *Sync) tidy(ctx context.Context, changed bool) error {
	if !changed && (s.pruneAt.IsZero() || time.Now().Before(s.pruneAt)) && (s.spare != nil || s.spareTried == s.st.Commit) {
		return nil
	}
	var errs []error
	if s.spareTried != s.st.Commit {
		s.spareTried = s.st.Commit
		errs = append(errs, s.makeSpare(ctx), s.writeIndex())
	}
	keep := []string{s.place}
	if s.spare != nil {
		keep = append(keep, s.spare.stage)
	}
	removed, next, err := s.tree.Prune(s.cfg.StaleAfter, keep...)
	errs = append(errs, err)
	s.metrics.pruned(removed)
	if s.pruneAt = (time.Time{}); next > 0 {
		s.pruneAt = time.Now().Add(next)
	}
	if changed {
		errs = append(errs, s.repo.sweep(s.place), s.compact(), s.compactModules(), s.forgetOld())
		errs = append(errs, s.syncAll())
	}
	s.repo.store.Rest()
	rest()
	return errors.Join(errs...)
}

// syncAll makes the packs durable. They are no part of a publish: one that a power cut damaged is found by its hashes and
// fetched again.
func (s *Sync) syncAll() error {
	f, err := tree.OpenFolder(s.root.path)
	if err != nil {
		return err
	}
	return errors.Join(f.SyncAll(), f.Close())
}

// maxPacks is how many packs a store may have before they are made one: each costs an open file and a search.
const maxPacks = 16

// compact drops objects that the published commit does not need, when that pays.
func (s *Sync) compact() error {
	packs, bytes := s.repo.store.Stats()
	due := packs > maxPacks || bytes > 2*s.liveBytes+(8<<20)
	if s.liveBytes == 0 && packs == 1 {
		s.liveBytes, due = bytes, false // a first fetch brings nothing that is not needed
	}
	if s.cfg.GC == "always" || s.cfg.GC == "aggressive" {
		due = packs > 1
	}
	if s.cfg.GC == "off" || !due {
		return nil
	}
	commit := plumbing.Hash(s.st.Commit)
	live, err := s.repo.store.Compact([]plumbing.Hash{commit}, plain(s.st.Shallow))
	if err != nil {
		return fmt.Errorf("--git-gc: %w", err)
	}
	s.liveBytes = live
	s.st.Complete = []hash{s.st.Commit}
	s.metrics.compacted()
	return s.st.write(s.statePath())
}

// forgetOld removes the notes about trees that are gone.
func (s *Sync) forgetOld() error {
	keep := s.tree.Versions()
	err := s.repo.forget(keep)
	names, rerr := filepath.Glob(s.repo.path(own, "*.manifest"))
	errs := []error{err, rerr}
	for _, name := range names {
		if v := filepath.Base(name); v != s.st.Commit.String()+".manifest" && v != "spare.manifest" {
			errs = append(errs, os.Remove(name))
		}
	}
	return errors.Join(errs...)
}
