package remote

import (
	"bufio"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// cookie is one line of a Netscape cookie file.
type cookie struct {
	domain  string
	subs    bool // also for hosts below domain
	path    string
	secure  bool
	expires int64 // seconds since 1970, 0 for a session
	name    string
	value   string
}

const maxCookies = 1000

// parseCookies is strict: a line that does not fit is an error, because a cookie that is silently left out
// shows up later as a refusal nobody can explain. Errors name the line, never its content.
func parseCookies(r io.Reader) ([]cookie, error) {
	var out []cookie
	lines := bufio.NewScanner(io.LimitReader(r, 1<<20))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimRight(lines.Text(), "\r")
		line = strings.TrimPrefix(line, "#HttpOnly_")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		c, why := parseCookie(line)
		if why != "" {
			return nil, fmt.Errorf("%w: line %d: %s", ErrConfig, n, why)
		}
		if len(out) == maxCookies {
			return nil, fmt.Errorf("%w: more than %d cookies", ErrLimit, maxCookies)
		}
		out = append(out, c)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return out, nil
}

func parseCookie(line string) (c cookie, why string) {
	f := strings.Split(line, "\t")
	if len(f) != 7 {
		return c, fmt.Sprintf("%d fields instead of 7 separated by tabs", len(f))
	}
	c = cookie{domain: strings.ToLower(strings.TrimPrefix(f[0], ".")), path: f[2], name: f[5], value: f[6]}
	var ok1, ok2 bool
	c.subs, ok1 = netscapeBool(f[1])
	c.secure, ok2 = netscapeBool(f[3])
	expires, err := strconv.ParseInt(f[4], 10, 64)
	c.expires = expires
	switch {
	case !ok1 || !ok2:
		return c, "fields 2 and 4 must be TRUE or FALSE"
	case err != nil:
		return c, "field 5 is not a time in seconds"
	case c.domain == "" || c.name == "":
		return c, "domain and name must not be empty"
	case !strings.HasPrefix(c.path, "/"):
		return c, "the path must begin with a slash"
	case strings.ContainsFunc(c.name+c.value, func(r rune) bool { return r < ' ' || r == ';' || r == 0x7f }):
		return c, "name or value hold forbidden characters"
	}
	return c, ""
}

func netscapeBool(s string) (value, ok bool) { return s == "TRUE", s == "TRUE" || s == "FALSE" }

func (c cookie) matches(u *url.URL, now time.Time) bool {
	host := strings.ToLower(u.Hostname())
	if host != c.domain && (!c.subs || !strings.HasSuffix(host, "."+c.domain)) {
		return false
	}
	if c.secure && u.Scheme != "https" {
		return false
	}
	if c.expires != 0 && c.expires < now.Unix() {
		return false
	}
	path, ok := strings.CutPrefix(u.Path, c.path)
	return ok && (path == "" || strings.HasSuffix(c.path, "/") || path[0] == '/')
}
