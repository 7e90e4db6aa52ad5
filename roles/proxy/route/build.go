package route

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/suggest"
)

// shown is an effective option for people and for comparing.
type shown struct {
	Key    string
	Values []string
	Many   bool
	Given  bool // otherwise it is the default
}

// builder collects what drafts say, and what is wrong with them.
type builder struct {
	options  map[string]Option
	order    []Option
	defaults []Setting
	t        *Table
	clusters map[string]*Cluster
	errs     []error
}

// Build makes a table of routes and of the clusters that they may name. Defaults are for whatever does not say otherwise. The
// error has all complaints.
func Build(routes, clusters []Draft, defaults ...Setting) (*Table, error) {
	b := &builder{options: map[string]Option{}, order: Options(), defaults: defaults, t: &Table{}, clusters: map[string]*Cluster{}}
	for _, o := range b.order {
		b.options[o.Name] = o
	}
	b.settings(Draft{Settings: defaults}, blank()) // whether they are right is said once
	for _, d := range clusters {
		b.cluster(d)
	}
	for _, d := range routes {
		b.route(d)
	}
	b.compare()
	if len(b.errs) > 0 {
		return nil, errors.Join(b.errs...)
	}
	return b.t, nil
}

func (b *builder) fail(place, format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf(place+": "+format, args...)) //nolint:err113 // complaints of the user's text
}

// cluster reads one that routes name.
func (b *builder) cluster(d Draft) {
	if d.Name == "" {
		b.fail(d.Place, "the cluster has no name")
		return
	}
	if old := b.clusters[d.Name]; old != nil {
		b.fail(d.Place, "the cluster %s is also at %s", d.Name, old.Place)
		return
	}
	p := blank()
	given := b.settings(d, p)
	if b.upstream(d, p) {
		b.applies(d, p, given, nil)
	}
	p.c.Name, p.c.Named, p.c.Place = d.Name, true, d.Place
	b.clusters[d.Name] = p.c // also a wrong one, so that routes do not complain about its name
	p.c.settings = b.shown(p, given, OfCluster)
}

// route reads one.
func (b *builder) route(d Draft) {
	p := blank()
	given := b.settings(d, p)
	listen, err := parseListen(d.Listen)
	if err != nil {
		b.fail(d.Place, "%w", err)
		return
	}
	l := p.l
	l.URL, l.Network, l.Address, l.HTTP, l.Place = listen.url, listen.network, listen.address, listen.http, d.Place
	if !b.target(d, p, given) {
		return
	}
	if c := p.r.Cluster; c != nil && listen.network == "unix" && listen.scheme == "tcp" && c.Protocol != "tcp" {
		l.HTTP = true // unix:///app.sock => http://...
	}
	if !b.fits(d, listen, p) {
		return
	}
	b.applies(d, p, given, &listen)
	b.finish(d, p, given, listen)
}

// target finds the cluster of a route, or makes one.
func (b *builder) target(d Draft, p *parts, given map[string]Setting) bool {
	name, isName := strings.CutPrefix(d.Upstream, clusterPrefix)
	switch {
	case d.Upstream == "" && p.r.Redirect != "":
	case d.Upstream == "":
		b.fail(d.Place, "want an upstream: LISTEN => UPSTREAM, or redirect=https")
		return false
	case p.r.Redirect != "":
		b.fail(d.Place, "redirect=%s and the upstream %s: want one of them", p.r.Redirect, d.Upstream)
		return false
	case isName:
		if p.r.Cluster = b.clusters[name]; p.r.Cluster == nil {
			b.fail(d.Place, "there is no cluster %q in the config file%s", name, suggest.DidYouMean("", name, keysOf(b.clusters)))
			return false
		}
		for key, s := range given {
			if b.options[key].Of == OfCluster {
				b.fail(or(s.Place, d.Place), "%s belongs to the cluster %s; write it there", key, name)
			}
		}
	default:
		if !b.upstream(d, p) {
			return false
		}
		p.r.Cluster = p.c
		p.c.Name, p.c.Place = p.c.URL, d.Place
	}
	return true
}

