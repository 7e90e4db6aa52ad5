package emit

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/gz"
	"github.com/sidecar-kit/sidecar/internal/secret"
)

// web sends payloads by POST. It follows no redirects and uses no proxy of the environment: credentials go where the configuration says.
type web struct {
	o         Options
	url       string
	transport *http.Transport
}

// mostWait bounds what a receiver may ask us to wait.
const mostWait = 10 * time.Minute

func newWeb(o Options, u *url.URL) (*web, error) {
	if u.Host == "" {
		return nil, fmt.Errorf("to %q: there is no host", u.Redacted())
	}
	if u.User != nil {
		return nil, fmt.Errorf("to %q: a password in an address is seen by everybody\nhint: give it in a file", u.Redacted())
	}
	w := &web{o: o, url: u.String()}
	w.transport = &http.Transport{
		MaxIdleConnsPerHost: 1, IdleConnTimeout: 2*o.Interval + time.Minute, MaxResponseHeaderBytes: 64 << 10, DisableCompression: true,
		DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.Hostname()}
			if o.TLS != nil {
				config = o.TLS.Config()
			}
			d := tls.Dialer{Config: config}
			return d.DialContext(ctx, network, address)
		},
	}
	return w, nil
}

func (w *web) send(ctx context.Context, p *payload, s *Stats) error {
	req, err := w.request(ctx, p.body)
	if err != nil {
		return err
	}
	resp, err := w.transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	switch code := resp.StatusCode; {
	case code/100 == 2:
		if w.o.Partial != nil && err == nil {
			s.Partial += w.o.Partial(answer)
		}
		return nil
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code/100 == 5:
		err = fmt.Errorf("answer %d", code)
		if wait, ok := retryAfter(resp.Header.Get("Retry-After"), time.Now()); ok {
			return later{err, wait}
		}
		return err
	default:
		return refused{fmt.Errorf("answer %d: %s", code, first(answer))}
	}
}

// first is the beginning of an answer, on one line.
func first(answer []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(answer[:min(len(answer), 200)]), "?"))
}

func (w *web) request(ctx context.Context, body []byte) (*http.Request, error) {
	encoding := ""
	if w.o.Gzip {
		packed, err := gz.Append(nil, body)
		if err != nil {
			return nil, err
		}
		body, encoding = packed, "gzip"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return nil, refused{err}
	}
	req.Header.Set("User-Agent", "sidecar")
	if w.o.Type != "" {
		req.Header.Set("Content-Type", w.o.Type)
	}
	if encoding != "" {
		req.Header.Set("Content-Encoding", encoding)
	}
	for _, h := range w.o.Headers {
		req.Header.Set(h[0], h[1])
		if http.CanonicalHeaderKey(h[0]) == "Host" {
			req.Host = h[1]
		}
	}
	for _, f := range w.o.Files {
		value, err := secret.File(f[2])
		if err != nil {
			return nil, err
		}
		req.Header.Set(f[0], f[1]+value.Reveal())
	}
	return req, nil
}

// retryAfter reads seconds or a date.
func retryAfter(text string, now time.Time) (time.Duration, bool) {
	if text == "" {
		return 0, false
	}
	wait := time.Duration(0)
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		wait = time.Duration(n) * time.Second //nolint:gosec // 31 bits
	} else if at, err := http.ParseTime(text); err == nil {
		wait = max(0, at.Sub(now))
	} else {
		return 0, false
	}
	return min(wait, mostWait), true
}

func (w *web) close() { w.transport.CloseIdleConnections() }
