package adapter

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/internal/suggest"
)

// Config is what the flags and the file say.
type Config struct {
	From        []string
	Serve       []string
	Listen      string
	WebConfig   string
	Timeout     time.Duration
	Offset      time.Duration
	MaxRequests int
	Compat      string // json_exporter, statsd_exporter or blackbox_exporter, =FILE or not
	CompatFile  string
	Module      string
	ProbeAllow  []string

	sources, views, checks             draft.Value
	sourcesNode, viewsNode, checksNode *yaml.Node
	reread                             func() error
	later                              func() []string // flags whose values in the file have changed
	file                               func() string
}

// Default returns what holds without any flag.
func Default() Config {
	return Config{Listen: ":9464", Timeout: 10 * time.Second, Offset: 500 * time.Millisecond, MaxRequests: 256}
}

// plan is the configuration, understood.
type plan struct {
	sources []sourcePlan
	views   []viewPlan
	checks  checksPlan
	compat  *compat
	listen  string
}

// plan understands everything, or returns all complaints.
func (c *Config) plan() (*plan, error) {
	p := &plan{listen: c.Listen}
	errs := []error{c.own()}
	var err error
	p.compat, err = c.readCompat()
	errs = append(errs, err)
	add := func(name string, v draft.Value) error {
		s, err := parseSource(name, v, p.compat, c.Module)
		p.sources = append(p.sources, s)
		return err
	}
	for i, text := range c.From {
		name, v, err := flagSource(i, len(c.From), text)
		if err == nil {
			err = add(name, v)
		}
		errs = append(errs, err)
	}
	errs = append(errs, c.sources.All(add))
	if p.compat != nil {
		errs = append(errs, p.compat.sources(p, add))
	}
	names := p.names()
	for _, text := range c.Serve {
		v, err := flagView(text)
		if err == nil {
			err = p.addView(v.path, v.value, names, c.Timeout)
		}
		errs = append(errs, err)
	}
	errs = append(errs, c.views.All(func(path string, v draft.Value) error { return p.addView(path, v, names, c.Timeout) }))
	p.checks, err = parseChecks(c.checks, names)
	errs = append(errs, err)
	if errors.Join(errs...) == nil {
		errs = append(errs, p.complete(c))
	}
	return p, errors.Join(errs...)
}

// own checks the flags that are numbers.
func (c *Config) own() error {
	var errs []error
	if c.Timeout < time.Millisecond || c.Timeout > time.Hour {
		errs = append(errs, fmt.Errorf("--timeout %s: want a time from 1ms to 1h", c.Timeout))
	}
	if c.Offset < 0 || c.Offset > time.Minute {
		errs = append(errs, fmt.Errorf("--timeout-offset %s: want a time from 0s to 1m", c.Offset))
	}
	if c.MaxRequests < 1 {
		errs = append(errs, fmt.Errorf("--max-requests %d: want 1 or more", c.MaxRequests))
	}
	if !isListen(c.Listen) {
		errs = append(errs, fmt.Errorf("--listen %s: want an address such as :9464 or 127.0.0.1:9464, or unix:///PATH", c.Listen))
	}
	return errors.Join(errs...)
}

// isListen is whether views can be served at an address.
func isListen(text string) bool {
	if strings.HasPrefix(text, "unix:///") {
		return true
	}
	_, port, err := net.SplitHostPort(text)
	_, bad := net.LookupPort("tcp", port)
	return err == nil && bad == nil
}

func (p *plan) names() (all []string) {
	for _, s := range p.sources {
		all = append(all, s.name)
	}
	return all
}

