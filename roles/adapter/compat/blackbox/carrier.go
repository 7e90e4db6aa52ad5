package blackbox

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// carrier carries the requests of one probe, redirects included. The host that was asked for is connected to at the address that was found at
// first; any other is looked up and checked on its own, and gets nothing that the module says.
type carrier struct {
	look      *look
	first     *url.URL
	addr      netip.Addr
	transport *http.Transport
	cookies   []*http.Cookie // of the host that was asked for; requests follow each other

	mu    sync.Mutex
	trips []*trip
}

// trip is how long the parts of one request took.
type trip struct {
	resolve, connect, tls time.Duration
	sent, answered        time.Time
}

func (c *carrier) newTransport() *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(c.look.web.http2)
	return &http.Transport{
		Protocols: protocols, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 256 << 10, DialContext: c.dialPlain, DialTLSContext: c.dialTLS,
	}
}

// own is whether a request goes to the host that was asked for, and not to it without TLS after one with.
func (c *carrier) own(u *url.URL) bool {
	return strings.EqualFold(u.Hostname(), c.first.Hostname()) && (portOf(u) == portOf(c.first) || u.Scheme == "https" && c.first.Port() == "" && u.Port() == "") &&
		(u.Scheme == "https" || c.first.Scheme != "https")
}

// RoundTrip implements http.RoundTripper.
func (c *carrier) RoundTrip(r *http.Request) (*http.Response, error) {
	t := &trip{}
	c.mu.Lock()
	c.trips = append(c.trips, t)
	c.mu.Unlock()
	own := c.own(r.URL)
	if !own && r.Body != nil && r.Body != http.NoBody {
		_ = r.Body.Close()
		return nil, errors.New("the body is not sent to another host than the target")
	}
	trace := &httptrace.ClientTrace{
		GotConn:              func(httptrace.GotConnInfo) { c.stamp(&t.sent) },
		GotFirstResponseByte: func() { c.stamp(&t.answered) },
	}
	r = r.Clone(httptrace.WithClientTrace(context.WithValue(r.Context(), tripKey{}, t), trace))
	if own {
		if err := c.look.web.authorize(r); err != nil {
			return nil, err
		}
		if c.look.host != "" {
			r.Host = c.look.host
		}
	} else {
		r.Header.Del("Referer")
	}
	if r.Header.Get("User-Agent") == "" {
		r.Header.Set("User-Agent", "sidecar-adapter")
	}
	if own {
		for _, cookie := range c.cookies {
			if !cookie.Secure || r.URL.Scheme == "https" {
				r.AddCookie(cookie)
			}
		}
	}
	answer, err := c.transport.RoundTrip(r)
	if own && err == nil {
		c.keep(answer.Cookies())
	}
	return answer, err
}

// keep keeps cookies until the probe is over: pages that log in redirect for ever without. Paths and ages are not looked at, but for those that are taken back.
func (c *carrier) keep(list []*http.Cookie) {
	for _, cookie := range list {
		c.cookies = slices.DeleteFunc(c.cookies, func(old *http.Cookie) bool { return old.Name == cookie.Name })
		if cookie.MaxAge >= 0 {
			c.cookies = append(c.cookies, cookie)
		}
	}
}

type tripKey struct{}

func (c *carrier) stamp(at *time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*at = time.Now()
}

// connect connects to HOST:PORT for the request that ctx is of.
func (c *carrier) connect(ctx context.Context, address string) (net.Conn, *trip, error) {
	t, ok := ctx.Value(tripKey{}).(*trip)
	if !ok {
		t = &trip{}
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, t, err
	}
	addr, start := c.addr, time.Now()
	var resolve time.Duration
	if !strings.EqualFold(host, c.first.Hostname()) || port != portOf(c.first) {
		if addr, err = c.look.resolve(ctx, host, port); err != nil {
			return nil, t, err
		}
		resolve = time.Since(start)
	}
	conn, err := c.look.dial(ctx, "tcp", addr, port)
	c.mu.Lock()
	t.resolve, t.connect = resolve, time.Since(start)-resolve
	c.mu.Unlock()
	return conn, t, err
}

// tell reports how long the parts took. The last request ended at end.
func (c *carrier) tell(end time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, t := range c.trips {
		for phase, took := range map[string]time.Duration{"resolve": t.resolve, "connect": t.connect, "tls": t.tls} {
			c.look.report.add(phases, took, "phase", phase)
		}
		if t.answered.IsZero() {
			continue
		}
		c.look.report.add(phases, t.answered.Sub(t.sent), "phase", "processing")
		if i == len(c.trips)-1 {
			c.look.report.add(phases, end.Sub(t.answered), "phase", "transfer")
		}
	}
}
