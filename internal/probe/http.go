package probe

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sidecar-kit/sidecar/internal/secret"
)

// redirectsMax is what browsers, curl and the kubelet allow, more or less.
const redirectsMax = 10

// httpWant is a request and what is expected of its answer.
type httpWant struct {
	url      *url.URL // without userinfo
	socket   string   // a unix socket instead of the URL's host
	method   string
	host     string
	status   ranges
	headers  []headerWant
	body     *regexp.Regexp
	redirect string // same, none or follow
	user     *url.Userinfo
	token    string // files
	basic    string
	trust    *trust
}

type headerWant struct {
	name  string
	value *regexp.Regexp // nil: any
}

func openHTTP(t target, o *options) (look, error) {
	u, err := t.network()
	if err != nil {
		return nil, err
	}
	if u.Host == "" || u.Opaque != "" {
		return nil, fmt.Errorf("%s: %w", t.shown, errShape)
	}
	if u.Hostname() == "" {
		u.Host = "localhost:" + u.Port()
	}
	return newHTTP(u, "", o), nil
}

// openHTTPUnix takes the path of the socket as the host, its slashes as %2F.
func openHTTPUnix(t target, o *options) (look, error) {
	rest, ok := strings.CutPrefix(t.rest, "//")
	escaped, path, _ := strings.Cut(rest, "/")
	socket, err := url.PathUnescape(escaped)
	if err != nil || !ok || socket == "" {
		return nil, fmt.Errorf("%s: %w", t.shown, errShape)
	}
	u, err := url.Parse("http://localhost/" + path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.shown, errShape)
	}
	return newHTTP(u, socket, o), nil
}

func newHTTP(u *url.URL, socket string, o *options) look {
	w := &httpWant{url: u, socket: socket, user: u.User, method: http.MethodGet, trust: &trust{}}
	u.User = nil
	if m, ok := o.text("method"); ok {
		w.method = m
		if !headerName.MatchString(m) || m != strings.ToUpper(m) {
			o.complain("method", m, "a method such as GET, HEAD or POST")
		}
	}
	w.status = o.ranges("status", ranges{{200, 399}})
	w.body = o.pattern("body")
	if w.body != nil && w.method == http.MethodHead {
		o.errs = append(o.errs, errors.New("option body: an answer to HEAD has none"))
	}
	for _, h := range o.list("header") {
		w.headers = append(w.headers, o.header(h))
	}
	w.host, _ = o.text("host")
	w.redirect = o.word("redirect", "same", "same", "none", "follow")
	if socket != "" && w.redirect == "follow" {
		o.complain("redirect", "follow", "same or none: a socket is no way to other hosts")
	}
	w.token, _ = o.text("token-file")
	w.basic, _ = o.text("basic-file")
	o.together("token-file", "basic-file")
	if w.user != nil && (w.token != "" || w.basic != "") {
		o.errs = append(o.errs, errors.New("a user in the address excludes the options token-file and basic-file"))
	}
	if u.Scheme == "https" || w.redirect == "follow" {
		w.trust = o.trust()
	}
	return w.look
}

var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

func (o *options) header(text string) headerWant {
	name, value, hasValue := strings.Cut(text, ":")
	if !headerName.MatchString(name) {
		o.complain("header", text, "NAME or NAME:REGEX")
	}
	if !hasValue {
		return headerWant{name: name}
	}
	return headerWant{name, o.compile("header", strings.TrimSpace(value))}
}

// authorization reads the files; "" means none.
func (w *httpWant) authorization() (string, error) {
	basic := func(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }
	switch {
	case w.user != nil:
		password, _ := w.user.Password()
		return basic(w.user.Username() + ":" + password), nil
	case w.token != "":
		token, err := secret.File(w.token)
		if err != nil {
			return "", fmt.Errorf("option token-file: %w", err)
		}
		return "Bearer " + strings.TrimSpace(token.Reveal()), nil
	case w.basic != "":
		pair, err := secret.File(w.basic)
		if err != nil {
			return "", fmt.Errorf("option basic-file: %w", err)
		}
		if !strings.Contains(pair.Reveal(), ":") {
			return "", fmt.Errorf("option basic-file: %s does not hold USER:PASSWORD", w.basic)
		}
		return basic(pair.Reveal()), nil
	}
	return "", nil
}

