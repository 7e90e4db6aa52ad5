package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sshd is Debian's sshd on loopback with one host key and one client key.
type sshd struct {
	port            int
	key, knownHosts string
	hostKey         string // the known_hosts line's key part
}

func startSSHD(t *testing.T) sshd {
	t.Helper()
	program, keygen := needs(t, "sshd"), needs(t, "ssh-keygen")
	dir := t.TempDir()
	key := func(name string) string {
		path := filepath.Join(dir, name)
		if b, err := exec.Command(keygen, "-q", "-t", "ed25519", "-N", "", "-f", path).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v: %s", err, b)
		}
		return path
	}
	host, client := key("host"), key("client")
	public, err := os.ReadFile(client + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "authorized_keys"), string(public))
	s := sshd{port: freePort(t), key: client, knownHosts: filepath.Join(dir, "known_hosts")}
	if os.Geteuid() == 0 {
		// sshd insists on its privilege separation folder when it is root.
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	config := filepath.Join(dir, "sshd_config")
	write(t, config, fmt.Sprintf(`Port %d
ListenAddress 127.0.0.1
HostKey %s
AuthorizedKeysFile %s/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
AcceptEnv GIT_PROTOCOL
PidFile none
`, s.port, host, dir))
	start(t, program, "-D", "-e", "-f", config)
	eventually(t, time.Minute, "sshd up", func() error {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.port))
		if err != nil {
			return err
		}
		return c.Close()
	})
	hostPublic, err := os.ReadFile(host + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	s.hostKey = strings.Join(strings.Fields(string(hostPublic))[:2], " ")
	write(t, s.knownHosts, fmt.Sprintf("[127.0.0.1]:%d %s\n", s.port, s.hostKey))
	return s
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSSHFollowsPushes(t *testing.T) {
	s := startSSHD(t)
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	repos := t.TempDir()
	site := newSite(t, repos, "")
	first := site.push(t, "by key")
	root := filepath.Join(t.TempDir(), "root")
	url := fmt.Sprintf("ssh://%s@127.0.0.1:%d%s/site.git", me.Username, s.port, repos)
	start(t, sidecar(t), "sync", "--repo", url, "--ref", "main", "--root", root, "--link", "html",
		"--period", "100ms", "--admin", "", "--ssh-key-file", s.key, "--ssh-known-hosts-file", s.knownHosts)
	published(t, root, first)
	took := published(t, root, site.push(t, "by key again"))
	t.Logf("push to published over ssh: %s", took.Round(time.Millisecond))
}

func TestSSHRefusesAnUnknownHost(t *testing.T) {
	s := startSSHD(t)
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	repos := t.TempDir()
	newSite(t, repos, "").push(t, "never seen")
	// A known_hosts file that knows another key for this address.
	other := startSSHD(t)
	write(t, s.knownHosts, fmt.Sprintf("[127.0.0.1]:%d %s\n", s.port, other.hostKey))
	root := filepath.Join(t.TempDir(), "root")
	cmd := exec.Command(sidecar(t), "sync", "--repo", fmt.Sprintf("ssh://%s@127.0.0.1:%d%s/site.git", me.Username, s.port, repos),
		"--ref", "main", "--root", root, "--link", "html", "--once", "--admin", "",
		"--ssh-key-file", s.key, "--ssh-known-hosts-file", s.knownHosts)
	b, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatalf("synced from a host with the wrong key:\n%s", b)
	}
	if !strings.Contains(string(b), "ssh-known-hosts") {
		t.Errorf("the message names no flag to look at:\n%s", b)
	}
	if _, err := os.Lstat(filepath.Join(root, "html")); err == nil {
		t.Error("something was published")
	}
}
