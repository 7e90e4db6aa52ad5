// Package jsonexporter reads the configuration file of prometheus-community/json_exporter as it is, and turns bodies into the pages that it would give. Paths are
// kubectl's JSONPath; the body is parsed once, whatever the number of metrics.
//
// What differs from it, on purpose:
//
//   - numbers in labels are as the document has them, not 1.7e+09; timestamps may be such numbers, too, which it refuses
//   - a series that comes twice is dropped and counted; it answers with status 500
//   - a filter compares numbers with numbers; it refuses to, since its own numbers are of another type than those of the document
//   - a label with an empty value is left out, which Prometheus takes for the same
//   - unknown keys, types and template functions are errors when the file is read, with file and line, as are range and end in paths, proxies and certificates within the file
package jsonexporter

import (
	"errors"

	"sort"
	"strings"
	"sync/atomic"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/order"
	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/oauth"
	"github.com/sidecar-kit/sidecar/roles/adapter/page"
)

// Config is a configuration file.
type Config struct{ Modules map[string]*Module }

// Module says how a target is asked, and what its answer means. "default" is the one that is used where none is named.
type Module struct {
	Name, Place string
	HTTP
	metrics []metric
	sizes   atomic.Pointer[map[string]int] // of the page before
}

// HTTP is how a target is asked. Files are as in the configuration: relative to where the program runs.
type HTTP struct {
	Method  string            // GET, or POST with a body
	Headers map[string]string // Accept among them
	Status  []int             // that are accepted; none: 200 to 299

	Body      string // what is sent, unless BodyTemplated
	Templated bool   // Render makes the body of Body and the query of the request
	render    *renderer

	User, UserFile string
	Password       secret.Value
	PassFile       string
	AuthType       string // of Token and TokenFile: "Bearer" or another word in front
	Token          secret.Value
	TokenFile      string

	CA, Cert, Key, ServerName string
	Insecure                  bool
	NoRedirects               bool
	Tokens                    *oauth.Client // of oauth2, nil without
}

type metric struct {
	place   string
	object  bool
	allow   bool
	path    *pattern
	time    *pattern
	labels  []label
	outputs []output
}

type label struct {
	name  string
	value *pattern
}

// output is a series of a metric.
type output struct {
	family string
	suffix string
	help   string
	kind   model.Type
	value  *pattern // nil: what the metric's path finds
}

// Load reads a configuration file; path is its name in errors, each of which has the line.
func Load(path string, text []byte) (*Config, error) {
	v, err := draft.Parse(path, text)
	if err != nil {
		return nil, err
	}
	c := &Config{Modules: map[string]*Module{}}
	err = v.Each([]string{"modules"}, func(_ string, v draft.Value) error {
		return v.All(func(name string, v draft.Value) error {
			m, err := parseModule(name, v)
			c.Modules[name] = m
			return err
		})
	})
	if err == nil && len(c.Modules) == 0 {
		err = v.Errorf("there is no module; write modules: {default: {metrics: [...]}}")
	}
	return c, err
}

