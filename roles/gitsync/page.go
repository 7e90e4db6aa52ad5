package gitsync

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/sidecar-kit/sidecar/internal/status"
)

// showPass puts a pass on the status page.
func (s *Sync) showPass(changed bool, took time.Duration, err error) {
	b := s.env.Status
	result := "unchanged"
	switch {
	case err != nil:
		result = "failed: " + err.Error()
		b.Event("error", err.Error())
	case changed:
		result = "published " + short(plumbing.Hash(s.st.Commit))
	}
	b.Fact("last poll", time.Now().UTC().Format(time.RFC3339)+", "+result)
	if err == nil && !changed {
		s.polls().Add(took.Seconds(), false)
		return
	}
	if err != nil {
		s.polls().Add(took.Seconds(), true)
		return
	}
	b.Series("publish", "s").Add(took.Seconds(), false)
	b.Event("info", fmt.Sprintf("published %s in %s", short(plumbing.Hash(s.st.Commit)), took.Round(time.Millisecond)))
}

// showPublished puts the published tree on the status page.
func (s *Sync) showPublished() {
	b := s.env.Status
	b.Fact("commit", s.st.Commit.String())
	b.Fact("published", s.st.Published.UTC().Format(time.RFC3339))
	if rel, err := filepath.Rel(s.root.path, s.place); err == nil {
		b.Fact("tree", rel)
	}
	packs, bytes := s.repo.store.Stats()
	b.Fact("objects", fmt.Sprintf("%d packs, %.1f MB", packs, float64(bytes)/1e6))
}

func (s *Sync) polls() *status.Series { return s.env.Status.Series("poll", "s") }
