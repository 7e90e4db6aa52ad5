package route

import (
	"slices"
	"strconv"
	"strings"
)

// applies finds options that mean nothing here.
func (b *builder) applies(d Draft, p *parts, given map[string]Setting, listen *endpoint) {
	for _, o := range b.order {
		s, ok := given[o.Name]
		if !ok {
			continue
		}
		means := true
		c := p.c
		if p.r.Cluster != nil {
			c = p.r.Cluster
		}
		switch o.Needs {
		case Requests:
			means = listen != nil && p.l.HTTP || listen == nil && c.Protocol != "tcp"
		case Bytes:
			means = !p.l.HTTP
		case ListenTLS:
			means = listen != nil && listen.tls
		case BytesTLS:
			means = listen != nil && listen.tls && !p.l.HTTP
		case ListenUnix:
			means = listen != nil && listen.network == "unix"
		case ToTLS:
			means = c.TLS != nil && c.URL != ""
		case Redirects:
			means = p.r.Redirect != ""
		}
		if listen == nil && o.Of != OfCluster {
			b.fail(or(s.Place, d.Place), "%s is not of a cluster; write it at the route", o.Name)
		} else if !means {
			b.fail(or(s.Place, d.Place), "%s is for %s, and this is %s", o.Name, o.Needs, kindOf(d, o))
		}
	}
	b.together(d, p, listen)
}

func kindOf(d Draft, o Option) string {
	if o.Of == OfCluster || d.Listen == "" {
		return or(d.Upstream, d.Listen)
	}
	return d.Listen
}

// together finds options that contradict each other, or miss one.
func (b *builder) together(d Draft, p *parts, listen *endpoint) {
	if c := p.c; p.r.Cluster == c || listen == nil {
		switch {
		case c.StartTLS != "" && c.Protocol != "tcp":
			b.fail(d.Place, "starttls=%s needs tls:// as the upstream", c.StartTLS)
		case c.TLS != nil && c.TLS.PinOnly && len(c.TLS.Pins) == 0:
			b.fail(d.Place, "pin-only: want pin=HASH, too")
		case c.TLS != nil && c.TLS.Insecure && (len(c.TLS.CA) > 0 || len(c.TLS.Pins) > 0):
			b.fail(d.Place, "insecure verifies nothing: leave it out, or ca= and pin=")
		case c.TLS != nil && c.TLS.Key != "" && c.TLS.Cert == "":
			b.fail(d.Place, "client-key: want client-cert, too")
		}
	}
	if listen == nil {
		return
	}
	if t := p.l.TLS; listen.tls {
		named := len(t.SAN)+len(t.URI)+len(t.CN)+len(t.OU) > 0
		if len(t.ClientCA) == 0 && (named || t.ClientAuth != "" || len(t.ClientCRL) > 0) {
			b.fail(d.Place, "client certificates are asked for without client-ca=PATH, which says who signs them")
		}
	}
	if r := p.r; r.Redirect != "" && !slices.Contains([]int{301, 302, 303, 307, 308}, r.RedirectCode) {
		b.fail(d.Place, "redirect-code=%d: want 301, 302, 303, 307 or 308", r.RedirectCode)
	}
	if r := p.r; r.Strip != "" && r.Strip != "/" && !within(r.Match.Path, r.Strip) {
		b.fail(d.Place, "strip=%s: the paths of this route begin with %s; want a prefix of that", r.Strip, r.Match.Path)
	}
}

// within tells whether every path below path begins with prefix.
func within(path, prefix string) bool {
	path, prefix = strings.TrimSuffix(path, "/"), strings.TrimSuffix(prefix, "/")
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}

// finish adds the route to the table.
func (b *builder) finish(d Draft, p *parts, given map[string]Setting, listen endpoint) {
	r, l := p.r, p.l
	if !listen.tls {
		l.TLS = nil
	} else if len(l.TLS.ClientCA) > 0 && l.TLS.ClientAuth == "" {
		l.TLS.ClientAuth = "require"
	}
	l.URL = or(l.URL, d.Listen)
	if r.Burst == 0 {
		r.Burst = max(1, int(r.Rate))
	}
	r.Place, r.Name = d.Place, d.Name
	if c := r.Cluster; c != nil {
		r.Prefix = c.path
		if c == p.c {
			b.ownCluster(p, given)
		} else if !slices.Contains(b.t.Clusters, c) {
			b.t.Clusters = append(b.t.Clusters, c)
		}
	}
	for i, h := range r.Match.Hosts {
		r.Match.Hosts[i] = strings.ToLower(strings.TrimSuffix(h, "."))
	}
	r.Match.Path = or(strings.TrimRight(r.Match.Path, "/"), "/")
	r.settings = b.shown(p, given, OfRoute)
	l.settings = b.shown(p, given, OfListener)
	r.Listener = b.listener(l, r)
	r.Listener.Routes = append(r.Listener.Routes, r)
	if r.Name == "" {
		r.Name = derived(r)
	}
	b.t.Routes = append(b.t.Routes, r)
}

