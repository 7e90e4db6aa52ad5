package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// serveLoopback serves a handler on loopback and returns its address.
func serveLoopback(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return l.Addr().String()
}

// get asks as long as ctx lasts; a status of 0 is no answer, with the error as body.
func get(ctx context.Context, url string) (int, string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err.Error()
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
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

// TestKilledAdapterStartsAgain kills the adapter while it is scraped 50 times a second and StatsD flows: it starts again though its unix sockets
// are still in the way, takes what is sent, and every page that a scraper gets whole is one that Prometheus reads.
func TestKilledAdapterStartsAgain(t *testing.T) {
	t.Parallel()
	const kills = 5
	// Socket paths hold 107 bytes; folders of tests may be longer.
	dir, err := os.MkdirTemp("", "adapter")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	gram, stream := filepath.Join(dir, "gram"), filepath.Join(dir, "stream")
	app := serveLoopback(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "# HELP app_queue Waiting.\n# TYPE app_queue gauge\napp_queue 42\n")
	})
	p := runAdapter(t, fmt.Sprintf("sources:\n  app: {url: \"http://%s/metrics\"}\n  pushed: {listen: [\"unixgram://%s\", \"unix://%s\"], format: statsd}\nviews:\n  /metrics: {}\n", app, gram, stream))

	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	stop := func() { cancel(); wg.Wait() }
	defer stop()
	sendLines(ctx, &wg, "unixgram", gram, "grams:1|c")
	sendLines(ctx, &wg, "unix", stream, "lines:1|c\n")
	var pages atomic.Int64
	bad := make(chan string, 1)
	wg.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			<-tick.C
			code, body := get(ctx, "http://"+p.scrape+"/metrics")
			if code == 0 {
				continue // killed, or not yet there
			}
			pages.Add(1)
			if err := goodPage(code, body); err != nil {
				select {
				case bad <- fmt.Sprintf("%v: %d %.2000s", err, code, body):
				default:
				}
			}
		}
	})
	for n := range kills + 1 {
		body := wantAnswer(t, time.Minute, p.scrape, "/metrics", http.StatusOK, "app_queue 42", "\ngrams ", "\nlines ")
		promtool(t, body, false)
		seen := pages.Load()
		eventually(t, time.Minute, "ten more scrapes", func() error {
			if more := pages.Load() - seen; more < 10 {
				return fmt.Errorf("%d", more)
			}
			return nil
		})
		if n == kills {
			break
		}
		p.kill()
		for _, path := range []string{gram, stream} {
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%v; the test wants a socket that a killed process left", err)
			}
		}
		p.start()
	}
	stop()
	select {
	case page := <-bad:
		t.Errorf("a page is not what Prometheus reads: %s", page)
	default:
	}
	p.ends()
	for _, path := range []string{gram, stream} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v; want it gone after the end in order", path, err)
		}
	}
}

// sendLines sends a text as often as the receiver takes it, a thousand times a second at most, and again after errors.
func sendLines(ctx context.Context, wg *sync.WaitGroup, network, path, text string) {
	wg.Go(func() {
		var c net.Conn
		for ctx.Err() == nil {
			if c == nil {
				c, _ = net.Dial(network, path)
			}
			if c != nil {
				_ = c.SetWriteDeadline(time.Now().Add(time.Second))
				if _, err := io.WriteString(c, text); err != nil {
					_ = c.Close()
					c = nil
				}
			}
			time.Sleep(time.Millisecond)
		}
		if c != nil {
			_ = c.Close()
		}
	})
}
