package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/bench/ship"
	"github.com/sidecar-kit/sidecar/e2e/engine"
)

// builds are helper programs, each built once though several tests run at a time.
var builds struct {
	mu   sync.Mutex
	done map[string]string
}

// built is a program of bench or of this module.
func built(t *testing.T, name string, build func(*testing.T, string) string) string {
	t.Helper()
	builds.mu.Lock()
	defer builds.mu.Unlock()
	if builds.done == nil {
		builds.done = map[string]string{}
	}
	if builds.done[name] == "" {
		builds.done[name] = build(t, name)
	}
	return builds.done[name]
}

// strictSink is an Elasticsearch that believes nothing, and counts.
func strictSink(t *testing.T, expect int) *ship.Sink {
	t.Helper()
	sink, err := ship.StartSink(built(t, "essink", helper), expect)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sink.Close)
	return sink
}

// hasAll waits until the sink has the numbers from 1 to n, and wants each of them once, also a moment later.
func hasAll(t *testing.T, sink *ship.Sink, n int, limit time.Duration) ship.Counts {
	t.Helper()
	var c ship.Counts
	eventually(t, limit, "all lines", func() (err error) {
		if c, err = sink.Counts(); err != nil {
			return err
		}
		if c.Unique < int64(n) {
			return fmt.Errorf("%d of %d lines: %+v", c.Unique, n, c)
		}
		return nil
	})
	time.Sleep(300 * time.Millisecond)
	c, err := sink.Counts()
	if err != nil || c.Unique != int64(n) || c.Doubled != 0 || c.Highest != int64(n) || c.Malformed != 0 {
		t.Errorf("%+v, %v; want %d lines, each once", c, err, n)
	}
	return c
}

// hostOf is the address of this machine as containers see it.
func hostOf(t *testing.T, e engine.Engine) string {
	t.Helper()
	host, err := e.Do(t.Context(), "network", "inspect", "bridge", "-f", "{{range .IPAM.Config}}{{.Gateway}} {{end}}")
	if err != nil || len(strings.Fields(host)) == 0 {
		return "172.17.0.1" // an engine that does not say so
	}
	return strings.Fields(host)[0]
}

// serveAll serves a handler where containers of any network reach it, and returns the port.
func serveAll(t *testing.T, h http.Handler) string {
	t.Helper()
	l := listenAll(t)
	srv := &http.Server{Handler: h}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	return portOf(l)
}

func listenAll(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func portOf(l net.Listener) string { return strconv.Itoa(l.Addr().(*net.TCPAddr).Port) }

// open is a folder that every user of a container may write to.
func open(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("what users of containers leave in a folder can be read and removed by root only")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// contained is a container of a test.
type contained struct {
	t    *testing.T
	e    engine.Engine
	name string
}

// run starts a container; args come behind `run -d --name NAME`.
func run(t *testing.T, e engine.Engine, kind string, args ...string) contained {
	t.Helper()
	c := contained{t, e, podName(kind)}
	if _, err := e.Do(t.Context(), append([]string{"run", "-d", "--name", c.name}, args...)...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s:\n%s", c.name, e.Logs(c.name))
		}
		if _, err := e.Do(context.Background(), "rm", "-f", "-v", c.name); err != nil {
			t.Error(err)
		}
	})
	return c
}

// runShip starts logship in the scratch image, as restricted as in a pod, with the network of this machine. Options of the engine come
// before "--".
func runShip(t *testing.T, e engine.Engine, args ...string) contained {
	t.Helper()
	argv := []string{"--network", "host", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "65532:65532"}
	for i, arg := range args {
		if arg == "--" {
			argv, args = append(argv, args[:i]...), args[i+1:]
			break
		}
	}
	return run(t, e, "logship", append(append(argv, image, "logship", "--admin", ""), args...)...)
}

// runApp starts the application that logs, as a user, with options of the engine before "--".
func runApp(t *testing.T, e engine.Engine, user string, args ...string) contained {
	t.Helper()
	app := built(t, "logapp", program)
	argv := []string{"--user", user, "-v", app + ":/logapp:ro"}
	for i, arg := range args {
		if arg == "--" {
			argv, args = append(argv, args[:i]...), args[i+1:]
			break
		}
	}
	return run(t, e, "logapp", append(append(argv, base, "/logapp"), args...)...)
}

// wait is the exit code of a container that ends by itself.
func (c contained) wait() string {
	c.t.Helper()
	code, err := c.e.Do(c.t.Context(), "wait", c.name)
	if err != nil {
		c.t.Fatal(err)
	}
	return code
}

// term ends a container by SIGTERM and returns its exit code.
func (c contained) term() string {
	c.t.Helper()
	if _, err := c.e.Do(c.t.Context(), "kill", "--signal", "TERM", c.name); err != nil {
		c.t.Fatal(err)
	}
	return c.wait()
}

// killed kills a container, and starts it again.
func (c contained) killed() {
	c.t.Helper()
	if _, err := c.e.Do(c.t.Context(), "kill", c.name); err != nil {
		c.t.Fatal(err)
	}
	c.wait()
	if _, err := c.e.Do(c.t.Context(), "start", c.name); err != nil {
		c.t.Fatal(err)
	}
}

// scraped is the value of a metric: what stands behind its name and labels.
func scraped(address, series string) (float64, error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + address + "/metrics")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("no metric %s", series)
}

// written writes files of a test.
func written(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
