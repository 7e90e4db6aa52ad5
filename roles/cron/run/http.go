package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/cron/job"
)

const (
	requestTimeout = time.Minute // of a job without timeout=: a request that hangs is of no use
	maxAnswer      = 64 << 10    // bytes of an answer that are read
	maxExcerpt     = 1 << 10     // bytes of a failed one that are logged
	maxRedirects   = 10
)

// requests sends the requests of HTTP jobs.
type requests struct{ transport *http.Transport }

func newRequests() *requests {
	return &requests{&http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
		MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: maxAnswer,
	}}
}

func (q *requests) close() { q.transport.CloseIdleConnections() }

// request starts the request of an HTTP job.
func (x *Run) request() error {
	timeout := x.task.Job.Policy.Timeout
	if timeout <= 0 {
		timeout = requestTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	req, client, err := x.r.client.prepare(ctx, x.task.Job.HTTP)
	if err != nil {
		cancel()
		return &StartError{125, err}
	}
	x.mu.Lock()
	x.cancel = cancel
	x.mu.Unlock()
	go func() {
		defer cancel()
		res := Result{Code: 1, Started: x.started}
		res.Err = x.exchange(client, req, &res)
		res.Took = time.Since(x.started)
		if res.Err == nil {
			res.Code = 0
		}
		x.status = res
		x.mu.Lock()
		x.over = true
		x.timedOut = res.Err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded)
		x.mu.Unlock()
		x.finish()
	}()
	return nil
}

// prepare makes the request and the client that sends it. unix:///SOCKET:/PATH
// asks a socket.
func (q *requests) prepare(ctx context.Context, r *job.Request) (*http.Request, *http.Client, error) {
	shown := secret.NewURL(r.URL).String()
	method := r.Method
	if method == "" {
		method = http.MethodGet // as every tool that takes a URL
		if r.Body != "" {
			method = http.MethodPost
		}
	}
	client := &http.Client{Transport: q.transport}
	address := r.URL
	if rest, ok := strings.CutPrefix(r.URL, "unix://"); ok {
		socket, path, found := strings.Cut(rest, ":")
		if !strings.HasPrefix(socket, "/") || found && !strings.HasPrefix(path, "/") {
			return nil, nil, fmt.Errorf("url %s: want unix:///SOCKET:/PATH, such as unix:///run/app.sock:/jobs/clean", shown)
		}
		address = "http://localhost" + path
		client.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		}}
	}
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(r.Body))
	if err != nil {
		return nil, nil, fmt.Errorf("%s %s: %w", method, shown, bare(err))
	}
	if s := req.URL.Scheme; s != "http" && s != "https" || req.URL.Host == "" {
		return nil, nil, fmt.Errorf("url %s: want http://, https:// or unix://, such as http://localhost:8080/jobs/clean", shown)
	}
	req.Header.Set("User-Agent", "sidecar-cron")
	if r.Body != "" {
		req.Header.Set("Content-Type", contentType(r.Body))
	}
	for name, value := range r.Headers {
		if http.CanonicalHeaderKey(name) == "Host" {
			req.Host = value
			continue
		}
		req.Header.Set(name, value)
	}
	client.CheckRedirect = redirects(r)
	return req, client, nil
}

func contentType(body string) string {
	if strings.HasPrefix(body, "{") || strings.HasPrefix(body, "[") {
		return "application/json"
	}
	return "text/plain; charset=utf-8"
}

// redirects follows a server that sends us elsewhere on itself. What the job
// says in headers and body, another host does not get to know.
func redirects(r *job.Request) func(*http.Request, []*http.Request) error {
	return func(next *http.Request, via []*http.Request) error {
		first := via[0].URL
		switch {
		case len(via) >= maxRedirects:
			return fmt.Errorf("more than %d redirects", maxRedirects)
		case first.Scheme == "https" && next.URL.Scheme != "https":
			return fmt.Errorf("redirect from https to %s is not followed", next.URL.Scheme)
		case next.URL.Host != first.Host && (len(r.Headers) > 0 || r.Body != "" || r.Method != http.MethodGet):
			return fmt.Errorf("redirect to another host (%s) is not followed\nhint: give its address in url", next.URL.Host)
		}
		return nil
	}
}

// exchange sends the request and judges the answer.
func (x *Run) exchange(client *http.Client, req *http.Request, res *Result) error {
	secrets := private(req, x.task.Job.HTTP)
	what := req.Method + " " + string(hide([]byte(secret.NewURL(x.task.Job.HTTP.URL).String()), secrets))
	answer, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", what, bare(err))
	}
	defer answer.Body.Close()
	body, readErr := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	body = hide(body, secrets)
	res.HTTPStatus = answer.StatusCode
	t := ring{limit: x.r.o.Tail}
	t.write(body)
	res.Tail = t.bytes()
	if !expected(x.task.Job.HTTP.Expect, answer.StatusCode) {
		x.r.o.Log.Warn().Str("job", x.task.Job.Name).Str("run", x.task.ID).Int("status", answer.StatusCode).
			Str("body", safe(body[:min(len(body), maxExcerpt)])).Msg("answer of a failed request")
		return fmt.Errorf("%s: status %d", what, answer.StatusCode)
	}
	if readErr != nil {
		return fmt.Errorf("%s: read the answer: %w", what, bare(readErr))
	}
	return nil
}

func expected(want []int, status int) bool {
	if len(want) == 0 {
		return status >= 200 && status <= 299
	}
	return slices.Contains(want, status)
}

// bare takes the address off an error, which may hold secrets.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
