package gitsync

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/sidecar-kit/sidecar/roles/gitsync/remote"
)

// errNoRef means that the server has no such branch or tag (any more).
var errNoRef = errors.New("couldn't find remote ref")

// resolve asks the server what ref points at: one request, whatever the number of refs. A full hash needs none.
func resolve(ctx context.Context, r remote.Remote, ref string) (plumbing.Hash, error) {
	if plumbing.IsHash(ref) {
		return plumbing.NewHash(ref), nil
	}
	names := candidates(ref)
	refs, err := r.List(ctx, names)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	for _, name := range names {
		for _, got := range refs {
			if got.Name != name {
				continue
			}
			if !got.Peeled.IsZero() {
				return got.Peeled, nil
			}
			return got.Hash, nil
		}
	}
	if ref == "HEAD" {
		return plumbing.ZeroHash, fmt.Errorf("--ref HEAD: %w HEAD: the repository has no commit on its default branch; push one or name a branch", errNoRef)
	}
	hint := "check the name, or create it"
	if len(ref) >= 7 && len(ref) < 40 && strings.Trim(ref, "0123456789abcdef") == "" {
		hint = "a commit has to be given by its full 40 characters"
	}
	return plumbing.ZeroHash, fmt.Errorf("--ref %s: %w %s: %s", ref, errNoRef, ref, hint)
}

// candidates are the full names a short one may mean, in git's order: tags come before branches.
func candidates(ref string) []string {
	switch {
	case ref == "HEAD":
		return []string{"HEAD"}
	case strings.HasPrefix(ref, "refs/"):
		return []string{ref}
	}
	return []string{"refs/" + ref, "refs/tags/" + ref, "refs/heads/" + ref, "refs/remotes/" + ref}
}
