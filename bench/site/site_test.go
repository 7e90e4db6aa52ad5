package site

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestFillGivesTheSameCommitForTheSameSeed(t *testing.T) {
	hash := func(seed uint64) string {
		r, err := Create(filepath.Join(t.TempDir(), "site.git"))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Fill(40, 400_000, seed); err != nil {
			t.Fatal(err)
		}
		head, err := r.Head()
		if err != nil {
			t.Fatal(err)
		}
		list, err := r.Git(nil, "ls-tree", "-r", "-l", head)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(list, "\n") + 1; n != 40 {
			t.Errorf("%d files; want 40", n)
		}
		return head
	}
	if a, b := hash(5), hash(5); a != b {
		t.Errorf("seed 5 gave %s and %s", a, b)
	}
	if hash(5) == hash(6) {
		t.Error("seeds 5 and 6 gave the same commit")
	}
}

func TestMoveIsSeenByGit(t *testing.T) {
	r, err := Create(filepath.Join(t.TempDir(), "site.git"))
	if err != nil {
		t.Fatal(err)
	}
	first, err := r.Commit("", map[string][]byte{"a": []byte("1\n")})
	if err != nil {
		t.Fatal(err)
	}
	second, err := r.Commit(first, map[string][]byte{"a": []byte("2\n")})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{first, second, first} {
		if err := r.Move(want); err != nil {
			t.Fatal(err)
		}
		if got, err := r.Head(); err != nil || got != want {
			t.Errorf("Head() = %s, %v; want %s", got, err, want)
		}
	}
}
