package adapter

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/adapter/allow"
	"github.com/sidecar-kit/sidecar/roles/adapter/compat/jsonexporter"
	"github.com/sidecar-kit/sidecar/roles/adapter/expo"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/source"
)

// jsonProbe answers /probe?module=NAME&target=URL as json_exporter does, for targets that are allowed. Credentials of a module go to these alone.
func jsonProbe(c *compat, cfg *Config) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		name := query.Get("module")
		if name == "" {
			name = "default"
		}
		m := c.json.Modules[name]
		if m == nil {
			http.Error(w, fmt.Sprintf("Unknown module %q", name), http.StatusBadRequest)
			return
		}
		target := query.Get("target")
		if target == "" {
			http.Error(w, "Target parameter is missing", http.StatusBadRequest)
			return
		}
		page, err := askTarget(r, c.allow, m, target, cfg)
		switch {
		case errors.Is(err, allow.ErrNotAllowed):
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		case err != nil:
			http.Error(w, "Failed to fetch JSON response. TARGET: "+secret.Redact(target)+", ERROR: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		d, kind := expo.Negotiate(r.Header.Get("Accept"))
		w.Header().Set("Content-Type", kind)
		body, _ := expo.Encode(nil, page, d)
		_, _ = w.Write(body)
	})
}

func askTarget(r *http.Request, list *allow.List, m *jsonexporter.Module, target string, cfg *Config) (*model.Page, error) {
	o := source.Options{Name: "probe", Timeout: cfg.Timeout, MaxBody: source.DefaultMaxBody, MaxSize: source.DefaultMaxSize, Method: http.MethodGet, Dial: list.Dial}
	var err error
	if o.URL, err = source.ParseURL(target); err != nil {
		return nil, err
	}
	port := o.URL.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[o.URL.Scheme]
	}
	if err := list.Host(o.URL.Hostname(), port); err != nil {
		return nil, err
	}
	if err := applyModule(&o, m, r.URL.Query()); err != nil {
		return nil, err
	}
	web, err := source.NewWeb(o)
	if err != nil {
		return nil, err
	}
	defer web.Close()
	s := source.New(o, web, func(b source.Body) (model.Page, model.Drops, error) { return m.Decode(b.Data, defaultLimits()) })
	result := s.Fetch(r.Context())
	if result.Page == nil {
		return nil, result.Err
	}
	return result.Page, nil
}
