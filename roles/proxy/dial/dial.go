// Package dial opens the connection with a backend: name, TCP or unix socket,
// PROXY header, the upgrade of a database's protocol, TLS. Every step has a
// deadline, and an error names the step, the address and the remedy.
package dial

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sidecar-kit/sidecar/roles/proxy/proxyproto"
	"github.com/sidecar-kit/sidecar/roles/proxy/starttls"
	"github.com/sidecar-kit/sidecar/roles/proxy/stream"
)

const (
	defaultConnect   = 10 * time.Second
	defaultHandshake = 10 * time.Second

	// A peer that vanished is noticed after 30 + 4*10 seconds, which is also
	// often enough to keep the state of NATs and balancers alive.
	keepAliveIdle     = 30 * time.Second
	keepAliveInterval = 10 * time.Second
	keepAliveCount    = 4
)

// Target is one address of a backend and how to speak to it. It is shared by
// all connections with that address and must not be copied or changed once it
// is in use.
type Target struct {
	Network, Address string             // "tcp" with host:port, "unix" with a path or @name
	TLS              func() *tls.Config // nil: plain; read at every dial
	StartTLS         string             // "", starttls.Postgres, starttls.MySQL; needs TLS
	SendProxy        uint8              // version of the PROXY header to send; 0: none
	ConnectTimeout   time.Duration      // name and connection; 0 = 10 s
	HandshakeTimeout time.Duration      // all that follows; 0 = 10 s
	KeepAlive        time.Duration      // silence before the first probe; 0 = 30 s, negative: none
	Pool             *stream.Pool       // memory for TLS writes; nil: one of its own

	named    atomic.Pointer[named]
	once     sync.Once
	upgrader *starttls.Upgrader
}

// named is a TLS config with the name of the server filled in.
type named struct{ from, to *tls.Config }

// Client is whom the connection is for.
type Client struct {
	Source, Local netip.AddrPort // for the PROXY header
	Conn          net.Conn       // for StartTLS alone, which speaks to both sides
}

// Dial connects and does all steps. An error is an *Error. With TLS the result
// is a *tls.Conn above a *stream.Conn.
func (t *Target) Dial(ctx context.Context, c Client) (net.Conn, error) {
	conn, err := t.connect(ctx)
	if err != nil {
		if t.StartTLS != "" && c.Conn != nil {
			t.refuse(ctx, c.Conn, err)
		}
		return nil, err
	}
	if t.TLS == nil && t.SendProxy == 0 {
		return conn, nil
	}
	ctx, cancel := context.WithTimeout(ctx, or(t.HandshakeTimeout, defaultHandshake))
	defer cancel()
	ready, err := t.prepare(ctx, conn, c)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return ready, nil
}

// refuse tells the client of a database that it cannot be reached: otherwise
// its user would see the end of a connection and no reason.
func (t *Target) refuse(ctx context.Context, client net.Conn, why error) {
	ctx, cancel := context.WithTimeout(ctx, or(t.HandshakeTimeout, defaultHandshake))
	defer cancel()
	t.starttls().Refuse(ctx, client, why)
}

// Probe connects and does all steps without a client. It is no login, so a
// MySQL server counts it as an aborted one.
func (t *Target) Probe(ctx context.Context) error {
	if t.StartTLS == "" || t.TLS == nil {
		conn, err := t.Dial(ctx, Client{})
		if err != nil {
			return err
		}
		return conn.Close()
	}
	conn, err := t.connect(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, or(t.HandshakeTimeout, defaultHandshake))
	defer cancel()
	if err := t.sendProxy(ctx, conn, Client{}); err != nil {
		_ = conn.Close()
		return err
	}
	if err := t.starttls().Probe(ctx, conn); err != nil {
		return t.wrap(ctx, StepStartTLS, err)
	}
	return nil
}

func (t *Target) connect(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{
		Timeout: or(t.ConnectTimeout, defaultConnect),
		KeepAliveConfig: net.KeepAliveConfig{
			Enable: t.KeepAlive >= 0, Idle: or(t.KeepAlive, keepAliveIdle),
			Interval: keepAliveInterval, Count: keepAliveCount,
		},
	}
	conn, err := d.DialContext(ctx, t.Network, t.Address)
	if err == nil {
		return conn, nil
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return nil, t.wrap(ctx, StepResolve, err)
	}
	return nil, t.wrap(ctx, StepConnect, err)
}

// prepare does what comes between the connection and the first byte of the
// client.
func (t *Target) prepare(ctx context.Context, conn net.Conn, c Client) (net.Conn, error) {
	if err := t.sendProxy(ctx, conn, c); err != nil {
		return nil, err
	}
	if t.TLS == nil {
		return conn, nil
	}
	if t.StartTLS == "" {
		return t.handshake(ctx, conn)
	}
	if c.Conn == nil {
		return nil, t.wrap(ctx, StepStartTLS, errors.New("no client to speak for"))
	}
	secured, err := t.starttls().Upgrade(ctx, c.Conn, conn)
	if err != nil {
		return nil, t.wrap(ctx, StepStartTLS, err)
	}
	return secured, nil
}

func (t *Target) sendProxy(ctx context.Context, conn net.Conn, c Client) error {
	if t.SendProxy == 0 {
		return nil
	}
	// A header fits into the empty buffer of a new connection: no deadline.
	if _, err := conn.Write(proxyproto.Append(nil, t.SendProxy, c.Source, c.Local)); err != nil {
		return t.wrap(ctx, StepProxy, err)
	}
	return nil
}

func (t *Target) starttls() *starttls.Upgrader {
	t.once.Do(func() {
		t.upgrader = &starttls.Upgrader{Protocol: t.StartTLS, Secure: t.handshake}
	})
	return t.upgrader
}

func (t *Target) handshake(ctx context.Context, conn net.Conn) (net.Conn, error) {
	wire := stream.Coalesce(conn, t.Pool)
	secured := tls.Client(wire, t.config())
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, t.wrap(ctx, StepTLS, err)
	}
	wire.Reclaim(secured) // of the handshake
	return secured, nil
}

// config is the current TLS config, with a name to verify. The copy is made
// once per config, not per dial; the session cache in it is shared.
func (t *Target) config() *tls.Config {
	from := t.TLS()
	if from.ServerName != "" || from.InsecureSkipVerify {
		return from
	}
	if n := t.named.Load(); n != nil && n.from == from {
		return n.to
	}
	to := from.Clone()
	to.ServerName = t.host()
	t.named.Store(&named{from, to})
	return to
}

// host is the name in the address; a unix socket has none.
func (t *Target) host() string {
	if host, _, err := net.SplitHostPort(t.Address); err == nil && t.Network != "unix" {
		return host
	}
	return "localhost"
}

func or(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// wrap makes the error of a step, unless err is one already.
func (t *Target) wrap(ctx context.Context, s Step, err error) error {
	var done *Error
	if errors.As(err, &done) {
		return err
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w (%w)", err, cause)
	}
	return &Error{Step: s, Address: t.Address, Err: err}
}
