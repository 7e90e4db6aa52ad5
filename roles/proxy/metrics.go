package proxy

import (
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/sidecar-kit/sidecar/internal/meter"
	"github.com/sidecar-kit/sidecar/roles/proxy/listen"
	"github.com/sidecar-kit/sidecar/roles/proxy/stream"
	"github.com/sidecar-kit/sidecar/roles/proxy/web"
)

// metrics are what /metrics shows of the role. What moves with requests is counted where it happens, without labels, and read
// when it is scraped.
type metrics struct {
	reloads  *meter.Counters
	valid    *meter.Gauge
	certs    *meter.Counters
	h2errors *meter.Counters
	unrouted [web.Causes]atomic.Int64 // refused before a route was found
}

func newMetrics(reg meter.Registerer, p *Proxy) *metrics {
	m := &metrics{
		reloads: meter.NewCounters("sidecar_proxy_reloads_total", "Times the routes were read again, by result: changed, unchanged or invalid.", "result"),
		valid:   meter.NewGauge("sidecar_proxy_config_last_reload_successful", "1 while the config file is valid; 0 while it is not and the last valid routes stay in force."),
		certs:   meter.NewCounters("sidecar_proxy_tls_reloads_total", "Times certificates, keys, CAs or lists had new content, by result: loaded, or refused, when the last good ones stay in use.", "result"),
	}
	m.h2errors = meter.NewCounters("sidecar_proxy_h2_errors_total", "What clients did wrong with frames of HTTP/2, by kind.", "kind")
	m.valid.Set(1)
	for _, r := range []string{"changed", "unchanged", "invalid"} {
		m.reloads.With(r)
	}
	m.certs.With("loaded")
	m.certs.With("refused")
	reg.MustRegister(m.reloads, m.valid, m.certs, m.h2errors, newCollector(p))
	return m
}

// h2Error counts.
func (m *metrics) h2Error(kind string) { m.h2errors.With(kind).Inc() }

// collector reads the numbers of routes, listeners and upstreams at a scrape.
type collector struct {
	p     *Proxy
	descs map[string]*meter.Desc
}

func newCollector(p *Proxy) *collector {
	c := &collector{p: p, descs: map[string]*meter.Desc{}}
	desc := func(name, help string, labels ...string) {
		kind := meter.GaugeKind
		switch {
		case strings.HasSuffix(name, "_total"):
			kind = meter.CounterKind
		case strings.HasSuffix(name, "_timestamp_seconds"):
		case strings.HasSuffix(name, "_seconds"):
			kind = meter.HistogramKind
		}
		c.descs[name] = &meter.Desc{Name: "sidecar_proxy_" + name, Help: help, Kind: kind, Labels: labels}
	}
	desc("phase", "0 serving, 1 stopping and still taking new connections, 2 draining.")
	desc("requests_total", "Requests by route and class of the status that the client got; none is no answer.", "route", "code")
	desc("request_errors_total", "Requests that did not end as they should, by route and cause; the route is empty where none was found.", "route", "cause")
	desc("request_duration_seconds", "Time from the first byte of a request to the last of its answer.", "route")
	desc("response_start_seconds", "Time from the first byte of a request to the first of its answer from the upstream.", "route")
	desc("request_bytes_total", "Bytes of bodies of requests.", "route")
	desc("response_bytes_total", "Bytes of bodies of answers.", "route")
	desc("streams", "Connections of TCP routes that are open.", "route")
	desc("streams_total", "Connections of TCP routes that ended, by who ended them: client, backend, idle, shutdown, or upstream when it could not be reached.", "route", "ended")
	desc("stream_bytes_total", "Bytes of connections of TCP routes, by direction: up to the upstream, or down. They move while a connection is open.", "route", "direction")
	desc("stream_connect_seconds", "Time from accepting a connection of a TCP route until its upstream was connected.", "route")
	desc("stream_duration_seconds", "How long connections of TCP routes were open.", "route")
	desc("requests", "Requests under way.", "listener")
	desc("connections", "Connections from clients that are open.", "listener")
	desc("connections_total", "Connections from clients that were accepted.", "listener")
	desc("connections_refused_total", "Connections that were closed at once, by reason: per_ip, not_trusted or bad_proxy.", "listener", "reason")
	desc("accept_pauses_total", "Times accepting stopped, by reason: full (max-conns) or error (no descriptors or memory).", "listener", "reason")
	desc("handshakes_total", "TLS handshakes of clients, by kind: full or resumed.", "listener", "kind")
	desc("handshake_errors_total", "TLS handshakes of clients that failed, by class.", "listener", "class")
	desc("upstream_connects_total", "Connections to an upstream that were tried.", "upstream")
	desc("upstream_connect_errors_total", "Connections to an upstream that failed, by step: resolve, connect, proxy, starttls or tls.", "upstream", "step")
	desc("upstream_connections", "HTTP connections to an upstream that are open.", "upstream")
	desc("upstream_stale_total", "Idle HTTP connections to an upstream that it had closed when they were to be used.", "upstream")
	desc("upstream_retries_total", "Requests that were sent again on another connection.", "upstream")
	desc("certificate_expiry_timestamp_seconds", "When a certificate in use ends.", "use", "file", "serial")
	desc("access_log_dropped_total", "Lines of the access log that nobody took in time.")
	return c
}

