package gitsync

import (
	"os"
	"time"

	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/index"

	"github.com/sidecar-kit/sidecar/internal/publish"
	"github.com/sidecar-kit/sidecar/roles/gitsync/tree"
)

// writeIndex writes git's index of the published tree, so that git finds nothing changed in it. It comes a moment after
// the publish: nothing but a hook that asks for changes needs it.
func (s *Sync) writeIndex() error {
	if !s.cfg.DotGit || s.want != nil || s.cfg.Submodules != "off" && len(s.subs) > 0 {
		return nil
	}
	records, err := s.readManifest(s.st.Commit.String())
	if err != nil {
		return nil //nolint:nilerr // without a manifest there is nothing to say
	}
	idx := &index.Index{Version: 2, Entries: make([]*index.Entry, 0, len(records))}
	for _, r := range records {
		if r.Mode == tree.Submodule {
			continue
		}
		at := time.Unix(0, r.Stat.Mtime)
		idx.Entries = append(idx.Entries, &index.Entry{
			Hash: r.Hash, Name: r.Path, ModifiedAt: at, CreatedAt: at, Mode: filemode.FileMode(r.Mode),
			Inode: uint32(r.Stat.Inode), Size: uint32(r.Stat.Size), UID: uint32(os.Getuid()), GID: uint32(os.Getgid()),
		})
	}
	return publish.File(s.repo.path("worktrees", s.st.Commit.String(), "index"), 0o666, func(w io.Writer) error {
		return index.NewEncoder(w).Encode(idx)
	})
}

// seenCommit shortens a hash for people.
func short(h plumbing.Hash) string { return h.String()[:12] }
