// Package allow says which targets a request may name. Whoever can reach a probe endpoint could otherwise make this process ask anything it
// can reach, and read the answers: the cloud's metadata service, above all.
//
// It promises that what is connected to is an address that was checked, after its name was resolved, at each connection, redirects
// included; and that link-local, multicast and unspecified addresses are never connected to, whatever the list says.
package allow

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// List is what is allowed. The zero value allows nothing.
type List struct{ rules []rule }

type rule struct {
	host   string // in lower case; "*.example.com" for all below it
	port   string // "": any
	prefix netip.Prefix
	socket string // the path of a socket; it allows nothing else
}

// Parse reads HOST, HOST:PORT, *.DOMAIN, *.DOMAIN:PORT, an address, a network such as 10.1.0.0/16, or a socket as unix:///PATH.
func Parse(texts []string) (*List, error) {
	l := &List{}
	var errs []error
	for _, text := range texts {
		r, err := parseRule(text)
		errs = append(errs, err)
		l.rules = append(l.rules, r)
	}
	return l, errors.Join(errs...)
}

func parseRule(text string) (rule, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return rule{prefix: p.Masked()}, nil
	}
	if path, is := strings.CutPrefix(text, "unix://"); is {
		if !filepath.IsAbs(path) || filepath.Clean(path) != path {
			return rule{}, fmt.Errorf("%q: want the whole path of a socket, such as unix:///run/app.sock", text)
		}
		return rule{socket: path}, nil
	}
	host, port := text, ""
	if h, p, err := net.SplitHostPort(text); err == nil {
		host, port = h, p
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return rule{}, fmt.Errorf("%q: want a port from 1 to 65535", text)
		}
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if addr, err := netip.ParseAddr(host); err == nil {
		return rule{prefix: netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), port: port}, nil
	}
	if rest := strings.TrimPrefix(host, "*."); rest == "" || strings.ContainsAny(rest, "*/:@ ") {
		return rule{}, fmt.Errorf("%q: want HOST, HOST:PORT, *.DOMAIN, a network such as 10.1.0.0/16, or unix:///PATH", text)
	}
	return rule{host: host, port: port}, nil
}

// Empty is whether nothing is allowed.
func (l *List) Empty() bool { return l == nil || len(l.rules) == 0 }

// ErrNotAllowed is what a target gets that no rule is for.
var ErrNotAllowed = errors.New("the target is not in --probe-allow")

// Host says whether a name or address may be asked at a port; its addresses are checked when it is connected to. A network allows the names
// that resolve into it.
func (l *List) Host(host, port string) error {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	addr, err := netip.ParseAddr(host)
	isAddr := err == nil
	if isAddr && forbidden(addr) {
		return ErrNotAllowed
	}
	for _, r := range l.rules {
		if r.port != "" && r.port != port {
			continue
		}
		if r.prefix.IsValid() && (!isAddr || r.prefix.Contains(addr.Unmap())) || r.host != "" && !isAddr && r.named(host) {
			return nil
		}
	}
	return ErrNotAllowed
}

// Socket says whether the socket at a path may be asked. Only the path that a rule has is allowed, letter by letter.
func (l *List) Socket(path string) error {
	if slices.ContainsFunc(l.rules, func(r rule) bool { return r.socket != "" && r.socket == path }) {
		return nil
	}
	return ErrNotAllowed
}

func (r *rule) named(host string) bool {
	if below, wild := strings.CutPrefix(r.host, "*"); wild {
		return strings.HasSuffix(host, below) && len(host) > len(below)
	}
	return host == r.host
}

// address says whether a resolved address of a host may be connected to.
func (l *List) address(host, port string, addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	if forbidden(addr) {
		return false
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return slices.ContainsFunc(l.rules, func(r rule) bool {
		if r.port != "" && r.port != port {
			return false
		}
		return r.prefix.IsValid() && r.prefix.Contains(addr) || r.host != "" && r.named(host)
	})
}

// forbidden are addresses that no list can allow: what is on the link (clouds answer secrets there), and what is no host.
func forbidden(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return addr.IsLinkLocalUnicast() || addr.IsMulticast() || addr.IsUnspecified() || !addr.IsValid() ||
		addr == netip.MustParseAddr("fd00:ec2::254") || addr == netip.MustParseAddr("100.100.100.200") || addr == netip.MustParseAddr("255.255.255.255")
}

// Dial connects to HOST:PORT, if its host is allowed, at those of its addresses that are.
func (l *List) Dial(ctx context.Context, network, target string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return nil, err
	}
	if err := l.Host(host, port); err != nil {
		return nil, err
	}
	family := "ip"
	if n := network[len(network)-1]; n == '4' || n == '6' {
		family += string(n)
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, family, host)
	if err != nil {
		return nil, err
	}
	last := ErrNotAllowed
	for _, addr := range addrs {
		if !l.address(host, port, addr) {
			continue
		}
		var d net.Dialer
		c, err := d.DialContext(ctx, network, net.JoinHostPort(addr.Unmap().String(), port))
		if err == nil {
			return c, nil
		}
		last = err
	}
	return nil, last
}