// Describe implements meter.Source.
func (c *collector) Describe() (all []*meter.Desc) {
	for _, d := range c.descs {
		all = append(all, d)
	}
	return all
}

// Collect implements meter.Source.
func (c *collector) Collect(put func(meter.Sample)) {
	out := emitter{c.descs, put}
	out.number("phase", int64(c.p.phase.Load()))
	out.number("access_log_dropped_total", c.p.access.dropped.Load())
	for cause := range c.p.metrics.unrouted {
		if n := c.p.metrics.unrouted[cause].Load(); n > 0 {
			out.number("request_errors_total", n, "", web.Cause(cause).String()) //nolint:gosec // a small set
		}
	}
	s := c.p.live.Load()
	if s == nil {
		return
	}
	for name, l := range s.lanes {
		if l.r.Listener.HTTP {
			out.requests(name, l.counts)
		} else {
			out.streams(name, l.counts)
		}
	}
	for _, d := range s.doors {
		out.door(d)
	}
	for _, cl := range s.clusters {
		out.cluster(cl)
	}
	out.certificates(s)
}

// emitter gives values.
type emitter struct {
	descs map[string]*meter.Desc
	put   func(meter.Sample)
}

func (e emitter) number(name string, n int64, labels ...string) {
	e.put(meter.Sample{Desc: e.descs[name], Values: labels, Value: float64(n)})
}

func (e emitter) times(name string, h *histogram, labels ...string) {
	e.put(meter.Sample{Desc: e.descs[name], Values: labels, Times: h.read()})
}

func (e emitter) requests(name string, n *counts) {
	for class := range n.requests {
		code := strconv.Itoa(class) + "xx"
		if class == 0 {
			code = "none"
		}
		e.number("requests_total", n.requests[class].Load(), name, code)
	}
	for cause := range n.causes {
		if c := web.Cause(cause); c > web.Answered { //nolint:gosec // a small set
			e.number("request_errors_total", n.causes[cause].Load(), name, c.String())
		}
	}
	e.times("request_duration_seconds", &n.took, name)
	e.times("response_start_seconds", &n.first, name)
	e.number("request_bytes_total", n.in.Load(), name)
	e.number("response_bytes_total", n.out.Load(), name)
}

func (e emitter) streams(name string, n *counts) {
	e.number("streams", n.open.Load(), name)
	for end := range n.streams {
		ended := "upstream"
		if end != endDial {
			ended = stream.End(end).String() //nolint:gosec // a small set
		}
		e.number("streams_total", n.streams[end].Load(), name, ended)
	}
	e.number("stream_bytes_total", n.bytes.Up.Load(), name, "up")
	e.number("stream_bytes_total", n.bytes.Down.Load(), name, "down")
	e.times("stream_connect_seconds", &n.connect, name)
	e.times("stream_duration_seconds", &n.took, name)
}

func (e emitter) door(d *door) {
	st, name := &d.socket.Stats, d.l.URL
	if d.front != nil {
		active, _ := d.front.busy()
		e.number("requests", int64(active), name)
	}
	e.number("connections", st.Open.Load(), name)
	e.number("connections_total", st.Accepted.Load(), name)
	e.number("connections_refused_total", st.PerIP.Load(), name, "per_ip")
	e.number("connections_refused_total", st.NotTrusted.Load(), name, "not_trusted")
	e.number("connections_refused_total", st.BadProxy.Load(), name, "bad_proxy")
	e.number("accept_pauses_total", st.Full.Load(), name, "full")
	e.number("accept_pauses_total", st.AcceptErrors.Load(), name, "error")
	if d.tls == nil {
		return
	}
	resumed := st.Resumed.Load()
	e.number("handshakes_total", st.Handshakes.Load()-resumed, name, "full")
	e.number("handshakes_total", resumed, name, "resumed")
	for class := range st.HandshakeErrors {
		e.number("handshake_errors_total", st.HandshakeErrors[class].Load(), name, listen.Class(class).String()) //nolint:gosec // a small set
	}
}

func (e emitter) cluster(c *cluster) {
	name := c.c.Name
	e.number("upstream_connects_total", c.dials.Load(), name)
	for i, step := range steps() {
		e.number("upstream_connect_errors_total", c.errors[i].Load(), name, string(step))
	}
	if b := c.backend; b != nil {
		e.number("upstream_connections", b.Stats.Open.Load(), name)
		e.number("upstream_stale_total", b.Stats.Stale.Load(), name)
		e.number("upstream_retries_total", b.Stats.Retries.Load(), name)
	}
}

func (e emitter) certificates(s *snapshot) {
	seen := map[[3]string]bool{}
	for _, info := range s.certificates() {
		key := [3]string{info.Use, info.File, info.Serial}
		if !seen[key] {
			seen[key] = true
			e.number("certificate_expiry_timestamp_seconds", info.NotAfter.Unix(), key[:]...)
		}
	}
}