func (w *httpWant) look(ctx context.Context) (string, error) {
	auth, err := w.authorization()
	if err != nil {
		return "", err
	}
	conf, err := w.trust.config("") // the transport asks for the name of each host
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, w.method, w.url.String(), http.NoBody)
	if err != nil {
		return "", err
	}
	req.Host = w.host
	req.Header.Set("User-Agent", "sidecar-probe")
	if auth != "" {
		req.Header.Set("Authorization", auth)
	}
	var connected atomic.Bool
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // HTTP/2 would hide why TLS ended
	transport := &http.Transport{
		TLSClientConfig: conf, Protocols: protocols, DisableKeepAlives: true, DisableCompression: true,
		MaxResponseHeaderBytes: 256 << 10, // of foreign origin
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if w.socket != "" {
				network, addr = "unix", w.socket
			}
			conn, err := connect(ctx, network, addr)
			connected.Store(err == nil)
			return askFirst(conn), err
		},
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: w.redirected}
	resp, err := client.Do(req)
	if err != nil {
		return "", plainHTTP(err, connected.Load())
	}
	defer resp.Body.Close()
	return w.judge(resp)
}

func plainHTTP(err error, connected bool) error {
	if connected {
		return plain(err, "connected, but no answer")
	}
	return plain(err, "no connection")
}

var errRedirects = &unmet{"more than 10 redirects", "more than 10 redirects"}

// redirected decides about the next hop. The kubelet stays with the host and
// takes a redirect elsewhere as the answer; "same" does it for scheme and port, too.
func (w *httpWant) redirected(next *http.Request, via []*http.Request) error {
	next.Header.Del("Referer") // the query may hold a token
	same := next.URL.Scheme == w.url.Scheme && portOf(next.URL) == portOf(w.url) &&
		strings.EqualFold(next.URL.Hostname(), w.url.Hostname())
	if w.redirect == "none" || w.redirect == "same" && !same {
		return http.ErrUseLastResponse
	}
	next.Host = w.host
	if !same {
		next.Header.Del("Authorization")
		next.Host = ""
	}
	if len(via) >= redirectsMax {
		return errRedirects
	}
	return nil
}

func portOf(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return map[string]string{"http": "80", "https": "443"}[u.Scheme]
}

// judge compares an answer with what is expected.
func (w *httpWant) judge(resp *http.Response) (string, error) {
	seen := fmt.Sprint(resp.StatusCode)
	if to := resp.Header.Get("Location"); to != "" && resp.StatusCode/100 == 3 {
		seen += " to " + secret.NewURL(to).String()
	}
	if !w.status.has(resp.StatusCode) {
		return "", fmt.Errorf("status %s, want %s", seen, w.status)
	}
	if resp.TLS != nil {
		if err := w.trust.judge(*resp.TLS, time.Now()); err != nil {
			return "", err
		}
	}
	for _, h := range w.headers {
		if err := h.judge(resp.Header); err != nil {
			return "", err
		}
	}
	if w.body != nil {
		if err := match(w.body, resp.Body, "body"); err != nil {
			return "", err
		}
	}
	return seen, nil
}

func (h headerWant) judge(got http.Header) error {
	values := got.Values(h.name)
	if len(values) == 0 {
		return fmt.Errorf("no header %s", h.name)
	}
	for _, v := range values {
		if h.value == nil || h.value.MatchString(v) {
			return nil
		}
	}
	// The value is not shown: it may be a cookie.
	return fmt.Errorf("header %s does not match %q", h.name, h.value)
}
