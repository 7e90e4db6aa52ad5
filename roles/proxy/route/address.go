package route

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// endpoint is an address with what is spoken there.
type endpoint struct {
	url              string // as it is shown
	scheme           string // without +unix
	network, address string
	host             string // without port, for names
	path             string
	tls, http        bool
}

// splitURL takes scheme, authority and path apart. unix sockets are unix:///path, and http+unix:///path for requests.
func splitURL(text string) (e endpoint, authority string, err error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return e, "", fmt.Errorf("%q: want a URL such as %s", text, "tcp://127.0.0.1:5432")
	}
	e.scheme, e.network = scheme, "tcp"
	if s, isUnix := strings.CutSuffix(scheme, "+unix"); isUnix {
		e.scheme, e.network = s, "unix"
	}
	if scheme == "unix" {
		e.scheme, e.network = "tcp", "unix"
	}
	if e.network == "unix" {
		if !strings.HasPrefix(rest, "/") && !strings.HasPrefix(rest, "@") || len(rest) < 2 {
			return e, "", fmt.Errorf("%q: want an absolute path, such as unix:///run/app.sock, or unix://@name", text)
		}
		if len(rest) > 107 {
			return e, "", fmt.Errorf("%q: the path has %d characters, and the system takes 107", text, len(rest))
		}
		e.address, e.url = rest, text
		return e, "", nil
	}
	authority, path, hasPath := strings.Cut(rest, "/")
	if hasPath {
		e.path = "/" + path
	}
	if strings.Contains(authority, "@") {
		return e, "", fmt.Errorf("a password in an address is not used, and would be seen by everybody who sees the arguments; leave it out")
	}
	return e, authority, nil
}

// parseListen reads the address of a listener.
func parseListen(text string) (endpoint, error) {
	e, authority, err := splitURL(text)
	if err != nil {
		return e, err
	}
	switch e.scheme {
	case "http", "https":
		e.http = true
	case "tcp", "tls":
	default:
		return e, fmt.Errorf("%q: nothing listens for %s://; want http, https, tcp, tls or unix", text, e.scheme)
	}
	e.tls = e.scheme == "https" || e.scheme == "tls"
	if e.network == "unix" {
		return e, nil
	}
	if e.path != "" && e.path != "/" {
		return e, fmt.Errorf("%q: want path=%s as an option: a listener has no path", text, e.path)
	}
	host, port, err := net.SplitHostPort(authority)
	if err != nil {
		return e, fmt.Errorf("%q: want a port, such as %s://:8443", text, e.scheme)
	}
	if err := checkPort(port); err != nil {
		return e, fmt.Errorf("%q: %w", text, err)
	}
	if host != "" && host != "localhost" {
		if _, err := netip.ParseAddr(host); err != nil {
			return e, fmt.Errorf("%q: want an IP address of this machine, localhost, or nothing for all of them", text)
		}
	}
	e.host, e.address, e.url = host, net.JoinHostPort(host, port), e.scheme+"://"+authority
	return e, nil
}

func checkPort(port string) error {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strings.HasPrefix(port, "+") {
		return fmt.Errorf("port %q: want a number from 0 to %d", port, 1<<16-1)
	}
	_ = n
	return nil
}

// standardPorts are those that need not be written.
func standardPort(scheme, starttls string) string {
	switch {
	case starttls == "postgres":
		return "5432"
	case starttls == "mysql":
		return "3306"
	case scheme == "http" || scheme == "h2c":
		return "80"
	case scheme == "https" || scheme == "h2":
		return "443"
	}
	return ""
}

// parseUpstream reads the address of a cluster.
func parseUpstream(text, starttls string) (endpoint, error) {
	e, authority, err := splitURL(text)
	if err != nil {
		return e, err
	}
	switch e.scheme {
	case "http", "https", "h2", "h2c":
		e.http = true
	case "tcp", "tls":
	default:
		return e, fmt.Errorf("%q: no upstream is reached by %s://; want http, https, h2c, h2, tcp, tls or unix", text, e.scheme)
	}
	e.tls = e.scheme == "https" || e.scheme == "h2" || e.scheme == "tls"
	if e.network == "unix" {
		return e, nil
	}
	if e.path != "" && !e.http {
		return e, fmt.Errorf("%q: a path means nothing for %s://", text, e.scheme)
	}
	if e.path != "" {
		if _, err := url.PathUnescape(e.path); err != nil || checkPath(e.path) != nil {
			return e, fmt.Errorf("%q: the path is not valid", text)
		}
	}
	host, port, err := net.SplitHostPort(authority)
	if err != nil {
		host, port = strings.Trim(authority, "[]"), standardPort(e.scheme, starttls)
		if strings.Contains(host, ":") && !strings.HasPrefix(authority, "[") {
			return e, fmt.Errorf("%q: want brackets around an IPv6 address, such as tcp://[::1]:5432", text)
		}
	}
	if host == "" || strings.ContainsAny(host, " \t%") || port != "" && checkPort(port) != nil || port == "0" {
		return e, fmt.Errorf("%q: want HOST:PORT, such as %s://db1.example:5432", text, e.scheme)
	}
	if port == "" {
		return e, fmt.Errorf("%q: want a port, such as %s://%s:5432", text, e.scheme, host)
	}
	e.host, e.address = host, net.JoinHostPort(host, port)
	e.url = e.scheme + "://" + e.address + e.path
	return e, nil
}
