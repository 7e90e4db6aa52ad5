package probe

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/internal/suggest"
)

// scheme is one kind of address.
type scheme struct {
	name string
	form string // what it looks like

	example string // the shortest one
	open    func(t target, o *options) (look, error)
}

func schemes() []scheme {
	return []scheme{
		{"tcp", "tcp://HOST:PORT", "tcp://h:1", openTCP},
		{"tls", "tls://HOST:PORT", "tls://h:1", openTLS},
		{"http", "http://HOST[:PORT]/PATH", "http://h/", openHTTP},
		{"https", "https://HOST[:PORT]/PATH", "https://h/", openHTTP},
		{"http+unix", "http+unix://%2FSOCKET/PATH", "http+unix://%2Fs/", openHTTPUnix},
		{"grpc", "grpc://HOST:PORT[/SERVICE]", "grpc://h:1", openGRPC},
		{"grpcs", "grpcs://HOST:PORT[/SERVICE]", "grpcs://h:1", openGRPC},
		{"redis", "redis://[USER[:PASSWORD]@]HOST[:PORT]", "redis://h", openRedis},
		{"rediss", "rediss://[USER[:PASSWORD]@]HOST[:PORT]", "rediss://h", openRedis},
		{"unix", "unix:///SOCKET", "unix:///s", openUnix},
		{"file", "file:///PATH", "file:///p", openFile},
		{"dns", "dns://NAME", "dns://n", openDNS},
		{"pid", "pid:///FILE, pid:NUMBER or pid:name=NAME", "pid:1", openPID},
	}
}

// takes lists the options of a scheme.
func (s scheme) takes() []string {
	o := &options{values: map[string][]string{}}
	t, err := split(s.example)
	if err == nil {
		_, err = s.open(t, o)
	}
	if err != nil {
		panic("probe: example " + s.example + ": " + err.Error()) // a mistake in schemes, see the tests
	}
	return o.taken
}

// Manual lists what an address may look like and the options of each, a line
// for each form.
func Manual() []string {
	var lines []string
	for _, s := range schemes() {
		lines = append(lines, s.form)
		if names := s.takes(); len(names) > 0 {
			lines = append(lines, "   #"+strings.Join(names, " "))
		}
	}
	return lines
}

// target is an address without its options.
type target struct {
	scheme string
	rest   string // what follows "scheme:"
	shown  string // all of it, a password masked
}

// Parse reads an address such as "http://127.0.0.1:8080/healthz#status=204"; the
// manual is docs/probe.md. HOST:PORT alone means tcp. The error is for the user
// and holds no secret.
func Parse(raw string) (*Check, error) {
	address, fragment, _ := strings.Cut(raw, "#")
	t, err := split(address)
	if err != nil {
		return nil, err
	}
	var found *scheme
	var names []string
	for _, s := range schemes() {
		names = append(names, s.name)
		if s.name == t.scheme {
			found = &s
		}
	}
	if found == nil {
		return nil, fmt.Errorf("unknown scheme %q%s\nhint: want one of %s, or HOST:PORT for tcp",
			t.scheme, suggest.DidYouMean("", t.scheme, names), strings.Join(names, ", "))
	}
	o, err := parseOptions(fragment)
	if err != nil {
		return nil, fmt.Errorf("%s address: %w", t.scheme, err) // not all of it, see optionName
	}
	look, err := found.open(t, o)
	if errors.Is(err, errShape) {
		return nil, fmt.Errorf("%s: want %s", err, found.form)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.shown, err)
	}
	if err := o.done(t.scheme); err != nil {
		return nil, fmt.Errorf("%s: %w", t.shown, err)
	}
	return &Check{name: t.shown, look: look}, nil
}

// errShape is an address that is not of its scheme's form.
var errShape = errors.New("the address cannot be read")

// split finds the scheme. Without "//" a word and a port are a host of that name,
// such as redis:6379, but for a process id.
func split(address string) (target, error) {
	if strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return target{}, errors.New("the address has a blank or a control byte in it: write %20 for a blank")
	}
	name, rest, ok := strings.Cut(address, ":")
	if strings.HasPrefix(address, "/") {
		return target{}, fmt.Errorf("%s has no scheme, did you mean file://%s?", address, address)
	}
	full := ok && strings.HasPrefix(rest, "//")
	if name != "pid" && !full {
		if host, port, err := net.SplitHostPort(address); err == nil && isPort(port) && !strings.ContainsAny(host, "/@?%") {
			return target{"tcp", "//" + address, "tcp://" + address}, nil
		}
	}
	if !ok || strings.HasPrefix(name, "[") {
		return target{}, fmt.Errorf("the address %q is neither a URL nor HOST:PORT (an IPv6 address is written in brackets, [::1]:80)\n"+
			"hint: such as tcp://db:5432, http://127.0.0.1:8080/healthz or file:///data/ready", address)
	}
	if !optionName.MatchString(strings.ReplaceAll(name, "+", "")) {
		return target{}, errors.New("the address is neither a URL nor HOST:PORT, such as tcp://db:5432 or [::1]:80")
	}
	name = strings.ToLower(name)
	return target{name, rest, secret.NewURL(name + ":" + rest).String()}, nil
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

// network reads an address of the form //[user@]host[:port][/path][?query].
func (t target) network() (*url.URL, error) {
	if !strings.HasPrefix(t.rest, "//") {
		return nil, fmt.Errorf("%s address: %w", t.scheme, errShape)
	}
	u, err := url.Parse(t.scheme + ":" + t.rest)
	if err != nil && strings.Contains(t.rest, "@") {
		// The reason may hold a part of the password.
		return nil, fmt.Errorf("%s address with a user or password in it: %w (%%2F is /, %%40 is @, %%3A is : in a password)", t.scheme, errShape)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", t.shown, errors.Unwrap(err), errShape)
	}
	if port := u.Port(); strings.HasSuffix(u.Host, ":") || port != "" && !isPort(port) {
		return nil, fmt.Errorf("%s: port %q is not within 1 and 65535: %w", t.shown, port, errShape)
	}
	return u, nil
}

// hostPort reads an address that is a host and a port and nothing more. Without
// a host it is this machine; without a port it is the given one, if any.
func (t target) hostPort(port string) (host, addr string, err error) {
	u, err := t.network()
	if err != nil {
		return "", "", err
	}
	if u.User != nil || u.RawQuery != "" || strings.Trim(u.Path, "/") != "" {
		return "", "", fmt.Errorf("%s: %w", t.shown, errShape)
	}
	return t.join(u, port)
}

func (t target) join(u *url.URL, port string) (host, addr string, err error) {
	if p := u.Port(); p != "" {
		port = p
	}
	if port == "" {
		return "", "", fmt.Errorf("%s has no port: %w", t.shown, errShape)
	}
	host = u.Hostname()
	if host == "" {
		host = "localhost"
	}
	return host, net.JoinHostPort(host, port), nil
}

// path reads an address that is a path of this machine: ///absolute, /absolute or relative.
func (t target) path() (string, error) {
	rest := t.rest
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		rest = after
		if !strings.HasPrefix(rest, "/") {
			return "", fmt.Errorf("%s: a path on this machine has three slashes, %s:///%s, or none: %w", t.shown, t.scheme, rest, errShape)
		}
	}
	path, err := url.PathUnescape(rest)
	if err != nil {
		return "", fmt.Errorf("%s: write %%25 for a %% in the path: %w", t.shown, errShape)
	}
	if path == "" || path == "/" || strings.ContainsRune(path, 0) {
		return "", fmt.Errorf("%s names no path: %w", t.shown, errShape)
	}
	return path, nil
}
