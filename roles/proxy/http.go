package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/roles/proxy/dial"
	"github.com/sidecar-kit/sidecar/roles/proxy/fields"
	"github.com/sidecar-kit/sidecar/roles/proxy/h2"
	"github.com/sidecar-kit/sidecar/roles/proxy/route"
	"github.com/sidecar-kit/sidecar/roles/proxy/web"
)

// forever stands for a limit that is off.
const forever = 10 * 365 * 24 * time.Hour

func unlimited(d time.Duration) time.Duration {
	if d == 0 {
		return forever
	}
	return d
}

// backend is the upstream of a cluster for the engines.
func (p *Proxy) backend(c *cluster) *web.Backend {
	r := c.c
	b := &web.Backend{
		Name: r.Name,
		Dial: func(ctx context.Context, who *web.Client) (net.Conn, error) {
			return c.dial(ctx, dial.Client{Source: who.Addr, Local: who.Local})
		},
		PerConn: r.Send > 0, MaxIdle: max(r.Pool.Idle, 0), Idle: r.Pool.Timeout, MaxAge: r.Pool.Age, Connect: 2 * r.Timeout,
		Data: c,
	}
	if r.Protocol == "h2" || r.Protocol == "h2c" {
		c.h2 = h2.NewUpstream(h2.Options{
			Dial: func(ctx context.Context) (net.Conn, error) { return c.dial(ctx, dial.Client{}) },
			TLS:  r.TLS != nil, Connect: 2 * r.Timeout, MaxAge: r.Pool.Age,
		})
		b.H2 = c.h2
	}
	return b
}

// compile makes a route ready for the engines.
func (p *Proxy) compile(l *lane) (*web.Route, error) {
	r := l.r
	set, err := readFields(r.Set)
	if err != nil {
		return nil, err
	}
	o := fields.Options{
		Trusted: r.Trusted, X: r.Forwarded == "x" || r.Forwarded == "both", RFC7239: r.Forwarded == "rfc7239" || r.Forwarded == "both",
		Strip: r.Strip, Prefix: r.Prefix, Set: set, SetAnswer: r.SetAnswer, Remove: r.Remove, RemoveAnswer: r.RemoveAnswer,
	}
	if r.RequestID != "off" {
		o.RequestID = r.RequestID
	}
	compiled := &web.Route{Name: r.Name, Data: l, Redirect: r.Redirect, RedirectCode: r.RedirectCode, Limits: limits(r)}
	if c := l.cluster; c != nil {
		base, _, _ := strings.Cut(strings.TrimPrefix(c.c.URL, c.scheme()+"://"), "/")
		o.Upstream = c.scheme() + "://" + base
		switch r.Host {
		case "client":
		case "upstream":
			o.Host = hostField(c.c)
		default:
			o.Host = r.Host
		}
		compiled.Pick = func() *web.Backend { return c.backend }
	}
	compiled.Policy = fields.New(o)
	if r.Rate > 0 {
		compiled.Rate = web.NewRate(r.Rate, r.Burst)
	}
	return compiled, nil
}

func limits(r *route.Route) web.Limits {
	lim := web.Limits{MaxBody: r.MaxBody, MaxRequests: int64(r.MaxRequests), Response: unlimited(r.Response), Silence: unlimited(r.Silence), BodyRate: -1}
	if r.Listener.MinRate > 0 {
		lim.BodyRate = int64(r.Listener.MinRate)
	}
	return lim
}

// scheme is what an answer of the upstream calls it.
func (c *cluster) scheme() string {
	scheme, _, _ := strings.Cut(c.c.URL, "://")
	switch scheme {
	case "h2":
		return "https"
	case "h2c":
		return "http"
	}
	return scheme
}

// hostField is the Host of requests for the upstream itself.
func hostField(c *route.Cluster) string {
	if c.Source.Network == "unix" {
		return "localhost"
	}
	host, port, _ := net.SplitHostPort(c.Source.Address)
	if port == "80" && c.TLS == nil || port == "443" && c.TLS != nil {
		if strings.Contains(host, ":") {
			return "[" + host + "]"
		}
		return host
	}
	return c.Source.Address
}

// fromFile tells whether the value of a field is in a file.
func fromFile(value string) (path string, ok bool) { return strings.CutPrefix(value, route.FromFile) }

func readsFiles(r *route.Route) bool {
	for _, kv := range r.Set {
		if _, ok := fromFile(kv[1]); ok {
			return true
		}
	}
	return false
}

// readFields fetches values that are in files. No error has one.
func readFields(set [][2]string) (all [][2]string, err error) {
	for _, kv := range set {
		if path, ok := fromFile(kv[1]); ok {
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("set-header=%s: %w", kv[0], err)
			}
			kv[1] = strings.TrimRight(string(text), "\r\n")
			if kv[1] == "" { // most likely half of a write; a field without its value is a request without a credential
				return nil, fmt.Errorf("set-header=%s: %s is empty", kv[0], path)
			}
			if strings.ContainsFunc(kv[1], func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				return nil, fmt.Errorf("set-header=%s: %s has more than one line, or a control character", kv[0], path)
			}
		}
		all = append(all, kv)
	}
	return all, nil
}

// sites are the routes of a listener.
func sites(l *route.Listener, s *snapshot) *web.Sites {
	var list []web.Site
	for _, r := range l.Routes {
		hosts := r.Match.Hosts
		if len(hosts) == 0 {
			hosts = []string{""}
		}
		for _, h := range hosts {
			list = append(list, web.Site{Host: h, Path: r.Match.Path, Route: s.lanes[r.Name].web})
		}
	}
	return web.NewSites(list)
}

// Request counts an exchange and writes its line. It is called by the engines.
func (p *Proxy) Request(r *web.Record) {
	var l *lane
	if r.Route != nil {
		l, _ = r.Route.Data.(*lane)
	}
	if l == nil {
		p.metrics.unrouted[r.Cause].Add(1)
		p.access.request(nil, r)
		return
	}
	n := l.counts
	n.requests[min(max(r.Status/100, 0), 5)].Add(1)
	n.causes[r.Cause].Add(1)
	n.in.Add(r.In)
	n.out.Add(r.Out)
	n.took.observe(r.Total)
	if r.First > 0 {
		n.first.observe(r.First)
	}
	if r.Err != nil && r.Backend != nil && errors.As(r.Err, new(*dial.Error)) && !errors.Is(r.Err, context.Canceled) { // then the client left
		p.trouble(l.r.Name, r.Err)
	}
	p.access.request(l, r)
}
