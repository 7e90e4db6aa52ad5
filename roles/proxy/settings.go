package proxy

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sidecar-kit/sidecar/internal/tlsconf"
	"github.com/sidecar-kit/sidecar/roles/proxy/route"
)

// Config is what the flags and the file say.
type Config struct {
	Routes    []string // as text
	Instances []string
	Defaults  []string // key=value of every route that does not say otherwise
	Engine    string   // own or std
	Quiet     time.Duration
	Follow    []string // what the application is known by: tcp:HOST:PORT, pid:FILE, file:PATH
	Requires  []string // names of clusters that readiness waits for

	drafts  fileDrafts
	reread  func() error
	file    func() string
	waiting func() []string // flags that the file gives other values than at the start
	now     func() time.Time
}

// fileDrafts are routes and clusters of the config file.
type fileDrafts struct {
	routes, clusters         []route.Draft
	routesNode, clustersNode *yaml.Node
}

// Default returns what holds without any flag.
func Default() Config {
	return Config{Engine: "own", Quiet: time.Second, now: time.Now}
}

// table reads all routes. The error has all complaints.
func (c *Config) table() (*route.Table, error) {
	var drafts []route.Draft
	var errs []error
	for i, text := range c.Routes {
		place := "--route"
		if len(c.Routes) > 1 {
			place += " " + strconv.Itoa(i+1)
		}
		d, err := route.ParseText(text, place)
		errs = append(errs, err)
		if err == nil {
			drafts = append(drafts, d)
		}
	}
	named := map[string]bool{}
	for _, text := range c.Instances {
		more, err := route.ParseInstances(text, "--instances")
		for i := range more { // one instance may be at several addresses, and nobody can give them names
			if d := &more[i]; named[d.Name] {
				d.Name += " " + d.Listen
			}
			named[more[i].Name] = true
		}
		drafts = append(drafts, more...)
		errs = append(errs, err)
	}
	drafts = append(drafts, c.drafts.routes...)
	defaults, err := c.defaults()
	errs = append(errs, err)
	t, err := route.Build(drafts, c.drafts.clusters, defaults...)
	errs = append(errs, err)
	if len(drafts) == 0 && errors.Join(errs...) == nil {
		return nil, errors.New("no route\nhint: want --route 'LISTEN => UPSTREAM', such as --route 'https://:8443?cert=/tls => http://127.0.0.1:8080', or routes: in the config file")
	}
	return t, errors.Join(errs...)
}

func (c *Config) defaults() (all []route.Setting, err error) {
	var errs []error
	for _, text := range c.Defaults {
		key, value, ok := strings.Cut(text, "=")
		if !ok {
			errs = append(errs, fmt.Errorf("--default %s: want KEY=VALUE, such as log=errors", text))
			continue
		}
		all = append(all, route.Setting{Key: key, Value: value, Place: "--default", Side: route.OfRoute})
	}
	return all, errors.Join(errs...)
}

// Validate returns all complaints at once, also those about certificates.
func (c *Config) Validate() error {
	var errs []error
	if c.Quiet < 0 {
		errs = append(errs, fmt.Errorf("--quiet %s: want 0s or more", c.Quiet))
	}
	t, err := c.table()
	errs = append(errs, err)
	if t == nil {
		return errors.Join(errs...)
	}
	for _, name := range c.Requires {
		if required(t, name) == nil {
			errs = append(errs, fmt.Errorf("--ready-requires %s: want the name of a route or of a cluster", name))
		}
	}
	for _, text := range c.Follow {
		_, err := parseFollow(text)
		errs = append(errs, err)
	}
	return errors.Join(append(errs, c.checkFiles(t, false)...)...)
}

