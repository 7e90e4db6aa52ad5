package remote

import "strings"

// challenge is one way that a server offers to be convinced, see RFC 9110, 11.6.1.
type challenge struct {
	scheme string // in lower case
	params map[string]string
}

// maxChallenges is how many of them, and of their parameters, are looked at.
const maxChallenges = 32

// parseChallenges reads the values of WWW-Authenticate. What cannot be read ends the value it stands in.
func parseChallenges(values []string) []challenge {
	var all []challenge
	for _, v := range values {
		for v != "" && len(all) < maxChallenges {
			v = strings.TrimLeft(v, " \t,")
			scheme, rest := token(v)
			if scheme == "" {
				break
			}
			c := challenge{strings.ToLower(scheme), map[string]string{}}
			v = c.read(rest)
			all = append(all, c)
		}
	}
	return all
}

// read takes the parameters from the front of v, and returns what follows: the next challenge.
func (c *challenge) read(v string) string {
	for len(c.params) < maxChallenges {
		v = strings.TrimLeft(v, " \t,")
		name, rest := token(v)
		rest = strings.TrimLeft(rest, " \t")
		if name == "" || !strings.HasPrefix(rest, "=") {
			return v // the name is the next scheme
		}
		rest = strings.TrimLeft(rest[1:], " \t")
		value, after, ok := quoted(rest)
		if !ok {
			if value, after = token(rest); value == "" {
				return ""
			}
		}
		if _, twice := c.params[strings.ToLower(name)]; !twice {
			c.params[strings.ToLower(name)] = value
		}
		v = after
	}
	return ""
}

// token is the longest one in front of s.
func token(s string) (tok, rest string) {
	i := 0
	for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i]|0x20 >= 'a' && s[i]|0x20 <= 'z' || strings.IndexByte("!#$%&'*+-.^_`|~/:", s[i]) >= 0) {
		i++
	}
	return s[:i], s[i:]
}

// quoted is the quoted string in front of s, without its marks.
func quoted(s string) (text, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		return "", s, false
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:], true
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", s, false
}
