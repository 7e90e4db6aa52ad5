package proxy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.yaml.in/yaml/v3"

	"github.com/sidecar-kit/sidecar/internal/health"
	"github.com/sidecar-kit/sidecar/internal/meter"
	"github.com/sidecar-kit/sidecar/internal/role"
	"github.com/sidecar-kit/sidecar/internal/status"
)

// running is a proxy in this process, with a config file.
type running struct {
	t      *testing.T
	p      *Proxy
	file   string
	hangup chan struct{}
	log    *lockedBuffer
	reg    *meter.Registry
	stop   context.CancelFunc
	ended  chan error
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// run starts a proxy whose config file is text.
func run(t *testing.T, text string, change ...func(*Config)) *running {
	t.Helper()
	r := &running{t: t, file: filepath.Join(t.TempDir(), "proxy.yaml"), hangup: make(chan struct{}, 1), log: &lockedBuffer{}, reg: new(meter.Registry), ended: make(chan error, 1)}
	cfg := Default()
	cfg.Quiet = 0
	for _, fn := range change {
		fn(&cfg)
	}
	cfg.file = func() string { return r.file }
	cfg.reread = func() error { return r.read(&cfg) }
	r.write(text)
	if err := r.read(&cfg); err != nil {
		t.Fatal(err)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	p, err := New(&cfg, role.Env{
		Log: zerolog.New(r.log), Metrics: r.reg, Health: &health.Set{}, Status: &status.Board{}, Stdout: io.Discard, Drain: 10 * time.Second, Hangup: r.hangup, Quit: make(chan struct{}),
	})
	if err != nil {
		t.Fatal(err)
	}
	r.p = p
	ctx, stop := context.WithCancel(t.Context())
	r.stop = stop
	go func() { r.ended <- p.Run(ctx) }()
	r.until("listening", func() bool { return p.live.Load() != nil && strings.Contains(r.log.String(), "listening") })
	t.Cleanup(func() { stop(); <-r.ended })
	return r
}

func (r *running) read(cfg *Config) error {
	data, err := os.ReadFile(r.file)
	if err != nil {
		return err
	}
	var doc struct{ Routes, Clusters yaml.Node }
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return err
	}
	if err := cfg.setClusters(r.file, node(&doc.Clusters)); err != nil {
		return err
	}
	return cfg.setRoutes(r.file, node(&doc.Routes))
}

func node(n *yaml.Node) *yaml.Node {
	if n.Kind == 0 {
		return nil
	}
	return n
}

func (r *running) write(text string) {
	r.t.Helper()
	next := r.file + ".next"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(next, r.file); err != nil {
		r.t.Fatal(err)
	}
}

// reload puts text in force, or fails to, and waits for the log to say which.
func (r *running) reload(text, message string) {
	r.t.Helper()
	before := strings.Count(r.log.String(), message)
	r.write(text)
	select {
	case r.hangup <- struct{}{}:
	default:
	}
	r.until(message, func() bool { return strings.Count(r.log.String(), message) > before })
}

func (r *running) until(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		select {
		case err := <-r.ended:
			r.ended <- err
			r.t.Fatalf("the proxy ended while %q was waited for: %v\n%s", what, err, r.log)
		default:
		}
		if time.Now().After(end) {
			r.t.Fatalf("%q did not come to pass\n%s", what, r.log)
		}
	}
}

// at is where the door of the listener with this URL listens.
func (r *running) at(i int) string { return r.p.live.Load().doors[i].socket.Addr().String() }

// value reads a metric.
func (r *running) value(series string) string {
	for line := range strings.Lines(string(r.reg.Append(nil))) {
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// echo is a server that sends back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); _, _ = io.Copy(c, c) }()
		}
	}()
	return l.Addr().String()
}

// talk sends a word over a stream and wants it back.
func talk(t *testing.T, c net.Conn, word string) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	got := make([]byte, len(word))
	if _, err := io.WriteString(c, word); err != nil {
		t.Fatalf("send %s: %v", word, err)
	}
	if _, err := io.ReadFull(c, got); err != nil || string(got) != word {
		t.Fatalf("got %q, %v; want %s", got, err, word)
	}
}

