package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/e2e/load"
)

// scale is what CI has time for, or, with E2E_FULL set, what the issue asks for.
func scale(t *testing.T, quick, full int64) int64 {
	t.Helper()
	if os.Getenv("E2E_FULL") != "" {
		return full
	}
	t.Logf("%d in place of %d; set E2E_FULL=1 for all", quick, full)
	return quick
}

// swapFolder replaces the files of a folder in one step, as a kubelet replaces those of a secret.
func swapFolder(dir string, files map[string]string) error {
	data := fmt.Sprintf("..%d", time.Now().UnixNano())
	err := os.Mkdir(filepath.Join(dir, data), 0o755)
	for name, text := range files {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, data, name), []byte(text), 0o644))
		if linkErr := os.Symlink("..data/"+name, filepath.Join(dir, name)); !errors.Is(linkErr, os.ErrExist) {
			err = errors.Join(err, linkErr)
		}
	}
	old, readErr := os.Readlink(filepath.Join(dir, "..data"))
	err = errors.Join(err, os.Symlink(data, filepath.Join(dir, "..data_tmp")), os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	if readErr == nil {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, old)))
	}
	return err
}

// TestProxySwapsCertificatesUnderLoad: each certificate is served, and no request fails, by whatever way it was asked.
func TestProxySwapsCertificatesUnderLoad(t *testing.T) {
	swaps, requests := scale(t, 10, 50), scale(t, 10_000, 100_000)
	for _, more := range []string{"own", "std"} {
		t.Run("engine "+more, func(t *testing.T) {
			s, ca, dir := legacyStage(t), newAuthority(t), t.TempDir()
			if err := swapFolder(dir, ca.secret(t, time.Hour, "shop.example")); err != nil {
				t.Fatal(err)
			}
			proxy := s.proxy([]string{dir + ":/tls:ro"}, "--engine="+more, "--default=log=errors", "https://:8443?cert=/tls => http://127.0.0.1:8080")
			address := net.JoinHostPort(s.ip, "8443")
			g := load.Start(t.Context(), load.Config{
				Address: address, Host: "shop.example", TLS: &tls.Config{RootCAs: ca.pool()},
				Workers: map[string]int{load.KeepAlive: 2, load.Fresh: 2, load.Multi: 2, load.Socket: 1},
			})
			for i := range swaps {
				before := servedSerial(t, ca, address)
				if err := swapFolder(dir, ca.secret(t, time.Hour, "shop.example")); err != nil {
					t.Fatal(err)
				}
				eventually(t, time.Minute, "a new certificate", func() error {
					if servedSerial(t, ca, address) == before {
						return errors.New("the old one is served")
					}
					return nil
				})
				eventually(t, 10*time.Minute, "requests", func() error {
					if done := g.Done(); done < requests*(i+1)/swaps {
						return fmt.Errorf("%d so far", done)
					}
					return nil
				})
			}
			r := g.Stop()
			t.Logf("%d swaps: %s", swaps, r)
			done, failed := r.Total()
			if failed > 0 || done < requests || int64(len(r.Serials)) < swaps+1 {
				t.Errorf("%d of %d failed, %d certificates seen: %q; want 0 of %d, and %d certificates", failed, done, len(r.Serials), r.Errors, requests, swaps+1)
			}
			for _, way := range []string{load.KeepAlive, load.Multi} {
				if conns, most := r.Conns[way], r.Done[way]/load.Reuse+2; conns > most {
					t.Errorf("%s: %d connections for %d requests; want at most %d, because a swap leaves them alone", way, conns, r.Done[way], most)
				}
			}
			s.ends(proxy)
		})
	}
}

