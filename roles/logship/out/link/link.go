package link

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/tlsconf"
	"github.com/sidecar-kit/sidecar/roles/logship/out"
)

// dialTimeout bounds one attempt to connect, name resolution and TLS handshake included.
const dialTimeout = 10 * time.Second

// TLS says how the other side proves who it is, and how we do.
type TLS struct {
	On         bool
	CA         []string // files or folders; none: the authorities of the system
	Cert, Key  []string // of ours; none: we show none
	ServerName string   // instead of the host name that is dialed
	Insecure   bool     // nothing is checked
}

// Dialer opens connections.
type Dialer struct {
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	tls     *tlsconf.Client // nil: plain
	name    string
	traffic *out.Traffic
}

// NewDialer reads the files of t. host is one of the names that will be dialed.
func NewDialer(t TLS, host string, traffic *out.Traffic, log zerolog.Logger, alpn ...string) (*Dialer, error) {
	d := &Dialer{dial: (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext, name: t.ServerName, traffic: traffic}
	if !t.On {
		return d, nil
	}
	if t.ServerName != "" {
		host = t.ServerName
	}
	client, err := tlsconf.NewClient(tlsconf.ClientOptions{
		CA: t.CA, Cert: t.Cert, Key: t.Key, ServerName: host, Insecure: t.Insecure, ALPN: alpn, Sessions: 4,
		Events: tlsconf.Events{
			Reloaded: func(changed []string) { log.Info().Strs("path", changed).Msg("certificates are loaded again") },
			Refused: func(err error) {
				log.Warn().AnErr("err", err).Msg("new certificates cannot be used, the last good ones stay")
			},
			Warned: func(warnings []string) {
				log.Warn().Strs("warnings", warnings).Msg("certificates are used although they are not right")
			},
		},
	})
	if err != nil {
		return nil, err
	}
	d.tls = client
	return d, nil
}

// Dial connects to host:port, and shakes hands where there is TLS. The error names the address.
func (d *Dialer) Dial(ctx context.Context, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	d.traffic.Dials.Add(1)
	conn, err := d.dial(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	if d.tls == nil {
		return conn, nil
	}
	config := d.tls.Config()
	if host, _, err := net.SplitHostPort(address); err == nil && d.name == "" && host != config.ServerName {
		config = config.Clone()
		config.ServerName = host
	}
	shaken := tls.Client(conn, config)
	if err := shaken.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("TLS with %s: %w", address, err)
	}
	return shaken, nil
}

// Run follows the files of certificates until ctx ends. It returns nil.
func (d *Dialer) Run(ctx context.Context) error {
	if d.tls == nil {
		<-ctx.Done()
		return nil
	}
	return d.tls.Run(ctx)
}

// Loopback says whether a host is this machine: what is sent there, nobody on the way can read.
func Loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
