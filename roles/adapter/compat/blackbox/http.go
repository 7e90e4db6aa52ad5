package blackbox

import (
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxBody bounds what regular expressions look at, and a body_file.
const maxBody = 16 << 20

const phases = "probe_http_duration_seconds"

func (l *look) probeHTTP(ctx context.Context) error {
	l.beginHTTP()
	target := l.target
	if low := strings.ToLower(target); !strings.HasPrefix(low, "http://") && !strings.HasPrefix(low, "https://") {
		target = "http://" + target
	}
	u, err := url.Parse(target)
	if err != nil || u.Hostname() == "" {
		return errors.New("the target is no URL")
	}
	addr, err := l.find(ctx, u.Hostname(), portOf(u), phases)
	if err != nil {
		return err
	}
	if l.host == "" {
		l.host = l.web.host
	}
	c := &carrier{look: l, first: u, addr: addr}
	c.transport = c.newTransport()
	defer c.transport.CloseIdleConnections()
	redirects := 0
	client := &http.Client{Transport: c, CheckRedirect: func(_ *http.Request, via []*http.Request) error {
		redirects = len(via)
		switch {
		case !l.web.follow:
			return http.ErrUseLastResponse
		case redirects > 10:
			return errors.New("more than 10 redirects")
		}
		return nil
	}}
	req, err := l.request(ctx, u)
	if err != nil {
		return err
	}
	answer, err := client.Do(req)
	if err == nil {
		err = l.judge(answer)
		_ = answer.Body.Close()
	} else if redirects > 0 { // who was asked for is allowed, and where it sends us may be not
		err = fmt.Errorf("after %d redirects: %s", redirects, err.Error())
	}
	c.tell(time.Now())
	l.report.set("probe_http_redirects", "", float64(redirects))
	return err
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case strings.EqualFold(u.Scheme, "https"):
		return "443"
	}
	return "80"
}

func (l *look) beginHTTP() {
	for _, phase := range []string{"connect", "processing", "resolve", "tls", "transfer"} {
		l.report.set(phases, "Duration of http request by phase, summed over all redirects", 0, "phase", phase)
	}
	for _, g := range [][2]string{
		{"probe_http_content_length", "Length of http content response"},
		{"probe_http_uncompressed_body_length", "Length of uncompressed response body"},
		{"probe_http_redirects", "The number of redirects"},
		{"probe_http_ssl", "Indicates if SSL was used for the final redirect"},
		{"probe_http_status_code", "Response HTTP status code"},
		{"probe_http_version", "Returns the version of HTTP of the probe response"},
		{"probe_failed_due_to_regex", "Indicates if probe failed due to regex"},
	} {
		l.report.set(g[0], g[1], 0)
	}
}

func (l *look) request(ctx context.Context, u *url.URL) (*http.Request, error) {
	text := l.web.body
	if l.web.bodyFile != "" {
		f, err := os.Open(l.web.bodyFile)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		data, err := io.ReadAll(io.LimitReader(f, maxBody))
		if err != nil {
			return nil, err
		}
		text = string(data)
	}
	var body io.Reader
	if text != "" {
		body = strings.NewReader(text)
	}
	return http.NewRequestWithContext(ctx, l.web.method, u.String(), body)
}

