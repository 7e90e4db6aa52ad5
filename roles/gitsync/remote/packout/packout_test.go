package packout_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/memory"

	"github.com/sidecar-kit/sidecar/roles/gitsync/gitserve"
	"github.com/sidecar-kit/sidecar/roles/gitsync/remote/packout"
)

// history makes a repository with branches and merges.
func history(t *testing.T, rnd *rand.Rand) (*gitserve.Repo, []packout.Hash) {
	t.Helper()
	repo := gitserve.NewRepo()
	var all []packout.Hash
	for i := range 30 {
		branch := fmt.Sprintf("b%d", rnd.IntN(3))
		var h packout.Hash
		var err error
		if other := repo.Ref("refs/heads/b1"); i > 5 && rnd.IntN(4) == 0 && !other.IsZero() && !repo.Ref("refs/heads/"+branch).IsZero() {
			h, err = repo.MergeCommit(branch, repo.Ref("refs/heads/"+branch), other)
		} else {
			h, err = repo.Commit(branch, map[string]gitserve.File{
				fmt.Sprintf("d%d/f%d", rnd.IntN(3), rnd.IntN(4)): {Data: []byte(strings.Repeat(fmt.Sprint("line ", rnd.IntN(6), "\n"), 40))},
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, h)
	}
	return repo, all
}

// take puts a selection into a store, as the other side would.
func take(t *testing.T, repo *gitserve.Repo, into *memory.Storage, req packout.Request) *packout.Plan {
	t.Helper()
	plan, err := packout.Select(t.Context(), repo, req)
	if err != nil {
		t.Fatal(err)
	}
	var pack bytes.Buffer
	if err := plan.Write(t.Context(), &pack, repo, nil); err != nil {
		t.Fatal(err)
	}
	p, err := packfile.NewParserWithStorage(packfile.NewScanner(&pack), into)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Parse(); err != nil && !errors.Is(err, packfile.ErrEmptyPackfile) {
		t.Fatal(err)
	}
	return plan
}

// complete walks a commit's tree and, where depth allows, its parents.
func complete(t *testing.T, st *memory.Storage, h packout.Hash, depth int, cut map[packout.Hash]bool) {
	t.Helper()
	c, err := object.GetCommit(st, h)
	if err != nil {
		t.Fatalf("commit %s: %v", h, err)
	}
	files, err := c.Files()
	if err != nil {
		t.Fatal(err)
	}
	if err := files.ForEach(func(*object.File) error { return nil }); err != nil {
		t.Fatalf("tree of %s: %v", h, err)
	}
	if depth == 1 || cut[h] {
		return
	}
	for _, p := range c.ParentHashes {
		complete(t, st, p, depth-1, cut)
	}
}

func TestSelectionCompletesTheOtherSide(t *testing.T) {
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		repo, all := history(t, rnd)
		for _, thin := range []bool{false, true} {
			st := memory.NewStorage()
			have := all[rnd.IntN(20)]
			take(t, repo, st, packout.Request{Wants: []packout.Hash{have}, Thin: thin})
			complete(t, st, have, 0, nil)
			want := all[10+rnd.IntN(20)]
			plan := take(t, repo, st, packout.Request{Wants: []packout.Hash{want}, Haves: []packout.Hash{have, {1, 2, 3}}, Thin: thin})
			complete(t, st, want, 0, nil)
			if again, _ := packout.Select(t.Context(), repo, packout.Request{Wants: []packout.Hash{want}, Haves: []packout.Hash{want}}); len(again.Objects) != 0 {
				t.Errorf("seed %d: %d objects for one who has it all; want 0", seed, len(again.Objects))
			}
			if len(plan.Shallow) != 0 {
				t.Errorf("seed %d: shallow = %v; want none", seed, plan.Shallow)
			}
		}
	}
}

func TestDepthMovesBothWays(t *testing.T) {
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		repo, all := history(t, rnd)
		st, cut := memory.NewStorage(), map[packout.Hash]bool{}
		var haves []packout.Hash
		for i, depth := range []int{1, 1, 3, 2, 1, 0} {
			want := all[24+i]
			req := packout.Request{Wants: []packout.Hash{want}, Haves: haves, Depth: depth, Thin: true}
			for h := range cut {
				req.Shallow = append(req.Shallow, h)
			}
			if depth == 0 {
				req.Depth = 1<<31 - 1
			}
			plan := take(t, repo, st, req)
			for _, h := range plan.Shallow {
				cut[h] = true
			}
			for _, h := range plan.Unshallow {
				delete(cut, h)
			}
			complete(t, st, want, depth, cut)
			haves = []packout.Hash{want}
		}
	}
}

func TestFilterAndWantsByName(t *testing.T) {
	repo, all := history(t, rand.New(rand.NewPCG(1, 3)))
	plan, err := packout.Select(t.Context(), repo, packout.Request{Wants: all[29:], Depth: 1, Filter: "blob:none"})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range plan.Objects {
		if _, err := repo.EncodedObject(plumbing.BlobObject, o.Hash); err == nil {
			t.Errorf("blob %s sent despite blob:none", o.Hash)
		}
	}
	if _, err := packout.Select(t.Context(), repo, packout.Request{Wants: []packout.Hash{{9}}}); !errors.Is(err, packout.ErrMissing) {
		t.Errorf("Select of an unknown object = %v; want ErrMissing", err)
	}
	tag, err := repo.Tag("v1", all[29], "release")
	if err != nil {
		t.Fatal(err)
	}
	if peeled, err := packout.Peel(repo, tag); err != nil || peeled != all[29] {
		t.Errorf("Peel = %s, %v; want %s", peeled, err, all[29])
	}
	st := memory.NewStorage()
	take(t, repo, st, packout.Request{Wants: []packout.Hash{tag}, Depth: 1})
	if _, err := object.GetTag(st, tag); err != nil {
		t.Errorf("tag object was not sent: %v", err)
	}
	complete(t, st, all[29], 1, nil)
}
