package gitsync

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"

	"github.com/sidecar-kit/sidecar/roles/gitsync/gitserve"
)

func TestOldContentStaysWhileTheServerIsBroken(t *testing.T) {
	b := newBench(t)
	one := b.commit(map[string]string{"f": "1"})
	b.sync()
	two := b.commit(map[string]string{"f": "2", "big": strings.Repeat("content of some length\n", 5000)})
	for name, o := range map[string]gitserve.Options{
		"pack cut early": {CutAfter: 20}, "pack cut late": {CutAfter: 300}, "flipped byte": {CorruptAt: 60}, "flipped header": {CorruptAt: 2},
		"no pack": {RawPack: []byte("this is not a pack, sorry")}, "server's error": {PackError: "upload-pack: not our ref"},
		"password": {Username: "u", Password: "p"}, "sha256": {ObjectFormat: "sha256"},
	} {
		b.server.Set(func(have *gitserve.Options) { *have = o })
		b.start()
		b.fail("")
		b.wantSeen(one, map[string]string{"f": "1"})
		if !b.ready() {
			t.Errorf("%s: not ready although a tree is published", name)
		}
		if left, _ := filepath.Glob(b.path(".git/objects/pack/tmp-*")); len(left) > 0 {
			t.Errorf("%s left %v", name, left)
		}
	}
	b.server.Set(func(have *gitserve.Options) { *have = gitserve.Options{} })
	b.server.FailNext(1, 503, 0)
	b.fail("503")
	b.sync()
	b.wantSeen(two, map[string]string{"f": "2"})
}

func TestHostileTreesAreRefusedAndOldContentStays(t *testing.T) {
	b := newBench(t)
	one := b.commit(map[string]string{"f": "1"})
	b.sync()
	blob, _ := b.repo.PutObject(plumbing.BlobObject, []byte("evil"))
	for _, e := range []gitserve.Entry{
		{Mode: filemode.Regular, Name: ".git", Hash: blob}, {Mode: filemode.Regular, Name: "..", Hash: blob},
		{Mode: filemode.Regular, Name: "a/../../evil", Hash: blob}, {Mode: filemode.Regular, Name: "GIT~1", Hash: blob},
		{Mode: filemode.Symlink, Name: ".gitmodules", Hash: blob}, {Mode: filemode.Regular, Name: "", Hash: blob},
	} {
		tree, _ := b.repo.PutTree(e)
		sub, _ := b.repo.PutTree(gitserve.Entry{Mode: filemode.Dir, Name: "d", Hash: tree})
		h, _ := b.repo.PutCommit(sub, one)
		b.repo.SetRef("refs/heads/main", h)
		for range 2 {
			b.fail("refused tree")
			b.wantSeen(one, map[string]string{"f": "1"})
		}
	}
	two, _ := b.repo.PutTree(gitserve.Entry{Mode: filemode.Regular, Name: "f", Hash: blob})
	h, _ := b.repo.PutCommit(two, one)
	b.repo.SetRef("refs/heads/main", h)
	b.sync()
	b.wantSeen(h, map[string]string{"f": "evil"})
	if names, _ := filepath.Glob(b.path("../evil")); len(names) > 0 {
		t.Errorf("something was written outside: %v", names)
	}
}

func TestMaxFilesHoldsForUpdatesToo(t *testing.T) {
	b := newBench(t)
	b.cfg.MaxFiles = 5
	one := b.commit(map[string]string{"a": "a", "b": "b", "c": "c"})
	b.sync()
	b.commit(map[string]string{"d": "d", "e": "e", "f": "f"})
	b.fail("--max-files")
	b.wantSeen(one, map[string]string{"a": "a", "d": "-"})
}

// damages are what kills, disks and other people do to the root.
func damages() map[string]func(b *bench) {
	cut := func(pattern string) func(b *bench) {
		return func(b *bench) {
			names, err := filepath.Glob(b.path(pattern))
			if err != nil || len(names) == 0 {
				b.t.Fatalf("nothing to cut at %s: %v", pattern, err)
			}
			for _, n := range names {
				data, _ := os.ReadFile(n)
				os.Remove(n)
				os.WriteFile(n, data[:len(data)/2], 0o644)
			}
		}
	}
	garble := func(pattern string) func(b *bench) {
		return func(b *bench) {
			names, _ := filepath.Glob(b.path(pattern))
			for _, n := range names {
				data, _ := os.ReadFile(n)
				for i := len(data) / 4; i < len(data)-40; i++ {
					data[i] ^= 0x55
				}
				os.Remove(n)
				os.WriteFile(n, data, 0o644)
			}
		}
	}
	return map[string]func(b *bench){
		"pack cut": cut(".git/objects/pack/*.pack"), "index cut": cut(".git/objects/pack/*.idx"), "state cut": cut(".git/sidecar/state.json"),
		"manifests cut": cut(".git/sidecar/*.manifest"), "pack garbled": garble(".git/objects/pack/*.pack"), "index garbled": garble(".git/objects/pack/*.idx"),
		"manifests garbled": garble(".git/sidecar/*.manifest"), "state is another": func(b *bench) { os.WriteFile(b.path(".git/sidecar/state.json"), []byte("[]"), 0o644) },
		"indexes gone":         func(b *bench) { remove(b, ".git/objects/pack/*.idx") },
		"packs gone":           func(b *bench) { remove(b, ".git/objects/pack/*") },
		"git folder gone":      func(b *bench) { os.RemoveAll(b.path(".git")) },
		"git folder foreign":   func(b *bench) { os.RemoveAll(b.path(".git")); os.MkdirAll(b.path(".git/refs"), 0o755) },
		"git folder half made": func(b *bench) { os.RemoveAll(b.path(".git/objects")) },
		"trees gone":           func(b *bench) { os.RemoveAll(b.path(".worktrees")) },
		"link gone":            func(b *bench) { os.Remove(b.path("link")) },
		"link replaced":        func(b *bench) { os.Remove(b.path("link")); os.Symlink("/nowhere", b.path("link")) },
		"file edited": func(b *bench) {
			name, _ := filepath.EvalSymlinks(b.path("link/f"))
			os.WriteFile(name, []byte("edited in place"), 0o644)
		},
		"file removed": func(b *bench) { os.Remove(b.path("link/d/same")) },
		"leftovers": func(b *bench) {
			os.MkdirAll(b.path(".worktrees/.stage-old/x"), 0o755)
			os.MkdirAll(b.path(".worktrees/.2/garbage"), 0o755)
			os.Symlink("x", b.path("tmp-link"))
			os.WriteFile(b.path(".git/HEAD.lock"), nil, 0o644)
			os.WriteFile(b.path(".git/sidecar/.state.json.tmp-ABCDEFGH"), []byte("half"), 0o644)
			os.WriteFile(b.path(".git/objects/pack/tmp-pack-1"), []byte("half"), 0o644)
		},
	}
}

