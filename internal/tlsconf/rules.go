package tlsconf

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
)

func (r Rules) empty() bool { return len(r.SAN)+len(r.URI)+len(r.CN)+len(r.OU) == 0 }

// matcher is the checked form of rules.
type matcher struct {
	rules Rules
	uris  [][]string // patterns in segments
}

func (r Rules) compile() (*matcher, error) {
	m := &matcher{rules: Rules{CN: r.CN, OU: r.OU}}
	var errs []error
	for _, list := range [][]string{r.SAN, r.URI, r.CN, r.OU} {
		if slices.Contains(list, "") {
			errs = append(errs, errors.New("a rule for client certificates is empty; it would match what is not there"))
		}
	}
	for _, san := range r.SAN {
		if name := strings.TrimPrefix(san, "*."); strings.ContainsAny(name, "*/ ") {
			errs = append(errs, fmt.Errorf("rule SAN %q: want a DNS name, or one with *. in front", san))
		}
		m.rules.SAN = append(m.rules.SAN, strings.ToLower(san))
	}
	for _, uri := range r.URI {
		segments, err := pattern(uri)
		if err != nil {
			errs = append(errs, err)
		}
		m.uris = append(m.uris, segments)
	}
	return m, errors.Join(errs...)
}

// pattern cuts a URI rule into segments: scheme and host first, which are compared exactly, then those of the path.
func pattern(uri string) ([]string, error) {
	segments, ok := cut(uri)
	if !ok {
		return nil, fmt.Errorf("rule URI %q: want scheme://host/path, without query, escapes or dots as segments", uri)
	}
	if strings.Contains(segments[0], "*") {
		return nil, fmt.Errorf("rule URI %q: a star stands for a part of the path, not of %s", uri, segments[0])
	}
	for i, s := range segments {
		if strings.Contains(s, "**") && (s != "**" || i < len(segments)-1) {
			return nil, fmt.Errorf("rule URI %q: ** stands alone and at the end", uri)
		}
		if s != "**" && strings.Count(s, "*") > 1 {
			return nil, fmt.Errorf("rule URI %q: one star a segment", uri)
		}
	}
	return segments, nil
}

// cut refuses what could be read in two ways.
func cut(uri string) ([]string, bool) {
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok || scheme == "" || strings.ContainsAny(uri, "%?#\\@ ") {
		return nil, false
	}
	segments := strings.Split(rest, "/")
	if segments[0] == "" {
		return nil, false
	}
	segments[0] = strings.ToLower(scheme + "://" + segments[0])
	for _, s := range segments[1:] {
		if s == "" || s == "." || s == ".." {
			return nil, false
		}
	}
	return segments, true
}

func (m *matcher) match(cert *x509.Certificate) bool {
	if m.rules.empty() && len(m.uris) == 0 {
		return true
	}
	return slices.ContainsFunc(cert.DNSNames, m.matchSAN) ||
		m.matchURIs(cert) ||
		cert.Subject.CommonName != "" && slices.Contains(m.rules.CN, cert.Subject.CommonName) ||
		slices.ContainsFunc(cert.Subject.OrganizationalUnit, func(ou string) bool { return ou != "" && slices.Contains(m.rules.OU, ou) })
}

// matchSAN compares a name; a wildcard in a certificate is matched by the same text alone.
func (m *matcher) matchSAN(name string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if slices.Contains(m.rules.SAN, name) {
		return name != ""
	}
	label, rest, ok := strings.Cut(name, ".")
	return ok && label != "" && label != "*" && slices.Contains(m.rules.SAN, "*."+rest)
}

func (m *matcher) matchURIs(cert *x509.Certificate) bool {
	if len(m.uris) == 0 {
		return false
	}
	for _, u := range cert.URIs {
		segments, ok := cut(u.String())
		if ok && slices.ContainsFunc(m.uris, func(p []string) bool { return matchSegments(p, segments) }) {
			return true
		}
	}
	return false
}

func matchSegments(pattern, segments []string) bool {
	for i, p := range pattern {
		if p == "**" {
			return len(segments) > i
		}
		if i >= len(segments) || !matchSegment(p, segments[i]) {
			return false
		}
	}
	return len(pattern) == len(segments)
}

func matchSegment(pattern, segment string) bool {
	before, after, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == segment
	}
	return len(segment) >= len(before)+len(after) && strings.HasPrefix(segment, before) && strings.HasSuffix(segment, after)
}

// claims is what a certificate says of its owner, for the log of who wonders which rule is missing.
func claims(cert *x509.Certificate) string {
	all := []string{"CN " + short(cert.Subject.CommonName)}
	for _, ou := range first(cert.Subject.OrganizationalUnit) {
		all = append(all, "OU "+short(ou))
	}
	for _, name := range first(cert.DNSNames) {
		all = append(all, "SAN "+short(name))
	}
	for _, u := range first(cert.URIs) {
		all = append(all, "URI "+short(u.String()))
	}
	return strings.Join(all, ", ")
}

// first bounds what foreign text a log line has.
func first[T any](list []T) []T { return list[:min(len(list), 5)] }
