package source

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/adapter/oauth"
)

// Options say where a source is and how it is asked.
type Options struct {
	Name string

	// One of these.
	URL     *url.URL // http, https or http+unix
	File    string
	Command []string // program and arguments, no shell

	Format string // "auto" and others that the decoder knows

	Timeout      time.Duration
	TTL          time.Duration // how long an answer serves later requests, 0: not at all
	StaleIfError time.Duration // how old an answer may be that stands in for an error, 0: never
	MaxBody      int64         // bytes as they arrive
	MaxSize      int64         // bytes when unpacked
	MaxAge       time.Duration // of a file, 0: any

	Method      string
	Headers     map[string]string
	HeaderFiles map[string]string // name to a file with the value
	Body        string            // a template
	BodyType    string
	Host        string // the Host header
	User        string
	PassFile    string
	TokenFile   string
	Status      []int // accepted, empty: 200 to 299
	Redirects   bool  // to the same host

	CA, Cert, Key, ServerName string
	Insecure                  bool
	OAuth                     *oauth.Options // nil: no token

	Env map[string]string // of a command, beside PATH
	Dir string

	// Of configurations that have secrets in them; a file that is named counts more.
	UserFile string
	Password secret.Value
	Token    secret.Value
	AuthType string                 // before a token, "": Bearer
	Tokens   *oauth.Client          // in place of OAuth, for those who share one
	Render   func() (string, error) // makes the body in place of the template

	Dial func(ctx context.Context, network, addr string) (net.Conn, error) // nil: any address
}

// Defaults of options.
const (
	DefaultTimeout = 5 * time.Second
	DefaultMaxBody = 16 << 20
	DefaultMaxSize = 64 << 20
)

// Keys are the keys of a source that this package reads.
func Keys() []string {
	return []string{
		"url", "file", "command", "format", "timeout", "cache", "stale-if-error", "max-body", "max-size", "max-age", "method", "headers", "header-files",
		"body", "body-type", "host", "basic", "token-file", "oauth2", "status", "redirects", "tls", "env", "dir",
	}
}

// Parse reads those keys. The error has all complaints.
func Parse(name string, v draft.Value) (Options, error) { return parseAs(name, v, false) }

// ParseOther is Parse for a source that is asked in a way of its own: url, file and command are complaints.
func ParseOther(name string, v draft.Value) (Options, error) { return parseAs(name, v, true) }

func parseAs(name string, v draft.Value, other bool) (Options, error) {
	o := Options{Name: name, Format: "auto", Timeout: DefaultTimeout, Method: "GET"}
	o.MaxBody, o.MaxSize = bounds(debug.SetMemoryLimit(-1))
	err := v.Each(Keys(), func(key string, v draft.Value) error { return o.set(key, v) })
	return o, errors.Join(err, o.check(v, other))
}

// bounds are the sizes of bodies where nothing else is said: what one source sends must leave room for the others. limit is what the process may use.
func bounds(limit int64) (body, size int64) {
	return max(min(DefaultMaxBody, limit/16), 1<<20), max(min(DefaultMaxSize, limit/8), 2<<20)
}

func (o *Options) set(key string, v draft.Value) error {
	switch key {
	case "url":
		return o.setURL(v)
	case "file":
		return v.Word(&o.File)
	case "command":
		return v.Words(&o.Command)
	case "format":
		return v.Word(&o.Format)
	case "timeout":
		return v.Duration(&o.Timeout, time.Millisecond, time.Hour)
	case "cache":
		return v.Duration(&o.TTL, 0, 24*time.Hour)
	case "stale-if-error":
		return v.Duration(&o.StaleIfError, 0, 24*time.Hour)
	case "max-body":
		return v.Size(&o.MaxBody, 1, 1<<32)
	case "max-size":
		return v.Size(&o.MaxSize, 1, 1<<32)
	case "max-age":
		return v.Duration(&o.MaxAge, 0, 10*365*24*time.Hour)
	case "env":
		return words(v, &o.Env)
	case "dir":
		return v.Word(&o.Dir)
	}
	return o.setRequest(key, v)
}

