package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// getInfoRefs asks the server for its abilities and follows redirects, as git does for this request only.
// It returns the address that answered, and whether it is still the host the credentials are for.
func (h *httpRemote) getInfoRefs(ctx context.Context) (*http.Response, *url.URL, bool, error) {
	at := *h.home
	at.Path += "/info/refs"
	at.RawQuery = "service=git-upload-pack"
	if h.home.RawQuery != "" {
		at.RawQuery = h.home.RawQuery + "&" + at.RawQuery
	}
	trusted := true
	for range maxRedirects {
		header := h.header(2)
		header["Accept"] = []string{"*/*"}
		header["Cache-Control"] = []string{"no-cache"}
		req := &http.Request{
			Method: http.MethodGet, URL: &at, Host: at.Host, Header: header,
			Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		}
		resp, err := h.send(ctx, req, trusted)
		if err != nil {
			return nil, nil, false, err
		}
		switch resp.StatusCode {
		case http.StatusOK:
			final := at
			return resp, &final, trusted, nil
		case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
			http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
			next, err := h.redirect(&at, resp)
			resp.Body.Close()
			if err != nil {
				return nil, nil, false, err
			}
			trusted = trusted && sameHost(&at, next)
			at = *next
		default:
			defer resp.Body.Close()
			return nil, nil, false, h.statusError(resp, trusted)
		}
	}
	return nil, nil, false, fmt.Errorf("%w: more than %d redirects: check --repo", ErrProtocol, maxRedirects)
}

func (h *httpRemote) redirect(from *url.URL, resp *http.Response) (*url.URL, error) {
	target := resp.Header.Get("Location")
	next, err := from.Parse(target)
	if err != nil {
		return nil, fmt.Errorf("%w: redirect to %q", ErrProtocol, h.cfg.quote(target))
	}
	next.User, next.Fragment = nil, ""
	shown := h.cfg.quote(next.Scheme + "://" + next.Host + next.Path)
	switch {
	case next.Scheme != "http" && next.Scheme != "https", next.Host == "":
		return nil, fmt.Errorf("%w: redirect to %q is not http", ErrProtocol, shown)
	case from.Scheme == "https" && next.Scheme == "http":
		return nil, fmt.Errorf("%w: the server redirects from https to http (%s): refused", ErrProtocol, shown)
	case !strings.HasSuffix(next.Path, "/info/refs"):
		return nil, fmt.Errorf("%w: the server redirects to %s, which is not a git repository: check --repo and the credentials", ErrProtocol, shown)
	}
	return next, nil
}

// sameHost tells whether credentials may go along: same scheme, host and port, or the step from plain
// http to https on the usual ports of one host.
func sameHost(a, b *url.URL) bool {
	port := func(u *url.URL) string {
		if p := u.Port(); p != "" {
			return p
		}
		return map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	if !strings.EqualFold(a.Hostname(), b.Hostname()) {
		return false
	}
	if a.Scheme == b.Scheme {
		return port(a) == port(b)
	}
	return a.Scheme == "http" && port(a) == "80" && b.Scheme == "https" && port(b) == "443"
}

// send adds the credentials and makes the request. A 401 to remembered credentials (an askpass answer, an
// App token) gets one more try with new ones.
func (h *httpRemote) send(ctx context.Context, req *http.Request, trusted bool) (*http.Response, error) {
	req = req.WithContext(ctx)
	for again := false; ; again = true {
		if trusted {
			if err := h.auth.apply(ctx, req, again); err != nil {
				return nil, err
			}
		}
		resp, err := h.tr.RoundTrip(req)
		if err != nil {
			return nil, transportError(ctx, err)
		}
		if resp.StatusCode != http.StatusUnauthorized || again || !trusted || !h.auth.renewable() {
			return resp, nil
		}
		drain(resp.Body)
		resp.Body.Close()
		if req.GetBody != nil {
			if req.Body, err = req.GetBody(); err != nil {
				return nil, err
			}
		}
	}
}

func transportError(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	for _, kind := range []error{ErrConfig, ErrAuth} {
		if errors.Is(err, kind) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

// statusFailure keeps the code beside the explanation.
type statusFailure struct {
	code int
	err  error
}

func (e *statusFailure) Error() string { return e.err.Error() }
func (e *statusFailure) Unwrap() error { return e.err }

// forgotten tells whether the server may have become another one since it was asked for its abilities.
func forgotten(err error) bool {
	var f *statusFailure
	if errors.As(err, &f) {
		return f.code >= 400 && f.code < 500 && f.code != 401 && f.code != 403 && f.code != 429
	}
	return errors.Is(err, ErrProtocol)
}

func (h *httpRemote) statusError(resp *http.Response, trusted bool) error {
	err := h.explainStatus(resp, trusted)
	if after := retryAfter(resp.Header.Get("Retry-After"), time.Now()); after > 0 {
		err = &RetryAfterError{After: after, Err: err}
	}
	return &statusFailure{code: resp.StatusCode, err: err}
}

func (h *httpRemote) explainStatus(resp *http.Response, trusted bool) error {
	said := ""
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, errorTextCap+1))
		if text := h.cfg.quote(string(b)); text != "" {
			said = fmt.Sprintf(" (it says %q)", text)
		}
	}
	code := resp.StatusCode
	switch {
	case code == http.StatusUnauthorized && !trusted:
		return fmt.Errorf("%w: the server redirected to host %s, which wants credentials; they are for %s only: set --repo to the new address%s",
			ErrAuth, h.cfg.quote(resp.Request.URL.Host), h.loc.host, said)
	case code == http.StatusUnauthorized, code == http.StatusProxyAuthRequired:
		return fmt.Errorf("%w: the server answers %d: %s%s", ErrAuth, code, h.auth.remedy(), said)
	case code == http.StatusForbidden:
		return fmt.Errorf("%w: the server answers 403, these credentials may not read the repository: %s%s", ErrAuth, h.auth.remedy(), said)
	case code == http.StatusNotFound, code == http.StatusGone:
		return fmt.Errorf("%w: the server answers %d: check --repo; many hosts answer so when the credentials are missing or may not read it%s", ErrNotFound, code, said)
	case code >= 300 && code < 400:
		return fmt.Errorf("%w: the server redirects a request that must not be redirected (%d): set --repo to the new address", ErrProtocol, code)
	case code == http.StatusTooManyRequests, code >= 500:
		return fmt.Errorf("%w: status %d%s", ErrServer, code, said)
	}
	return fmt.Errorf("%w: status %d%s", ErrProtocol, code, said)
}

// A wish for more than an hour is a mistake, or a way to silence us.
const longestRetryAfter = time.Hour

func retryAfter(value string, now time.Time) time.Duration {
	if value == "" {
		return 0
	}
	d := time.Duration(0)
	if n, err := strconv.Atoi(value); err == nil {
		d = time.Duration(min(max(n, 0), int(longestRetryAfter/time.Second))) * time.Second
	} else if t, err := http.ParseTime(value); err == nil {
		d = t.Sub(now)
	}
	return min(max(d, 0), longestRetryAfter)
}

// explain adds what was attempted, and where.
func (h *httpRemote) explain(what string, err error) error {
	return explain(what, h.loc, err)
}

func explain(what string, loc location, err error) error {
	if errors.Is(err, ErrUnreachable) {
		return fmt.Errorf("%s of %s: %w: check --repo, the name service and what the network lets through", what, loc, err)
	}
	return fmt.Errorf("%s of %s: %w", what, loc, err)
}