func open(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// free is an address that nothing listens at.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

const inForce = "new routes are in force"

// TestReloadLeavesStreamsAlone: routes come, change and go, the listener of a stream gets other options, and the stream goes on.
func TestReloadLeavesStreamsAlone(t *testing.T) {
	db := echo(t)
	address := free(t)
	fixed := "routes:\n  - a=tcp://" + address + " => tcp://" + db + "\n"
	r := run(t, fixed)
	c := open(t, address)
	talk(t, c, "before")
	r.reload(fixed+"  - b=tcp://127.0.0.1:0 => tcp://"+db+"\n", inForce)
	talk(t, c, "another route came")
	r.reload(strings.Replace(fixed, " => ", "?max-conns=7 => ", 1), inForce)
	talk(t, c, "the listener has other options")
	talk(t, open(t, address), "and takes connections")
	r.reload(strings.Replace(fixed, " => ", "?max-conns=7&idle=1h => ", 1), inForce)
	talk(t, c, "the route has other options")
	r.reload("routes: []\n  broken", "the new routes are not valid")
	talk(t, c, "the file is broken")
	r.reload("routes:\n  - x=tcp://127.0.0.1:0 => tcp://"+db+"\n", inForce)
	talk(t, c, "its route is gone")
	if late, err := net.Dial("tcp", address); err == nil {
		_ = late.Close()
		t.Error("a route that is gone takes connections")
	}
}

// TestKeepAliveConnectionsGetNewRoutes: an HTTP connection is not tied to the routes that were in force when it was opened.
func TestKeepAliveConnectionsGetNewRoutes(t *testing.T) {
	app := func(name string) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) })}
		go func() { _ = s.Serve(l) }()
		t.Cleanup(func() { _ = s.Close() })
		return l.Addr().String()
	}
	one, two := app("one"), app("two")
	address := free(t)
	r := run(t, "routes:\n  - a=http://"+address+" => http://"+one+"\n")
	transport := &http.Transport{MaxConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	get := func() string {
		resp, err := client.Get("http://" + address)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return string(body)
	}
	if got := get(); got != "one" {
		t.Errorf("before: %q; want one", got)
	}
	r.reload("routes:\n  - a=http://"+address+" => http://"+two+"\n", inForce)
	if got := get(); got != "two" {
		t.Errorf("after: %q; want two", got)
	}
	if got := r.value(`sidecar_proxy_connections_total{listener="http://` + address + `"}`); got != "1" && got != "0" {
		t.Errorf("%s connections; want the first one to go on\n%s", got, r.reg.Append(nil))
	}
	r.until("both requests are counted: counts outlive a reload", func() bool { // a request is counted when its answer is out
		return r.value(`sidecar_proxy_requests_total{route="a",code="2xx"}`) == "2"
	})
}

