//go:build realgit

package remote_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"golang.org/x/crypto/ssh"

	"github.com/sidecar-kit/sidecar/roles/gitsync/remote"
)

type contextT = context.Context

func mustRead(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func otherKey(t testing.TB) string {
	return string(ssh.MarshalAuthorizedKey(writeKey(t, filepath.Join(t.TempDir(), "other"))))
}

// A local repository comes in many forms.
func TestLocalFormsOfARepository(t *testing.T) {
	s := newSource(t)
	tip := plumbing.NewHash(s.commits[3])
	dir := t.TempDir()
	linked, borrowed, packed := filepath.Join(dir, "linked"), filepath.Join(dir, "borrowed"), filepath.Join(dir, "packed")
	git(t, s.dir, "worktree", "add", "-q", linked, "main", "-f")
	git(t, dir, "clone", "-q", "--shared", "--bare", s.dir, borrowed)
	git(t, dir, "clone", "-q", "--bare", s.dir, packed)
	git(t, packed, "repack", "-q", "-a", "-d", "-f")
	git(t, packed, "pack-refs", "--all")
	shallow := filepath.Join(dir, "shallow")
	git(t, dir, "clone", "-q", "--bare", "--depth=2", "file://"+s.dir, shallow)
	for path, commits := range map[string]string{s.dir: "4", s.bare(): "4", linked: "4", borrowed: "4", packed: "4", shallow: "2"} {
		t.Run(filepath.Base(path), func(t *testing.T) {
			r := open(t, remote.Config{URL: path})
			refs, err := r.List(t.Context(), []string{"HEAD", "refs/tags/"})
			if err != nil || len(refs) == 0 || refs[0].Hash != tip {
				t.Fatalf("List = %v, %v; want HEAD at %s", refs, err, tip)
			}
			c := newClone(t)
			c.take(t, r, remote.FetchRequest{Wants: []remote.Hash{tip}})
			if got := c.count(t, tip); got != commits {
				t.Errorf("commits = %s; want %s", got, commits)
			}
			old := plumbing.NewHash(s.commits[2])
			again := newClone(t)
			again.take(t, r, remote.FetchRequest{Wants: []remote.Hash{old}})
			again.take(t, r, remote.FetchRequest{Wants: []remote.Hash{tip}, Haves: []remote.Hash{old}})
			if commits == "4" && again.count(t, tip) != "4" {
				t.Errorf("commits after an incremental fetch = %s; want 4", again.count(t, tip))
			}
		})
	}
}

func TestRealFilterLeavesBlobsOut(t *testing.T) {
	s := newSource(t)
	tip := plumbing.NewHash(s.commits[3])
	blob := plumbing.NewHash(git(t, s.dir, "rev-parse", "HEAD:d3/f3.html"))
	for name, cfg := range ways(t, s) {
		t.Run(name, func(t *testing.T) {
			r := open(t, cfg)
			c := newClone(t)
			git(t, c.dir, "config", "extensions.partialClone", "origin")
			git(t, c.dir, "config", "remote.origin.promisor", "true")
			small := c.take(t, r, remote.FetchRequest{Wants: []remote.Hash{tip}, Depth: 1, Filter: "blob:none"})
			if got := git(t, c.dir, "cat-file", "--batch-all-objects", "--batch-check=%(objecttype)"); got == "" || strings.Contains(got, "blob") {
				t.Errorf("objects of %d bytes with blob:none include a blob", small)
			}
			if name == "ssh-v0" {
				return
			}
			c.shallow = nil // named, it would ask for the rest of the history
			c.take(t, r, remote.FetchRequest{Wants: []remote.Hash{blob}})
			if got := git(t, c.dir, "cat-file", "-t", blob.String()); got != "blob" {
				t.Errorf("wanted blob is %q; want blob", got)
			}
		})
	}
}

// BenchmarkRealPoll measures the client alone: the server is another process.
func BenchmarkRealPoll(b *testing.B) {
	s := newSource(b)
	r, stop := separateServer(b, s.root, "/site/.git")
	defer stop()
	b.ReportAllocs()
	cost := pollCost(b, r, 2000)
	for b.Loop() {
		if _, err := r.List(b.Context(), []string{"HEAD", "refs/heads/main"}); err != nil {
			b.Fatal(fmt.Errorf("poll: %w", err))
		}
	}
	b.ReportMetric(float64(cost.Microseconds()), "cpu-µs/poll")
}

// The kept ssh connection dies between two polls, as it does behind a firewall.
func TestSSHConnectionIsReplaced(t *testing.T) {
	s := newSource(t)
	srv := serveSSH(t, true)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conns := make(chan net.Conn, 10)
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", srv.addr)
			if err != nil {
				return
			}
			conns <- in
			go func() { _, _ = io.Copy(out, in); out.Close() }()
			go func() { _, _ = io.Copy(in, out); in.Close() }()
		}
	}()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	r := open(t, remote.Config{URL: "ssh://" + me.Username + "@" + l.Addr().String() + s.bare(), SSHKeys: []string{srv.key}})
	for i := range 3 {
		for range 2 {
			if _, err := r.List(t.Context(), []string{"HEAD"}); err != nil {
				t.Fatalf("List %d: %v", i, err)
			}
		}
		if n := len(conns); n != 1 {
			t.Errorf("connections for two polls = %d; want 1", n)
		}
		(<-conns).Close()
	}
}
