package gitsync

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/sidecar-kit/sidecar/internal/publish"
	"github.com/sidecar-kit/sidecar/roles/gitsync/tree"
)

// spare is a second tree like the published one, made of links to its files in quiet times. A push then costs what it
// changes, not what the tree holds: the changes are applied to the spare, and the spare is published.
//
// Readers of the published tree may hold its files but not the spare's folders, so changing the spare disturbs nobody.
// Its files are the published ones, so an edit in place would go over to the next version: before it is used, every
// file is compared with how it was written, while the server still packs its answer.
type spare struct {
	stage  string
	commit plumbing.Hash

	checked chan struct{} // closed when b and err are set
	b       *built
	err     error
}

// makeSpare builds the spare for the published tree.
func (s *Sync) makeSpare(ctx context.Context) error {
	commit := plumbing.Hash(s.st.Commit)
	if s.env.Once || s.spare != nil && s.spare.commit == commit || len(s.subs) > 0 {
		return nil
	}
	s.dropSpare()
	reuse, err := s.published()
	if err != nil || reuse == nil {
		return err
	}
	defer reuse.Folder.Close()
	b, err := s.newStage(commit)
	if err != nil {
		return err
	}
	err = s.fill(ctx, b, reuse)
	if err == nil {
		// A push syncs only what it changes, so everything else has to be durable before.
		err = errors.Join(b.folder.SyncAll(), s.writeManifest("spare", b.records))
	}
	if err != nil {
		return errors.Join(err, b.discard())
	}
	s.spare = &spare{stage: b.stage, commit: commit}
	return b.folder.Close()
}

// dropSpare removes the spare.
func (s *Sync) dropSpare() {
	if s.spare == nil {
		return
	}
	if err := publish.RemoveAll(s.spare.stage); err != nil {
		s.log.Debug().AnErr("err", err).Msg("removing the spare tree")
	}
	s.spare = nil
}

// takeSpare hands the spare over and begins to check it. It may be nil.
func (s *Sync) takeSpare(commit plumbing.Hash) *spare {
	sp := s.spare
	if sp == nil || sp.commit == commit || sp.commit != plumbing.Hash(s.st.Commit) || s.place == "" {
		return nil
	}
	s.spare = nil
	sp.checked = make(chan struct{})
	go func() { // ends by itself; ready and discard wait for it
		defer close(sp.checked)
		sp.b, sp.err = s.checkSpare(sp)
	}()
	return sp
}

func (s *Sync) checkSpare(sp *spare) (*built, error) {
	f, err := os.Open(s.manifestPath("spare"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	records, err := tree.ReadManifest(f)
	if err != nil {
		return nil, err
	}
	folder, err := tree.OpenFolder(sp.stage)
	if err != nil {
		return nil, err
	}
	if bad := tree.Verify(folder, records); len(bad) > 0 {
		return nil, errors.Join(fmt.Errorf("%d files were touched", len(bad)), folder.Close())
	}
	return &built{stage: sp.stage, folder: folder, records: records}, nil
}

// ready waits for the check and returns the spare, or nil if it cannot be used. The caller owns it then.
func (sp *spare) ready() *built {
	if sp == nil {
		return nil
	}
	<-sp.checked
	if sp.err != nil {
		return nil
	}
	return sp.b
}

// keepSpare takes a spare back that was not needed after all: the fetch failed.
func (s *Sync) keepSpare(sp *spare) error {
	b := sp.ready()
	if b == nil {
		return sp.discard()
	}
	s.spare = &spare{stage: sp.stage, commit: sp.commit}
	return b.folder.Close()
}

// discard removes a spare that was taken.
func (sp *spare) discard() error {
	if sp == nil {
		return nil
	}
	<-sp.checked
	if sp.b != nil {
		return sp.b.discard()
	}
	return publish.RemoveAll(sp.stage)
}
