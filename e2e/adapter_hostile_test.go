package e2e

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// hostile are answers of applications that mean harm, or are broken, each with what it costs: nothing but its own metrics.
func hostile() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"bomb": func(w http.ResponseWriter, r *http.Request) { // 1 GiB of a comment, as 1 MiB
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			piece := []byte("# " + strings.Repeat("x", 1<<20) + "\n")
			for range 1 << 10 {
				if _, err := z.Write(piece); err != nil || r.Context().Err() != nil {
					return
				}
			}
			_ = z.Close()
		},
		"many": func(w http.ResponseWriter, _ *http.Request) { // a million series in 14 MB: most are beyond the limit
			var b strings.Builder
			for i := range 1_000_000 {
				fmt.Fprintf(&b, "m{a=\"%d\"} 1\n", i)
			}
			_, _ = io.WriteString(w, b.String())
		},
		"endless": func(w http.ResponseWriter, r *http.Request) {
			piece := strings.Repeat("endless 1\n", 10_000)
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, piece); err != nil {
					return
				}
			}
		},
		"slow": func(w http.ResponseWriter, r *http.Request) { // a byte now and then, as long as anybody listens
			control := http.NewResponseController(w)
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, "s"); err != nil || control.Flush() != nil {
					return
				}
				time.Sleep(50 * time.Millisecond)
			}
		},
		"utf8": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "utf8 1\nutf8_label{a=\"\xff\xfe\"} 1\n")
		},
		"type": func(w http.ResponseWriter, _ *http.Request) { // says that it is protocol buffers, and is HTML
			w.Header().Set("Content-Type", "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited")
			_, _ = io.WriteString(w, "<html><body>Not found</body></html>\n")
		},
		"open": func(w http.ResponseWriter, _ *http.Request) { // OpenMetrics without an end
			w.Header().Set("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
			_, _ = io.WriteString(w, "# TYPE open gauge\nopen 1\n")
		},
		"short": func(w http.ResponseWriter, _ *http.Request) { // less than it says
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "short 1\n")
		},
	}
}

// TestAdapterSurvivesHostileSources: the page has what good sources say and is one that Prometheus reads, whatever others do; the memory of the
// process stays within bounds.
func TestAdapterSurvivesHostileSources(t *testing.T) {
	t.Parallel()
	const most, rounds = 128, 3 // MiB
	sources := hostile()
	app := serveLoopback(t, func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/")
		if handler, ok := sources[name]; ok {
			handler(w, r)
			return
		}
		_, _ = io.WriteString(w, "# HELP app_queue Waiting.\n# TYPE app_queue gauge\napp_queue{name=\""+name+"\"} 42\n")
	})
	var config strings.Builder
	fmt.Fprintf(&config, "sources:\n  first: {url: \"http://%s/first\", timeout: 30s}\n", app)
	for name := range sources {
		limit := "" // by the memory limit
		if name == "many" {
			limit = ", max-body: 64MiB, max-size: 64MiB"
		}
		fmt.Fprintf(&config, "  %s: {url: \"http://%s/%s\", timeout: 3s%s}\n", name, app, name, limit)
	}
	fmt.Fprintf(&config, "  last: {url: \"http://%s/last\", timeout: 30s}\nviews:\n  /metrics: {timeout: 1m}\n  /good: {from: [first, last]}\n", app)
	p := runAdapter(t, config.String(), "--timeout", "1m")

	for range rounds {
		body := wantAnswer(t, 2*time.Minute, p.scrape, "/metrics", http.StatusOK, `app_queue{source="first",name="first"} 42`, `app_queue{source="last",name="last"} 42`,
			`sidecar_adapter_source_up{source="first"} 1`, `sidecar_adapter_source_up{source="last"} 1`)
		readable(t, body)
		for name := range sources {
			up := strings.Contains(body, fmt.Sprintf("sidecar_adapter_source_up{source=%q} 1\n", name))
			if name == "many" {
				if n := strings.Count(body, "\nm{"); !up || n != 100_000 {
					t.Errorf("source many: up %v, %d series; want the first 100000", up, n)
				}
			} else if up || strings.Contains(body, "\n"+name+" ") || strings.Contains(body, "\nutf8") {
				t.Errorf("source %s is up, or part of it is in the page; want nothing of it", name)
			}
		}
		promtool(t, wantAnswer(t, time.Minute, p.scrape, "/good", http.StatusOK, `app_queue{source="first",name="first"} 42`, `app_queue{source="last",name="last"} 42`), false)
		if rss := p.memory("VmRSS"); rss > most {
			t.Errorf("the process has %d MiB; want at most %d", rss, most)
		}
	}
	t.Logf("at most %d MiB, now %d MiB", p.memory("VmHWM"), p.memory("VmRSS"))
	wantAnswer(t, time.Minute, p.admin, "/metrics", http.StatusOK, `sidecar_adapter_dropped_samples_total{source="many",reason="series-limit"} 2.7e+06`)
	p.ends()
}
