package web

import (
	"bytes"
	"encoding/hex"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/order"
)

// Site is a route with what it matches.
type Site struct {
	Host  string // exact, "*.example.com" for any name below, or "" for every host
	Path  string // prefix of whole segments; "" or "/" for every path
	Route *Route
}

// Sites finds the route of a request. It is immutable.
//
// The host that is named best comes first: exact, then the wildcard with the
// most labels, then any. Within a host the longest prefix wins; where none fits
// the next host is asked.
type Sites struct {
	names  map[string][]path // exact names, and ".example.com" for wildcards
	any    []path
	single *Route // the only one, for every host and path
	split  bool   // paths decide
}

type path struct {
	prefix string
	route  *Route
}

// NewSites compiles a table. Of two equal sites the first wins.
func NewSites(list []Site) *Sites {
	s := &Sites{names: make(map[string][]path)}
	for _, e := range list {
		prefix := strings.TrimSuffix(e.Path, "/")
		s.split = s.split || prefix != ""
		p := path{prefix, e.Route}
		if e.Host == "" || e.Host == "*" {
			s.any = append(s.any, p)
			continue
		}
		name := strings.ToLower(strings.TrimPrefix(e.Host, "*"))
		s.names[name] = append(s.names[name], p)
	}
	longest := func(a, b path) int { return len(b.prefix) - len(a.prefix) }
	order.Sort(s.any, longest)
	for _, paths := range s.names {
		order.Sort(paths, longest)
	}
	if len(s.names) == 0 && len(s.any) > 0 && s.any[0].prefix == "" {
		s.single = s.any[0].route
	}
	return s
}

// Find returns the route, or nil. host may have a port; path may have a query.
func (s *Sites) Find(host, target []byte) *Route {
	if s == nil {
		return nil
	}
	if s.single != nil {
		return s.single
	}
	if len(s.names) > 0 {
		var room [256]byte
		name := canonical(room[:0], host)
		if r := match(s.names[string(name)], target); r != nil {
			return r
		}
		for i := bytes.IndexByte(name, '.'); i >= 0; {
			if r := match(s.names[string(name[i:])], target); r != nil && i > 0 {
				return r
			}
			next := bytes.IndexByte(name[i+1:], '.')
			if next < 0 {
				break
			}
			i += 1 + next
		}
	}
	return match(s.any, target)
}

// canonical appends the name of host: lower case, without port and final dot.
func canonical(dst, host []byte) []byte {
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && bytes.IndexByte(host[i:], ']') < 0 {
		host = host[:i]
	}
	if n := len(host); n > 1 && host[n-1] == '.' {
		host = host[:n-1]
	}
	for _, c := range host {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}

func match(paths []path, target []byte) *Route {
	for i := range paths {
		p := paths[i].prefix
		if len(target) < len(p) || string(target[:len(p)]) != p {
			continue
		}
		if len(target) == len(p) || p == "" || target[len(p)] == '/' || target[len(p)] == '?' {
			return paths[i].route
		}
	}
	return nil
}

// Ambiguous says why a target is refused where routes are chosen by path: a
// backend could resolve it to a path that another route is for. It is nil for
// every other target.
func (s *Sites) Ambiguous(host, target []byte) error {
	switch {
	case s == nil || !s.split:
		return nil
	case dotted(target):
		return errDots
	}
	if plain := resolved(target); plain != nil && s.Find(host, plain) != s.Find(host, target) {
		return errOther
	}
	return nil
}

// resolved returns the path of target as the most lenient server reads it:
// escapes resolved, slashes merged, parameters of segments left out. It returns
// nil where that is the path as it stands.
func resolved(target []byte) []byte {
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		target = target[:i]
	}
	if !bytes.ContainsAny(target, "%\\;") && !bytes.Contains(target, []byte("//")) {
		return nil
	}
	plain := make([]byte, 0, len(target))
	for i := 0; i < len(target); {
		c, n := target[i], 1
		switch sep := separator(target[i:]); {
		case sep > 0:
			c, n = '/', sep
		case c == '%' && i+2 < len(target):
			if b, err := hex.AppendDecode(nil, target[i+1:i+3]); err == nil {
				c, n = b[0], 3
			}
		}
		if c == ';' && n == 1 {
			for i += n; i < len(target) && separator(target[i:]) == 0; i++ {
			}
			continue
		}
		if i += n; c != '/' || len(plain) == 0 || plain[len(plain)-1] != '/' {
			plain = append(plain, c)
		}
	}
	return plain
}

// dotted reports a path with the segments "." or "..", plain or escaped. Where
// paths choose routes they are refused: the backend would resolve them and
// serve what another route is for.
func dotted(target []byte) bool {
	for i := 0; i < len(target) && target[i] != '?'; {
		n := separator(target[i:])
		if n == 0 {
			i++
			continue
		}
		i += n
		dots, j := 0, i
		for n := dot(target[j:]); n > 0; n = dot(target[j:]) {
			j += n
			dots++
		}
		end := j == len(target) || target[j] == '?' || target[j] == ';' || separator(target[j:]) > 0
		if end && (dots == 1 || dots == 2) {
			return true
		}
	}
	return false
}

// separator returns how many bytes stand for a slash at the start of b.
// Some servers take a backslash and escaped ones for it.
func separator(b []byte) int {
	switch {
	case len(b) == 0:
	case b[0] == '/' || b[0] == '\\':
		return 1
	case len(b) > 2 && b[0] == '%' && (b[1] == '2' && b[2]|0x20 == 'f' || b[1] == '5' && b[2]|0x20 == 'c'):
		return 3
	}
	return 0
}

// dot returns how many bytes stand for a dot at the start of b.
func dot(b []byte) int {
	switch {
	case len(b) == 0:
	case b[0] == '.':
		return 1
	case len(b) > 2 && b[0] == '%' && b[1] == '2' && b[2]|0x20 == 'e':
		return 3
	}
	return 0
}
