package source

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"text/template"
	"time"

	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/internal/tlsconf"
	"github.com/sidecar-kit/sidecar/roles/adapter/oauth"
)

// accept is what a source without a header of its own is asked for: the formats that we lose nothing of, the richest first.
const accept = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.7,application/json;q=0.6,*/*;q=0.5"

// Web asks over HTTP.
type Web struct {
	o      Options
	url    string
	client *http.Client
	body   *template.Template
	tls    *tlsconf.Client
	tokens *oauth.Client
	last   atomic.Int64 // bytes of the last answer, unpacked: the next one is about as long
}

// NewWeb makes the client. Certificates are read; nothing is asked yet.
func NewWeb(o Options) (*Web, error) {
	w := &Web{o: o}
	transport := &http.Transport{
		MaxIdleConnsPerHost: 2, IdleConnTimeout: 90 * time.Second, DisableCompression: true, ResponseHeaderTimeout: o.Timeout, MaxResponseHeaderBytes: 64 << 10,
		ReadBufferSize: 32 << 10,
	}
	u := *o.URL
	if w.o.Dial != nil {
		transport.DialContext = w.o.Dial
	}
	if u.Scheme == "http+unix" {
		socket := u.Host
		u.Scheme, u.Host = "http", "localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		}
	}
	if u.Scheme == "https" {
		if err := w.secure(transport, u.Hostname()); err != nil {
			return nil, err
		}
	}
	if w.tokens = o.Tokens; w.tokens == nil && o.OAuth != nil {
		var err error
		if w.tokens, err = oauth.New(*o.OAuth); err != nil {
			return nil, fmt.Errorf("source %s: %w", w.o.Name, err)
		}
	}
	w.url = u.String()
	w.client = &http.Client{Transport: transport, CheckRedirect: w.redirect}
	if o.Body != "" {
		t, err := BodyTemplate(o.Body)
		if err != nil {
			return nil, fmt.Errorf("source %s: body: %w", o.Name, err)
		}
		w.body = t
	}
	return w, nil
}

// BodyTemplate reads the text of a request's body. It may ask for the time, and for nothing of this process.
func BodyTemplate(text string) (*template.Template, error) {
	return template.New("body").Option("missingkey=zero").Funcs(template.FuncMap{
		"now":  func() time.Time { return time.Now().UTC() },
		"unix": func(t time.Time) int64 { return t.Unix() },
		"add": func(t time.Time, d string) (time.Time, error) {
			span, err := time.ParseDuration(d)
			return t.Add(span), err
		},
		"json": strconv.Quote,
	}).Parse(text)
}

func (w *Web) secure(t *http.Transport, host string) error {
	o := tlsconf.ClientOptions{ServerName: host, Insecure: w.o.Insecure}
	if w.o.ServerName != "" {
		o.ServerName = w.o.ServerName
	}
	if w.o.CA != "" {
		o.CA = []string{w.o.CA}
	}
	if w.o.Cert != "" {
		o.Cert, o.Key = []string{w.o.Cert}, []string{w.o.Key}
	}
	client, err := tlsconf.NewClient(o)
	if err != nil {
		return fmt.Errorf("source %s: tls: %w", w.o.Name, err)
	}
	w.tls = client
	t.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return dialTLS(ctx, w.o.Dial, network, addr, client.Config())
	}
	return nil
}

// Run follows the files of certificates until ctx ends, and then closes connections that wait.
func (w *Web) Run(ctx context.Context) error {
	defer w.client.CloseIdleConnections()
	if w.tls != nil {
		return w.tls.Run(ctx)
	}
	<-ctx.Done()
	return nil
}

// Close gives up connections that wait, for who does not call Run.
func (w *Web) Close() { w.client.CloseIdleConnections() }

// redirect follows to the same scheme, host and port, if it may at all: who answers must not choose who is asked.
func (w *Web) redirect(r *http.Request, via []*http.Request) error {
	if !w.o.Redirects || len(via) > 5 || r.URL.Scheme != via[0].URL.Scheme || r.URL.Host != via[0].URL.Host {
		return http.ErrUseLastResponse
	}
	return nil
}

// Get asks once.
func (w *Web) Get(ctx context.Context) (Body, error) {
	req, err := w.request(ctx)
	if err != nil {
		return Body{}, err
	}
	answer, err := w.client.Do(req)
	if err != nil {
		return Body{}, w.reason(ctx, err)
	}
	defer func() { _ = answer.Body.Close() }()
	if !w.accepted(answer.StatusCode) {
		if w.tokens != nil && answer.StatusCode == http.StatusUnauthorized {
			w.tokens.Refused(req.Header.Get("Authorization"))
		}
		_, _ = io.CopyN(io.Discard, answer.Body, 64<<10) // so that the connection can be used again
		where := ""
		if to := answer.Header.Get("Location"); to != "" {
			where = " to " + secret.Redact(to) + ", which is not followed"
		}
		return Body{}, fmt.Errorf("status %d%s", answer.StatusCode, where)
	}
	b, err := w.read(answer)
	if err != nil {
		return b, w.reason(ctx, err)
	}
	return b, nil
}

func (w *Web) request(ctx context.Context) (*http.Request, error) {
	var body io.Reader
	switch {
	case w.o.Render != nil:
		text, err := w.o.Render()
		if err != nil {
			return nil, fmt.Errorf("body: %w", err)
		}
		body = strings.NewReader(text)
	case w.body != nil:
		var text strings.Builder
		if err := w.body.Execute(&text, nil); err != nil {
			return nil, fmt.Errorf("body: %w", err)
		}
		body = strings.NewReader(text.String())
	}
	req, err := http.NewRequestWithContext(ctx, w.o.Method, w.url, body)
	if err != nil {
		return nil, errors.New("the address is not valid")
	}
	req.Header.Set("Accept", accept)
	req.Header.Set("Accept-Encoding", "gzip")
	req.Header.Set("User-Agent", "sidecar-adapter")
	if end, ok := ctx.Deadline(); ok {
		req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", strconv.FormatFloat(time.Until(end).Seconds(), 'f', 3, 64))
	}
	if w.body != nil && w.o.BodyType != "" {
		req.Header.Set("Content-Type", w.o.BodyType)
	}
	for name, value := range w.o.Headers {
		req.Header.Set(name, value)
	}
	if w.o.Host != "" {
		req.Host = w.o.Host
	}
	return req, w.credentials(req)
}

// credentials are read at each request, so that a new secret needs no restart.
func (w *Web) credentials(req *http.Request) error {
	for name, path := range w.o.HeaderFiles {
		v, err := secret.File(path)
		if err != nil {
			return err
		}
		req.Header.Set(name, v.Reveal())
	}
	kind := w.o.AuthType
	if kind == "" {
		kind = "Bearer"
	}
	token, err := fileOr(w.o.TokenFile, w.o.Token)
	if err != nil {
		return err
	}
	if token != "" {
		req.Header.Set("Authorization", kind+" "+token)
	}
	user, err := fileOr(w.o.UserFile, secret.New(w.o.User))
	if err != nil {
		return err
	}
	password, err := fileOr(w.o.PassFile, w.o.Password)
	if err == nil && (user != "" || password != "") {
		req.SetBasicAuth(user, password)
	}
	if err == nil && w.tokens != nil {
		var h string
		if h, err = w.tokens.Header(req.Context()); err == nil {
			req.Header.Set("Authorization", h)
		}
	}
	return err
}

func fileOr(path string, v secret.Value) (string, error) {
	if path == "" {
		return v.Reveal(), nil
	}
	v, err := secret.File(path)
	return v.Reveal(), err
}

func (w *Web) accepted(status int) bool {
	if len(w.o.Status) > 0 {
		return slices.Contains(w.o.Status, status)
	}
	return status >= 200 && status <= 299
}

// read takes the body, unpacked, within both bounds.
func (w *Web) read(answer *http.Response) (Body, error) {
	wire := &counting{r: answer.Body, max: w.o.MaxBody}
	var from io.Reader = wire
	size := answer.ContentLength
	switch coding := strings.ToLower(answer.Header.Get("Content-Encoding")); coding {
	case "", "identity":
	case "gzip":
		size = -1
		z, err := gzip.NewReader(wire)
		if err != nil {
			return Body{Wire: int(wire.n)}, fmt.Errorf("gzip: %w", err)
		}
		from = z
	default:
		return Body{}, fmt.Errorf("content encoding %q was not asked for", secret.Printable(coding))
	}
	size = min(size, 4<<20) // a length that is announced is not believed beyond that
	if last := w.last.Load(); size < 0 && last > 0 {
		size = last + last/16 // in place of growing from nothing, which allocates three times as much
	}
	data, err := readAll(from, w.o.MaxSize, min(size, w.o.MaxSize))
	w.last.Store(int64(len(data)))
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if kind != "" {
		kind = answer.Header.Get("Content-Type")
	}
	return Body{Data: data, Type: kind, Wire: int(wire.n)}, err
}

// reason is err without the address, which may hold a secret, and without what the HTTP client says around it.
func (w *Web) reason(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var n net.Error
	if errors.As(err, &n) && n.Timeout() {
		return errTimeout{w.o.Timeout, ofSource}
	}
	var about *url.Error
	if errors.As(err, &about) {
		err = about.Err
	}
	return errors.New(secret.Printable(secret.Redact(err.Error())))
}

// counting reads at most max bytes; more are an error.
type counting struct {
	r      io.Reader
	n, max int64
}

// Read implements io.Reader.
func (c *counting) Read(p []byte) (int, error) {
	if c.n > c.max {
		return 0, errTooMuch(c.max)
	}
	if room := c.max + 1 - c.n; int64(len(p)) > room {
		p = p[:room]
	}
	n, err := c.r.Read(p)
	c.n += int64(n)
	if c.n > c.max {
		return n, errTooMuch(c.max)
	}
	return n, err
}
