package route

import (
	"slices"
	"strings"
)

// Entry is one key of the effective configuration.
type Entry struct {
	Key    string
	Values []string
	Many   bool // a list
	Given  bool // otherwise it is the default
}

// shown lists the options of one side as they are in force.
func (b *builder) shown(p *parts, given map[string]Setting, of Side) (all []shown) {
	if p.l.TLS == nil {
		p = &parts{l: clone(p.l), r: p.r, c: p.c}
		p.l.TLS = &ServerTLS{}
	}
	if p.c.TLS == nil {
		c := *p.c
		c.TLS = &ClientTLS{}
		p = &parts{l: p.l, r: p.r, c: &c}
	}
	for _, o := range b.order {
		if o.Of != of {
			continue
		}
		_, ok := given[o.Name]
		all = append(all, shown{o.Name, slices.Clone(o.bind(p).show()), o.Many, ok})
	}
	return all
}

func clone(l *Listener) *Listener {
	c := *l
	return &c
}

// text is what makes two lists of options the same.
func text(all []shown) string {
	var b strings.Builder
	for _, s := range all {
		b.WriteString(s.Key + "=" + strings.Join(s.Values, "\x01") + "\x00")
	}
	return b.String()
}

// Key is the same for two listeners that can be taken for each other: nothing has to change at a reload.
func (l *Listener) Key() string {
	return l.Network + " " + l.Address + " " + l.URL + "\x00" + text(l.settings)
}

// Key is the same for two clusters whose connections can be taken for each other's.
func (c *Cluster) Key() string { return c.Name + " " + c.URL + "\x00" + text(c.settings) }

// Key is the same for two routes that treat requests and connections alike.
func (r *Route) Key() string {
	key := r.Name + "\x00" + r.Listener.Key() + "\x00" + text(r.settings)
	if r.Cluster != nil {
		key += "\x00" + r.Cluster.Key()
	}
	return key
}

// Entries are the options of a route, of its listener and of a cluster that it wrote itself, as they are in force and as far as
// they mean something for it, so that they can be written into a file.
func (r *Route) Entries() (all []Entry) {
	all = append(all, Entry{Key: "name", Values: []string{r.Name}, Given: true}, Entry{Key: "listen", Values: []string{r.Listener.URL}, Given: true})
	switch c := r.Cluster; {
	case c == nil:
	case c.Named:
		all = append(all, Entry{Key: "upstream", Values: []string{clusterPrefix + c.Name}, Given: true})
	default:
		all = append(all, Entry{Key: "upstream", Values: []string{c.URL}, Given: true})
	}
	needs := map[string]Option{}
	for _, o := range Options() {
		needs[o.Name] = o
	}
	add := func(settings []shown) {
		for _, s := range settings {
			if r.means(needs[s.Key]) && len(s.Values) > 0 && (s.Given || !(len(s.Values) == 1 && (s.Values[0] == "0" || s.Values[0] == "false" || s.Values[0] == "0s"))) {
				all = append(all, Entry(s))
			}
		}
	}
	add(r.Listener.settings)
	add(r.settings)
	if c := r.Cluster; c != nil && !c.Named {
		add(c.settings)
	}
	return all
}

// Entries are the options of a cluster with a name.
func (c *Cluster) Entries() (all []Entry) {
	all = append(all, Entry{Key: "name", Values: []string{c.Name}, Given: true}, Entry{Key: "upstream", Values: []string{c.URL}, Given: true})
	for _, s := range c.settings {
		if len(s.Values) > 0 && s.Given {
			all = append(all, Entry(s))
		}
	}
	return all
}

// means tells whether an option has an effect on this route.
func (r *Route) means(o Option) bool {
	switch o.Needs {
	case Requests:
		return r.Listener.HTTP && (o.Of != OfRoute || r.Redirect == "" || o.Name == "host" || o.Name == "path" || o.Name == "redirect")
	case Bytes:
		return !r.Listener.HTTP
	case ListenTLS:
		return r.Listener.TLS != nil
	case ListenUnix:
		return r.Listener.Network == "unix"
	case ToTLS:
		return r.Cluster != nil && r.Cluster.TLS != nil
	case Redirects:
		return r.Redirect != ""
	}
	return true
}
