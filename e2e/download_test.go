package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// webServer is nginx with TLS on one port; it can be killed and started again.
type webServer struct {
	url, cert, log string
	argv           []string
	cmd            *exec.Cmd
}

func newWebServer(t *testing.T, root string) *webServer {
	t.Helper()
	cert, key := certificate(t)
	dir := t.TempDir()
	port := freePort(t)
	conf := filepath.Join(dir, "nginx.conf")
	write(t, conf, fmt.Sprintf(`
daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log;
events {}
http {
  log_format e2e '$request_uri $status "$http_range"';
  access_log %[1]s/access.log e2e;
  client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
  server { listen 127.0.0.1:%[2]d ssl; ssl_certificate %[3]s; ssl_certificate_key %[4]s; root %[5]s; limit_rate 16m; }
}`, dir, port, cert, key, root))
	s := &webServer{url: fmt.Sprintf("https://127.0.0.1:%d", port), cert: cert, log: filepath.Join(dir, "access.log"),
		argv: []string{needs(t, "nginx"), "-c", conf, "-e", filepath.Join(dir, "error.log")}}
	s.start(t)
	t.Cleanup(func() { s.kill() })
	return s
}

func (s *webServer) start(t *testing.T) {
	t.Helper()
	s.cmd = exec.Command(s.argv[0], s.argv[1:]...)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

func (s *webServer) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// TestDownloadFromNginxThatDies: the rest comes from the server that took its place.
func TestDownloadFromNginxThatDies(t *testing.T) {
	root, volume := t.TempDir(), t.TempDir()
	data := make([]byte, 48<<20)
	if _, err := rand.NewChaCha8([32]byte{1}).Read(data); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "sample.war"), string(data))
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	s := newWebServer(t, root)
	var said bytes.Buffer
	args := []string{"initcopy", "--ca-file", s.cert, "--expect", fmt.Sprintf("sha256:%x", sha256.Sum256(data)), s.url + "/sample.war", volume}
	cmd := exec.Command(sidecar(t), args...)
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1500 * time.Millisecond) // about half of it
	s.kill()
	s.start(t)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("initcopy: %v\n%s", err, &said)
	}
	got, err := os.ReadFile(filepath.Join(volume, "sample.war"))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("sample.war has %d bytes, %v; want %d", len(got), err, len(data))
	}
	s.kill()
	log, err := os.ReadFile(s.log)
	if err != nil || !strings.Contains(string(log), `206 "bytes=`) {
		t.Errorf("nginx answered %q, %v; want a part", log, err)
	}
	if b, err := exec.Command(sidecar(t), args...).CombinedOutput(); err != nil || !bytes.Contains(b, []byte(`"unchanged"`)) {
		t.Errorf("without a server: %v\n%s; want nothing to do", err, b)
	}
}
