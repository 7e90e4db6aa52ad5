package proxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sidecar-kit/sidecar/internal/tlsconf"
	"github.com/sidecar-kit/sidecar/roles/proxy/listen"
	"github.com/sidecar-kit/sidecar/roles/proxy/route"
)

// door is a listener. What it leads to may change while it is open.
type door struct {
	l      *route.Listener
	key    string
	socket *listen.Socket
	tls    *tlsconf.Server // nil: plain
	front  front           // nil: bytes
	lane   atomic.Pointer[lane]
	stop   context.CancelFunc
	was    *door // the one of the same address before
}

// front is an HTTP engine.
type front interface {
	// serve serves a connection until it is closed.
	serve(ctx context.Context, c net.Conn, info *listen.Info)
	// use makes requests find the lanes of s.
	use(l *route.Listener, s *snapshot)
	// lame makes every answer the last of its connection.
	lame()
	// busy tells how many requests are under way and when one was last.
	busy() (int, time.Time)
	// shutdown closes idle connections and waits for requests to end. It cuts them when ctx ends, and returns how many.
	shutdown(ctx context.Context) int
}

// door binds l, or takes over the socket of the door of the same address.
func (p *Proxy) door(ctx context.Context, l *route.Listener, s, old *snapshot) (*door, error) {
	d := &door{l: l, key: l.Key(), was: old.find(l)}
	if !l.HTTP {
		d.lane.Store(s.lanes[l.Routes[0].Name])
	}
	if d.was != nil && d.was.same(d) {
		return d, nil
	}
	cfg := p.listenConfig(l)
	if l.TLS != nil {
		server, err := tlsconf.NewServer(serverOptions(l, p.tlsEvents(l.URL)))
		if err != nil {
			return nil, err
		}
		d.tls = server
		cfg.TLS = server.Config()
	}
	if l.HTTP {
		made, err := p.newFront(l)
		if err != nil {
			return nil, err
		}
		d.front = made
		d.front.use(l, s)
	}
	if d.was != nil {
		d.socket = d.was.socket.Successor(cfg)
	} else {
		socket, err := listen.Bind(ctx, cfg)
		if err != nil {
			return nil, old.inTheWay(l, err)
		}
		d.socket = socket
	}
	return d, nil
}

// inTheWay says of an address that is in use when it is a listener in force that has the port, of another address: that one closes only when the
// new table is whole.
func (s *snapshot) inTheWay(l *route.Listener, err error) error {
	if s == nil || !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	_, port, _ := net.SplitHostPort(l.Address)
	for _, d := range s.doors {
		if _, other, _ := net.SplitHostPort(d.l.Address); other == port && port != "" {
			return fmt.Errorf("listen on %s: %s, which is in force, has this port\nhint: restart, or take %s out, and put %s in with the next change", l.Address, d.l.URL, d.l.URL, l.URL)
		}
	}
	return err
}

func (p *Proxy) listenConfig(l *route.Listener) listen.Config {
	cfg := listen.Config{
		Network: l.Network, Address: l.Address, Mode: l.Mode, MaxConns: l.MaxConns, MaxPerIP: l.MaxPerIP, ProxyFrom: l.ProxyFrom,
		HandshakeTimeout: l.HandshakeTimeout, Pool: p.pool, Log: p.log,
	}
	if cfg.MaxConns == 0 {
		cfg.MaxConns = descriptors()
	}
	if strings.HasPrefix(l.Address, "@") {
		cfg.Mode = 0 // it has none
	}
	uid, gid, _ := strings.Cut(l.Owner, ":")
	cfg.Owner, _ = strconv.Atoi(uid)
	cfg.Group, _ = strconv.Atoi(gid)
	return cfg
}

// same tells whether d serves what other wants: only lanes may differ.
func (d *door) same(other *door) bool { return d.key == other.key }

// take gives d the lanes of another door of the same key.
func (d *door) take(other *door, s *snapshot) {
	if d.front != nil {
		d.front.use(other.l, s)
		return
	}
	d.lane.Store(other.lane.Load())
}

// begin serves.
func (d *door) begin(base context.Context, p *Proxy) {
	files, stop := context.WithCancel(base)
	d.stop = stop
	if d.tls != nil {
		p.running.Go(func() { _ = d.tls.Run(files) })
	}
	if d.was != nil {
		d.was.retire()
	}
	p.open.add(d)
	p.doors.Go(func() {
		defer p.open.remove(d)
		_ = d.socket.Serve(base, func(_ context.Context, c net.Conn, info *listen.Info) {
			p.last.Store(info.Accepted.UnixNano())
			if d.front != nil {
				d.front.serve(p.cut, c, info)
				return
			}
			d.lane.Load().carry(p.cut, c, info)
		})
		if d.front != nil {
			d.front.shutdown(base) // it has no connection left, and may have goroutines of its own
		}
	})
}

// close takes no new connection. Those that are open go on.
func (d *door) close() {
	_ = d.socket.Close()
	d.retire()
}

// retire lets what is open end by itself.
func (d *door) retire() {
	if d.front != nil {
		d.front.lame()
	}
	if d.stop != nil {
		d.stop()
	}
}

// discard undoes what making the door did.
func (d *door) discard() {
	if d.socket != nil && d.was == nil {
		_ = d.socket.Close()
	}
}

// openDoors are those that have connections, also when no route leads to them any more.
type openDoors struct {
	mu  sync.Mutex
	all map[*door]bool
}

func (o *openDoors) add(d *door) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all == nil {
		o.all = map[*door]bool{}
	}
	o.all[d] = true
}

func (o *openDoors) remove(d *door) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.all, d)
}

func (o *openDoors) list() []*door {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Collect(maps.Keys(o.all))
}
