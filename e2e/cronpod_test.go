package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/e2e/engine"
	"github.com/sidecar-kit/sidecar/e2e/kubelet"
	"github.com/sidecar-kit/sidecar/roles/cron/lease/leasetest"
)

// cronOptions are those of a pod of a variant with the files that it is shipped with. Lines of six fields mean seconds,
// because minutes are long.
func cronOptions(t *testing.T, variant string) (opts kubelet.Options, name string, files map[string]string) {
	t.Helper()
	opts = options(t, "")
	name, files = cronFiles(t, variant)
	opts.Files = map[string]map[string]string{name: files, "cron-api": {"token": "the-token\n"}}
	opts.More = map[string]string{"SIDECAR_CRON_SECONDS": "true"}
	return opts, name, files
}

func isReady(pod *kubelet.Pod) func() error {
	return func() error {
		if !pod.Ready() {
			return fmt.Errorf("not ready: %s", pod.Events())
		}
		return nil
	}
}

// says waits for a text in the log of the pod's cron.
func says(t *testing.T, pod *kubelet.Pod, text string) {
	t.Helper()
	eventually(t, time.Minute, text, func() error {
		if !strings.Contains(pod.AllLogs("cron"), text) {
			return fmt.Errorf("the log does not have it")
		}
		return nil
	})
}

func metric(pod *kubelet.Pod, line string) func() error {
	return func() error {
		client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Get("http://" + net.JoinHostPort(pod.IP, "9446") + "/metrics")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		var b strings.Builder
		if err := resp.Write(&b); err != nil {
			return err
		}
		if !strings.Contains(b.String(), "\n"+line+"\n") {
			return fmt.Errorf("no line %q", line)
		}
		return nil
	}
}

// TestCronCallsTheApp starts deploy/cron/sidecar: the sidecar is up before the application, follows its ConfigMap without
// a restart, keeps the last good table, calls the application, and stops after it.
func TestCronCallsTheApp(t *testing.T) {
	t.Parallel()
	e := containers(t)
	opts, name, files := cronOptions(t, "cron/sidecar")
	pod := startPod(t, e, "cron/sidecar", opts)
	eventually(t, time.Minute, "pod ready", isReady(pod))
	events := pod.Events()
	if up, app := slices.Index(events, "cron is up"), slices.Index(events, "app started"); up < 0 || app < up {
		t.Errorf("events %q; want cron up before the app starts", events)
	}
	if err := metric(pod, "sidecar_cron_jobs 2")(); err != nil {
		t.Error(err)
	}

	edited := maps.Clone(files)
	edited["root"] = "#: name=hello\n* * * * * * echo \"hoge\"\n"
	edited["cron.yaml"] = strings.Replace(files["cron.yaml"], `"*/5 * * * *"`, `"* * * * * *"`, 1)
	if err := pod.Update(t.Context(), name, edited); err != nil {
		t.Fatal(err)
	}
	says(t, pod, `"message":"hoge"`)
	eventually(t, time.Minute, "a call of the app", func() error {
		for _, r := range records(t, pod.AllLogs("cron")) {
			if r.Job == "tick" && r.Message == "job succeeded" {
				return nil
			}
		}
		return fmt.Errorf("the log has none")
	})

	broken := maps.Clone(edited)
	broken["root"] = "#: name=hello\n* * * * 61 * echo \"hoge\"\n"
	if err := pod.Update(t.Context(), name, broken); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the complaint", metric(pod, "sidecar_cron_table_valid 0"))
	says(t, pod, "/var/spool/cron/crontabs/root:2:")
	if err := metric(pod, "sidecar_cron_jobs 2")(); err != nil || !pod.Ready() {
		t.Errorf("%v, ready %v; want the last good table in use", err, pod.Ready())
	}

	codes, err := pod.Stop(context.Background())
	if err != nil || codes["cron"] != 0 {
		t.Errorf("Stop() = %v, %v; want 0", codes, err)
	}
	events = pod.Events()
	if app, cron := slices.Index(events, "app stopped"), slices.Index(events, "cron stopped"); app < 0 || cron < app {
		t.Errorf("events %q; want the app stopped before its sidecar", events)
	}
	if slices.Contains(events, "cron restarted") {
		t.Errorf("events %q; want no restart", events)
	}
}

