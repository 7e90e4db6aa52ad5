package adapter

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/adapter/influx"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/otlp"
)

// Bounds of what is sent to us over HTTP, before and after it is unpacked.
const (
	mostSent     = 16 << 20
	mostUnpacked = 64 << 20
)

// receivers adds the paths at which sources take what is sent over HTTP.
func (a *Adapter) receivers(w *works, paths map[string]http.Handler) {
	for _, f := range w.sources {
		if f.table == nil || !f.plan.push.http {
			continue
		}
		switch f.plan.format {
		case influxWord:
			h := a.taking(f, takeInflux)
			add(paths, "/write", h)
			add(paths, "/api/v2/write", h)
			add(paths, "/ping", http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusNoContent) }))
		case otlpWord:
			add(paths, "/v1/metrics", a.taking(f, takeOTLP))
		}
	}
}

// taking is take for those whom the source allows.
func (a *Adapter) taking(f *feed, take func(f *feed, w http.ResponseWriter, r *http.Request)) http.Handler {
	return a.server.Limited(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if at, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && !f.table.Allows(at.Addr()) {
			http.Error(w, "forbidden: this address is not in allow of the source", http.StatusForbidden)
			return
		}
		take(f, w, r)
	}))
}

var errTooBig = errors.New("the body is too large")

// sent reads a body within its bounds.
func sent(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	var from io.Reader = http.MaxBytesReader(w, r.Body, mostSent)
	switch coding := strings.ToLower(r.Header.Get("Content-Encoding")); coding {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(from)
		if err != nil {
			return nil, fmt.Errorf("gzip: %w", err)
		}
		from = z
	default:
		return nil, fmt.Errorf("content encoding %q is not supported; want gzip or none", coding)
	}
	var b bytes.Buffer
	n, err := b.ReadFrom(io.LimitReader(from, mostUnpacked+1))
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) || n > mostUnpacked {
		return nil, errTooBig
	}
	return b.Bytes(), err
}

func refuse(w http.ResponseWriter, err error) {
	code := http.StatusBadRequest
	if errors.Is(err, errTooBig) {
		code = http.StatusRequestEntityTooLarge
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = fmt.Fprintf(w, "{\"code\":\"invalid\",\"message\":%q,\"error\":%[1]q}\n", err.Error())
}

// takeInflux is /write of version 1 and /api/v2/write of version 2.
func takeInflux(f *feed, w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		http.Error(w, "method not allowed: want POST", http.StatusMethodNotAllowed)
		return
	}
	body, err := sent(w, r)
	if err != nil {
		refuse(w, err)
		return
	}
	o := f.plan.read.influx
	if p := r.URL.Query().Get("precision"); p != "" {
		if p == "n" || p == "u" {
			p += "s" // as version 1 writes them
		}
		if p != "ns" && p != "us" && p != "ms" && p != "s" {
			refuse(w, fmt.Errorf("precision %q: want ns, us, ms or s", p))
			return
		}
		o.Precision = p
	}
	drops, err := f.table.Write(body, func(body []byte, lim model.Limits) (model.Page, model.Page, model.Drops, error) {
		page, drops, err := influx.Decode(body, o, lim)
		return page, model.Page{}, drops, err
	})
	if n := drops[model.Unreadable]; err == nil && n > 0 {
		err = fmt.Errorf("partial write: %d lines or fields cannot be read; the others are taken", n)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// takeOTLP is /v1/metrics.
func takeOTLP(f *feed, w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		http.Error(w, "method not allowed: want POST", http.StatusMethodNotAllowed)
		return
	}
	kind := r.Header.Get("Content-Type")
	body, err := sent(w, r)
	if errors.Is(err, errTooBig) {
		refuse(w, err)
		return
	}
	asJSON := strings.HasPrefix(kind, "application/json")
	var drops model.Drops
	if err == nil {
		o := f.plan.read.otlp
		o.JSON = asJSON
		drops, err = f.table.Write(body, func(body []byte, lim model.Limits) (model.Page, model.Page, model.Drops, error) {
			return otlp.Split(body, o, lim)
		})
	}
	if err != nil {
		refuse(w, err)
		return
	}
	drops[model.Unwanted] = 0 // the user asked for that
	why := ""
	if drops.Sum() > 0 {
		why = "left out: " + reasons(drops)
	}
	if asJSON {
		w.Header().Set("Content-Type", "application/json")
	} else {
		w.Header().Set("Content-Type", "application/x-protobuf")
	}
	_, _ = w.Write(otlp.Answer(drops.Sum(), why, asJSON))
}