// required finds the cluster that readiness waits for.
func required(t *route.Table, name string) *route.Cluster {
	for _, r := range t.Routes {
		if r.Name == name && r.Cluster != nil {
			return r.Cluster
		}
	}
	for _, c := range t.Clusters {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Strict tells of certificates that time has passed by. They are served all the same: to many clients they are no worse than
// nothing, and a pod that does not start is. A check is where somebody wants to know.
func (c *Config) Strict() error {
	t, err := c.table()
	if err != nil {
		return nil //nolint:nilerr // Validate says it
	}
	return errors.Join(c.checkFiles(t, true)...)
}

// checkFiles looks at every certificate that a route names: what cannot be used, or what is out of date.
func (c *Config) checkFiles(t *route.Table, dates bool) (all []error) {
	for _, l := range t.Listeners {
		if l.TLS == nil {
			continue
		}
		o := serverOptions(l, tlsconf.Events{})
		_, err := tlsconf.NewServer(o)
		errs := []error{err}
		if err == nil && dates {
			errs, _ = tlsconf.CheckServer(o, c.now())
		}
		if dates == (err == nil) {
			all = append(all, prefixed(l.Place+": "+l.URL, errs)...)
		}
	}
	for _, cl := range t.Clusters {
		if cl.TLS == nil {
			continue
		}
		o := clientOptions(cl, tlsconf.Events{})
		_, err := tlsconf.NewClient(o)
		errs := []error{err}
		if err == nil && dates {
			errs, _ = tlsconf.CheckClient(o, c.now())
		}
		if dates == (err == nil) {
			all = append(all, prefixed(cl.Place+": "+cl.URL, errs)...)
		}
	}
	for _, r := range t.Routes {
		if _, err := readFields(r.Set); err != nil {
			all = append(all, fmt.Errorf("%s: %s: %w", r.Place, r.Name, err))
		}
	}
	return all
}

func prefixed(with string, errs []error) (all []error) {
	for _, err := range errs {
		all = append(all, fmt.Errorf("%s: %w", with, err))
	}
	return all
}

func serverOptions(l *route.Listener, events tlsconf.Events) tlsconf.ServerOptions {
	t := l.TLS
	o := tlsconf.ServerOptions{
		Certs: t.Cert, Keys: t.Key, ClientCA: t.ClientCA, CRL: t.ClientCRL,
		ClientRules: tlsconf.Rules{SAN: t.SAN, URI: t.URI, CN: t.CN, OU: t.OU},
		Optional:    t.ClientAuth == "request", ALPN: t.ALPN, Only13: t.Min == "1.3",
		RefuseUnknownSNI: t.StrictSNI, TicketKeys: t.TicketKey, Events: events,
	}
	if l.HTTP {
		o.ALPN = []string{"http/1.1"}
		if l.H2 {
			o.ALPN = []string{"h2", "http/1.1"}
		}
	}
	return o
}

func clientOptions(c *route.Cluster, events tlsconf.Events) tlsconf.ClientOptions {
	t := c.TLS
	o := tlsconf.ClientOptions{
		CA: t.CA, ServerName: t.ServerName, Pins: t.Pins, PinsOnly: t.PinOnly, Insecure: t.Insecure,
		Only13: t.Min == "1.3", SkipName: t.Verify == "ca", Events: events,
	}
	for _, path := range []string{t.Cert, t.Key} {
		if path != "" {
			o.Cert = append(o.Cert, path)
		}
	}
	switch c.Protocol {
	case "h2":
		o.ALPN = []string{"h2"}
	case "http/1.1":
		o.ALPN = []string{"http/1.1"}
	}
	return o
}

// followed is one thing by which the application is known.
type followed struct {
	kind, value string
}

// parseFollow reads tcp:HOST:PORT, tcp:PORT, pid:FILE or file:PATH.
func parseFollow(text string) (followed, error) {
	kind, value, _ := strings.Cut(text, ":")
	switch kind {
	case "tcp":
		if !strings.Contains(value, ":") {
			value = "127.0.0.1:" + value
		}
		host, port, err := net.SplitHostPort(value)
		if n, perr := strconv.ParseUint(port, 10, 16); err == nil && perr == nil && n > 0 && host != "" {
			return followed{kind, value}, nil
		}
	case "pid", "file":
		if value != "" {
			return followed{kind, value}, nil
		}
	}
	return followed{}, fmt.Errorf("--follow %s: want tcp:PORT, tcp:HOST:PORT, pid:FILE or file:PATH", text)
}

// tryPorts tells which addresses cannot be taken now. All are held until the last one is tried: 127.0.0.1:80 and :80 exclude each other.
func tryPorts(t *route.Table) (all []error) {
	held := map[string]*route.Listener{} // by port
	for _, l := range t.Listeners {
		if l.Network != "tcp" {
			if _, err := os.Stat(filepath.Dir(l.Address)); err != nil && !strings.HasPrefix(l.Address, "@") {
				all = append(all, fmt.Errorf("%s: %s: %w; make the folder, or mount a volume there", l.Place, l.URL, err))
			}
			continue
		}
		s, err := net.Listen("tcp", l.Address) //nolint:noctx // it does not wait
		_, port, _ := net.SplitHostPort(l.Address)
		switch other := held[port]; {
		case err == nil:
			held[port] = l
			defer s.Close()
		case other != nil:
			all = append(all, fmt.Errorf("%s: %s: %s (%s) has this port, too, and one of them takes it for every address", l.Place, l.URL, other.URL, other.Place))
		default:
			all = append(all, fmt.Errorf("%s: %s: %w", l.Place, l.URL, err))
		}
	}
	return all
}
