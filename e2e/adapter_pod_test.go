package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/sidecar-kit/sidecar/e2e/kubelet"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// answered is the status and the body of a GET; a status of 0 is no answer, with the error as body.
func answered(address, path string) (int, string) {
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + address + path)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(b)
}

// wantAnswer waits for a status, and for words in the body.
func wantAnswer(t *testing.T, limit time.Duration, address, path string, status int, words ...string) string {
	t.Helper()
	var body string
	eventually(t, limit, fmt.Sprintf("%s to be %d with %q", path, status, words), func() error {
		code, b := answered(address, path)
		if code != status {
			return fmt.Errorf("it is %d: %.1500s", code, b)
		}
		for _, w := range words {
			if !strings.Contains(b, w) {
				return fmt.Errorf("no %q in %.1500s", w, b)
			}
		}
		body = b
		return nil
	})
	return body
}

// readable wants a page that Prometheus takes.
func readable(t *testing.T, body string) {
	t.Helper()
	if _, err := prometheusReads(body, model.Text); err != nil || !strings.Contains(body, "\n") {
		t.Errorf("Prometheus does not read the page: %v\n%.2000s", err, body)
	}
}

// promtool asks Debian's promtool about a page. With style, it must have nothing to say of names and help texts either.
func promtool(t *testing.T, body string, style bool) {
	t.Helper()
	readable(t, body)
	t.Run("promtool", func(t *testing.T) {
		cmd := exec.CommandContext(t.Context(), needs(t, "promtool"), "check", "metrics")
		cmd.Stdin = strings.NewReader(body)
		said, err := cmd.CombinedOutput()
		if err == nil {
			return
		}
		if code := cmd.ProcessState.ExitCode(); style || code != 3 || bytes.Contains(said, []byte("error while linting")) { // 3: of style
			t.Errorf("promtool: %v\n%s\n%.2000s", err, said, body)
		}
	})
}

// TestAdapterManifestsServe starts deploy/metrics-adapter with a real nginx: the page of the adapter has what nginx and senders of StatsD say,
// the application is ready as the checks see it, an edit is taken into use without a restart, and the end is in order.
func TestAdapterManifestsServe(t *testing.T) {
	t.Parallel()
	e := containers(t)
	for _, variant := range adapterVariants {
		t.Run(variant, func(t *testing.T) {
			t.Parallel()
			opts := proxyOptions(t, "metrics-adapter/config/config.yaml", nil)
			standIn(&opts, []string{"nginx", "-e", "stderr", "-c", "/etc/e2e.conf", "-g", "daemon off;"}, script(t, "confd.conf")+":/etc/e2e.conf:ro")
			pod := startChanged(t, e, variant, opts, func(*corev1.PodSpec) {})
			eventually(t, time.Minute, "pod ready", isReady(pod))
			events := pod.Events()
			if up, app := slices.Index(events, "adapter is up"), slices.Index(events, "app started"); strings.HasSuffix(variant, "/sidecar") && (up < 0 || app < up) {
				t.Errorf("events %q; want the adapter up before the app starts", events)
			}
			scrape := net.JoinHostPort(pod.IP, "9464")
			if _, err := e.Do(t.Context(), "exec", pod.Container("app"), "bash", "-c", "echo -n 'orders.paid:3|c|#kind:book' >/dev/udp/127.0.0.1/8125"); err != nil {
				t.Fatal(err)
			}
			body := wantAnswer(t, time.Minute, scrape, "/metrics", http.StatusOK, "nginx_connections_active ", `kind="book"`,
				`sidecar_adapter_source_up{source="web"} 1`, `sidecar_adapter_source_up{source="pushed"} 1`)
			promtool(t, body, false)
			var status map[string]any
			if err := json.Unmarshal([]byte(wantAnswer(t, time.Minute, scrape, "/status", http.StatusOK)), &status); err != nil || status["nginx_connections_active"] == nil {
				t.Errorf("/status: %v, %v; want JSON with nginx_connections_active", status, err)
			}
			adapterFollowsThePage(t, pod, opts.Files["metrics-adapter"])
			adapterTakesAnEdit(t, pod, opts.Files["metrics-adapter"])

			codes, err := pod.Stop(context.Background())
			if err != nil || codes["adapter"] != 0 || codes["app"] != 0 {
				t.Errorf("Stop() = %v, %v; want 0 of all", codes, err)
			}
			if after := pod.Ended("adapter").Sub(pod.Ended("app")); strings.HasSuffix(variant, "/sidecar") && after < 0 {
				t.Errorf("the adapter ended %s before the application", -after)
			}
			if slices.Contains(pod.Events(), "adapter restarted") || slices.Contains(pod.Events(), "app restarted") {
				t.Errorf("events %q; want no restart", pod.Events())
			}
		})
	}
}

