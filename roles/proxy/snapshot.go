package proxy

import (
	"context"
	"errors"
	"fmt"

	"github.com/sidecar-kit/sidecar/roles/proxy/route"
)

// snapshot is a table in force. It does not change; what its parts count does.
type snapshot struct {
	table    *route.Table
	doors    []*door
	lanes    map[string]*lane    // by name of the route
	clusters map[string]*cluster // by key
}

// build makes a snapshot of t and takes over what old has. Nothing of old is changed; on an error whatever was made is undone.
func (p *Proxy) build(ctx context.Context, t *route.Table, old *snapshot) (*snapshot, error) {
	s := &snapshot{table: t, lanes: map[string]*lane{}, clusters: map[string]*cluster{}}
	var errs []error
	for _, c := range t.Clusters {
		made, err := p.cluster(c, old)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", c.Place, c.URL, err))
			continue
		}
		s.clusters[c.Key()] = made
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for _, r := range t.Routes {
		l, err := p.lane(r, s, old)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", r.Place, r.Name, err))
			continue
		}
		s.lanes[r.Name] = l
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err // doors need all lanes
	}
	for _, l := range t.Listeners {
		d, err := p.door(ctx, l, s, old)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", l.Place, l.URL, err))
			continue
		}
		s.doors = append(s.doors, d)
	}
	if err := errors.Join(errs...); err != nil {
		for _, d := range s.doors {
			d.discard()
		}
		return nil, err
	}
	return s, nil
}

// start puts s in force: doors that are new begin to serve, those that old had get their new lanes, and those that are no more
// take no new connection.
func (p *Proxy) start(base context.Context, s, old *snapshot) {
	for _, c := range s.clusters {
		if old == nil || old.clusters[c.c.Key()] != c {
			c.begin(base, &p.running)
		}
	}
	for _, d := range s.doors {
		if d.was != nil && d.was.same(d) {
			d.was.take(d, s)
			continue
		}
		d.begin(base, p)
	}
	defer s.forget()
	if old == nil {
		return
	}
	s.adopt()
	for _, o := range old.doors {
		if !s.has(o) { // neither it nor one that took its socket over
			o.close()
		}
	}
	for key, c := range old.clusters {
		if s.clusters[key] != c {
			c.end()
		}
	}
}

// adopt replaces doors that stay by those that serve already.
func (s *snapshot) adopt() {
	for i, d := range s.doors {
		if d.was != nil && d.was.same(d) {
			s.doors[i] = d.was
		}
	}
}

// forget lets go of what was before.
func (s *snapshot) forget() {
	for _, d := range s.doors {
		d.was = nil
	}
}

func (s *snapshot) has(d *door) bool {
	for _, x := range s.doors {
		if x == d || x.was == d {
			return true
		}
	}
	return false
}

// find returns the door of a listener's address.
func (s *snapshot) find(l *route.Listener) *door {
	if s == nil {
		return nil
	}
	for _, d := range s.doors {
		if d.l.Network == l.Network && d.l.Address == l.Address {
			return d
		}
	}
	return nil
}
