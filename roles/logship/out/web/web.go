// Package web sends requests of outputs to web servers: several hosts that take turns, credentials that are read again, TLS that
// follows its files, compression, and errors that say what to do. A request is tried once; the pipeline tries again.
//
// Redirects are never followed and no proxy of the environment is used: credentials go where the configuration says.
package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/gz"
	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/out/link"
)

// Config says where to send to and how.
type Config struct {
	Targets   []*url.URL // http or https with host, port and the path in front of all paths; at least one, all of one scheme
	TLS       link.TLS   // On is set by the scheme
	Auth      Auth
	Header    [][2]string // added to every request
	Private   []string    // values of Header and of queries that nobody is told when a server repeats them
	Gzip      bool
	UserAgent string
	Sign      func(req *http.Request, body []byte) error // called last, if set, for each request
	Conns     int                                        // how many requests are under way at most; idle connections are kept up to that
	Log       zerolog.Logger
}

// Auth is at most one way to say who we are.
type Auth struct {
	User     string // with Password
	Password *link.Secret
	Bearer   *link.Secret
	APIKey   *link.Secret // Authorization: ApiKey …
	PlainOK  bool         // credentials may travel unencrypted
}

// Client sends requests. It is used by several goroutines at once.
type Client struct {
	o         Config
	dialer    *link.Dialer
	transport *http.Transport
	hosts     *link.Hosts
	packed    sync.Pool
	scrub     *secret.Scrubber
	traffic   out.Traffic
}

// New checks the configuration and reads certificates. It connects to nobody.
func New(o Config) (*Client, error) {
	if len(o.Targets) == 0 {
		return nil, errors.New("no address to send to")
	}
	c := &Client{o: o, hosts: link.NewHosts(len(o.Targets)), scrub: &secret.Scrubber{}, packed: sync.Pool{New: func() any { return new([]byte) }}}
	for _, t := range o.Targets {
		plain := t.Scheme == "http"
		if o.Auth.set() && plain && !o.Auth.PlainOK && !link.Loopback(t.Hostname()) {
			return nil, fmt.Errorf("credentials for %s would travel unencrypted\nhint: use https, or say insecure=true", t.Host)
		}
	}
	for _, s := range []*link.Secret{o.Auth.Password, o.Auth.Bearer, o.Auth.APIKey} {
		s.Scrub(c.scrub)
	}
	c.scrub.Add(o.Private...)
	o.TLS.On = o.Targets[0].Scheme == "https"
	dialer, err := link.NewDialer(o.TLS, o.Targets[0].Hostname(), &c.traffic, o.Log, "http/1.1")
	if err != nil {
		return nil, err
	}
	c.dialer = dialer
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	c.transport = &http.Transport{
		DialContext: c.dial, DialTLSContext: c.dial, Protocols: protocols, DisableCompression: true,
		MaxIdleConnsPerHost: max(1, o.Conns), IdleConnTimeout: 55 * time.Second, MaxResponseHeaderBytes: 64 << 10,
		ReadBufferSize: 16 << 10, WriteBufferSize: 4 << 10,
	}
	return c, nil
}

func (a Auth) set() bool { return a.Password.Set() || a.Bearer.Set() || a.APIKey.Set() }

// Request is one request. Body is not touched any more when Do has returned.
type Request struct {
	Method   string // "": POST
	Path     string // behind the path of the target
	RawPath  string // how the whole path is to be written; empty: as net/url does
	Query    string
	Type     string // Content-Type
	Body     []byte
	Header   [][2]string
	Encoding string // Content-Encoding of a body that is compressed already
	Raw      bool   // Body is compressed already, or is not to be
}