// adapterFollowsThePage: the application is not ready while its page fails, and the adapter is.
func adapterFollowsThePage(t *testing.T, pod *kubelet.Pod, files map[string]string) {
	t.Helper()
	scrape, admin := net.JoinHostPort(pod.IP, "9464"), net.JoinHostPort(pod.IP, "9444")
	edit := func(old, text string) {
		t.Helper()
		changed := maps.Clone(files)
		changed["web.conf"] = strings.ReplaceAll(files["web.conf"], old, text)
		if err := pod.Update(t.Context(), "metrics-adapter", changed); err != nil {
			t.Fatal(err)
		}
		if err := pod.Kill(t.Context(), "app", "HUP"); err != nil {
			t.Fatal(err)
		}
	}
	wantAnswer(t, time.Minute, scrape, "/readyz", http.StatusOK)
	edit("return 200", "return 500")
	wantAnswer(t, time.Minute, scrape, "/readyz", http.StatusServiceUnavailable)
	eventually(t, time.Minute, "the application not ready", func() error {
		if pod.ContainerReady("app") {
			return fmt.Errorf("it is")
		}
		return nil
	})
	if code, body := answered(admin, "/readyz"); code != http.StatusOK || !pod.ContainerReady("adapter") {
		t.Errorf("the adapter's own /readyz is %d %s while the application fails; want 200", code, body)
	}
	wantAnswer(t, time.Minute, scrape, "/metrics", http.StatusOK, `sidecar_adapter_source_up{source="web"} 1`) // the status page still answers
	edit("", "")
	wantAnswer(t, time.Minute, scrape, "/readyz", http.StatusOK)
	eventually(t, time.Minute, "pod ready again", isReady(pod))
}

// adapterTakesAnEdit: a new view is served, the others go on, and a wrong edit changes nothing.
func adapterTakesAnEdit(t *testing.T, pod *kubelet.Pod, files map[string]string) {
	t.Helper()
	scrape, admin := net.JoinHostPort(pod.IP, "9464"), net.JoinHostPort(pod.IP, "9444")
	for _, c := range []struct{ old, text, path, words, valid string }{
		{"views:\n", "views:\n  /web: {from: web, format: text}\n", "/web", "nginx_connections_active", "sidecar_adapter_config_valid 1"},
		{"views:\n", "views:\n  /wrong: {from: nobody}\n", "/web", "nginx_connections_active", "sidecar_adapter_config_valid 0"},
	} {
		changed := maps.Clone(files)
		changed["adapter.yaml"] = strings.Replace(files["adapter.yaml"], c.old, c.text, 1)
		if err := pod.Update(t.Context(), "metrics-adapter", changed); err != nil {
			t.Fatal(err)
		}
		wantAnswer(t, time.Minute, admin, "/metrics", http.StatusOK, c.valid)
		wantAnswer(t, time.Minute, scrape, c.path, http.StatusOK, c.words)
		// What was sent before the edit is still there: the listener is the same.
		wantAnswer(t, time.Minute, scrape, "/metrics", http.StatusOK, `kind="book"`)
	}
}