// Names are the names of the modules, sorted.
func (c *Config) Names() []string {
	names := make([]string, 0, len(c.Modules))
	for name := range c.Modules {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

func parseModule(name string, v draft.Value) (*Module, error) {
	m := &Module{Name: name, Place: v.Place, HTTP: HTTP{Method: "GET", Headers: map[string]string{}}}
	err := v.Each([]string{"headers", "metrics", "http_client_config", "body", "valid_status_codes"}, func(key string, v draft.Value) error {
		switch key {
		case "headers":
			return v.All(func(key string, v draft.Value) error {
				var text string
				err := v.Word(&text)
				m.Headers[key] = text
				return err
			})
		case "metrics":
			return v.Each1(func(v draft.Value) error {
				one, err := parseMetric(v)
				m.metrics = append(m.metrics, one)
				return err
			})
		case "http_client_config":
			return m.parseClient(v)
		case "body":
			return m.parseBody(v)
		}
		return v.Each1(func(v draft.Value) error {
			var code int
			err := v.Int(&code, 100, 599)
			m.Status = append(m.Status, code)
			return err
		})
	})
	accept := false
	for key := range m.Headers {
		accept = accept || strings.EqualFold(key, "Accept")
	}
	if !accept {
		m.Headers["Accept"] = "application/json"
	}
	return m, err
}

// draftMetric is a metric as it is written.
type draftMetric struct {
	name, help     string
	kind           model.Type
	labels, values draft.Value
}

func parseMetric(v draft.Value) (metric, error) {
	m := metric{place: v.Place}
	d := draftMetric{}
	known := []string{"name", "path", "labels", "type", "valuetype", "epochtimestamp", "epochTimestamp", "help", "values", "allow_missing_key"}
	var at draft.Value
	err := v.Each(known, func(key string, v draft.Value) error {
		var word string
		switch key {
		case "name":
			at = v
			return v.Word(&d.name)
		case "path":
			return parsePath(v, &m.path)
		case "labels":
			d.labels = v
			return nil
		case "type":
			err := v.OneOf(&word, "value", "object")
			m.object = word == "object"
			return err
		case "valuetype":
			if err := v.OneOf(&word, "untyped", "gauge", "counter"); err != nil {
				return err
			}
			d.kind = map[string]model.Type{"gauge": model.Gauge, "counter": model.Counter}[word]
			return nil
		case "epochtimestamp", "epochTimestamp":
			return parsePath(v, &m.time)
		case "help":
			return v.Word(&d.help)
		case "allow_missing_key":
			return v.Bool(&m.allow)
		}
		d.values = v
		return nil
	})
	errs := []error{err}
	if d.name == "" {
		errs = append(errs, v.Errorf("the metric has no name"))
	} else if !page.IsName(d.name, true) {
		errs = append(errs, at.Errorf("%q cannot be the name of a metric; use letters, digits, underscores and colons", d.name))
	}
	if m.path == nil && err == nil {
		errs = append(errs, v.Errorf("the metric has no path"))
	}
	if d.help == "" {
		d.help = d.name
	}
	errs = append(errs, m.parseLabels(d.labels), m.parseOutputs(v, d))
	return m, errors.Join(errs...)
}

func parsePath(v draft.Value, dst **pattern) error {
	var text string
	if err := v.Word(&text); err != nil {
		return err
	}
	t, err := parsePattern(text)
	if err != nil {
		return v.Errorf("%w", err)
	}
	*dst = t
	return nil
}

func (m *metric) parseLabels(v draft.Value) error {
	err := v.All(func(key string, v draft.Value) error {
		if !page.IsName(key, false) || strings.HasPrefix(key, "__") {
			return v.Errorf("%q cannot be the name of a label; use letters, digits and underscores", key)
		}
		l := label{name: key}
		err := parsePath(v, &l.value)
		m.labels = append(m.labels, l)
		return err
	})
	order.Sort(m.labels, func(a, b label) int { return strings.Compare(a.name, b.name) })
	return err
}

func (m *metric) parseOutputs(at draft.Value, d draftMetric) error {
	base := output{help: d.help, kind: d.kind}
	if !m.object {
		if d.values.Shape != draft.Empty {
			return d.values.Errorf("values belong to metrics of type object")
		}
		m.add(base, d.name, nil)
		return nil
	}
	if d.values.Shape == draft.Empty {
		return at.Errorf("a metric of type object has values: name: path")
	}
	return d.values.All(func(key string, v draft.Value) error {
		name := d.name + "_" + key
		if !page.IsName(name, true) {
			return v.Errorf("%q cannot be the name of a metric; use letters, digits, underscores and colons", name)
		}
		var value *pattern
		err := parsePath(v, &value)
		m.add(base, name, value)
		return err
	})
}

func (m *metric) add(o output, name string, value *pattern) {
	o.family, o.value = name, value
	if o.kind == model.Counter {
		if short, ok := strings.CutSuffix(name, "_total"); ok && short != "" {
			o.family, o.suffix = short, "_total"
		}
	}
	m.outputs = append(m.outputs, o)
}
