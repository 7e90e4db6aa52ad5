//go:build realgit

package store

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/sidecar-kit/sidecar/roles/gitsync/gitserve"
	"github.com/sidecar-kit/sidecar/roles/gitsync/remote/packout"
)

func gitAccepts(t *testing.T, s *Store, objects int) {
	t.Helper()
	for _, p := range s.packs {
		if out, err := exec.Command("git", "verify-pack", "-v", p.path+".idx").CombinedOutput(); err != nil {
			t.Errorf("git verify-pack: %v\n%s", err, out)
		}
		idx := t.TempDir() + "/x.idx"
		out, err := exec.Command("git", "index-pack", "--fsck-objects", "-o", idx, p.path+".pack").CombinedOutput()
		if err != nil {
			t.Errorf("git index-pack --fsck-objects: %v\n%s", err, out)
			continue
		}
		theirs, err := os.ReadFile(idx)
		if err != nil {
			t.Fatal(err)
		}
		if string(theirs) != string(p.idx.data) {
			t.Errorf("git makes another index of %s", p.path)
		}
		if objects > 0 && p.idx.n != objects {
			t.Errorf("%d objects; want %d", p.idx.n, objects)
		}
	}
}

// TestRealGitAcceptsOurPacks lets git check what Ingest and Compact write: full, thin and compacted packs.
func TestRealGitAcceptsOurPacks(t *testing.T) {
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	repo := gitserve.NewRepo()
	s := open(t, t.TempDir())
	var have []Hash
	for i := range 12 {
		c := commitTo(t, repo, map[string]gitserve.File{
			fmt.Sprintf("d/%d", i%3): text(strings.Repeat("line of text\n", 300) + fmt.Sprint(i)),
			"fixed/f":                text("f"),
		})
		mustIngest(t, s, serverPack(t, repo, packout.Request{Wants: []Hash{c}, Haves: have, Shallow: have, Depth: 1, Thin: true}))
		have = []Hash{c}
	}
	gitAccepts(t, s, 0)
	if _, err := s.Compact(have, have); err != nil {
		t.Fatal(err)
	}
	gitAccepts(t, s, 1+3+4)
}

// TestRealGitsDeltasAreRead reads packs with git's own deep chains, by offset and by name, and compacts them.
func TestRealGitsDeltasAreRead(t *testing.T) {
	for _, offset := range []string{"--delta-base-offset", "--no-delta-base-offset"} {
		dir := t.TempDir()
		git := func(stdin string, args ...string) []byte {
			cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@b"}, args...)...)
			cmd.Stdin = strings.NewReader(stdin)
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("git %v: %v", args, err)
			}
			return out
		}
		git("", "init", "-q")
		content := map[string]string{}
		for i := range 40 {
			name := fmt.Sprintf("f%d", i%4)
			content[name] = strings.Repeat(name+" the same line\n", 400) + strings.Repeat(fmt.Sprint("change ", i), i)
			if err := os.WriteFile(dir+"/"+name, []byte(content[name]), 0o644); err != nil {
				t.Fatal(err)
			}
			git("", "add", ".")
			git("", "commit", "-qm", fmt.Sprint(i))
		}
		args := []string{"pack-objects", "--stdout", "--revs", "-q", "--depth=200", "--window=50"}
		if offset != "--no-delta-base-offset" {
			args = append(args, offset)
		}
		s := open(t, t.TempDir())
		mustIngest(t, s, git("HEAD\n", args...))
		tip := plumbing.NewHash(strings.TrimSpace(string(git("", "rev-parse", "HEAD"))))
		gitAccepts(t, s, 0)
		for range 2 {
			for _, c := range content {
				wantObject(t, s, blobType, []byte(c))
			}
			if _, err := s.Compact([]Hash{tip}, []Hash{tip}); err != nil {
				t.Fatal(err)
			}
			gitAccepts(t, s, 1+1+4)
		}
	}
}
