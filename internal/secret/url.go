package secret

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
)

var (
	// userinfo ends at the last @ before the path.
	userinfo = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)([^/?#\s"']*)@`)
	// brokenUserinfo is a password with an unescaped slash, question mark or hash in it.
	brokenUserinfo = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)([^/?#\s"'@:]+:[^\s"'@]*)@`)
	port           = regexp.MustCompile(`^[^:]*:[0-9]+([/?#]|$)`)
	scp            = regexp.MustCompile(`(^|[\s"'(])[\w.+-]+(:[^@\s/]*)?@([\w.-]+:)`)
	queryToken     = regexp.MustCompile(`(?i)([?&;][\w.-]*(?:token|passw(?:or)?d|secret|key|signature|\bsig|credential|auth)[\w.-]*=)[^&;#\s"']+`)
)

// URL is a flag value for an address that may hold a credential: it prints with
// the password, or a user that stands alone as a token, masked.
type URL struct{ text string }

// NewURL makes a URL.
func NewURL(text string) URL { return URL{text} }

// Reveal returns the address as it was given.
func (u URL) Reveal() string { return u.text }

// Set makes *URL a flag value.
func (u *URL) Set(text string) error {
	u.text = text
	return nil
}

func (u URL) String() string {
	return maskQuery(eachUserinfo(u.text, func(scheme, info string) string {
		user, _, hasPassword := strings.Cut(info, ":")
		switch {
		case hasPassword:
			return scheme + user + ":" + Mask + "@"
		case strings.HasPrefix(strings.ToLower(scheme), "http"):
			return scheme + Mask + "@"
		}
		return scheme + user + "@" // ssh://git@host: a login name, no secret
	}))
}

func (u URL) Format(s fmt.State, _ rune)   { _, _ = io.WriteString(s, u.String()) }
func (u URL) GoString() string             { return u.String() }
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }
func (u URL) MarshalJSON() ([]byte, error) { return json.Marshal(u.String()) }

// Redact removes the userinfo from every address in a text (http, ssh,
// scp-like) and masks query values that are named like a secret.
func Redact(raw string) string {
	raw = eachUserinfo(raw, func(scheme, _ string) string { return scheme })
	return maskQuery(scp.ReplaceAllString(raw, "$1$3"))
}

func maskQuery(raw string) string { return queryToken.ReplaceAllString(raw, "${1}"+Mask) }

// eachUserinfo replaces "scheme://userinfo@" everywhere in raw.
func eachUserinfo(raw string, replace func(scheme, info string) string) string {
	sub := func(re *regexp.Regexp, raw string) string {
		return re.ReplaceAllStringFunc(raw, func(match string) string {
			m := re.FindStringSubmatch(match)
			if port.MatchString(m[2]) && re == brokenUserinfo {
				return match // http://host:8080/path@version is no userinfo
			}
			return replace(m[1], m[2])
		})
	}
	if !userinfo.MatchString(raw) {
		return sub(brokenUserinfo, raw)
	}
	return sub(userinfo, raw)
}