// judge says what is wrong with an answer, after its body was read.
func (l *look) judge(a *http.Response) error {
	w, r := &l.web, l.report
	var errs []error
	if len(w.status) > 0 && !slices.Contains(w.status, a.StatusCode) || len(w.status) == 0 && (a.StatusCode < 200 || a.StatusCode > 299) {
		errs = append(errs, fmt.Errorf("status %d is not a valid one", a.StatusCode))
	}
	failed := func(err error) {
		if err != nil {
			errs = append(errs, err)
			r.set("probe_failed_due_to_regex", "", 1)
		}
	}
	if len(errs) == 0 {
		failed(w.matchHeaders(a.Header))
	}
	n, err := l.readBody(a, len(errs) == 0, failed)
	errs = append(errs, err)
	if t, err := http.ParseTime(a.Header.Get("Last-Modified")); err == nil {
		r.set("probe_http_last_modified_timestamp_seconds", "Returns the Last-Modified HTTP response header in unixtime", unix(t))
	}
	version, _ := strconv.ParseFloat(strings.TrimPrefix(a.Proto, "HTTP/"), 64)
	r.set("probe_http_version", "", version)
	if len(w.versions) > 0 && !slices.Contains(w.versions, a.Proto) {
		errs = append(errs, fmt.Errorf("%s is not a valid version", a.Proto))
	}
	if a.TLS != nil {
		r.set("probe_http_ssl", "", 1)
		r.secured(a.TLS, true, true)
		if w.failSSL {
			errs = append(errs, errors.New("the answer came over TLS"))
		}
	} else if w.failPlain {
		errs = append(errs, errors.New("the answer came without TLS"))
	}
	r.set("probe_http_status_code", "", float64(a.StatusCode))
	r.set("probe_http_content_length", "", float64(a.ContentLength))
	r.set("probe_http_uncompressed_body_length", "", float64(n))
	return errors.Join(errs...)
}

// readBody reads all of a body, and looks at it where that is wanted.
func (l *look) readBody(a *http.Response, match bool, failed func(error)) (int64, error) {
	from := io.Reader(a.Body)
	switch l.web.compression {
	case "gzip":
		z, err := gzip.NewReader(from)
		if err != nil {
			return 0, err
		}
		from = z
	case "deflate":
		from = flate.NewReader(from)
	}
	if l.web.limit > 0 {
		from = http.MaxBytesReader(nil, io.NopCloser(from), l.web.limit)
	}
	if !match || len(l.web.bodyHas)+len(l.web.bodyLacks) == 0 {
		return io.Copy(io.Discard, from)
	}
	data, err := io.ReadAll(io.LimitReader(from, maxBody+1))
	if err == nil && len(data) > maxBody {
		err = fmt.Errorf("the body has more than %d bytes, too many to look for a regular expression", maxBody)
	}
	if err != nil {
		failed(err)
		return int64(len(data)), nil
	}
	failed(matchBody(data, l.web.bodyHas, true))
	failed(matchBody(data, l.web.bodyLacks, false))
	return int64(len(data)), nil
}

func matchBody(data []byte, list []*regexp.Regexp, bad bool) error {
	for _, re := range list {
		if re.Match(data) == bad {
			return fmt.Errorf("the body matches %q: %v", re, bad)
		}
	}
	return nil
}

func (w *webSettings) matchHeaders(h http.Header) error {
	for i, list := range [][]headerMatch{w.headerHas, w.headerLacks} {
		for _, m := range list {
			values := h.Values(m.name)
			if len(values) == 0 {
				if !m.missing {
					return fmt.Errorf("the header %s is missing", m.name)
				}
				continue
			}
			if found := slices.ContainsFunc(values, m.re.MatchString); found == (i == 0) {
				return fmt.Errorf("the header %s matches %q: %v", m.name, m.re, found)
			}
		}
	}
	return nil
}

// dialPlain and dialTLS connect for the transport; see carrier.
func (c *carrier) dialPlain(ctx context.Context, _, address string) (net.Conn, error) {
	conn, _, err := c.connect(ctx, address)
	return conn, err
}

func (c *carrier) dialTLS(ctx context.Context, _, address string) (net.Conn, error) {
	raw, t, err := c.connect(ctx, address)
	if err != nil {
		return nil, err
	}
	host, _, _ := net.SplitHostPort(address)
	first := c.own(&url.URL{Scheme: "https", Host: address})
	if first && c.look.host != "" {
		host = c.look.host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
	}
	start := time.Now()
	alpn := []string{"h2", "http/1.1"}
	if !c.look.web.http2 {
		alpn = alpn[1:]
	}
	conn, err := c.look.tls.shake(ctx, raw, host, first, alpn...)
	c.mu.Lock()
	t.tls = time.Since(start)
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return conn, nil
}