// Do sends r to one of the hosts and calls read with an answer of the 200 class. Other answers are failures that wrap a *Status.
// The body of the answer is closed afterwards.
func (c *Client) Do(ctx context.Context, r Request, read func(*http.Response) error) error {
	data, packed := r.Body, false
	if c.o.Gzip && !r.Raw && len(data) > 0 {
		p, _ := c.packed.Get().(*[]byte)
		defer c.packed.Put(p)
		var err error
		if *p, err = gz.Append((*p)[:0], data); err != nil {
			return err
		}
		data, packed = *p, true
	}
	n := c.hosts.Pick(time.Now())
	var open sync.WaitGroup
	defer open.Wait() // and then the memory may be used again
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := c.request(ctx, r, c.o.Targets[n], data, packed)
	if err != nil {
		return err
	}
	if len(data) > 0 {
		req.ContentLength = int64(len(data))
		req.GetBody = func() (io.ReadCloser, error) { return newBody(data, &open), nil }
		req.Body = newBody(data, &open)
	}
	c.traffic.Requests.Add(1)
	c.traffic.Bytes.Add(int64(len(data)))
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		c.hosts.Tell(n, errors.Is(err, context.Canceled), time.Now())
		return out.Fail(out.Retry, "%s %s: %w", req.Method, c.show(req.URL), c.clean(err))
	}
	defer resp.Body.Close()
	c.hosts.Tell(n, resp.StatusCode < 502 || resp.StatusCode > 504, time.Now())
	if resp.StatusCode/100 != 2 {
		return c.refusal(req, resp)
	}
	if err := read(resp); err != nil {
		var f *out.Failure
		if errors.As(err, &f) {
			return &out.Failure{How: f.How, After: f.After, Slow: f.Slow, Err: fmt.Errorf("%s %s: %w", req.Method, c.show(req.URL), c.clean(f.Err))}
		}
		return fmt.Errorf("%s %s: %w", req.Method, c.show(req.URL), c.clean(err))
	}
	return nil
}

func (c *Client) request(ctx context.Context, r Request, base *url.URL, data []byte, packed bool) (*http.Request, error) {
	u := *base
	if r.Path != "" {
		u.Path, u.RawPath = strings.TrimSuffix(base.Path, "/")+r.Path, r.RawPath
	}
	if r.Query != "" {
		u.RawQuery = strings.TrimPrefix(base.RawQuery+"&"+r.Query, "&")
	}
	method := r.Method
	if method == "" {
		method = http.MethodPost
	}
	req := (&http.Request{Method: method, URL: &u, Host: u.Host, Header: http.Header{}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).WithContext(ctx)
	if c.o.UserAgent != "" {
		req.Header.Set("User-Agent", c.o.UserAgent)
	}
	if r.Type != "" && len(data) > 0 {
		req.Header.Set("Content-Type", r.Type)
	}
	if packed {
		req.Header.Set("Content-Encoding", "gzip")
	} else if r.Encoding != "" {
		req.Header.Set("Content-Encoding", r.Encoding)
	}
	for _, h := range append(c.o.Header[:len(c.o.Header):len(c.o.Header)], r.Header...) {
		req.Header.Set(h[0], h[1])
		if strings.EqualFold(h[0], "host") {
			req.Host = h[1]
		}
	}
	if err := c.authorize(req); err != nil || c.o.Sign == nil {
		return req, err
	}
	return req, c.o.Sign(req, data)
}

func (c *Client) authorize(req *http.Request) error {
	a := c.o.Auth
	for _, way := range []struct {
		s   *link.Secret
		set func(string)
	}{
		{a.Password, func(v string) { req.SetBasicAuth(a.User, v) }},
		{a.Bearer, func(v string) { req.Header.Set("Authorization", "Bearer "+v) }},
		{a.APIKey, func(v string) { req.Header.Set("Authorization", "ApiKey "+v) }},
	} {
		if !way.s.Set() {
			continue
		}
		v, err := way.s.Value()
		if err != nil {
			return &out.Failure{How: out.Pause, Err: err}
		}
		if strings.ContainsAny(v, "\r\n\x00") {
			return out.Fail(out.Pause, "read secret: %s has more than one line", way.s.File)
		}
		way.set(v)
	}
	return nil
}

// show is the address for people: no query, no credentials.
func (c *Client) show(u *url.URL) string { return u.Scheme + "://" + u.Host + u.Path }

// clean takes secrets out of an error and keeps what it is.
func (c *Client) clean(err error) error {
	text := c.scrub.Clean(err.Error())
	if text == err.Error() {
		return err
	}
	return &cleaned{text, err}
}

type cleaned struct {
	text string
	err  error
}

func (c *cleaned) Error() string { return c.text }
func (c *cleaned) Unwrap() error { return c.err }

// Stale makes the next request read its credentials from their files.
func (c *Client) stale() {
	c.o.Auth.Password.Stale()
	c.o.Auth.Bearer.Stale()
	c.o.Auth.APIKey.Stale()
}

// Traffic counts requests and bytes.
func (c *Client) Traffic() *out.Traffic { return &c.traffic }

// Run follows the files of certificates until ctx ends.
func (c *Client) Run(ctx context.Context) error { return c.dialer.Run(ctx) }

// Close closes idle connections.
func (c *Client) Close() error {
	c.transport.CloseIdleConnections()
	return nil
}