// TestCronKeepsItsJournal starts deploy/cron/standalone as several users, kills it, and asks whether the journal was there.
func TestCronKeepsItsJournal(t *testing.T) {
	t.Parallel()
	e := containers(t)
	for _, user := range []string{"", "12345:0", "12345:12345"} {
		t.Run("user "+user, func(t *testing.T) {
			opts, name, _ := cronOptions(t, "cron/standalone")
			opts.User = user
			opts.Files[name] = map[string]string{"root": "#: name=each\n* * * * * * sleep 0.5; echo \"for $SIDECAR_CRON_SCHEDULED\"\n"}
			pod := startPod(t, e, "cron/standalone", opts)
			eventually(t, time.Minute, "pod ready", isReady(pod))
			says(t, pod, `"message":"for `)
			if err := pod.Kill(t.Context(), "cron", "KILL"); err != nil {
				t.Fatal(err)
			}
			eventually(t, time.Minute, "a restart", func() error {
				if strings.Count(pod.AllLogs("cron"), `"message":"table is loaded"`) < 2 {
					return fmt.Errorf("events %q", pod.Events())
				}
				return nil
			})
			had := strings.Count(pod.AllLogs("cron"), `"message":"for `)
			eventually(t, time.Minute, "more runs", func() error {
				if strings.Count(pod.AllLogs("cron"), `"message":"for `) < had+3 {
					return fmt.Errorf("no more runs")
				}
				return nil
			})
			seen := map[string]bool{}
			for _, r := range records(t, pod.AllLogs("cron")) {
				if strings.HasPrefix(r.Message, "for ") && seen[r.Message] {
					t.Errorf("ran twice %s", r.Message)
				}
				seen[r.Message] = true
			}
			if resp, err := http.Get("http://" + net.JoinHostPort(pod.IP, "9446") + "/api/v1/jobs"); err != nil || resp.StatusCode != http.StatusForbidden {
				t.Errorf("the API answered %v, %v to another host; want 403", resp, err)
			}
			if codes, err := pod.Stop(context.Background()); err != nil || codes["cron"] != 0 {
				t.Errorf("Stop() = %v, %v; want 0", codes, err)
			}
		})
	}
}

// apiServer serves Leases over TLS where containers reach it.
func apiServer(t *testing.T, e engine.Engine) (*leasetest.Server, *kubelet.Account) {
	t.Helper()
	host, err := e.Do(t.Context(), "network", "inspect", "bridge", "-f", "{{range .IPAM.Config}}{{.Gateway}} {{end}}")
	if err != nil || len(strings.Fields(host)) == 0 {
		host = "172.17.0.1" // an engine that does not say so
	} else {
		host = strings.Fields(host)[0]
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "e2e"}, IPAddresses: []net.IP{net.ParseIP(host)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	fake := &leasetest.Server{Token: "pod-token"}
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Skipf("containers cannot reach this process: %v", err)
	}
	server := httptest.NewUnstartedServer(fake)
	server.Listener.Close()
	server.Listener = listener
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return fake, &kubelet.Account{Host: host, Port: port, Files: map[string]string{"token": "pod-token", "ca.crt": ca, "namespace": "default"}}
}

// TestCronReplicasHandOver starts deploy/cron/replicas twice, takes the leader away without a word, and looks at what ran:
// no instant twice, and no long gap.
func TestCronReplicasHandOver(t *testing.T) {
	t.Parallel()
	e := containers(t)
	fake, account := apiServer(t, e)
	shared := t.TempDir()
	if err := os.Chmod(shared, 0o777); err != nil {
		t.Fatal(err)
	}
	opts, name, _ := cronOptions(t, "cron/replicas")
	opts.Account = account
	opts.Files[name] = map[string]string{"root": "#: name=each\n* * * * * * echo \"$SIDECAR_CRON_SCHEDULED $SIDECAR_CRON_FENCE\" >> /shared/ran\n"}
	opts.Images[image] = kubelet.Image{Ref: image, Binds: []string{shared + ":/shared"}}
	maps.Copy(opts.More, map[string]string{
		"SIDECAR_CRON_LEASE_DURATION": "4s", "SIDECAR_CRON_LEASE_RENEW_DEADLINE": "3s", "SIDECAR_CRON_LEASE_RETRY": "500ms",
	})
	pods := []*kubelet.Pod{startPod(t, e, "cron/replicas", opts), startPod(t, e, "cron/replicas", opts)}

	ran := func() []string {
		b, err := os.ReadFile(filepath.Join(shared, "ran"))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(string(b)), "\n")
	}
	more := func(n int) {
		t.Helper()
		have := len(ran())
		eventually(t, time.Minute, "more runs", func() error {
			if got := len(ran()); got < have+n {
				return fmt.Errorf("%d runs; want %d", got, have+n)
			}
			return nil
		})
	}
	more(3)
	for range 3 {
		leader := slices.IndexFunc(pods, func(p *kubelet.Pod) bool { return metric(p, "sidecar_cron_leading 1")() == nil })
		if leader < 0 {
			t.Fatalf("nobody leads: %s", fake.Lease("default", "cron-replicas"))
		}
		if err := pods[leader].Kill(t.Context(), "cron", "KILL"); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		more(3)
		t.Logf("three runs after a kill of the leader: %s", time.Since(begin).Round(time.Millisecond))
	}
	for _, p := range pods {
		if codes, err := p.Stop(context.Background()); err != nil || codes["cron"] != 0 {
			t.Errorf("Stop() = %v, %v; want 0", codes, err)
		}
	}
	checkInstants(t, ran())
}

// checkInstants wants every instant once, in order, under a fence that only grows.
func checkInstants(t *testing.T, lines []string) {
	t.Helper()
	seen, fence, gap := map[string]bool{}, "", time.Duration(0)
	var last time.Time
	for _, line := range lines {
		at, token, _ := strings.Cut(line, " ")
		when, err := time.Parse(time.RFC3339, at)
		if err != nil || len(token) < len(fence) || len(token) == len(fence) && token < fence {
			t.Errorf("line %q after fence %s: %v", line, fence, err)
		}
		if seen[at] {
			t.Errorf("%s ran twice", at)
		}
		if !last.IsZero() {
			gap = max(gap, when.Sub(last))
		}
		seen[at], fence, last = true, token, when
	}
	t.Logf("%d instants, longest gap %s, last fence %s", len(lines), gap, fence)
}
