// Package e2e runs the built program where it will live: as the scratch image beside a
// real nginx, against real git servers over http and ssh, and in front of a browser.
package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/bench/lab"
	"github.com/sidecar-kit/sidecar/e2e/engine"
)

const (
	image = "sidecar:dev"
	base  = "sidecar-e2e-base:latest"
	out   = "out" // screenshots and helper programs; git ignores it
)

func TestMain(m *testing.M) {
	lab.MeterMain()
	os.Exit(m.Run())
}

// containers returns the engine, or skips the test and says why.
func containers(t *testing.T) engine.Engine {
	t.Helper()
	e, err := engine.Find()
	if err != nil {
		t.Skip(err)
	}
	for _, ref := range []string{image, base} {
		if _, err := e.Do(t.Context(), "image", "inspect", ref); err != nil {
			t.Skipf("image %s is missing; run `make image base`: %v", ref, err)
		}
	}
	return e
}

// needs skips the test where a program of the machine is missing.
func needs(t *testing.T, program string) string {
	t.Helper()
	for _, candidate := range []string{program, "/usr/sbin/" + program} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	t.Skipf("%s is not installed", program)
	return ""
}

// sidecar is the built program.
func sidecar(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../bin/sidecar")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run `make build`", err)
	}
	return path
}

// helper builds a program of the bench module once and returns its path.
func helper(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(out, name))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-o", path, "./"+name)
	cmd.Dir = "../bench"
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v: %s", name, err, b)
	}
	return path
}

// git runs git in dir, without the machine's own settings.
func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=e2e", "GIT_AUTHOR_EMAIL=e2e@example.com",
		"GIT_COMMITTER_NAME=e2e", "GIT_COMMITTER_EMAIL=e2e@example.com",
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*")
	b, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v: %s", strings.Join(args, " "), err, b)
	}
	return strings.TrimSpace(string(b))
}

// clone is a working copy with an empty bare repository behind it.
type clone struct {
	dir    string
	remote string
}

// newSite makes root/site.git and a clone that pushes to remote; an empty remote means
// the bare repository's own path.
func newSite(t *testing.T, root, remote string) clone {
	t.Helper()
	bare := filepath.Join(root, "site.git")
	git(t, ".", "init", "-q", "--bare", "--initial-branch=main", bare)
	if remote == "" {
		remote = bare
	}
	c := clone{dir: t.TempDir(), remote: remote}
	git(t, c.dir, "init", "-q", "--initial-branch=main")
	return c
}

// push commits index.html with the given words and pushes it; it returns the hash.
func (c clone) push(t *testing.T, words string) string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, "index.html"), []byte("<h1>"+words+"</h1>\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	git(t, c.dir, "add", "-A")
	git(t, c.dir, "commit", "-q", "-m", words)
	git(t, c.dir, "push", "-q", c.remote, "HEAD:refs/heads/main")
	return git(t, c.dir, "rev-parse", "HEAD")
}

// freePort asks the system for a port that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// eventually waits until ask succeeds and fails the test with its last error otherwise.
func eventually(t *testing.T, limit time.Duration, what string, ask func() error) time.Duration {
	t.Helper()
	start := time.Now()
	for {
		err := ask()
		if err == nil {
			return time.Since(start)
		}
		if time.Since(start) > limit {
			t.Fatalf("%s: not within %s: %v", what, limit, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// start runs a program of the machine for the length of a test; a failed test shows the
// end of what it said.
func start(t *testing.T, argv ...string) {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			said := log.Bytes()
			t.Logf("%s said:\n%s", filepath.Base(argv[0]), said[max(0, len(said)-4000):])
		}
	})
}

// published waits until the link "html" under root names the commit.
func published(t *testing.T, root, hash string) time.Duration {
	t.Helper()
	return eventually(t, time.Minute, "publish "+hash, func() error {
		target, err := os.Readlink(filepath.Join(root, "html"))
		if err != nil {
			return err
		}
		if filepath.Base(target) != hash {
			return fmt.Errorf("link points at %s", target)
		}
		return nil
	})
}
