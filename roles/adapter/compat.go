package adapter

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/suggest"
	"github.com/sidecar-kit/sidecar/roles/adapter/allow"
	"github.com/sidecar-kit/sidecar/roles/adapter/compat/blackbox"
	"github.com/sidecar-kit/sidecar/roles/adapter/compat/jsonexporter"
	"github.com/sidecar-kit/sidecar/roles/adapter/source"
	"github.com/sidecar-kit/sidecar/roles/adapter/statsmap"
)

// The programs whose files are read as they are.
const (
	jsonExporter   = "json_exporter"
	statsdExporter = "statsd_exporter"
	blackBox       = "blackbox_exporter"
)

// compat is another program's configuration.
type compat struct {
	kind  string
	allow *allow.List
	json  *jsonexporter.Config
	black *blackbox.Config
	file  string
	text  string // of the file
}

// placeFile is what the argument of --compat KIND FILE stands for.
func placeFile(args []string) (map[string][]string, error) {
	switch len(args) {
	case 0:
		return nil, nil
	case 1:
		return map[string][]string{"compat-file": args}, nil
	}
	return nil, fmt.Errorf("unexpected argument %s: adapter takes flags, and one file after --compat KIND", args[1])
}

// compatFile is the file that --compat reads, "" without.
func (c *Config) compatFile() string {
	if _, file, ok := strings.Cut(c.Compat, "="); ok {
		return file
	}
	return c.CompatFile
}

// readCompat reads the file of --compat; nil without.
func (c *Config) readCompat() (*compat, error) {
	list, err := allow.Parse(c.ProbeAllow)
	if err != nil {
		return nil, fmt.Errorf("--probe-allow: %w", err)
	}
	kind, _, _ := strings.Cut(c.Compat, "=")
	file := c.compatFile()
	switch {
	case kind == "" && file != "":
		return nil, fmt.Errorf("%s: an argument without --compat KIND", file)
	case kind == "" && !list.Empty():
		return nil, errors.New("--probe-allow: there is no /probe without --compat json_exporter or blackbox_exporter")
	case kind == "":
		return nil, nil
	}
	kinds := []string{jsonExporter, statsdExporter, blackBox}
	if kind == "blackbox" {
		kind = blackBox
	}
	if !slices.Contains(kinds, kind) {
		return nil, fmt.Errorf("--compat %s: want one of %s%s", kind, strings.Join(kinds, ", "), suggest.DidYouMean("", kind, kinds))
	}
	if file == "" {
		return nil, fmt.Errorf("--compat %s: want its config file after all flags", kind)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--compat %s: %w", kind, err)
	}
	p := &compat{kind: kind, allow: list, file: file, text: string(text)}
	switch kind {
	case jsonExporter:
		p.json, err = jsonexporter.Load(file, text)
	case blackBox:
		p.black, err = blackbox.Load(file, text)
		if err == nil && list.Empty() {
			err = errors.New("--compat blackbox_exporter: its targets come with requests; want --probe-allow for those that may be asked about")
		}
	default:
		_, err = statsmap.Load(file, text)
	}
	return p, err
}

// probes is whether there is a /probe.
func (c *compat) probes() bool {
	return c != nil && c.kind != statsdExporter && !c.allow.Empty()
}

// handler answers /probe.
func (c *compat) handler(a *Adapter) http.Handler {
	if c.kind == blackBox {
		return blackbox.Handler(c.black, c.allow, a.cfg.Offset, a.cfg.Timeout)
	}
	return jsonProbe(c, a.cfg)
}

// sources adds the source that the file is about, where no flag gives one: statsd_exporter listens at 9125.
func (c *compat) sources(p *plan, add func(name string, v draft.Value) error) error {
	if c.kind != statsdExporter {
		return nil
	}
	v := draft.Value{Place: "--compat", Shape: draft.Map}
	put := func(key string, value draft.Value) {
		v.Pairs = append(v.Pairs, draft.Pair{Key: key, Place: "--compat", Value: value})
	}
	for i := range p.sources {
		s := &p.sources[i]
		if s.push != nil && s.format == statsdWord && s.push.rules == nil {
			// A source that listens somewhere else gets the mapping.
			own := s.value
			own.Pairs = append(slices.Clone(own.Pairs), draft.Pair{Key: "mapping-file", Place: "--compat", Value: draft.Of("--compat", c.file)})
			fresh, err := parseSource(s.name, own, nil, "")
			p.sources[i] = fresh
			return err
		}
	}
	put("listen", draft.Value{Place: "--compat", Shape: draft.List, Items: []draft.Value{draft.Of("--compat", "udp://127.0.0.1:9125"), draft.Of("--compat", "tcp://127.0.0.1:9125")}})
	put("mapping-file", draft.Of("--compat", c.file))
	return add("statsd", v)
}

// readModule reads the module of --compat json_exporter that a source is read by: the one it names, or that of --module.
func (r *reading) readModule(s *sourcePlan, v draft.Value, c *compat, module string) error {
	named := only(v, []string{"module"})
	if len(named.Pairs) == 0 && (c == nil || c.json == nil || !strings.HasPrefix(named.Place, "--from") || r.format != auto) {
		return nil
	}
	if c == nil || c.json == nil {
		return v.Errorf("module: there is no --compat json_exporter")
	}
	err := named.All(func(_ string, v draft.Value) error { return v.Word(&module) })
	if err != nil {
		return err
	}
	if module == "" {
		module = "default"
	}
	m := c.json.Modules[module]
	if m == nil {
		return v.Errorf("module %s: %s has no module of that name%s", module, c.file, suggest.DidYouMean("", module, slices.Sorted(maps.Keys(c.json.Modules))))
	}
	r.module, s.modules = m.Decode, c.text
	return applyModule(&s.pull, m, nil)
}

// applyModule asks as a module says.
func applyModule(o *source.Options, m *jsonexporter.Module, query url.Values) error {
	o.Method, o.Status = m.Method, m.Status
	o.Headers = maps.Clone(m.Headers)
	if m.Body != "" {
		o.Render = func() (string, error) {
			if m.Templated {
				return m.Render(query)
			}
			return m.Body, nil
		}
	}
	o.User, o.UserFile, o.Password, o.PassFile = m.User, m.UserFile, m.Password, m.PassFile
	o.AuthType, o.Token, o.TokenFile, o.Tokens = m.AuthType, m.Token, m.TokenFile, m.Tokens
	o.CA, o.Cert, o.Key, o.ServerName, o.Insecure = m.CA, m.Cert, m.Key, m.ServerName, m.Insecure
	o.Redirects = !m.NoRedirects
	if o.URL == nil {
		return errors.New("module: only a source with url has one")
	}
	return nil
}
