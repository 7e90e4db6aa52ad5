package adapter

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/adapter/influx"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/otlp"
)

// receivers adds the paths at which sources take what is sent over HTTP.
func (a *Adapter) receivers(w *works, paths map[string]http.Handler) {
	for _, f := range w.sources {
		if f.table == nil || !f.plan.push.http {
			continue
		}
		switch f.plan.format {
		case influxWord:
			h := a.taking(f, a.takeInflux)
			add(paths, "/write", h)
			add(paths, "/api/v2/write", h)
			add(paths, "/ping", http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusNoContent) }))
		case otlpWord:
			add(paths, "/v1/metrics", a.taking(f, a.takeOTLP))
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

func refuse(w http.ResponseWriter, err error) {
	code := http.StatusBadRequest
	switch {
	case errors.Is(err, errTooBig):
		code = http.StatusRequestEntityTooLarge
	case errors.Is(err, errBusy):
		code = http.StatusServiceUnavailable // who sends it tries again
		w.Header().Set("Retry-After", "1")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = fmt.Fprintf(w, "{\"code\":\"invalid\",\"message\":%q,\"error\":%[1]q}\n", err.Error())
}

// takeInflux is /write of version 1 and /api/v2/write of version 2.
func (a *Adapter) takeInflux(f *feed, w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		http.Error(w, "method not allowed: want POST", http.StatusMethodNotAllowed)
		return
	}
	body, release, err := a.intake.read(w, r)
	defer release()
	if err != nil {
		f.table.Refuse()
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
	var drops model.Drops
	err = a.intake.decode(r.Context(), func() (err error) {
		drops, err = f.table.Write(body, func(body []byte, lim model.Limits) (model.Page, model.Page, model.Drops, error) {
			page, drops, err := influx.Decode(body, o, lim)
			return page, model.Page{}, drops, err
		})
		return err
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
func (a *Adapter) takeOTLP(f *feed, w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		http.Error(w, "method not allowed: want POST", http.StatusMethodNotAllowed)
		return
	}
	kind := r.Header.Get("Content-Type")
	body, release, err := a.intake.read(w, r)
	defer release()
	if err != nil {
		f.table.Refuse()
		refuse(w, err)
		return
	}
	asJSON := strings.HasPrefix(kind, "application/json")
	o := f.plan.read.otlp
	o.JSON = asJSON
	var drops model.Drops
	err = a.intake.decode(r.Context(), func() (err error) {
		drops, err = f.table.Write(body, func(body []byte, lim model.Limits) (model.Page, model.Page, model.Drops, error) {
			return otlp.Split(body, o, lim)
		})
		return err
	})
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