// ownCluster adds the cluster that a route wrote itself; two routes with the same one share it.
func (b *builder) ownCluster(p *parts, given map[string]Setting) {
	c := p.c
	c.settings = b.shown(p, given, OfCluster)
	same := func(o *Cluster) bool { return o.URL == c.URL && text(o.settings) == text(c.settings) }
	if i := slices.IndexFunc(b.t.Clusters, same); i >= 0 {
		p.r.Cluster = b.t.Clusters[i]
		return
	}
	for n := 2; b.taken(c.Name); n++ {
		c.Name = c.URL + "#" + strconv.Itoa(n)
	}
	b.t.Clusters = append(b.t.Clusters, c)
}

func (b *builder) taken(name string) bool {
	return b.clusters[name] != nil || slices.ContainsFunc(b.t.Clusters, func(c *Cluster) bool { return c.Name == name })
}

// listener finds the one of the same address, or takes l. Options may be written at any route of it, but not differently.
func (b *builder) listener(l *Listener, r *Route) *Listener {
	i := slices.IndexFunc(b.t.Listeners, func(o *Listener) bool { return o.Network == l.Network && o.Address == l.Address })
	if i < 0 || strings.HasSuffix(l.Address, ":0") { // 0 is any free port, another one each time
		b.t.Listeners = append(b.t.Listeners, l)
		return l
	}
	old := b.t.Listeners[i]
	if !old.HTTP || !l.HTTP || (old.TLS == nil) != (l.TLS == nil) {
		b.fail(r.Place, "%s is also the address of %s (%s); routes share an address only where all are %s", l.URL, old.URL, old.Place, "http, or all are https")
		return old
	}
	for n, s := range l.settings {
		o := &old.settings[n]
		switch {
		case !s.Given || o.Given && slices.Equal(o.Values, s.Values):
		case o.Given:
			b.fail(r.Place, "%s=%s: the route at %s says %s=%s for the same listener; write it once", s.Key, strings.Join(s.Values, ","), old.Place, s.Key, strings.Join(o.Values, ","))
		default:
			*o = s
			b.adopt(old, s)
		}
	}
	return old
}

// adopt sets an option of a listener that a later route of it gives.
func (b *builder) adopt(l *Listener, s shown) {
	p := &parts{l: l, r: &Route{}, c: &Cluster{TLS: &ClientTLS{}}}
	v := b.options[s.Key].bind(p)
	for _, text := range s.Values {
		_ = v.set(text) // it was set once already
	}
	if t := l.TLS; t != nil && len(t.ClientCA) > 0 && t.ClientAuth == "" {
		t.ClientAuth = "require"
	}
}

// derived names a route by what it is for.
func derived(r *Route) string {
	name := r.Listener.URL
	if len(r.Match.Hosts) > 0 {
		name += " " + strings.Join(r.Match.Hosts, ",")
	}
	if r.Match.Path != "/" {
		name += " " + r.Match.Path
	}
	return name
}

// compare finds routes that stand in each other's way.
func (b *builder) compare() {
	names := map[string]*Route{}
	for _, r := range b.t.Routes {
		if old := names[r.Name]; old != nil && !strings.HasSuffix(r.Name, ":0") {
			b.fail(r.Place, "the route %s is also at %s; give one of them another name, host= or path=", r.Name, old.Place)
		}
		names[r.Name] = r
	}
	for _, l := range b.t.Listeners {
		b.needsCert(l)
		seen := map[string]*Route{}
		for _, r := range l.Routes {
			for _, host := range append(r.Match.Hosts, []string{""}[min(1, len(r.Match.Hosts)):]...) {
				key := host + " " + r.Match.Path
				if old := seen[key]; old != nil && old != r && names[r.Name] == r && old.Name != r.Name {
					b.fail(r.Place, "%s is for the same requests as %s at %s", r.Name, old.Name, old.Place)
				}
				seen[key] = r
			}
		}
	}
}

func (b *builder) needsCert(l *Listener) {
	if l.TLS != nil && len(l.TLS.Cert) == 0 {
		b.fail(l.Place, "%s: want cert=PATH: a folder with tls.crt and tls.key, or a file", l.URL)
	}
}