// complete checks what belongs together.
func (p *plan) complete(c *Config) error {
	if len(p.sources) == 0 && p.checks.empty() && !p.compat.probes() {
		return errors.New("nothing to do\nhint: want --from http://127.0.0.1:8080/metrics --serve /healthz, or sources, views and checks in the config file")
	}
	if len(p.views) == 0 && len(p.sources) > 0 {
		if p.compat == nil && p.checks.empty() {
			return errors.New("sources and no view\nhint: want --serve /metrics, or views: in the config file")
		}
		if p.compat != nil {
			if err := p.addView("/metrics", draft.Value{Place: "--compat", Shape: draft.Map}, p.names(), c.Timeout); err != nil {
				return err
			}
		}
	}
	var errs []error
	seen := map[string]bool{}
	for i, name := range p.names() {
		if seen[name] {
			errs = append(errs, fmt.Errorf("%s: two sources have the name %s: give each its own, a flag by --from NAME=URL", p.sources[i].value.Place, name))
		}
		seen[name] = true
	}
	for _, v := range p.views {
		at := v.listen + " " + v.path
		if v.emit == nil && seen[at] {
			errs = append(errs, fmt.Errorf("two views have the path %s", v.path))
		}
		seen[at] = true
	}
	return errors.Join(errs...)
}

// pieces cuts the format off the end of an address: http://host/metrics:json is http://host/metrics and json. What follows the last colon
// is a format only where a slash stands before it and it is the name of one, so that ports stay what they are.
func pieces(text string) (address, format string) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 || !slices.Contains(formats(), text[i+1:]) {
		return text, ""
	}
	return text[:i], text[i+1:]
}

// noFormat complains of what was meant to be one: /metrics:jsn. Other colons in paths are what they are.
func noFormat(text string) error {
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return nil
	}
	if meant := suggest.DidYouMean(":", text[i+1:], formats()); meant != "" {
		return fmt.Errorf("%s: %s is no format%s", secret.Redact(text), text[i+1:], meant)
	}
	return nil
}

// flagSource is the source that a value of --from describes.
func flagSource(i, many int, text string) (string, draft.Value, error) {
	place := "--from"
	if many > 1 {
		place += " " + strconv.Itoa(i+1)
	}
	name := "app"
	if i > 0 {
		name = "app" + strconv.Itoa(i+1)
	}
	if at, rest, ok := strings.Cut(text, "="); ok && isName(at) {
		name, text = at, rest
	}
	address, format := pieces(text)
	if format == "" {
		if err := noFormat(address); err != nil {
			return name, draft.Value{}, fmt.Errorf("%s %w", place, err)
		}
	}
	v := draft.Value{Place: place, Shape: draft.Map}
	put := func(key, text string) {
		v.Pairs = append(v.Pairs, draft.Pair{Key: key, Place: place, Value: draft.Of(place, text)})
	}
	scheme, path, _ := strings.Cut(address, "://")
	switch scheme {
	case "http", "https", "http+unix":
		put("url", address)
	case "file":
		put("file", path)
	case "redis":
		put("redis", path)
	case "udp", "tcp", "unix", "unixgram":
		put("listen", address)
	default:
		return name, v, fmt.Errorf("%s %s: want http://, https://, http+unix://, file://, redis://, udp://, tcp://, unix:// or unixgram://, with :FORMAT at the end or not", place, address)
	}
	if format != "" {
		put("format", format)
	}
	return name, v, nil
}

func isName(text string) bool {
	for _, r := range text {
		if r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return false
		}
	}
	return text != ""
}

type flagged struct {
	path  string
	value draft.Value
}

// flagView is the view that a value of --serve describes.
func flagView(text string) (flagged, error) {
	path, format := pieces(text)
	if format == "" {
		if err := noFormat(path); err != nil {
			return flagged{}, fmt.Errorf("--serve %w", err)
		}
	}
	if !strings.HasPrefix(path, "/") {
		return flagged{}, fmt.Errorf("--serve %s: want a path such as /metrics or /healthz:json", text)
	}
	f := flagged{path, draft.Value{Place: "--serve", Shape: draft.Map}}
	if format != "" {
		f.value.Pairs = append(f.value.Pairs, draft.Pair{Key: "format", Place: "--serve", Value: draft.Of("--serve", format)})
	}
	return f, nil
}

// Validate returns all complaints at once.
func (c *Config) Validate() error {
	_, err := c.plan()
	return err
}
