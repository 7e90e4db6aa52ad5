package outputs

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/suggest"
)

// kind is what is known of a kind of output before its options are read.
type kind struct {
	name   string
	port   string // usual port without TLS
	secure string // usual port with TLS; empty: there is no TLS
	hosts  int    // how many hosts may be given; 0: none
	word   string // what follows the + in a scheme with TLS
}

func kinds() []kind {
	return []kind{
		{"elasticsearch", "9200", "9200", 32, "https"}, {"opensearch", "9200", "9200", 32, "https"},
		{"loki", "3100", "3100", 8, "https"}, {"otlp", "4318", "4318", 8, "https"},
		{"forward", "24224", "24224", 8, "tls"}, {"kafka", "9092", "9093", 32, "tls"}, {"syslog", "601", "6514", 8, "tls"},
		{"s3", "", "", 1, ""}, {"http", "80", "443", 8, "https"}, {"stdout", "", "", 0, ""}, {"file", "", "", 0, ""},
	}
}

func kindOf(name string) (kind, bool) {
	for _, k := range kinds() {
		if k.name == name {
			return k, true
		}
	}
	return kind{}, false
}

func kindNames() []string {
	var names []string
	for _, k := range kinds() {
		names = append(names, k.name)
	}
	return names
}

var errPassword = errors.New("a password in an address can be seen by everybody who sees the process\nhint: leave it out, and say password-file=FILE or password-env=NAME")

// address is what the URL of an output says.
type address struct {
	kind   string
	secure bool
	user   string
	hosts  []string // host:port
	path   string
	query  string      // of http alone
	extra  [][2]string // options
}

// parseAddress reads KIND://HOST:PORT,HOST:PORT/PATH?OPTION=VALUE&…. Nothing in it is decoded: patterns are full of percent signs.
// given is the kind if it was said elsewhere: then http and https are only ways to go there.
func parseAddress(text, given string) (address, error) {
	if text == "stdout" || text == "-" || text == "stdout://" {
		return address{kind: "stdout"}, nil
	}
	if rest, ok := strings.CutPrefix(text, "stdout?"); ok {
		extra, err := pairs(rest)
		return address{kind: "stdout", extra: extra}, err
	}
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok && strings.HasPrefix(text, "file:/") {
		scheme, rest, ok = "file", strings.TrimPrefix(text, "file:"), true
	}
	if !ok {
		return address{}, fmt.Errorf("%q is no output%s\nhint: KIND://HOST/..., such as elasticsearch://es:9200/logs-app-default, or stdout",
			Show(text), suggest.DidYouMean("", text, kindNames()))
	}
	var a address
	if err := a.scheme(scheme, given); err != nil {
		return a, err
	}
	if err := a.options(&rest); err != nil {
		return a, err
	}
	host, path, slash := strings.Cut(rest, "/")
	if slash {
		a.path = "/" + path
	}
	return a, a.authority(host)
}

func (a *address) scheme(scheme, given string) error {
	name, word, plus := strings.Cut(strings.ToLower(scheme), "+")
	switch {
	case (name == "http" || name == "https") && !plus:
		a.kind, a.secure = "http", name == "https"
		if given != "" {
			a.kind = given
		}
	default:
		a.kind = name
	}
	k, ok := kindOf(a.kind)
	if !ok {
		return fmt.Errorf("%q is no kind of output%s\nhint: known are %s", name, suggest.DidYouMean("", name, kindNames()), strings.Join(kindNames(), ", "))
	}
	if given != "" && given != a.kind {
		return fmt.Errorf("kind is %s, and the address says %s", given, a.kind)
	}
	switch {
	case !plus || word == "http" && k.word == "https" || word == "tcp" && k.word == "tls":
		return nil
	case k.secure != "" && (word == "https" || word == "tls"):
		a.secure = true
		return nil
	}
	return fmt.Errorf("%s:// is not known%s", scheme, suggest.DidYouMean("", scheme, []string{k.name, k.name + "+" + k.word}))
}

// options takes what is behind the path. The query of http belongs to the server, options are behind # there.
func (a *address) options(rest *string) error {
	mark := "?"
	if a.kind == "http" {
		mark = "#"
	}
	text, tail, ok := strings.Cut(*rest, mark)
	*rest = text
	if a.kind == "http" {
		*rest, a.query, _ = strings.Cut(*rest, "?")
	}
	if !ok {
		return nil
	}
	var err error
	a.extra, err = pairs(tail)
	return err
}

func pairs(text string) ([][2]string, error) {
	var all [][2]string
	for word := range strings.SplitSeq(text, "&") {
		name, value, ok := strings.Cut(word, "=")
		if !ok || name == "" {
			return nil, errors.New("options are NAME=VALUE, and & is between two of them") // not repeated: it may be a piece of a password
		}
		all = append(all, [2]string{name, value})
	}
	return all, nil
}

func (a *address) authority(text string) error {
	k, _ := kindOf(a.kind)
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		user, _, password := strings.Cut(text[:at], ":")
		if password {
			return errPassword
		}
		a.user, text = user, text[at+1:]
	}
	if k.hosts == 0 {
		if text != "" {
			return fmt.Errorf("%s has no host, and %q is given\nhint: a path begins with a slash: %s:///%s", a.kind, text, a.kind, text+a.path)
		}
		return nil
	}
	if a.kind == "s3" {
		a.hosts = []string{text} // a bucket
		return nil
	}
	if strings.Contains(a.path+a.query, "@") && strings.Contains(text, ":") && strayPassword(text) {
		return errPassword
	}
	for host := range strings.SplitSeq(text, ",") {
		if _, err := withPort(host, k.port); err != nil {
			return err
		}
		a.hosts = append(a.hosts, host)
	}
	if len(a.hosts) > k.hosts {
		return fmt.Errorf("%d hosts; %s takes no more than %d", len(a.hosts), a.kind, k.hosts)
	}
	return nil
}

// ports adds the usual port where none is given; which one that is depends on options.
func (a *address) ports() {
	k, _ := kindOf(a.kind)
	if k.port == "" {
		return
	}
	port := k.port
	if a.secure {
		port = k.secure
	}
	for i, host := range a.hosts {
		if full, err := withPort(host, port); err == nil {
			a.hosts[i] = full
		}
	}
}

func withPort(text, port string) (string, error) {
	host, given, err := net.SplitHostPort(text)
	if err != nil {
		host, given = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"), port
	}
	n, err := strconv.Atoi(given)
	if host == "" || strings.ContainsAny(host, " /\\?#@[]%") || strings.Contains(host, ":") && net.ParseIP(host) == nil || err != nil || n < 1 || n > 65535 {
		return "", fmt.Errorf("%q is no host and port\nhint: es:9200, or [2001:db8::1]:9200", text)
	}
	return net.JoinHostPort(host, given), nil
}
