// Package answer tells probes what checks saw: over HTTP as a kubelet, a load balancer and people ask, and over gRPC as
// grpc.health.v1. Answers are made from a snapshot; nothing is looked at while somebody waits.
package answer

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sidecar-kit/sidecar/roles/adapter/check"
)

// The groups that have endpoints of their own.
const (
	Live    = "live"
	Ready   = "ready"
	Startup = "startup"
)

// Handler answers. It outlives the checks that it tells of: another configuration brings another board, and who watches over gRPC goes on.
type Handler struct {
	// Trusted says who may see details, which name hosts and what they said.
	Trusted func(r *http.Request) bool

	board   atomic.Pointer[check.Board]
	started latch
	gone    chan struct{}
	close   sync.Once
}

// New makes a handler that tells of the checks of a board.
func New(b *check.Board) *Handler {
	h := &Handler{gone: make(chan struct{})}
	h.Use(b)
	return h
}

// Use makes it tell of the checks of another board.
func (h *Handler) Use(b *check.Board) { h.board.Store(b) }

// Close ends what would go on for as long as a client wants: those who watch are told that nothing is served any more.
func (h *Handler) Close() { h.close.Do(func() { close(h.gone) }) }

// Paths are those that ServeHTTP answers, in the manner of http.ServeMux.
func Paths() []string {
	return []string{"/livez", "/livez/", "/readyz", "/readyz/", "/startupz", "/startupz/", "/healthz", "/healthz/", "/health", "/health/"}
}

// item is a check as it is now.
type item struct {
	state *check.State
	ok    bool
	why   string
}

// ServeHTTP answers 200 or 503: /livez, /readyz and /startupz for the checks of that group, /healthz and /health for all, /health/GROUP for
// those of a group, and all of them with /CHECK for one. 404 is for names that are not there.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed: want GET or HEAD", http.StatusMethodNotAllowed)
		return
	}
	base, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	items, known := h.pick(base, name)
	if !known {
		http.Error(w, fmt.Sprintf("no check and no group has the name %q", name), http.StatusNotFound)
		return
	}
	query := r.URL.Query()
	excluded := query["exclude"]
	ok := true
	kept := items[:0]
	for _, it := range items {
		if slices.Contains(excluded, it.state.Spec.Name) {
			continue
		}
		kept = append(kept, it)
		ok = ok && it.ok
	}
	if base == "startupz" && name == "" {
		ok = h.started.pass(ok || len(kept) == 0)
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	details := h.Trusted == nil || h.Trusted(r)
	if wantsJSON(r) {
		writeJSON(w, ok, kept, details)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	status(w, ok)
	if query.Has("verbose") {
		for _, it := range kept {
			_, _ = fmt.Fprint(w, line(it, details))
		}
	}
	_, _ = fmt.Fprintln(w, map[bool]string{true: "ok", false: "failed"}[ok])
}

func status(w http.ResponseWriter, ok bool) {
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

func line(it item, details bool) string {
	mark, text := "[+]", ""
	if !it.ok {
		mark = "[-]"
	}
	if details && it.why != "" {
		text = ": " + it.why
	}
	return fmt.Sprintf("%s %s%s\n", mark, it.state.Spec.Name, text)
}

// pick returns the checks that an address is about.
func (h *Handler) pick(base, name string) ([]item, bool) {
	now := time.Now()
	group := map[string]string{"livez": Live, "readyz": Ready, "startupz": Startup}[base]
	var all []item
	known := name == ""
	for _, st := range h.board.Load().States() {
		s := st.Spec
		in := group == "" || slices.Contains(s.Groups, group)
		if name != "" {
			in = s.Name == name || group == "" && slices.Contains(s.Groups, name)
		}
		if !in {
			continue
		}
		known = true
		ok, why := st.Well(now)
		all = append(all, item{st, ok, why})
	}
	return all, known
}

func wantsJSON(r *http.Request) bool {
	if f := r.URL.Query().Get("format"); f != "" {
		return f == "json"
	}
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, "application/health+json") || strings.Contains(accept, "application/json")
}

// The document is that of draft-inadarei-api-health-check-06.
type document struct {
	Status string               `json:"status"`
	Output string               `json:"output,omitempty"`
	Checks map[string][]element `json:"checks,omitempty"`
}

type element struct {
	Status   string `json:"status"`
	Type     string `json:"componentType,omitempty"`
	Observed string `json:"observedValue,omitempty"`
	Time     string `json:"time,omitempty"`
	Output   string `json:"output,omitempty"`
}

func word(ok bool) string {
	if ok {
		return "pass"
	}
	return "fail"
}

func writeJSON(w http.ResponseWriter, ok bool, items []item, details bool) {
	d := document{Status: word(ok), Checks: map[string][]element{}}
	for _, it := range items {
		e := element{Status: word(it.ok), Type: it.state.Spec.Kind}
		if it.state.Known {
			e.Time = it.state.At.UTC().Format(time.RFC3339Nano)
		}
		if details {
			e.Observed = it.state.Last.Value
			if !it.ok {
				e.Output = it.why
			}
		}
		d.Checks[it.state.Spec.Name] = []element{e}
	}
	w.Header().Set("Content-Type", "application/health+json")
	status(w, ok)
	_ = json.NewEncoder(w).Encode(d)
}
