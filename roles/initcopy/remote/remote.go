// Package remote fetches files from web servers, and manifests and layers of images from registries.
//
// It promises that a transfer which breaks is taken up where it broke, as long as it gets on now and then; that what it
// says is whole is whole, as far as the server told its length, and has the digest that was asked for; that credentials go
// to the server they are for and, of a registry, to the service that it names for them, and nowhere else; that errors and
// log lines hold neither them nor the query of an address; and that memory stays small.
//
// Everything a server says is foreign: lengths, ranges, redirects, challenges, manifests. The package knows nothing of
// files and folders, and does not unpack. It speaks the part of the distribution protocol that reading needs; it is not
// for pushing.
package remote

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/secret"
)

const (
	dialTimeout = 20 * time.Second
	// stallTime is how long a server may say nothing.
	stallTime    = 30 * time.Second
	maxRedirects = 10
	// drainLimit is what is read of an answer nobody wants, so that the connection can be kept.
	drainLimit = 16 << 10
)

// Options say how servers are talked to. The zero value trusts the authorities of the system, has no credentials and
// never tries again.
type Options struct {
	// CAFile holds the only authorities that are trusted, in PEM.
	CAFile string
	// TokenFile holds a bearer token, BasicFile user:password, for File.
	TokenFile, BasicFile string
	// AuthFile holds credentials for registries, as docker's config.json.
	AuthFile string
	// Retry is how long a transfer is tried again without getting on.
	Retry time.Duration
	// MaxBytes is how long a file or a layer may be; 0 is no limit.
	MaxBytes int64
	Log      zerolog.Logger
}

// Client fetches. It can be used by one goroutine at a time.
type Client struct {
	o   Options
	web http.RoundTripper
	// pause is the first wait between two attempts.
	pause time.Duration
}

// New makes a client. It reads the file of authorities and nothing else.
func New(o Options) (*Client, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--ca-file %s holds no certificate in PEM", o.CAFile)
		}
	}
	return &Client{o: o, pause: 200 * time.Millisecond, web: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:        conf,
		TLSHandshakeTimeout:    dialTimeout,
		ForceAttemptHTTP2:      true,
		ResponseHeaderTimeout:  stallTime,
		MaxResponseHeaderBytes: 64 << 10,
		IdleConnTimeout:        stallTime,
		DisableCompression:     true,
		WriteBufferSize:        4 << 10,
		ReadBufferSize:         64 << 10,
	}}, nil
}

// Close lets go of connections that are kept.
func (c *Client) Close() {
	if t, ok := c.web.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}

// resource is something that can be got more than once, and in parts.
type resource struct {
	url    *url.URL // without a user
	shown  string   // for errors and logs
	accept string   // media types, "" for any
	auth   authorizer
	remedy string // what to do when the server refuses, a hint
}

// authorizer gives the credentials for the server of a resource.
type authorizer interface {
	// header is the value of Authorization, "" for none.
	header() string
	// challenged is told what a server that refused wants, and whether it may be asked once more.
	challenged(ctx context.Context, challenges []string) (again bool, err error)
}

// static is an authorizer whose header never changes.
type static string

func (s static) header() string                                     { return string(s) }
func (s static) challenged(context.Context, []string) (bool, error) { return false, nil }

// get asks for a resource and follows redirects. Credentials go to its own server only, and not after the way has led
// away from there. The caller closes the body.
func (c *Client) get(ctx context.Context, res *resource, extra http.Header) (*http.Response, error) {
	at, home, asked := res.url, true, false
	for hops := 0; ; {
		req := (&http.Request{Method: http.MethodGet, URL: at, Host: at.Host, Header: http.Header{
			"Accept-Encoding": {"identity"}, "User-Agent": {"sidecar-initcopy"},
		}}).WithContext(ctx)
		if res.accept != "" {
			req.Header.Set("Accept", res.accept)
		}
		for name, values := range extra {
			req.Header[name] = values
		}
		if home && res.auth != nil {
			if h := res.auth.header(); h != "" {
				req.Header.Set("Authorization", h)
			}
		}
		resp, err := c.web.RoundTrip(req)
		if err != nil {
			return nil, explain(err)
		}
		if resp.StatusCode == http.StatusUnauthorized && home && !asked && res.auth != nil {
			asked = true
			again, err := res.auth.challenged(ctx, resp.Header.Values("WWW-Authenticate"))
			if err != nil || again {
				discard(resp)
			}
			if err != nil {
				return nil, err
			}
			if again {
				continue
			}
		}
		if !redirects(resp) {
			return resp, nil
		}
		discard(resp)
		if hops++; hops > maxRedirects {
			return nil, fmt.Errorf("more than %d redirects", maxRedirects)
		}
		next, err := follow(at, resp.Header.Get("Location"))
		if err != nil {
			return nil, err
		}
		home = home && origin(next) == origin(res.url)
		at = next
	}
}

func redirects(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return resp.Header.Get("Location") != ""
	}
	return false
}

// follow reads where a redirect leads. An address in it may hold a signature, and is not shown.
func follow(from *url.URL, location string) (*url.URL, error) {
	to, err := from.Parse(location)
	if err != nil {
		return nil, errors.New("the server redirects to something that is no address")
	}
	to.User, to.Fragment, to.RawFragment = nil, "", ""
	switch {
	case to.Host == "" || to.Scheme != "https" && to.Scheme != "http":
		return nil, fmt.Errorf("the server redirects to an address of the scheme %q; want https", secret.Printable(to.Scheme))
	case from.Scheme == "https" && to.Scheme != "https":
		return nil, fmt.Errorf("the server redirects from https to http (%s), which is not followed", secret.Printable(to.Host))
	}
	return to, nil
}

// origin is scheme, host and port.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

func discard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, drainLimit)
	_ = resp.Body.Close()
}
