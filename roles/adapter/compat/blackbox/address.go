package blackbox

import (
	"context"
	"crypto/tls"
	"errors"
	"hash/fnv"
	"net"
	"net/netip"
	"time"

	"github.com/sidecar-kit/sidecar/internal/tlsconf"
	"github.com/sidecar-kit/sidecar/roles/adapter/allow"
)

// addressing is how a name becomes an address, and from where it is connected to.
type addressing struct {
	four   bool // IPv4 is preferred
	only   bool // there is no other choice
	source netip.Addr
}

// resolve finds the address of a host that may be connected to at a port. It connects a UDP socket, which sends nothing: so the one place
// that knows what is allowed chooses among the addresses, and what is connected to afterwards is an address, never a name again.
func (l *look) resolve(ctx context.Context, host, port string) (netip.Addr, error) {
	networks := []string{"udp6", "udp4"}
	if l.address.four {
		networks = []string{"udp4", "udp6"}
	}
	if l.address.only {
		networks = networks[:1]
	}
	var errs []error
	for _, network := range networks {
		c, err := l.list.Dial(ctx, network, net.JoinHostPort(host, port))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		_ = c.Close()
		if to, ok := c.RemoteAddr().(*net.UDPAddr); ok {
			return to.AddrPort().Addr().Unmap(), nil
		}
	}
	for _, err := range errs {
		if errors.Is(err, allow.ErrNotAllowed) {
			return netip.Addr{}, allow.ErrNotAllowed
		}
	}
	return netip.Addr{}, errors.Join(errs...)
}

// find is resolve for the target, and says what it found. family has the durations of phases, "" for none.
func (l *look) find(ctx context.Context, host, port, family string) (netip.Addr, error) {
	l.report.set("probe_dns_lookup_time_seconds", "Returns the time taken for probe dns lookup in seconds", 0)
	l.report.set("probe_ip_protocol", "Specifies whether probe ip protocol is IP4 or IP6", 0)
	l.report.set("probe_ip_addr_hash", "Specifies the hash of IP address. It's useful to detect if the IP address changes.", 0)
	start := time.Now()
	addr, err := l.resolve(ctx, host, port)
	took := time.Since(start)
	l.report.add("probe_dns_lookup_time_seconds", took)
	if family != "" {
		l.report.add(family, took, "phase", "resolve")
	}
	if err != nil {
		return addr, err
	}
	protocol := 6.
	if addr.Is4() {
		protocol = 4
	}
	h := fnv.New32a()
	_, _ = h.Write(addr.AsSlice())
	l.report.set("probe_ip_protocol", "", protocol)
	l.report.set("probe_ip_addr_hash", "", float64(h.Sum32()))
	return addr, nil
}

// dial connects to an address that resolve gave.
func (l *look) dial(ctx context.Context, network string, addr netip.Addr, port string) (net.Conn, error) {
	var d net.Dialer
	if l.address.source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(l.address.source, 0))
		if network == "udp" {
			d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(l.address.source, 0))
		}
	}
	c, err := d.DialContext(ctx, network, net.JoinHostPort(addr.String(), port))
	if end, ok := ctx.Deadline(); ok && err == nil {
		err = c.SetDeadline(end)
	}
	return c, err
}

// tlsSettings are a tls_config.
type tlsSettings struct {
	ca, cert, key, name string
	insecure            bool
	least, most         uint16
}

// shake makes a connection one of TLS. A host that the target sent us to gets neither the client's certificate nor another name than its own.
// raw is closed if that fails.
func (t *tlsSettings) shake(ctx context.Context, raw net.Conn, host string, first bool, alpn ...string) (*tls.Conn, error) {
	o := tlsconf.ClientOptions{ServerName: host, Insecure: t.insecure, ALPN: alpn, Sessions: -1}
	if t.ca != "" {
		o.CA = []string{t.ca}
	}
	if first && t.name != "" {
		o.ServerName = t.name
	}
	if first && t.cert != "" {
		o.Cert, o.Key = []string{t.cert}, []string{t.key}
	}
	client, err := tlsconf.NewClient(o)
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	conf := client.Config().Clone()
	if t.least != 0 {
		conf.MinVersion = t.least
	}
	if t.most != 0 {
		conf.MaxVersion = t.most
	}
	c := tls.Client(raw, conf)
	if err := c.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return c, nil
}
