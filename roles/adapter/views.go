package adapter

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/suggest"
	"github.com/sidecar-kit/sidecar/roles/adapter/merge"
	"github.com/sidecar-kit/sidecar/roles/adapter/relabel"
	"github.com/sidecar-kit/sidecar/roles/adapter/shape"
)

// viewPlan is a view, understood.
type viewPlan struct {
	path    string
	value   draft.Value
	listen  string // "": --listen
	from    []string
	format  string
	policy  merge.Policy
	label   string
	program *relabel.Program
	shape   *shape.Shape
	meta    string // auto, true or false
	timeout time.Duration
	headers map[string]string
	methods []string
	emit    *emitPlan // nil: it is asked for
}

func ownViewKeys() []string {
	return []string{"from", "format", "on-conflict", "conflict-label", "listen", "meta", "timeout", "headers", "methods", "push"}
}

// addView reads an entry of views.
func (p *plan) addView(path string, v draft.Value, sources []string, timeout time.Duration) error {
	w := viewPlan{path: path, value: v, format: "auto", policy: merge.Label, label: "source", meta: "auto", timeout: timeout, methods: []string{"GET", "HEAD"}}
	known := slices.Concat(ownViewKeys(), relabel.Keys(), shape.Keys())
	errs := []error{v.All(func(key string, v draft.Value) error {
		if slices.Contains(known, key) || slices.Contains(known, strings.ReplaceAll(key, "_", "-")) {
			return nil
		}
		return v.Errorf("unknown key%s", suggest.DidYouMean("", key, known))
	})}
	errs = append(errs, only(v, ownViewKeys()).Each(ownViewKeys(), func(key string, v draft.Value) error { return w.set(key, v, sources) }))
	if len(w.from) == 0 {
		w.from = sources
	}
	if w.emit == nil && (!strings.HasPrefix(path, "/") || strings.ContainsAny(path, " {}?#")) {
		errs = append(errs, v.Errorf("view %q: want a path such as /metrics", path))
	}
	var err error
	w.program, err = relabel.Parse(only(v, relabel.Keys()))
	errs = append(errs, err)
	w.shape, err = parseShape(&w, only(v, shape.Keys()))
	errs = append(errs, err)
	p.views = append(p.views, w)
	return errors.Join(errs...)
}

func (w *viewPlan) set(key string, v draft.Value, sources []string) error {
	switch key {
	case "from":
		err := v.Words(&w.from)
		for i, name := range w.from {
			if slices.Contains(w.from[:i], name) {
				err = errors.Join(err, v.Errorf("source %s is there twice, and would be in conflict with itself", name))
			}
			if !slices.Contains(sources, name) {
				err = errors.Join(err, v.Errorf("no source has the name %s%s", name, suggest.DidYouMean("", name, sources)))
			}
		}
		return err
	case "format":
		return v.OneOf(&w.format, viewFormats()...)
	case "on-conflict":
		var text string
		if err := v.Word(&text); err != nil {
			return err
		}
		var err error
		if w.policy, err = merge.ParsePolicy(text); err != nil {
			return v.Errorf("%w", err)
		}
		return nil
	case "conflict-label":
		return v.Word(&w.label)
	case "listen":
		if err := v.Word(&w.listen); err != nil {
			return err
		}
		if !isListen(w.listen) {
			return v.Errorf("%s: want an address such as :9464 or 127.0.0.1:9464, or unix:///PATH", w.listen)
		}
		return nil
	case "meta":
		return v.OneOf(&w.meta, "auto", "true", "false")
	case "timeout":
		return v.Duration(&w.timeout, time.Millisecond, time.Hour)
	case "methods":
		w.methods = nil
		return v.Each1(func(v draft.Value) error {
			var m string
			err := v.OneOf(&m, "GET", "HEAD", "POST", "PUT")
			w.methods = append(w.methods, m)
			return err
		})
	case "push":
		var err error
		w.emit, err = parseEmit(v)
		return err
	}
	w.headers = map[string]string{}
	return v.All(func(name string, v draft.Value) error {
		var text string
		err := v.Word(&text)
		if strings.ContainsAny(text, "\r\n") || strings.ContainsAny(name, " :\r\n") || name == "" {
			err = errors.Join(err, v.Errorf("header %q: want a name and a value of one line", name))
		}
		w.headers[name] = text
		return err
	})
}

// shows is whether families about the sources are part of what is served.
func (w *viewPlan) shows() bool {
	switch w.meta {
	case "true":
		return true
	case "false":
		return false
	}
	return w.emit == nil && (w.format == "auto" || w.format == "prometheus" || w.format == "openmetrics")
}

// String is the view in a line.
func (w *viewPlan) String() string {
	to := w.path
	if w.emit != nil {
		to += " pushed"
	}
	return fmt.Sprintf("%s (%s) from %s", to, w.format, strings.Join(w.from, ", "))
}
