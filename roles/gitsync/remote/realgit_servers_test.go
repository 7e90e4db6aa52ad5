//go:build realgit

package remote_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

const cgiEnv = "REMOTE_TEST_CGI_ROOT"

// TestMain lets the test binary be the HTTP server of another process, so that the client's CPU time can be
// measured by itself.
func TestMain(m *testing.M) {
	root := os.Getenv(cgiEnv)
	if root == "" {
		os.Exit(m.Run())
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr())
	panic(http.Serve(l, backend(root, "", "")))
}

func git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(),
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "HOME=/nonexistent",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@a", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@a")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// backend is git-http-backend behind net/http, with basic authentication when a user is given.
func backend(root, user, password string) http.Handler {
	h := &cgi.Handler{
		Path: "/usr/lib/git-core/git-http-backend",
		Env: []string{
			"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1",
			"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); user != "" && (u != user || p != password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		env := *h
		if v := r.Header.Get("Git-Protocol"); v != "" {
			env.Env = append(env.Env[:len(env.Env):len(env.Env)], "GIT_PROTOCOL="+v)
		}
		env.ServeHTTP(w, r)
	})
}

func serveHTTP(t testing.TB, root, user, password string) string {
	srv := httptest.NewServer(backend(root, user, password))
	t.Cleanup(srv.Close)
	return srv.URL
}

// run starts a server and ends it, and only it, with the test.
func run(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(name, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s: %s", filepath.Base(name), out.String())
		}
	})
	return cmd
}

func freePort(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func waitFor(t testing.TB, addr string) {
	t.Helper()
	for range 200 {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("nothing listens on %s", addr)
}

func serveDaemon(t testing.TB, root string) string {
	port := freePort(t)
	run(t, "/usr/lib/git-core/git-daemon", "--export-all", "--reuseaddr", "--listen=127.0.0.1", "--port="+port, "--base-path="+root, root)
	waitFor(t, "127.0.0.1:"+port)
	return "git://127.0.0.1:" + port
}

type sshServer struct {
	addr, key, wrongKey, knownHosts string
}

func writeKey(t testing.TB, path string) ssh.PublicKey {
	t.Helper()
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(priv, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// serveSSH starts a real sshd for the current user. The server has two host keys and the client's file lists
// one only, the one a naive client would not ask for first.
func serveSSH(t testing.TB, v2 bool) sshServer {
	t.Helper()
	dir := t.TempDir()
	_ = os.MkdirAll("/run/sshd", 0o755)
	s := sshServer{addr: "127.0.0.1:" + freePort(t), key: filepath.Join(dir, "id"), wrongKey: filepath.Join(dir, "wrong"), knownHosts: filepath.Join(dir, "known_hosts")}
	user := writeKey(t, s.key)
	writeKey(t, s.wrongKey)
	host := filepath.Join(dir, "host_rsa")
	git(t, dir, "version")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", host).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v %s", err, out)
	}
	writeKey(t, filepath.Join(dir, "host_ed"))
	rsaPub, err := os.ReadFile(host + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(s.addr)
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	write("known_hosts", "[127.0.0.1]:"+port+" "+string(rsaPub))
	auth := write("authorized", string(ssh.MarshalAuthorizedKey(user)))
	accept := ""
	if v2 {
		accept = "AcceptEnv GIT_PROTOCOL\n"
	}
	conf := write("sshd_config", fmt.Sprintf("ListenAddress %s\nHostKey %s\nHostKey %s\nAuthorizedKeysFile %s\nPidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n%s",
		s.addr, host, filepath.Join(dir, "host_ed"), auth, accept))
	run(t, "/usr/sbin/sshd", "-D", "-e", "-f", conf)
	waitFor(t, s.addr)
	return s
}
