package gitsync

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/sidecar-kit/sidecar/roles/gitsync/remote"
	"github.com/sidecar-kit/sidecar/roles/gitsync/store"
)

// fetched says what a fetch brought.
type fetched struct {
	store.Received
	shallow []plumbing.Hash
}

// fetch brings a commit into the store, as deep as depth says, and shows its objects to sink (which may be nil).
// haves are commits that are complete here, shallow those of them whose parents are not.
func fetch(ctx context.Context, r remote.Remote, s *store.Store, req remote.FetchRequest, sink store.Sink, maxBytes int64) (fetched, error) {
	resp, err := r.Fetch(ctx, req)
	if err != nil {
		return fetched{}, err
	}
	lim := store.Limits{Inflated: maxBytes, PackBytes: maxBytes}
	got, err := s.Ingest(ctx, resp.Pack, sink, lim, false)
	if err != nil {
		return fetched{}, fmt.Errorf("receive pack: %w", err)
	}
	out := fetched{Received: got}
	for _, h := range req.Shallow {
		if !slices.Contains(resp.Unshallow, h) {
			out.shallow = append(out.shallow, h)
		}
	}
	for _, h := range resp.Shallow {
		if !slices.Contains(out.shallow, h) {
			out.shallow = append(out.shallow, h)
		}
	}
	return out, nil
}

// writeShallow replaces git's list of commits whose parents are not here. It has to be right before git looks at a
// commit, and may name commits that are not here any more. The state file is what a restart goes by, so this one need
// not be durable.
func writeShallow(name string, list []plumbing.Hash) error {
	text := ""
	if len(list) > 0 {
		lines := make([]string, len(list))
		for i, h := range list {
			lines[i] = h.String()
		}
		slices.Sort(lines)
		text = strings.Join(lines, "\n") + "\n"
	}
	have, err := os.ReadFile(name)
	if err == nil && string(have) == text || err != nil && text == "" {
		return nil
	}
	if text == "" {
		return os.Remove(name)
	}
	tmp := name + ".lock"
	if err := os.WriteFile(tmp, []byte(text), 0o644); err != nil { //nolint:gosec // read by hooks of other users
		return err
	}
	return os.Rename(tmp, name)
}
