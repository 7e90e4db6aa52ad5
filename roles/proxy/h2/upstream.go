package h2

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sidecar-kit/sidecar/roles/proxy/web"
)

// Options are what is said about connections to one backend. Zero values are defaults.
type Options struct {
	// Dial connects. A connection with TLS is a *tls.Conn that negotiated h2; one without is spoken to with prior knowledge.
	Dial    func(ctx context.Context) (net.Conn, error)
	TLS     bool          // what Dial returns, and the scheme that the backend is told
	Connect time.Duration // until Dial must be done; default 10 s
	Conns   int           // most connections, when streams are used up on all others; default 8
	MaxAge  time.Duration // a connection that is older takes no new requests; 0: any. It is how new replicas behind one address get a share
	Idle    time.Duration // how long a connection without requests is kept; default 5 min
	Head    int           // bytes of the head of an answer; default 32 KiB
	Ping    time.Duration // a backend that says nothing for so long is asked, and given up when it does not answer; default 20 s
}

// Upstream sends requests to one backend over HTTP/2. It implements web.Upstream.
type Upstream struct {
	opts      Options
	transport *http.Transport
	slots     chan struct{} // one dial at a time

	mu     sync.Mutex
	lanes  []*lane
	closed bool
}

var _ web.Upstream = (*Upstream)(nil)

// lane is one connection.
type lane struct {
	conn    *http.ClientConn
	made    time.Time
	retired atomic.Bool // takes no new requests, and is closed after the last
}

// NewUpstream returns an upstream without connections.
func NewUpstream(o Options) *Upstream {
	def(&o.Connect, 10*time.Second)
	def(&o.Conns, 8)
	def(&o.Idle, 5*time.Minute)
	def(&o.Head, 32<<10)
	def(&o.Ping, 20*time.Second)
	u := &Upstream{opts: o, slots: make(chan struct{}, 1)}
	protocols := new(http.Protocols)
	protocols.SetHTTP2(o.TLS)
	protocols.SetUnencryptedHTTP2(!o.TLS)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := o.Dial(ctx)
		if err == nil {
			if err = negotiated(c); err != nil {
				_ = c.Close()
				return nil, err
			}
		}
		return c, err
	}
	u.transport = &http.Transport{
		Protocols: protocols, DialContext: dial, DialTLSContext: dial, DisableCompression: true, IdleConnTimeout: o.Idle, MaxResponseHeaderBytes: int64(o.Head),
		HTTP2: &http.HTTP2Config{
			SendPingTimeout: o.Ping, PingTimeout: o.Ping, WriteByteTimeout: 3 * o.Ping, MaxReadFrameSize: 16 << 10,
			MaxReceiveBufferPerConnection: 3 << 20, MaxReceiveBufferPerStream: 1 << 20,
		},
	}
	return u
}

func (u *Upstream) scheme() string {
	if u.opts.TLS {
		return "https"
	}
	return "http"
}

// errClosed says that the upstream was taken out of service.
var errClosed = errors.New("the upstream is closed")

// acquire returns a connection with a stream reserved on it, and whether it was used before.
func (u *Upstream) acquire(ctx context.Context) (*lane, bool, error) {
	for {
		l, full, err := u.reserve()
		if l != nil || err != nil {
			return l, true, err
		}
		if full {
			// As many connections as may be, and no stream left: RoundTrip waits for one.
			if l := u.least(); l != nil {
				return l, true, nil
			}
		}
		select {
		case u.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		}
		// Who dialled before may have made room for all who waited.
		l, full, err = u.reserve()
		if l == nil && err == nil && !full {
			l, err = u.dial(ctx)
			<-u.slots
			return l, false, err
		}
		<-u.slots
		if l != nil || err != nil {
			return l, true, err
		}
	}
}

// reserve takes a stream on the connection that has the fewest. full reports that there are as many connections as may be.
func (u *Upstream) reserve() (best *lane, full bool, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return nil, false, errClosed
	}
	kept := u.lanes[:0]
	for _, l := range u.lanes {
		if l.conn.Err() != nil {
			continue
		}
		kept = append(kept, l)
		if u.opts.MaxAge > 0 && time.Since(l.made) > u.opts.MaxAge {
			l.retire()
			continue
		}
		if l.conn.Available() > 0 && (best == nil || l.conn.InFlight() < best.conn.InFlight()) {
			best = l
		}
	}
	clear(u.lanes[len(kept):])
	u.lanes = kept
	if best != nil && best.conn.Reserve() != nil {
		best = nil
	}
	return best, u.young() >= u.opts.Conns, nil
}

// young counts the connections that take requests.
func (u *Upstream) young() int {
	n := 0
	for _, l := range u.lanes {
		if !l.retired.Load() {
			n++
		}
	}
	return n
}

func (u *Upstream) least() *lane {
	u.mu.Lock()
	defer u.mu.Unlock()
	var best *lane
	for _, l := range u.lanes {
		if !l.retired.Load() && (best == nil || l.conn.InFlight() < best.conn.InFlight()) {
			best = l
		}
	}
	return best
}

// retire lets the requests on a connection end. It may be called again.
func (l *lane) retire() {
	l.retired.Store(true)
	if l.conn.InFlight() == 0 {
		_ = l.conn.Close()
	}
}

func (u *Upstream) dial(ctx context.Context) (*lane, error) {
	ctx, cancel := context.WithTimeout(ctx, u.opts.Connect)
	defer cancel()
	conn, err := u.transport.NewClientConn(ctx, u.scheme(), "backend:0")
	if err != nil {
		return nil, err
	}
	l := &lane{conn: conn, made: time.Now()}
	if err := conn.Reserve(); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("use a new connection: %w", err)
	}
	conn.SetStateHook(func(c *http.ClientConn) {
		if l.retired.Load() && c.InFlight() == 0 {
			_ = c.Close()
		}
	})
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		_ = conn.Close()
		return nil, errClosed
	}
	u.lanes = append(u.lanes, l)
	return l, nil
}

// Conns returns how many connections are open.
func (u *Upstream) Conns() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := 0
	for _, l := range u.lanes {
		if l.conn.Err() == nil {
			n++
		}
	}
	return n
}

// Close lets requests under way end and takes no others.
func (u *Upstream) Close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	for _, l := range u.lanes {
		l.retire()
	}
}

// negotiated tells whether a backend agreed to HTTP/2.
func negotiated(c net.Conn) error {
	secure, ok := c.(*tls.Conn)
	if !ok {
		return nil
	}
	if got := secure.ConnectionState().NegotiatedProtocol; got != "h2" {
		return fmt.Errorf("the backend does not speak HTTP/2 over TLS (ALPN %q)\nhint: use https:// without h2 for it", got)
	}
	return nil
}
