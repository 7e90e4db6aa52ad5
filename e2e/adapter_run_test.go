package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// adapterProcess is the program on this machine, with a config file that it follows.
type adapterProcess struct {
	t                     *testing.T
	config, scrape, admin string // file, and addresses of --listen and --admin
	more                  []string
	cmd                   *exec.Cmd
	said                  *bytes.Buffer
	ended                 bool
}

// runAdapter starts the program and waits until it is ready.
func runAdapter(t *testing.T, config string, more ...string) *adapterProcess {
	t.Helper()
	p := &adapterProcess{t: t, config: filepath.Join(t.TempDir(), "adapter.yaml"), more: more,
		scrape: fmt.Sprintf("127.0.0.1:%d", freePort(t)), admin: fmt.Sprintf("127.0.0.1:%d", freePort(t))}
	if err := os.WriteFile(p.config, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			said := p.said.Bytes()
			t.Logf("the adapter said:\n%s", said[max(0, len(said)-4000):])
		}
	})
	p.start()
	return p
}

func (p *adapterProcess) start() {
	p.t.Helper()
	p.cmd = exec.Command(sidecar(p.t), append([]string{"adapter", "--config", p.config, "--listen", p.scrape, "--admin", p.admin}, p.more...)...)
	p.cmd.Env = append(os.Environ(), "GOMEMLIMIT=96MiB") // less than what a limit of 128 MiB gives a container
	p.said, p.ended = &bytes.Buffer{}, false
	p.cmd.Stdout, p.cmd.Stderr = p.said, p.said
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	wantAnswer(p.t, time.Minute, p.admin, "/readyz", http.StatusOK)
}

// kill ends the process as the kernel does.
func (p *adapterProcess) kill() {
	if p.cmd == nil || p.ended {
		return
	}
	p.ended = true
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// ends sends SIGTERM and wants exit code 0.
func (p *adapterProcess) ends() {
	p.t.Helper()
	p.ended = true
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Error(err)
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("the adapter ended with %v; want 0", err)
	}
}

// goodPage is nil for a page with status 200 that Prometheus reads.
func goodPage(code int, body string) error {
	if code != http.StatusOK {
		return fmt.Errorf("status %d", code)
	}
	_, err := prometheusReads(body, model.Text)
	return err
}

// memory is VmRSS or VmHWM of the process, in MiB.
func (p *adapterProcess) memory(name string) int {
	p.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Skipf("this system does not tell the memory of a process: %v", err)
	}
	for line := range strings.Lines(string(b)) {
		var kib int
		if rest, is := strings.CutPrefix(line, name+":"); is {
			if _, err := fmt.Sscan(rest, &kib); err != nil {
				p.t.Fatal(err)
			}
			return kib / 1024
		}
	}
	p.t.Fatalf("no %s in %s", name, b)
	return 0
}

// TestAdapterAsksTheApplicationOnce: a hundred scrapers at the same time cost a slow application one request, and each gets the page.
func TestAdapterAsksTheApplicationOnce(t *testing.T) {
	t.Parallel()
	const scrapers = 100
	var asked atomic.Int32
	release := make(chan struct{})
	app := serveLoopback(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		select {
		case <-release:
			fmt.Fprintf(w, "# HELP app_queue Waiting.\n# TYPE app_queue gauge\napp_queue 42\n")
		case <-r.Context().Done():
		}
	})
	p := runAdapter(t, "sources:\n  app: {url: \"http://"+app+"/metrics\", timeout: 2m}\nviews:\n  /metrics: {timeout: 2m}\n  /json: {format: json, timeout: 2m}\n", "--timeout", "2m")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	type answer struct {
		code int
		body string
	}
	answers := make(chan answer, scrapers)
	for i := range scrapers {
		path := "/metrics"
		if i%2 == 1 {
			path = "/json"
		}
		go func() {
			code, body := get(ctx, "http://"+p.scrape+path)
			answers <- answer{code, body}
		}()
	}
	// Each view has one request that asks the source, and 49 that wait for it; the second view's joins that of the first.
	wantAnswer(t, time.Minute, p.admin, "/metrics", http.StatusOK, `sidecar_adapter_view_joined_total{view="/metrics"} 49`, `sidecar_adapter_view_joined_total{view="/json"} 49`,
		`sidecar_adapter_source_joined_total{source="app"} 1`)
	close(release)
	for range scrapers {
		if a := <-answers; a.code != http.StatusOK || !strings.Contains(a.body, "app_queue") || !strings.Contains(a.body, "42") {
			t.Errorf("a scraper got %d %.500s; want the page", a.code, a.body)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("%d scrapers cost %d requests; want 1", scrapers, n)
	}
	p.ends()
}
