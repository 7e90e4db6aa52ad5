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
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/internal/tlsconf"
)

// web sends payloads by POST. It follows no redirects and uses no proxy of the environment: credentials go where the configuration says.
type web struct {
	o         Options
	url       string
	tls       *tlsconf.Client
	transport *http.Transport
}

// mostWait bounds what a receiver may ask us to wait.
const mostWait = 10 * time.Minute

func newWeb(o Options, u *url.URL) (*web, error) {
	if u.Host == "" {
		return nil, fmt.Errorf("to %q: there is no host", o.Target())
	}
	if u.User != nil {
		return nil, fmt.Errorf("to %q: a password in an address is seen by everybody\nhint: give it in a file", o.Target())
	}
	secure := o.TLS
	if secure.ServerName == "" {
		secure.ServerName = u.Hostname()
	}
	client, err := tlsconf.NewClient(secure)
	if err != nil {
		return nil, fmt.Errorf("to %q: %w", o.Target(), err)
	}
	w := &web{o: o, url: u.String(), tls: client}
	w.transport = &http.Transport{
		MaxIdleConnsPerHost: 1, IdleConnTimeout: 2*o.Interval + time.Minute, MaxResponseHeaderBytes: 64 << 10, DisableCompression: true,
		DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			d := tls.Dialer{Config: client.Config()}
			return d.DialContext(ctx, network, address)
		},
	}
	return w, nil
}

// run follows the files of TLS.
func (w *web) run(ctx context.Context) { _ = w.tls.Run(ctx) }

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
		if w.o.part != nil && err == nil {
			s.Partial += w.o.part(answer)
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
		packed, err := pack(body)
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
	req.Header.Set("Content-Type", w.o.kind)
	if encoding != "" {
		req.Header.Set("Content-Encoding", encoding)
	}
	for _, h := range w.o.Headers {
		req.Header.Set(h[0], h[1])
		if http.CanonicalHeaderKey(h[0]) == "Host" {
			req.Host = h[1]
		}
	}
	files := w.o.Files
	if w.o.Token != "" {
		files = append(slices.Clone(files), [2]string{"Authorization", w.o.Token})
	}
	for i, f := range files {
		value, err := secret.File(f[1])
		if err != nil {
			return nil, err
		}
		front := ""
		if i == len(w.o.Files) {
			front = w.o.front
		}
		req.Header.Set(f[0], front+value.Reveal())
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