func remove(b *bench, pattern string) {
	names, _ := filepath.Glob(b.path(pattern))
	for _, n := range names {
		os.RemoveAll(n)
	}
}

// TestHealsWhateverWasDamaged damages the root while the role rests and while it runs, before a push and without one.
func TestHealsWhateverWasDamaged(t *testing.T) {
	for name, damage := range damages() {
		for _, running := range []bool{false, true} {
			for _, push := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/running=%v/push=%v", name, running, push), func(t *testing.T) {
					t.Parallel()
					b := newBench(t)
					b.commit(map[string]string{"f": "0", "d/same": "same"})
					b.sync()
					h := b.commit(map[string]string{"f": "1"})
					b.sync()
					want := map[string]string{"f": "1", "d/same": "same"}
					if !running {
						b.stop()
					}
					damage(b)
					if push {
						h = b.commit(map[string]string{"f2": "2"})
						want["f2"] = "2"
					}
					b.sync()
					b.wantSeen(h, want)
					h = b.commit(map[string]string{"f3": "3"})
					want["f3"] = "3"
					b.sync()
					b.wantSeen(h, want)
					b.start()
					b.sync()
					b.wantSeen(h, want)
					if left, _ := filepath.Glob(b.path(".git.*")); len(left) > 0 {
						t.Errorf("left %v", left)
					}
					if left, _ := filepath.Glob(b.path(".git/sidecar/.*tmp-*")); len(left) > 0 {
						t.Errorf("left %v", left)
					}
					if left, _ := filepath.Glob(b.path("tmp-link")); len(left) > 0 {
						t.Errorf("left %v", left)
					}
				})
			}
		}
	}
}

func TestTakesOverGitSyncsRoot(t *testing.T) {
	b := newBench(t)
	one := b.commit(map[string]string{"f": "1"})
	old := strings.Repeat("a", 40)
	os.MkdirAll(b.path(".worktrees/"+old), 0o755)
	os.WriteFile(b.path(".worktrees/"+old+"/f"), []byte("git-sync's"), 0o644)
	os.MkdirAll(b.path(strings.Repeat("b", 40)), 0o755)
	os.MkdirAll(b.path("rev-"+strings.Repeat("c", 40)), 0o755)
	os.MkdirAll(b.path(".git/worktrees/"+old), 0o755)
	os.WriteFile(b.path(".git/HEAD"), []byte("ref: refs/heads/main\n"), 0o644)
	os.Symlink(".worktrees/"+old, b.path("link"))
	os.Symlink("x", b.path("tmp-link"))
	b.server.FailNext(3, 500, 0)
	b.fail("")
	if got := b.seen("f"); got != "git-sync's" {
		t.Errorf("before the first publish readers see %q; want git-sync's tree", got)
	}
	b.server.FailNext(0, 0, 0)
	b.sync()
	b.wantSeen(one, map[string]string{"f": "1"})
	names, _ := os.ReadDir(b.root)
	var got []string
	for _, e := range names {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != ".git .worktrees link" {
		t.Errorf("the root holds %v", got)
	}
}

func TestForeignFilesInTheRootAreRefused(t *testing.T) {
	b := newBench(t)
	one := b.commit(map[string]string{"f": "1"})
	os.WriteFile(b.path("thesis.tex"), []byte("years"), 0o644)
	b.start()
	err := b.fail("--wipe-root")
	if !fatal(err) || !strings.Contains(err.Error(), "thesis.tex") {
		t.Errorf("error %v; want a usage error that names the file", err)
	}
	if data, _ := os.ReadFile(b.path("thesis.tex")); string(data) != "years" {
		t.Error("the file is gone")
	}
	b.cfg.WipeRoot = true
	b.start()
	b.sync()
	b.wantSeen(one, map[string]string{"f": "1"})
	if _, err := os.Stat(b.path("thesis.tex")); err == nil {
		t.Error("--wipe-root left the file")
	}
}

func TestASecondSyncInTheRootIsRefused(t *testing.T) {
	b := newBench(t)
	b.commit(map[string]string{"f": "1"})
	b.sync()
	first := b.s
	b.s = nil
	defer first.close()
	b.start()
	b.fail("another sync is at work")
}
