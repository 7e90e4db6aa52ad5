// Package blackbox reads a blackbox_exporter config file unchanged and answers its /probe, with metrics of the same names.
//
// It promises that a request's target is connected to only at addresses that an allow list has, redirects included; that credentials, headers and bodies
// of a module go to the host that was asked for, and to no other; and that the answer is no secret's. Who can write a configuration should use checks instead.
package blackbox

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/adapter/allow"
	"github.com/sidecar-kit/sidecar/roles/adapter/expo"
)

// Config is a file of modules.
type Config struct{ modules map[string]*module }

// module is one way to look at a target.
type module struct {
	prober  string
	timeout time.Duration
	refuse  string // why no probe can succeed: something is asked for that is not here
	address addressing
	tls     tlsSettings
	useTLS  bool
	web     webSettings
	talk    []step // tcp
	dns     dnsSettings
	grpc    grpcSettings
	icmp    icmpSettings
}

// look is one probe of a target.
type look struct {
	*module
	list   *allow.List
	target string
	host   string // the parameter hostname
	report *report
}

// The longest that a probe takes where neither the scraper nor the module says.
const mostTime = 2 * time.Minute

// Handler answers /probe?module=NAME&target=TARGET. offset is taken off the time that a scraper says, limit is the most that a probe
// may take whose module says nothing.
func Handler(c *Config, list *allow.List, offset, limit time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		name := query.Get("module")
		if name == "" {
			name = "http_2xx"
		}
		m := c.modules[name]
		if m == nil {
			http.Error(w, fmt.Sprintf("Unknown module %q", name), http.StatusBadRequest)
			return
		}
		l := &look{module: m, list: list, target: query.Get("target"), host: query.Get("hostname"), report: &report{}}
		if l.target == "" {
			http.Error(w, "Target parameter is missing", http.StatusBadRequest)
			return
		}
		timeout, err := m.span(r.Header.Get("X-Prometheus-Scrape-Timeout-Seconds"), offset, limit)
		if err != nil {
			http.Error(w, "Failed to parse timeout from Prometheus header: "+err.Error(), http.StatusBadRequest)
			return
		}
		if l.host != "" && m.prober == "http" && m.web.host != "" && m.web.host != l.host {
			http.Error(w, "host header defined both in the module and by the parameter hostname", http.StatusBadRequest)
			return
		}
		err = l.run(r.Context(), timeout)
		if errors.Is(err, allow.ErrNotAllowed) {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		l.answer(w, r, err)
	})
}

// span is how long a probe may take.
func (m *module) span(header string, offset, limit time.Duration) (time.Duration, error) {
	most := mostTime
	if header != "" {
		s, err := strconv.ParseFloat(header, 64)
		if err != nil || !(s >= 0 && s < 1e9) {
			return 0, fmt.Errorf("%q is no number of seconds", secret.Printable(header))
		}
		if s > 0 {
			most = time.Duration(s * float64(time.Second))
		}
	}
	if most > offset {
		most -= offset
	}
	if m.timeout > 0 {
		limit = m.timeout
	}
	if limit > 0 {
		most = min(most, limit)
	}
	return most, nil
}

func (l *look) run(parent context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(parent, timeout)
	defer cancel()
	start := time.Now()
	l.report.set("probe_success", "Displays whether or not the probe was a success", 0)
	l.report.set("probe_duration_seconds", "Returns how long the probe took to complete in seconds", 0)
	l.report.set("probe_timeout_seconds", "Returns how long the probe timeout is in seconds", timeout.Seconds())
	err := l.probe(ctx)
	l.report.set("probe_duration_seconds", "", time.Since(start).Seconds())
	if err == nil {
		l.report.set("probe_success", "", 1)
	}
	return err
}

func (l *look) probe(ctx context.Context) error {
	if l.refuse != "" {
		return errors.New(l.refuse)
	}
	switch l.prober {
	case "http":
		return l.probeHTTP(ctx)
	case "tcp":
		return l.probeTCP(ctx)
	case "dns":
		return l.probeDNS(ctx)
	case "grpc":
		return l.probeGRPC(ctx)
	case "icmp":
		return l.probeICMP(ctx)
	}
	return l.probeUnix(ctx)
}

// answer writes the metrics, and why a probe failed into a header, or before them with debug=true.
func (l *look) answer(w http.ResponseWriter, r *http.Request, err error) {
	why := ""
	if err != nil {
		why = secret.Printable(secret.Redact(err.Error()))
		w.Header().Set("X-Probe-Error", why)
	}
	d, kind := expo.Negotiate(r.Header.Get("Accept"))
	if r.URL.Query().Get("debug") == "true" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if why == "" {
			why = "none"
		}
		_, _ = fmt.Fprintf(w, "What went wrong: %s\n\nMetrics that would have been returned:\n", why)
	} else {
		w.Header().Set("Content-Type", kind)
	}
	body, _ := expo.Encode(nil, l.report.sorted(), d)
	_, _ = w.Write(body)
}
