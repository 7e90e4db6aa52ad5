package adapter

import (
	"fmt"
	"html"
	"net/http"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/adapter/answer"
)

// mux answers what an address serves: views, what checks saw, and what is sent to us.
func (a *Adapter) mux(w *works, addr string) http.Handler {
	paths := map[string]http.Handler{}
	for i, v := range w.views {
		p := &w.plan.views[i]
		at := p.listen
		if at == "" {
			at = w.plan.listen
		}
		if p.emit == nil && at == addr {
			paths[p.path] = a.rest.after(a.server.Limited(v))
		}
	}
	if addr == w.plan.listen {
		a.receivers(w, paths)
		if w.plan.compat.probes() {
			add(paths, "/probe", a.server.Limited(w.plan.compat.handler(a)))
		}
	}
	checks := !w.plan.checks.empty()
	grpc := a.answers.GRPC()
	watch := a.server.Limited(grpc)
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if h := paths[r.URL.Path]; h != nil {
			h.ServeHTTP(rw, r)
			return
		}
		switch path := r.URL.Path; {
		case checks && path == answer.GRPCPath+"Watch": // it goes on for as long as the client wants
			watch.ServeHTTP(rw, r)
		case checks && strings.HasPrefix(path, answer.GRPCPath):
			grpc.ServeHTTP(rw, r)
		case checks && isAnswer(path):
			a.answers.ServeHTTP(rw, r)
		case path == "/":
			index(rw, paths, checks)
		default:
			http.Error(rw, "not found: / lists what is served", http.StatusNotFound)
		}
	})
}

// add takes a path that no view has.
func add(paths map[string]http.Handler, path string, h http.Handler) {
	if paths[path] == nil {
		paths[path] = h
	}
}

func isAnswer(path string) bool {
	for _, p := range answer.Paths() {
		if path == p || strings.HasSuffix(p, "/") && strings.HasPrefix(path, p) {
			return true
		}
	}
	return false
}

// index lists what is served, for people.
func index(w http.ResponseWriter, paths map[string]http.Handler, checks bool) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	all := sorted(paths)
	if checks {
		all = append(all, "/livez?verbose", "/readyz?verbose", "/startupz?verbose", "/healthz?verbose")
	}
	_, _ = fmt.Fprint(w, "<!doctype html><title>sidecar adapter</title><h1>sidecar adapter</h1><ul>")
	for _, p := range all {
		_, _ = fmt.Fprintf(w, "<li><a href=\"%s\">%[1]s</a>", html.EscapeString(p))
	}
	_, _ = fmt.Fprint(w, "</ul>\n")
}

func sorted(paths map[string]http.Handler) []string {
	var all []string
	for p := range paths {
		i := len(all)
		all = append(all, p)
		for ; i > 0 && all[i-1] > p; i-- {
			all[i] = all[i-1]
		}
		all[i] = p
	}
	return all
}