// TestProxyStartsCleanAfterAKill: kill -9 under load, and the same container starts again with the socket that was left.
func TestProxyStartsCleanAfterAKill(t *testing.T) {
	t.Parallel()
	s, ca := legacyStage(t), newAuthority(t)
	volume := podName("sockets")
	t.Cleanup(func() { _, _ = s.engine.Do(context.Background(), "volume", "rm", "-f", volume) })
	s.do("run", "--rm", "-v", volume+":/s", base, "sh", "-c", "chown 0:65532 /s && chmod 2775 /s")
	name := s.add("proxy", append(append([]string{}, locked...), "-v", volume+":/s", "-v", folder(t, ca.secret(t, time.Hour, "shop.example"))+":/tls:ro", image,
		"proxy", "https://:8443?cert=/tls => http://127.0.0.1:8080", "http+unix:///s/app.sock?mode=0660 => http://127.0.0.1:8080")...)
	s.isReady()
	sockets := s.name + "-sockets"
	s.do("run", "-d", "--init", "--name", sockets, "-v", volume+":/s", base, "sleep", "infinity")
	s.remove(sockets)
	bySocket := func() error {
		const ask = `exec 3<>/dev/null; perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new(Peer => "/s/app.sock") or die "connect: $!"; print $s "GET /by-socket HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"; $s->flush; print while <$s>'`
		said, err := s.engine.Do(t.Context(), "exec", "--user", "1234:65532", sockets, "bash", "-c", ask)
		if err != nil || !strings.Contains(said, "200 OK") || !strings.Contains(said, "/by-socket") {
			return fmt.Errorf("%q: %w", said, err)
		}
		return nil
	}
	if err := bySocket(); err != nil {
		t.Fatal(err)
	}
	config := load.Config{
		Address: net.JoinHostPort(s.ip, "8443"), Host: "shop.example", TLS: &tls.Config{RootCAs: ca.pool()},
		Workers: map[string]int{load.KeepAlive: 1, load.Fresh: 1, load.Multi: 1, load.Socket: 1},
	}
	for range 3 {
		g := load.Start(t.Context(), config)
		time.Sleep(500 * time.Millisecond)
		s.do("kill", "--signal", "KILL", name)
		eventually(t, time.Minute, "start", func() error { // an engine needs a moment to see the end
			_, err := s.engine.Do(t.Context(), "start", name)
			return err
		})
		s.isReady()
		g.Stop()
		if err := bySocket(); err != nil {
			t.Errorf("after a kill: %v", err)
		}
		g = load.Start(t.Context(), config)
		time.Sleep(500 * time.Millisecond)
		r := g.Stop()
		if done, failed := r.Total(); failed > 0 || done < 50 {
			t.Errorf("after a kill: %s: %q; want at least 50, and no failure", r, r.Errors)
		}
	}
	s.ends(name)
	if said, err := s.engine.Do(t.Context(), "exec", sockets, "ls", "-A", "/s"); err != nil || said != "" {
		t.Errorf("left behind: %q, %v", said, err)
	}
}

// TestProxyCutsWhatDoesNotEnd: an upstream that never answers does not keep the pod; the exit code is 0, and the log says so.
func TestProxyCutsWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	s := legacyStage(t)
	proxy := s.proxy(nil, "--drain-timeout=3s", "http://:8000 => http://127.0.0.1:8080")
	got := make(chan error, 1)
	go func() {
		client := http.Client{Timeout: time.Minute}
		resp, err := client.Get("http://" + net.JoinHostPort(s.ip, "8000") + "/silent")
		if err == nil {
			err = resp.Body.Close()
		}
		got <- err
	}()
	eventually(t, time.Minute, "a request under way", func() error {
		client := http.Client{Timeout: 2 * time.Second}
		resp, err := client.Get("http://" + net.JoinHostPort(s.ip, "9443") + "/metrics")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		var b strings.Builder
		if err := resp.Write(&b); err != nil {
			return err
		}
		if !strings.Contains(b.String(), `sidecar_proxy_requests{listener="http://:8000"} 1`) {
			return errors.New("none")
		}
		return nil
	})
	s.ends(proxy)
	if err := <-got; err == nil {
		t.Log("the client was answered")
	}
	s.logs(proxy, "cut what did not end in time", "--drain-timeout")
}
