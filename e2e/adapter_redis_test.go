package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAdapterServesWhatRedisSays: INFO of a real server with a password as the metrics of its usual exporter.
func TestAdapterServesWhatRedisSays(t *testing.T) {
	server, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("no redis-server on this machine")
	}
	folder := t.TempDir()
	port := freePort(t)
	cmd := exec.Command(server, "--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder, "--requirepass", "hunter2")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	password := filepath.Join(folder, "password")
	if err := os.WriteFile(password, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := runAdapter(t, fmt.Sprintf(`sources: {cache: {redis: {address: "127.0.0.1:%d", password-file: %s}}}
views: {/metrics: {}}
checks: {cache: {redis: {address: "127.0.0.1:%[1]d", password-file: %[2]s, role: master, expect: ".connected_clients < 100"}, every: 1s}}
`, port, password))
	eventually(t, time.Minute, "Redis' metrics", func() error {
		code, body := get(t.Context(), "http://"+a.scrape+"/metrics")
		if err := goodPage(code, body); err != nil {
			return err
		}
		for _, want := range []string{"\nredis_up 1\n", "\nredis_connected_clients ", "redis_instance_info{", `sidecar_adapter_source_up{source="cache"} 1`} {
			if !strings.Contains(body, want) {
				return fmt.Errorf("no %q in\n%s", want, body)
			}
		}
		return nil
	})
	wantAnswer(t, time.Minute, a.scrape, "/readyz", http.StatusOK)
	if strings.Contains(a.said.String(), "hunter2") {
		t.Error("the log has the password")
	}
	a.ends()
}