// TestStopWaitsForTheApplication: SIGTERM comes to both at once, the application takes its time and opens connections until its
// end. Nothing fails, and the proxy ends soon after it.
func TestStopWaitsForTheApplication(t *testing.T) {
	db := echo(t)
	app, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hi") })}
	go func() { _ = server.Serve(app) }()
	r := run(t, "routes:\n  - in=http://127.0.0.1:0 => http://"+app.Addr().String()+"\n  - out=tcp://127.0.0.1:0 => tcp://"+db+"\n", func(c *Config) {
		c.Follow = []string{"tcp:" + app.Addr().String()}
	})
	in, out := r.at(0), r.at(1)
	r.stop()
	r.until("lame", func() bool { return r.p.phase.Load() == lame })
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		c := open(t, out)
		talk(t, c, "one more thing")
		_ = c.Close()
		resp, err := http.Get("http://" + in)
		if err != nil {
			t.Fatalf("a request while stopping: %v", err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != 200 || !resp.Close {
			t.Errorf("status %d, close %v; want 200 and the end of the connection", resp.StatusCode, resp.Close)
		}
	}
	_ = server.Close()
	select {
	case err := <-r.ended:
		r.ended <- err
		if err != nil {
			t.Errorf("Run = %v; want nil", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it did not end after the application")
	}
	if !strings.Contains(r.log.String(), "the application is gone") {
		t.Errorf("log %s", r.log)
	}
}

// TestAccessLogNeverBlocks: nobody reads stdout.
func TestAccessLogNeverBlocks(t *testing.T) {
	stuck, release := io.Pipe()
	defer release.Close()
	a := newAccessLog(release)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { a.run(ctx); close(done) }()
	line := []byte(strings.Repeat("x", 1000) + "\n")
	const lines = 5000
	for range lines {
		_, _ = a.Write(line)
	}
	if a.dropped.Load() == 0 {
		t.Error("nothing was dropped of 5 MB that nobody reads; want a bound")
	}
	cancel()
	got := 0
	read := make(chan struct{})
	go func() {
		defer close(read)
		buf := make([]byte, 1<<20)
		for {
			n, err := stuck.Read(buf)
			got += bytes.Count(buf[:n], []byte("\n"))
			if err != nil {
				return
			}
		}
	}()
	<-done
	_ = release.Close()
	<-read
	if int64(got)+a.dropped.Load() != lines {
		t.Errorf("%d lines came and %d were counted as dropped; want %d together", got, a.dropped.Load(), lines)
	}
}

// TestUnreadStdoutDoesNotDelayTheEnd: what reads the access log is stuck, and the process has to end all the same.
func TestUnreadStdoutDoesNotDelayTheEnd(t *testing.T) {
	stuck, w := io.Pipe()
	app, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.NotFoundHandler()}
	go func() { _ = server.Serve(app) }()
	defer server.Close()
	r := run(t, "routes:\n  - a=http://127.0.0.1:0 => http://"+app.Addr().String()+"\n")
	r.p.access.out = w
	resp, err := http.Get("http://" + r.at(0))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	r.stop()
	select {
	case err := <-r.ended:
		r.ended <- err
		if err != nil {
			t.Errorf("Run = %v; want nil", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("it waits for somebody to read stdout")
	}
	_ = stuck.Close()
}

// TestReloadWithoutTheFileOfAField: the secret is not mounted, or was taken away. The old routes stay, and nothing breaks.
func TestReloadWithoutTheFileOfAField(t *testing.T) {
	db := echo(t)
	address := free(t)
	fixed := "routes:\n  - a=tcp://" + address + " => tcp://" + db + "\n"
	r := run(t, fixed)
	r.reload(fixed+"  - b=http://127.0.0.1:0?set-header=X:file:"+r.file+".none => http://"+db+"\n", "the new routes are not valid")
	talk(t, open(t, address), "still here")
	token := r.file + ".token"
	if err := os.WriteFile(token, []byte("t"), 0o600); err != nil {
		t.Fatal(err)
	}
	with := fixed + "  - b=http://127.0.0.1:0?set-header=X:file:" + token + " => http://" + db + "\n"
	r.reload(with, inForce)
	if err := os.WriteFile(token, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.reload(with, ".token is empty")
	if err := os.Remove(token); err != nil {
		t.Fatal(err)
	}
	r.reload(with, "the new routes are not valid")
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	r.reload("routes:\n  - all=tcp://:"+port+" => tcp://"+db+"\n", "tcp://"+address+", which is in force, has this port")
	talk(t, open(t, address), "and still")
}

func TestCheckReadsFilesOfFieldsAndLooksForFolders(t *testing.T) {
	cfg := Default()
	cfg.Routes = []string{"http://127.0.0.1:0?set-header=X:file:/nothing/here => http://127.0.0.1:1"}
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "set-header=X: open /nothing/here") {
		t.Errorf("Validate() = %v; want the file", err)
	}
	cfg.Routes = []string{"unix:///nothing/here.sock => tcp://127.0.0.1:1"}
	table, err := cfg.table()
	if err != nil {
		t.Fatal(err)
	}
	if got := tryPorts(table); len(got) != 1 || !strings.Contains(got[0].Error(), "mount a volume") {
		t.Errorf("tryPorts() = %v; want the folder and the remedy", got)
	}
	_, port, err := net.SplitHostPort(free(t))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Routes = []string{"one=tcp://127.0.0.1:" + port + " => tcp://127.0.0.1:1", "all=tcp://:" + port + " => tcp://127.0.0.1:1"}
	if table, err = cfg.table(); err != nil {
		t.Fatal(err)
	}
	if got := tryPorts(table); len(got) != 1 || !strings.Contains(got[0].Error(), "tcp://127.0.0.1:"+port+" (--route 1) has this port, too") {
		t.Errorf("tryPorts() = %v; want that the two exclude each other", got)
	}
}

// TestReloadsLeaveNothingBehind: a listener that is replaced again and again takes what it ran on with it.
func TestReloadsLeaveNothingBehind(t *testing.T) {
	for _, engine := range []string{"own", "std"} {
		address := free(t)
		text := func(n int) string {
			return fmt.Sprintf("routes:\n  - a=http://%s?max-fields=%d => http://127.0.0.1:1\n", address, 50+n)
		}
		r := run(t, text(0), func(c *Config) { c.Engine = engine })
		ask := func() {
			resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + address)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
		}
		ask()
		before := runtime.NumGoroutine()
		for n := range 20 {
			r.reload(text(n+1), inForce)
			ask()
		}
		r.until("the goroutines of old listeners end", func() bool { return runtime.NumGoroutine() <= before+5 })
	}
}