func (o *Options) setRequest(key string, v draft.Value) error {
	switch key {
	case "method":
		return v.OneOf(&o.Method, "GET", "POST", "PUT", "HEAD", "OPTIONS")
	case "headers":
		return words(v, &o.Headers)
	case "header-files":
		return words(v, &o.HeaderFiles)
	case "body":
		return v.Word(&o.Body)
	case "body-type":
		return v.Word(&o.BodyType)
	case "host":
		return v.Word(&o.Host)
	case "basic":
		return v.Each([]string{"user", "password-file"}, func(key string, v draft.Value) error {
			if key == "user" {
				return v.Word(&o.User)
			}
			return v.Word(&o.PassFile)
		})
	case "token-file":
		return v.Word(&o.TokenFile)
	case "oauth2":
		var err error
		o.OAuth, err = oauth.Parse(v)
		return err
	case "status":
		return v.Each1(func(v draft.Value) error {
			var code int
			err := v.Int(&code, 100, 599)
			o.Status = append(o.Status, code)
			return err
		})
	case "redirects":
		return v.Bool(&o.Redirects)
	}
	return v.Each([]string{"ca", "cert", "key", "server-name", "insecure"}, func(key string, v draft.Value) error {
		switch key {
		case "ca":
			return v.Word(&o.CA)
		case "cert":
			return v.Word(&o.Cert)
		case "key":
			return v.Word(&o.Key)
		case "server-name":
			return v.Word(&o.ServerName)
		}
		return v.Bool(&o.Insecure)
	})
}

// words reads a mapping of names to single words.
func words(v draft.Value, dst *map[string]string) error {
	m := map[string]string{}
	err := v.All(func(name string, v draft.Value) error {
		var text string
		err := v.Word(&text)
		m[name] = text
		return err
	})
	*dst = m
	return err
}

func (o *Options) setURL(v draft.Value) error {
	var text string
	if err := v.Word(&text); err != nil {
		return err
	}
	u, err := ParseURL(text)
	if err != nil {
		return v.Errorf("url: %w", err)
	}
	o.URL = u
	return nil
}

// ParseURL reads an address of a source: http://, https:// or http+unix://%2FSOCKET/PATH. The error shows no password.
func ParseURL(text string) (*url.URL, error) {
	if rest, is := strings.CutPrefix(text, "http+unix://"); is {
		return parseSocket(text, rest)
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s is no URL", secret.Redact(text))
	}
	if !slices.Contains([]string{"http", "https"}, u.Scheme) {
		return nil, fmt.Errorf("%s: want http://, https:// or http+unix://%%2FSOCKET/PATH", secret.Redact(text))
	}
	if u.User != nil {
		return nil, fmt.Errorf("%s: no user and password in an address, give basic: {user: NAME, password-file: FILE}", secret.Redact(text))
	}
	if u.Hostname() == "" {
		return nil, fmt.Errorf("%s names no host", secret.Redact(text))
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// parseSocket reads what follows http+unix://; the host of the result is the path of the socket.
func parseSocket(text, rest string) (*url.URL, error) {
	host, path, _ := strings.Cut(rest, "/")
	socket, err := url.PathUnescape(host)
	if err != nil || !strings.HasPrefix(socket, "/") && !strings.HasPrefix(socket, "@") {
		return nil, fmt.Errorf("%s: want the path of a socket with %%2F for its slashes, such as http+unix://%%2Frun%%2Fapp.sock/metrics", secret.Redact(text))
	}
	u, err := url.Parse("http://localhost/" + path)
	if err != nil {
		return nil, fmt.Errorf("%s is no URL", secret.Redact(text))
	}
	u.Scheme, u.Host, u.Fragment, u.RawFragment = "http+unix", socket, "", ""
	return u, nil
}

func (o *Options) check(v draft.Value, other bool) error {
	kinds := 0
	if other {
		kinds++
	}
	for _, is := range []bool{o.URL != nil, o.File != "", len(o.Command) > 0} {
		if is {
			kinds++
		}
	}
	given := slices.ContainsFunc(v.Pairs, func(p draft.Pair) bool { return p.Key == "url" || p.Key == "file" || p.Key == "command" })
	var errs []error
	if kinds > 1 || kinds == 0 && !given {
		errs = append(errs, v.Errorf("source %s: want one of url, file, command, redis and listen", o.Name))
	}
	if o.File != "" && !filepath.IsAbs(o.File) {
		errs = append(errs, v.Errorf("file %s: want an absolute path", o.File))
	}
	ways := 0
	for _, is := range []bool{o.TokenFile != "", o.PassFile != "", o.OAuth != nil} {
		if is {
			ways++
		}
	}
	if ways > 1 {
		errs = append(errs, v.Errorf("want one of token-file, basic and oauth2"))
	}
	if (o.Cert == "") != (o.Key == "") {
		errs = append(errs, v.Errorf("tls: want both cert and key, or none"))
	}
	for name := range o.Headers {
		if sensitive(name) {
			errs = append(errs, v.Errorf("headers: %s holds a secret, which would stand in the file for all to read: give header-files: {%s: FILE}, token-file or basic", name, name))
		}
	}
	return errors.Join(errs...)
}

func sensitive(name string) bool {
	return slices.ContainsFunc([]string{"authorization", "proxy-authorization", "cookie", "x-api-key", "x-auth-token"}, func(s string) bool { return strings.EqualFold(s, name) })
}
