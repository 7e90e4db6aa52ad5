package proxy

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/sidecar-kit/sidecar/roles/proxy/dial"
	"github.com/sidecar-kit/sidecar/roles/proxy/listen"
	"github.com/sidecar-kit/sidecar/roles/proxy/route"
	"github.com/sidecar-kit/sidecar/roles/proxy/starttls"
	"github.com/sidecar-kit/sidecar/roles/proxy/stream"
	"github.com/sidecar-kit/sidecar/roles/proxy/web"
)

// lane is a route in force.
type lane struct {
	r       *route.Route
	key     string
	cluster *cluster // nil: redirects
	web     *web.Route
	counts  *counts // kept as long as the route has its name
	pool    *stream.Pool
	access  *accessLog
	proxy   *Proxy
}

// counts are what a route has done since the start. They outlive reloads.
type counts struct {
	bytes    stream.Counters
	open     atomic.Int64
	streams  [ends]atomic.Int64
	requests [6]atomic.Int64 // by class of status; 0 is no answer
	causes   [web.Causes]atomic.Int64
	in, out  atomic.Int64
	took     histogram
	first    histogram
	connect  histogram
}

// How a stream may end: stream.End, and those that did not begin.
const (
	endDial = 4 + iota // the upstream could not be reached
	ends
)

// lane makes r, or takes over the one that is the same.
func (p *Proxy) lane(r *route.Route, s, old *snapshot) (*lane, error) {
	key := r.Key()
	l := &lane{r: r, key: key, pool: p.pool, access: p.access, proxy: p}
	if r.Cluster != nil {
		l.cluster = s.clusters[r.Cluster.Key()]
	}
	if old != nil {
		if had := old.lanes[r.Name]; had != nil {
			if had.key == key && had.cluster == l.cluster && !readsFiles(r) {
				return had, nil
			}
			l.counts = had.counts
		}
	}
	if l.counts == nil {
		l.counts = &counts{}
	}
	if r.Listener.HTTP {
		compiled, err := p.compile(l)
		if err != nil {
			return nil, err
		}
		l.web = compiled
	}
	return l, nil
}

// carry takes a connection to the upstream and relays until it ends.
func (l *lane) carry(ctx context.Context, c net.Conn, info *listen.Info) {
	n := l.counts
	n.open.Add(1)
	l.proxy.streams.Add(1)
	defer l.proxy.streams.Add(-1)
	defer n.open.Add(-1)
	up, connected, ok := l.connect(ctx, c, info)
	if !ok {
		return
	}
	got := l.relay(ctx, c, up)
	l.over(info, got, connected)
}

// The steps of carry are functions of their own, and not inlined: what they keep on the stack would otherwise be there as long
// as the connection is idle, 4 KB of each.

//go:noinline
func (l *lane) connect(ctx context.Context, c net.Conn, info *listen.Info) (net.Conn, time.Duration, bool) {
	up, err := l.cluster.dial(ctx, dial.Client{Source: info.Remote, Local: info.Local, Conn: c})
	connected := time.Since(info.Accepted)
	if err == nil {
		l.counts.connect.observe(connected)
		return up, connected, true
	}
	if l.r.Cluster.StartTLS != "" {
		_ = c.Close() // the client was told in its protocol, and has to get to read it
	} else {
		abort(c)
	}
	l.proxy.last.Store(time.Now().UnixNano())
	end, ended := endDial, "upstream"
	if errors.Is(err, starttls.ErrClient) {
		end, ended = int(stream.ByClient), stream.ByClient.String()
	} else {
		l.proxy.trouble(l.r.Name, err)
	}
	l.counts.streams[end].Add(1)
	l.access.stream(l, info, stream.Result{Err: err}, connected, ended)
	return nil, 0, false
}

//go:noinline
func (l *lane) relay(ctx context.Context, c, up net.Conn) stream.Result {
	return stream.Relay(ctx, c, up, stream.Options{
		Idle: l.r.Idle, HalfIdle: l.r.HalfIdle, Counters: &l.counts.bytes, Pool: l.pool,
		LenientTLS: l.r.Cluster.StartTLS != "", // MariaDB never says close_notify
	})
}

//go:noinline
func (l *lane) over(info *listen.Info, got stream.Result, connected time.Duration) {
	l.proxy.last.Store(time.Now().UnixNano()) // who ended one may begin the next
	l.counts.streams[got.Ended].Add(1)
	l.counts.took.observe(time.Since(info.Accepted))
	l.access.stream(l, info, got, connected, got.Ended.String())
}

// abort closes a connection in a way that its client cannot take for the end of an answer.
func abort(c net.Conn) {
	raw := c
	for {
		inner, ok := raw.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		raw = inner.NetConn()
	}
	if tcp, ok := raw.(*net.TCPConn); ok && raw == c { // a TLS client gets an alert before
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
