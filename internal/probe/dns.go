package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
)

// dnsWant is what is expected of a name.
type dnsWant struct {
	name   string
	kind   string
	server string
	min    int64
	equals []string
}

func openDNS(t target, o *options) (look, error) {
	name, err := url.PathUnescape(strings.TrimPrefix(t.rest, "//"))
	name = strings.TrimSuffix(name, "/")
	if err != nil || name == "" || strings.ContainsAny(name, "/@:?") {
		return nil, fmt.Errorf("%s: %w (server=HOST:PORT asks another server)", t.shown, errShape)
	}
	w := dnsWant{
		name: name, kind: o.word("type", "", "A", "AAAA", "SRV", "TXT"),
		min: o.number("min", 1), equals: slices.Clone(o.list("equals")),
	}
	if server, ok := o.text("server"); ok {
		w.server = server
		if host, port, err := net.SplitHostPort(server); err != nil {
			w.server = net.JoinHostPort(strings.Trim(server, "[]"), "53")
		} else if host == "" || !isPort(port) {
			o.complain("server", server, "HOST or HOST:PORT")
		}
	}
	for i := range w.equals {
		w.equals[i] = canonical(w.equals[i])
	}
	slices.Sort(w.equals)
	w.equals = slices.Compact(w.equals)
	return w.look, nil
}

func (w dnsWant) look(ctx context.Context) (string, error) {
	resolver := &net.Resolver{PreferGo: true}
	if w.server != "" {
		resolver.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, network, w.server)
		}
	}
	found, err := w.ask(ctx, resolver)
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		found, err = nil, nil // there is none, which may be enough: min=0
	}
	if err != nil {
		return "", plain(err, "no answer")
	}
	slices.Sort(found)
	found = slices.Compact(found)
	if len(w.equals) > 0 && !slices.Equal(found, w.equals) {
		return "", fmt.Errorf("%s, want %s", listed(found), strings.Join(w.equals, " "))
	}
	if int64(len(found)) < w.min {
		if len(found) == 0 {
			return "", errors.New("no such name, or none of this type")
		}
		return "", fmt.Errorf("%d records, want at least %d: %s", len(found), w.min, listed(found))
	}
	return listed(found), nil
}

func listed(found []string) string {
	if len(found) == 0 {
		return "no records"
	}
	return strings.Join(found, " ")
}

// ask returns the records as text: an address, TARGET:PORT, or the text itself.
func (w dnsWant) ask(ctx context.Context, r *net.Resolver) ([]string, error) {
	var found []string
	switch w.kind {
	case "TXT":
		return r.LookupTXT(ctx, w.name)
	case "SRV":
		_, records, err := r.LookupSRV(ctx, "", "", w.name)
		for _, s := range records {
			found = append(found, canonical(fmt.Sprintf("%s:%d", strings.TrimSuffix(s.Target, "."), s.Port)))
		}
		return found, err
	}
	network := map[string]string{"": "ip", "A": "ip4", "AAAA": "ip6"}[w.kind]
	ips, err := r.LookupNetIP(ctx, network, w.name)
	for _, ip := range ips {
		found = append(found, ip.Unmap().String())
	}
	return found, err
}

// canonical is how an answer is compared: addresses in their short form, names
// without the dot at their end.
func canonical(text string) string {
	if ip := net.ParseIP(text); ip != nil {
		return ip.String()
	}
	return strings.TrimSuffix(text, ".")
}
