package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
)

// probeLimit is more than any list of conditions.
const probeLimit = 64 << 10

// askReady asks /readyz. The error is one line that says why not.
func askReady(ctx context.Context, addr string) error {
	code, body, err := askAdmin(ctx, http.MethodGet, addr, "/readyz?verbose")
	if err != nil {
		return fmt.Errorf("probe %s: %w", addr, err)
	}
	if code == http.StatusOK {
		return nil
	}
	return fmt.Errorf("probe %s: not ready: %s", addr, failing(body, http.StatusText(code)))
}

// adminClient connects to addr, whatever a request says.
func adminClient(addr string) (*http.Client, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("--admin: %w", err)
	}
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialAny(ctx, network, hosts(host), port)
		},
	}}, nil
}

// hosts are the addresses to try for a listen address: without a host it is
// every address of the machine, and a pod may have IPv6 only.
func hosts(host string) []string {
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return []string{"127.0.0.1", "::1"}
	}
	return []string{host}
}

func dialAny(ctx context.Context, network string, hosts []string, port string) (net.Conn, error) {
	var dialer net.Dialer
	var errs []error
	for _, h := range hosts {
		conn, err := dialer.DialContext(ctx, network, net.JoinHostPort(h, port))
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errs[0]
}

// rootCause drops the request's own words, which repeat the address.
func rootCause(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op
	}
	return errors.Unwrap(err)
}

// failing picks the conditions that are not met out of a verbose answer.
func failing(body, status string) string {
	var lines []string
	for line := range strings.Lines(body) {
		if rest, ok := strings.CutPrefix(line, "[-]"); ok {
			lines = append(lines, strings.TrimSpace(rest))
		}
	}
	if len(lines) == 0 {
		return status
	}
	return strings.Join(lines, ", ")
}
