package proxy

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/sidecar-kit/sidecar/internal/status"
	"github.com/sidecar-kit/sidecar/internal/tlsconf"
	"github.com/sidecar-kit/sidecar/roles/proxy/dial"
	"github.com/sidecar-kit/sidecar/roles/proxy/route"
)

// facts are what the status page shows: what is in force, and how it goes.
func (p *Proxy) facts() (all []status.Fact) {
	s := p.live.Load()
	if s == nil {
		return nil
	}
	add := func(name, format string, args ...any) {
		all = append(all, status.Fact{Name: name, Value: fmt.Sprintf(format, args...)})
	}
	for _, d := range s.doors {
		st := &d.socket.Stats
		add("listener "+d.l.URL, "%d connections open, %d since the start", st.Open.Load(), st.Accepted.Load())
	}
	for _, r := range s.table.Routes {
		to, n := "redirect to "+r.Redirect, s.lanes[r.Name].counts
		if r.Cluster != nil {
			to = r.Cluster.URL
		}
		how := fmt.Sprintf("%d connections open", n.open.Load())
		if r.Listener.HTTP {
			total, failed := n.totals()
			how = fmt.Sprintf("%d requests, %d answered with 5xx or not at all", total, failed)
		}
		add("route "+r.Name, "%s => %s; %s", r.Listener.URL, to, how)
	}
	for _, c := range s.table.Clusters {
		m := s.clusters[c.Key()]
		failed := int64(0)
		for i := range m.errors {
			failed += m.errors[i].Load()
		}
		last := ""
		if text := m.last.Load(); text != nil {
			last = "; last error " + *text
		}
		add("upstream "+c.Name, "%s, %s; %d connections made, %d failed%s", c.Source.Address, c.Protocol, m.dials.Load()-failed, failed, last)
	}
	for _, c := range s.certificates() {
		days := int(time.Until(c.NotAfter).Hours() / 24)
		add("certificate "+c.Use+" "+c.File, "%s, %s, until %s (%d days)", strings.Join(c.Names, " "), c.KeyType, c.NotAfter.UTC().Format(time.DateOnly), days)
	}
	return all
}

// totals are the requests of a route, and those that got no good answer.
func (n *counts) totals() (total, failed int64) {
	for class := range n.requests {
		total += n.requests[class].Load()
	}
	return total, n.requests[5].Load() + n.requests[0].Load()
}

// certificates are those of all listeners and upstreams.
func (s *snapshot) certificates() (all []tlsconf.CertInfo) {
	for _, d := range s.doors {
		if d.tls != nil {
			all = append(all, d.tls.Certificates()...)
		}
	}
	for _, c := range s.clusters {
		if c.tls != nil {
			all = append(all, c.tls.Certificates()...)
		}
	}
	return all
}

// tlsEvents tells of files of a listener or an upstream.
func (p *Proxy) tlsEvents(of string) tlsconf.Events {
	return tlsconf.Events{
		Reloaded: func(changed []string) {
			p.metrics.certs.With("loaded").Inc()
			p.env.Status.Event("info", "new certificates of "+of)
			p.log.Info().Str("of", of).Strs("files", changed).Msg("new certificates are in use")
		},
		Refused: func(err error) {
			p.metrics.certs.With("refused").Inc()
			p.env.Status.Event("error", "new certificates of "+of+" cannot be used, the old ones stay in use")
			p.log.Error().Str("of", of).AnErr("err", err).Msg("new certificates cannot be used; the last good ones stay in use")
		},
		Warned: func(warnings []string) {
			for _, w := range warnings {
				p.log.Warn().Str("of", of).Str("about", w).Msg("certificate needs attention")
			}
		},
	}
}

// warnings are for people who check a configuration.
func (c *Config) warnings(t *route.Table) (all []string) {
	for _, l := range t.Listeners {
		if l.TLS != nil {
			_, more := tlsconf.CheckServer(serverOptions(l, tlsconf.Events{}), c.now())
			for _, w := range more {
				all = append(all, l.URL+": "+w)
			}
		}
	}
	for _, cl := range t.Clusters {
		if cl.TLS != nil {
			_, more := tlsconf.CheckClient(clientOptions(cl, tlsconf.Events{}), c.now())
			for _, w := range more {
				all = append(all, cl.URL+": "+w)
			}
		}
	}
	return all
}

// troubles bounds what is logged about upstreams: one line a minute and route, however many clients try.
type troubles struct {
	mu   sync.Mutex
	last map[string]time.Time
}

const troubleEvery = time.Minute

// trouble logs that an upstream cannot be reached.
func (p *Proxy) trouble(name string, err error) {
	now := time.Now()
	p.troubles.mu.Lock()
	if p.troubles.last == nil {
		p.troubles.last = map[string]time.Time{}
	}
	soon := now.Sub(p.troubles.last[name]) < troubleEvery
	if !soon {
		p.troubles.last[name] = now
	}
	p.troubles.mu.Unlock()
	if soon {
		return
	}
	p.env.Status.Event("error", "the upstream of "+name+" cannot be reached")
	e := p.log.Warn().Str("route", name)
	if failed, ok := errors.AsType[*dial.Error](err); ok {
		e.Str("step", string(failed.Step))
	}
	e.AnErr("err", err).Msg("the upstream cannot be reached; further failures within a minute are counted only")
}
