//go:build realgit

package remote_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/sidecar-kit/sidecar/roles/gitsync/remote"
)

// source is a repository with four commits, tags and a work tree that git made.
type source struct {
	root, dir string
	commits   []string
}

func (s source) bare() string { return filepath.Join(s.dir, ".git") }

func newSource(t testing.TB) source {
	t.Helper()
	root := t.TempDir()
	s := source{root: root, dir: filepath.Join(root, "site")}
	git(t, root, "init", "-q", "-b", "main", s.dir)
	git(t, s.dir, "config", "uploadpack.allowFilter", "true")
	git(t, s.dir, "config", "uploadpack.allowAnySHA1InWant", "true")
	for i := range 300 {
		p := filepath.Join(s.dir, fmt.Sprintf("d%d", i%15), fmt.Sprintf("f%d.html", i))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		for j := range 200 {
			fmt.Fprintf(&b, "<p>page %d line %d</p>\n", i, j*i)
		}
		if err := os.WriteFile(p, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.commit(t)
	for range 3 {
		s.change(t)
	}
	git(t, s.dir, "tag", "-a", "-m", "release", "v1", s.commits[1])
	git(t, s.dir, "tag", "light", s.commits[0])
	return s
}

func (s *source) commit(t testing.TB) string {
	git(t, s.dir, "add", "-A")
	git(t, s.dir, "commit", "-q", "-m", fmt.Sprint("commit ", len(s.commits)))
	h := git(t, s.dir, "rev-parse", "HEAD")
	s.commits = append(s.commits, h)
	return h
}

// change adds one line to one file.
func (s *source) change(t testing.TB) string {
	f, err := os.OpenFile(filepath.Join(s.dir, "d3", "f3.html"), os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(f, "<p>change %d</p>\n", len(s.commits))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return s.commit(t)
}

// clone is the other end: a bare repository that real git fills from our packs.
type clone struct {
	dir     string
	shallow []remote.Hash
}

func newClone(t testing.TB) *clone {
	c := &clone{dir: t.TempDir()}
	git(t, c.dir, "init", "-q", "--bare", ".")
	return c
}

// take fetches and lets git check and keep the pack. It returns the size of the pack.
func (c *clone) take(t testing.TB, r remote.Remote, req remote.FetchRequest) int {
	t.Helper()
	req.Shallow = c.shallow
	resp, err := r.Fetch(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	pack, err := io.ReadAll(resp.Pack)
	if err != nil {
		t.Fatalf("read pack after %d bytes: %v", len(pack), err)
	}
	if err := resp.Pack.Close(); err != nil {
		t.Fatalf("close pack: %v", err)
	}
	if !bytes.Equal(pack[8:12], []byte{0, 0, 0, 0}) {
		cmd := exec.Command("git", "index-pack", "--stdin", "--fix-thin")
		cmd.Dir, cmd.Stdin = c.dir, bytes.NewReader(pack)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("index-pack: %v %s", err, out)
		}
	}
	c.shallow = slices.DeleteFunc(append(c.shallow, resp.Shallow...), func(h remote.Hash) bool { return slices.Contains(resp.Unshallow, h) })
	slices.SortFunc(c.shallow, func(a, b remote.Hash) int { return bytes.Compare(a[:], b[:]) })
	c.shallow = slices.Compact(c.shallow)
	var b strings.Builder
	for _, h := range c.shallow {
		fmt.Fprintln(&b, h)
	}
	file := filepath.Join(c.dir, "shallow")
	if b.Len() == 0 {
		_ = os.Remove(file)
	} else if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return len(pack)
}

func (c *clone) count(t testing.TB, h remote.Hash) string {
	t.Helper()
	git(t, c.dir, "update-ref", "refs/heads/main", h.String())
	git(t, c.dir, "fsck", "--strict", "--connectivity-only")
	return git(t, c.dir, "rev-list", "--count", h.String())
}

func open(t testing.TB, cfg remote.Config) remote.Remote {
	t.Helper()
	r, err := remote.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// ways are all the ways to one repository.
func ways(t testing.TB, s source) map[string]remote.Config {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]remote.Config{
		"http": {URL: serveHTTP(t, s.root, "", "") + "/site/.git"},
		"git":  {URL: serveDaemon(t, s.root) + "/site/.git"},
		"file": {URL: "file://" + s.dir},
		"path": {URL: s.bare()},
	}
	for name, v2 := range map[string]bool{"ssh": true, "ssh-v0": false} {
		srv := serveSSH(t, v2)
		out[name] = remote.Config{
			URL: "ssh://" + me.Username + "@" + srv.addr + s.bare(), SSHKeys: []string{srv.wrongKey, srv.key},
			SSHKnownHosts: true, SSHKnownHostsFile: srv.knownHosts,
		}
	}
	return out
}

func TestRealServersListAndFetch(t *testing.T) {
	s := newSource(t)
	for name, cfg := range ways(t, s) {
		t.Run(name, func(t *testing.T) {
			r := open(t, cfg)
			refs, err := r.List(t.Context(), []string{"HEAD", "refs/heads/main", "refs/tags/v"})
			if err != nil {
				t.Fatal(err)
			}
			tip := plumbing.NewHash(s.commits[3])
			want := []remote.Ref{
				{Name: "HEAD", Hash: tip, Target: "refs/heads/main"},
				{Name: "refs/heads/main", Hash: tip},
				{Name: "refs/tags/v1", Hash: plumbing.NewHash(git(t, s.dir, "rev-parse", "v1")), Peeled: plumbing.NewHash(s.commits[1])},
			}
			if fmt.Sprint(refs) != fmt.Sprint(want) {
				t.Errorf("List = %v; want %v", refs, want)
			}
			c := newClone(t)
			fetch := func(depth int) remote.FetchRequest {
				return remote.FetchRequest{Wants: []remote.Hash{tip}, Haves: []remote.Hash{tip}, Depth: depth}
			}
			first := fetch(1)
			first.Haves = nil
			c.take(t, r, first)
			for _, step := range []struct {
				depth int
				want  string
			}{{1, "1"}, {2, "2"}, {1, "1"}, {0, "4"}} {
				c.take(t, r, fetch(step.depth))
				if got := c.count(t, tip); got != step.want {
					t.Errorf("commits at depth %d = %s; want %s", step.depth, got, step.want)
				}
			}
			if len(c.shallow) != 0 {
				t.Errorf("shallow after the full fetch = %v; want none", c.shallow)
			}
			if strings.HasSuffix(name, "v0") {
				return
			}
			byHash := newClone(t)
			second := plumbing.NewHash(s.commits[1])
			byHash.take(t, r, remote.FetchRequest{Wants: []remote.Hash{second}, Depth: 1})
			if got := byHash.count(t, second); got != "1" {
				t.Errorf("commits of a want by hash = %s; want 1", got)
			}
			_, err = r.Fetch(t.Context(), remote.FetchRequest{Wants: []remote.Hash{{1, 2, 3}}, Depth: 1})
			if !errors.Is(err, remote.ErrWant) {
				t.Errorf("fetch of an unknown hash = %v; want ErrWant", err)
			}
		})
	}
}

func TestRealServersSendOnlyTheChange(t *testing.T) {
	s := newSource(t)
	for name, cfg := range ways(t, s) {
		t.Run(name, func(t *testing.T) {
			r := open(t, cfg)
			old := plumbing.NewHash(s.commits[len(s.commits)-1])
			c := newClone(t)
			full := c.take(t, r, remote.FetchRequest{Wants: []remote.Hash{old}, Depth: 1})
			peer := t.TempDir()
			gitURL := "file://" + s.dir
			git(t, peer, "clone", "-q", "--bare", "--depth=1", gitURL, ".")
			tip := plumbing.NewHash(s.change(t))
			refs, err := r.List(t.Context(), []string{"refs/heads/main"})
			if err != nil || len(refs) != 1 || refs[0].Hash != tip {
				t.Fatalf("List after the push = %v, %v; want %s", refs, err, tip)
			}
			got := c.take(t, r, remote.FetchRequest{Wants: []remote.Hash{tip}, Haves: []remote.Hash{old}, Depth: 1})
			if n := c.count(t, tip); n != "1" {
				t.Errorf("commits = %s; want 1", n)
			}
			theirs := gitPackSize(t, peer, gitURL)
			t.Logf("first fetch %d bytes; change %d bytes; git took %d bytes", full, got, theirs)
			if slack := map[bool]int{true: 4096, false: 1024}[name == "file" || name == "path"]; got > theirs+slack {
				t.Errorf("one-line change = %d bytes; git took %d", got, theirs)
			}
		})
	}
}

// gitPackSize fetches with the git command line and tells how large the pack was on the wire.
func gitPackSize(t testing.TB, dir, url string) int {
	t.Helper()
	cmd := exec.Command("git", "fetch", "-q", "--depth=1", url, "main")
	cmd.Dir = dir
	file := filepath.Join(t.TempDir(), "pack")
	cmd.Env = append(os.Environ(), "GIT_TRACE_PACKFILE="+file)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git fetch: %v %s", err, out)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Size())
}

func TestRealServersRefuseWrongCredentials(t *testing.T) {
	s := newSource(t)
	t.Run("password", func(t *testing.T) {
		url := serveHTTP(t, s.root, "me", "right") + "/site/.git"
		password := "s3cret-wrong"
		r := open(t, remote.Config{URL: url, Username: "me", Password: func(ctx contextT) (string, error) { return password, nil }})
		_, err := r.List(t.Context(), []string{"HEAD"})
		if !errors.Is(err, remote.ErrAuth) || !strings.Contains(err.Error(), "--password-file") || strings.Contains(err.Error(), password) {
			t.Errorf("List with a wrong password = %v; want ErrAuth that names --password-file and not the password", err)
		}
		password = "right"
		if _, err := r.List(t.Context(), []string{"HEAD"}); err != nil {
			t.Errorf("List with the right password = %v", err)
		}
		password = "s3cret-wrong"
		if _, err := r.List(t.Context(), []string{"HEAD"}); !errors.Is(err, remote.ErrAuth) {
			t.Errorf("List on the kept connection with a wrong password = %v; want ErrAuth", err)
		}
	})
	t.Run("missing repository", func(t *testing.T) {
		for _, url := range []string{serveHTTP(t, s.root, "", "") + "/none", serveDaemon(t, s.root) + "/none", s.root + "/none"} {
			if _, err := open(t, remote.Config{URL: url}).List(t.Context(), nil); !errors.Is(err, remote.ErrNotFound) {
				t.Errorf("List of %s = %v; want ErrNotFound", url, err)
			}
		}
	})
	t.Run("ssh", func(t *testing.T) {
		srv := serveSSH(t, true)
		me, _ := user.Current()
		cfg := remote.Config{URL: me.Username + "@[127.0.0.1]:" + s.bare(), SSHKeys: []string{srv.wrongKey}, SSHKnownHosts: true, SSHKnownHostsFile: srv.knownHosts}
		cfg.URL = "ssh://" + me.Username + "@" + srv.addr + s.bare()
		if _, err := open(t, cfg).List(t.Context(), nil); !errors.Is(err, remote.ErrAuth) || !strings.Contains(err.Error(), "--ssh-key-file") {
			t.Errorf("List with a wrong key = %v; want ErrAuth naming --ssh-key-file", err)
		}
		cfg.SSHKeys = []string{srv.key}
		missing := cfg
		missing.URL += "-none"
		if _, err := open(t, missing).List(t.Context(), nil); !errors.Is(err, remote.ErrNotFound) {
			t.Errorf("List of a missing repository = %v; want ErrNotFound", err)
		}
		hosts := filepath.Join(t.TempDir(), "hosts")
		for _, c := range []struct{ what, text string }{
			{"unknown", ""},
			{"changed", strings.SplitN(mustRead(t, srv.knownHosts), " ", 2)[0] + " " + otherKey(t)},
		} {
			if err := os.WriteFile(hosts, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg.SSHKnownHostsFile = hosts
			_, err := open(t, cfg).List(t.Context(), nil)
			if !errors.Is(err, remote.ErrHostKey) || !strings.Contains(err.Error(), "SHA256:") || !strings.Contains(err.Error(), "--ssh-known-hosts-file") {
				t.Errorf("List with %s host key = %v; want ErrHostKey with fingerprint and flag", c.what, err)
			}
		}
		cfg.SSHKnownHostsFile = hosts + ".missing"
		if _, err := open(t, cfg).List(t.Context(), nil); !errors.Is(err, remote.ErrHostKey) {
			t.Errorf("List with a missing known hosts file = %v; want ErrHostKey", err)
		}
	})
}

func TestRealPollCostsTheSameWithManyRefs(t *testing.T) {
	s := newSource(t)
	r, stop := separateServer(t, s.root, "/site/.git")
	defer stop()
	few := pollCost(t, r, 500)
	var b strings.Builder
	fmt.Fprintln(&b, "# pack-refs with: peeled fully-peeled sorted ")
	for i := range 50_000 {
		fmt.Fprintf(&b, "%s refs/heads/many/%05d\n", s.commits[0], i)
	}
	if err := os.WriteFile(filepath.Join(s.bare(), "packed-refs"), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	many := pollCost(t, r, 500)
	t.Logf("CPU per poll: %v with few refs, %v with 50,000", few, many)
	if few > 500*time.Microsecond || many > 500*time.Microsecond {
		t.Errorf("CPU per poll = %v and %v; want <= 500µs", few, many)
	}
	all, err := r.List(t.Context(), []string{"refs/heads/many/"})
	if err != nil || len(all) != 50_000 {
		t.Errorf("List of all = %d refs, %v; want 50000", len(all), err)
	}
}

func separateServer(t testing.TB, root, path string) (remote.Remote, func()) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), cgiEnv+"="+root)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	stop := func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	return open(t, remote.Config{URL: "http://" + strings.TrimSpace(addr) + path}), stop
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func pollCost(t testing.TB, r remote.Remote, n int) time.Duration {
	t.Helper()
	prefixes := []string{"HEAD", "refs/heads/main", "refs/tags/main"}
	if _, err := r.List(t.Context(), prefixes); err != nil {
		t.Fatal(err)
	}
	start := cpu()
	for range n {
		if refs, err := r.List(t.Context(), prefixes); err != nil || len(refs) != 2 {
			t.Fatalf("List = %v, %v", refs, err)
		}
	}
	return (cpu() - start) / time.Duration(n)
}
