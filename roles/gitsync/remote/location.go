package remote

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// location is a parsed repository address.
type location struct {
	scheme   string // http, https, ssh, git or file
	user     string
	password string
	host     string // with port, if one was given
	path     string // as the server should see it
	query    string
}

// String never shows a password, nor a lone user name, which is often a token.
func (l location) String() string {
	if l.scheme == "file" {
		return l.path
	}
	at := ""
	switch {
	case l.scheme == "ssh" && l.user != "":
		at = l.user + "@"
	case l.password != "":
		at = l.user + ":***@"
	case l.user != "":
		at = "***@"
	}
	sep := ""
	if !strings.HasPrefix(l.path, "/") {
		sep = "/"
	}
	return l.scheme + "://" + at + l.host + sep + l.path
}

func parseLocation(raw string) (location, error) {
	bad := func(why string) (location, error) {
		return location{}, fmt.Errorf("--repo: %w: %s; use https://host/path, ssh://git@host/path, git@host:path, git://host/path or file:///path", ErrConfig, why)
	}
	if raw == "" {
		return bad("the address is empty")
	}
	if hasControl(raw) {
		return bad("the address has control characters")
	}
	if scheme, _, ok := strings.Cut(raw, "://"); ok {
		return parseURL(strings.ToLower(scheme), raw, bad)
	}
	if filepath.IsAbs(raw) {
		return location{scheme: "file", path: filepath.Clean(raw)}, nil
	}
	host, path, ok := strings.Cut(raw, ":")
	if !ok || strings.Contains(host, "/") || host == "" || path == "" {
		return bad("it is neither a URL nor an absolute path")
	}
	loc := location{scheme: "ssh", host: host, path: path}
	if at := strings.LastIndexByte(host, '@'); at >= 0 {
		loc.user, loc.host = host[:at], host[at+1:]
	}
	if strings.HasPrefix(loc.path, ":") {
		return bad("remote helpers (name::address) run programs and are not supported")
	}
	if loc.host == "" || strings.HasPrefix(loc.host, "-") || strings.HasPrefix(loc.path, "-") {
		return bad("host and path must not start with a dash")
	}
	return loc, nil
}

func parseURL(scheme, raw string, bad func(string) (location, error)) (location, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return bad("it is not a valid URL") // the parser's own error would quote the password
	}
	if hasControl(u.Path) {
		return bad("the path has control characters")
	}
	loc := location{scheme: scheme, host: u.Host, path: u.Path, query: u.RawQuery}
	if u.User != nil {
		loc.user = u.User.Username()
		loc.password, _ = u.User.Password()
	}
	switch scheme {
	case "file":
		if u.Host != "" && u.Host != "localhost" {
			return bad("a file URL has no host: write file:///path")
		}
		loc.host, loc.path = "", filepath.Clean(u.Path)
		return loc, nil
	case "git+ssh", "ssh+git":
		loc.scheme = "ssh"
	case "http", "https", "ssh", "git":
	default:
		return bad(fmt.Sprintf("scheme %q is unknown", scheme))
	}
	if u.Hostname() == "" || strings.HasPrefix(u.Hostname(), "-") {
		return bad("the host is missing")
	}
	if strings.Trim(loc.path, "/") == "" && (loc.scheme == "ssh" || loc.scheme == "git") {
		return bad("the path is missing")
	}
	if loc.scheme == "ssh" && strings.HasPrefix(loc.path, "/~") {
		loc.path = loc.path[1:]
	}
	return loc, nil
}

// hasControl finds what could end a line or a field of a protocol early.
func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}
