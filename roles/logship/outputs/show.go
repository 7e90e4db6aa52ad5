package outputs

import (
	"slices"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/secret"
)

// Show is the word of an output as logs, complaints and --print-config may have it. It is asked before anything is checked, so that it has to
// do with words that are refused: passwords, headers, the query of a web address, and all that is no option of ours may be what nobody else is to
// know.
func Show(word string) string {
	head, tail := word, ""
	if at := strings.IndexAny(word, "?#"); at >= 0 {
		head, tail = word[:at], word[at:]
	}
	scheme, _, _ := strings.Cut(strings.ToLower(head), ":")
	scheme, _, _ = strings.Cut(scheme, "+")
	if _, known := kindOf(scheme); (!known || scheme == "http") && strings.HasPrefix(tail, "?") {
		query, options, ok := strings.Cut(tail[1:], "#")
		tail = "?" + showPairs(query, nil)
		if ok {
			tail += "#" + showPairs(options, rows())
		}
	} else if tail != "" {
		tail = tail[:1] + showPairs(tail[1:], rows())
	}
	return showAuthority(head) + tail
}

// showPairs hides the values of pairs that are none of the options.
func showPairs(text string, options []row) string {
	words := strings.Split(text, "&")
	for i, word := range words {
		name, value, ok := strings.Cut(word, "=")
		switch {
		case !ok:
			words[i] = secret.Mask // the rest of a value with & in it
		case name == "headers":
			words[i] = name + "=" + showHeaders(value)
		case !slices.ContainsFunc(options, func(r row) bool { return r.name == name }):
			words[i] = name + "=" + secret.Mask
		}
	}
	return strings.Join(words, "&")
}

func showHeaders(text string) string {
	words := strings.Split(text, ",")
	for i, word := range words {
		words[i] = word[:strings.IndexAny(word, ":=")+1] + secret.Mask
	}
	return strings.Join(words, ",")
}

// showAuthority hides the password of KIND://USER:PASSWORD@HOST/PATH, and what stands where a port should and is none: the beginning of a
// password with a slash or a question mark.
func showAuthority(head string) string {
	scheme, rest, ok := strings.Cut(head, "://")
	if !ok {
		return head
	}
	authority, path, slash := strings.Cut(rest, "/")
	user, hosts, _ := cutLast(authority, "@")
	if name, _, password := strings.Cut(user, ":"); password {
		authority = name + ":" + secret.Mask + "@" + hosts
	} else if name, _, colon := strings.Cut(hosts, ":"); colon && strayPassword(hosts) {
		authority = name + ":" + secret.Mask
		if _, host, at := cutLast(path, "@"); at {
			path, slash, authority = "", false, authority+"@"+host
		}
	}
	if slash {
		path = "/" + path
	}
	return scheme + "://" + authority + path
}

// strayPassword says whether what stands where hosts should is no list of them, such as ann:pass of ann:pass/word@es:9200.
func strayPassword(hosts string) bool {
	return slices.ContainsFunc(strings.Split(hosts, ","), func(host string) bool {
		_, err := withPort(host, "1")
		return err != nil
	})
}

// cutLast cuts at the last mark; without one all is after.
func cutLast(text, mark string) (before, after string, found bool) {
	if at := strings.LastIndex(text, mark); at >= 0 {
		return text[:at], text[at+len(mark):], true
	}
	return "", text, false
}

// privateLen is how long a value of a header or a query is that may be a secret. Shorter ones are words such as prod, which an error of a server
// cannot be read without.
const privateLen = 8

// private are the values of headers and of the query that may be secrets; of one with a word in front, such as "Token abc", also what follows.
func (o *settings) private() (values []string) {
	add := func(text string) {
		_, last, _ := cutLast(text, " ")
		for _, v := range []string{text, last} {
			if len(v) >= privateLen {
				values = append(values, v)
			}
		}
	}
	for _, h := range o.headers {
		add(h[1])
	}
	for pair := range strings.SplitSeq(o.address.query, "&") {
		_, value, _ := strings.Cut(pair, "=")
		add(value)
	}
	return values
}