func keysOf(m map[string]*Cluster) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// upstream reads the address of the cluster of p.
func (b *builder) upstream(d Draft, p *parts) bool {
	e, err := parseUpstream(d.Upstream, p.c.StartTLS)
	if err != nil {
		b.fail(d.Place, "%w", err)
		return false
	}
	c := p.c
	c.URL, c.path, c.Source = or(e.url, d.Upstream), strings.TrimSuffix(e.path, "/"), Source{e.network, e.address}
	c.Protocol = map[string]string{"http": "http/1.1", "https": "http/1.1", "h2": "h2", "h2c": "h2c"}[e.scheme]
	if c.Protocol == "" {
		c.Protocol = "tcp"
	}
	if !e.tls {
		c.TLS = nil
	} else if c.TLS.ServerName == "" && !c.TLS.Insecure && !c.TLS.PinOnly && c.TLS.Verify == "full" {
		if c.TLS.ServerName = e.host; e.host == "" {
			b.fail(d.Place, "%s: want sni=NAME, the name that the certificate has to have", c.URL)
			return false
		}
	} else if c.TLS.ServerName == "" {
		c.TLS.ServerName = e.host
	}
	return true
}

// fits tells whether what comes in can go out there.
func (b *builder) fits(d Draft, listen endpoint, p *parts) bool {
	c, http := p.r.Cluster, p.l.HTTP
	if c == nil {
		if !http {
			b.fail(d.Place, "redirect= needs requests: want http:// or https:// instead of %s", d.Listen)
		}
		return http
	}
	if http != (c.Protocol != "tcp") {
		if http {
			b.fail(d.Place, "%s takes requests and %s takes bytes: want http://, https://, h2c:// or h2:// after =>, or tcp:// or tls:// before it", d.Listen, c.URL)
		} else {
			b.fail(d.Place, "%s takes bytes and %s takes requests: want http:// or https:// before =>, or tcp:// or tls:// after it", d.Listen, c.URL)
		}
		return false
	}
	return true
}

// settings sets the options of a draft, each as often as it stands there.
func (b *builder) settings(d Draft, p *parts) map[string]Setting {
	given, values := map[string]Setting{}, map[string]value{}
	for _, s := range d.Settings {
		place := or(s.Place, d.Place)
		o, ok := b.options[s.Key]
		if !ok {
			b.fail(place, "unknown option %q%s", s.Key, suggest.DidYouMean("", s.Key, b.names(s.Side)))
			continue
		}
		if hint := wrongSide(o, s.Side); hint != "" {
			b.fail(place, "%s: %s", s.Key, hint)
			continue
		}
		if _, twice := given[s.Key]; twice && !o.Many {
			b.fail(place, "%s is there twice", s.Key)
			continue
		}
		if values[s.Key] == nil {
			values[s.Key] = o.bind(p)
		}
		if err := values[s.Key].set(s.Value); err != nil {
			b.fail(place, "%s=%s: %w", s.Key, shownValue(s.Key, s.Value), err)
			continue
		}
		given[s.Key] = s
	}
	for _, s := range b.defaults {
		if o, ok := b.options[s.Key]; ok {
			if _, ok := given[s.Key]; !ok {
				_ = o.bind(p).set(s.Value)
			}
		}
	}
	return given
}

func (b *builder) names(side Side) (all []string) {
	for _, o := range b.order {
		if wrongSide(o, side) == "" {
			all = append(all, o.Name)
		}
	}
	return all
}

// wrongSide says what to do about an option that stands on the other side of =>.
func wrongSide(o Option, stands Side) string {
	switch {
	case stands == OfRoute || o.Of == OfRoute || o.Of == stands:
		return ""
	case o.Name == "cert" || o.Name == "key":
		return "is of the listener; after => want client-" + o.Name + ", which is shown to the upstream"
	case o.Name == "ca":
		return "is of the upstream; before => want client-ca, which signs certificates of clients"
	case o.Of == OfListener:
		return "is of the listener; want it before =>"
	}
	return "is of the upstream; want it after =>"
}
