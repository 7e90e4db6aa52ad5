package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/e2e/engine"
)

// authority signs the certificates of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "e2e authority"}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *authority) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// secret is the content of a kubernetes.io/tls secret, valid until then.
func (a *authority) secret(t *testing.T, until time.Duration, names ...string) map[string]string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names, NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(until),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"tls.crt": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		"tls.key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})),
		"ca.crt":  a.pem(),
	}
}

// folder writes files that containers may read.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// program builds a program of this module for a container of any content.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(out, name))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-o", path, "./"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v: %s", name, err, b)
	}
	return path
}

// script is the path of a file of testdata.
func script(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// stage is a network like that of a pod, and the containers in it.
type stage struct {
	t        *testing.T
	engine   engine.Engine
	name, ip string
}

// newStage makes a network in which hosts are known. The first container has Debian's clients of everything.
func newStage(t *testing.T, e engine.Engine, hosts map[string]string, more ...string) *stage {
	t.Helper()
	s := &stage{t: t, engine: e, name: podName("stage")}
	args := []string{"run", "-d", "--init", "--name", s.name}
	for _, host := range slices.Sorted(maps.Keys(hosts)) {
		args = append(args, "--add-host", host+":"+hosts[host])
	}
	s.do(append(append(args, more...), base, "sleep", "infinity")...)
	s.remove(s.name)
	s.ip = address(t, e, s.name)
	return s
}

func address(t *testing.T, e engine.Engine, container string) string {
	t.Helper()
	ip, err := e.IP(t.Context(), container)
	if err != nil {
		t.Fatal(err)
	}
	return ip
}

func (s *stage) do(args ...string) {
	s.t.Helper()
	if _, err := s.engine.Do(s.t.Context(), args...); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) remove(container string) {
	s.t.Cleanup(func() {
		if s.t.Failed() {
			said := s.engine.Logs(container)
			s.t.Logf("%s:\n%s", container, said[max(0, len(said)-2500):])
		}
		if _, err := s.engine.Do(context.Background(), "rm", "-f", "-v", container); err != nil {
			s.t.Error(err)
		}
	})
}

// add starts a container in the stage; args are those of `docker run`, from its options on.
func (s *stage) add(kind string, args ...string) string {
	s.t.Helper()
	name := s.name + "-" + kind
	s.do(append([]string{"run", "-d", "--name", name, "--network", "container:" + s.name}, args...)...)
	s.remove(name)
	return name
}

// locked is what deploy's manifests ask for, with the memory that they allow.
var locked = []string{"--user", "65532:65532", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--memory", "64m"}

// proxy starts the image and waits until it is ready.
func (s *stage) proxy(mounts []string, args ...string) string {
	s.t.Helper()
	run := slices.Clone(locked)
	for _, m := range mounts {
		run = append(run, "-v", m)
	}
	name := s.add("proxy", append(append(run, image, "proxy"), args...)...)
	s.isReady()
	return name
}

func (s *stage) isReady() {
	s.t.Helper()
	eventually(s.t, time.Minute, "proxy ready", func() error {
		client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Get("http://" + net.JoinHostPort(s.ip, "9443") + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("readyz: %s", resp.Status)
		}
		return nil
	})
}

// sh runs a script in the first container and returns all that it says.
func (s *stage) sh(user, script string) (string, error) {
	args := []string{"exec"}
	if user != "" {
		args = append(args, "--user", user)
	}
	return s.engine.Do(s.t.Context(), append(args, s.name, "bash", "-c", "exec 2>&1; "+script)...)
}

// says runs a script that has to succeed and to say something.
func (s *stage) says(user, script string, want ...string) string {
	s.t.Helper()
	said, err := s.sh(user, script)
	if err != nil {
		s.t.Errorf("%s: %v: %s", script, err, said)
	}
	for _, w := range want {
		if !strings.Contains(said, w) {
			s.t.Errorf("%s: it says %.500q; want %q", script, said, w)
		}
	}
	return said
}

// fails runs a script that has to fail and to say why.
func (s *stage) fails(user, script string, want ...string) {
	s.t.Helper()
	said, err := s.sh(user, script+" && echo NO FAILURE || true")
	if err != nil || strings.Contains(said, "NO FAILURE") {
		s.t.Errorf("%s: %v: it did not fail: %.500s", script, err, said)
	}
	for _, w := range want {
		if !strings.Contains(said, w) {
			s.t.Errorf("%s: it says %.500q; want %q", script, said, w)
		}
	}
}

// logs waits until a container's log has all of the words in one line.
func (s *stage) logs(container string, words ...string) {
	s.t.Helper()
	eventually(s.t, time.Minute, "a line of the log with "+strings.Join(words, ", "), func() error {
		for line := range strings.Lines(s.engine.AllLogs(container)) {
			if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
				return nil
			}
		}
		return errors.New("there is none")
	})
}

// ends sends SIGTERM and wants exit code 0.
func (s *stage) ends(container string) {
	s.t.Helper()
	s.do("stop", "-t", "60", container)
	code, err := s.engine.Do(s.t.Context(), "inspect", "-f", "{{.State.ExitCode}}", container)
	if err != nil || code != "0" {
		s.t.Errorf("%s ended with %s, %v; want 0\n%s", container, code, err, s.engine.Logs(container))
	}
}

// database starts a server in a network of its own and returns its container and address. An empty tls is a server without.
func database(t *testing.T, e engine.Engine, kind, user string, tls map[string]string) (container, ip string) {
	t.Helper()
	name := podName(kind)
	s := &stage{t: t, engine: e, name: name}
	s.do("run", "-d", "--name", name, "--user", user, "--tmpfs", "/data:mode=1777,exec,size=600m", "-v", script(t, kind+".sh")+":/start.sh:ro",
		"-v", folder(t, tls)+":/tls:ro", base, "/start.sh")
	s.remove(name)
	return name, address(t, e, name)
}
