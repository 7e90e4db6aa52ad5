package notify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/sidecar-kit/sidecar/internal/backoff"
	"github.com/sidecar-kit/sidecar/internal/secret"
)

// drained is how much of an answer is read to keep the connection usable.
const drained = 64 << 10

// HTTP tells a server by a request with the version in a header.
type HTTP struct {
	URL     secret.URL
	Method  string        // default POST
	Status  int           // the answer that counts as delivered; 0 sends and forgets
	Timeout time.Duration // of one attempt, default 1s
	Header  string        // name of the header, default Sidecar-Hash
	Client  *http.Client  // default a client of its own without redirects
}

func (h HTTP) Name() string { return "http " + secret.Redact(h.URL.Reveal()) }

// Notify sends one request.
func (h HTTP) Notify(parent context.Context, e Event) error {
	ctx, cancel := context.WithTimeout(parent, orDefault(h.Timeout, time.Second))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, orDefault(h.Method, http.MethodPost), h.URL.Reveal(), http.NoBody)
	if err != nil {
		return backoff.Permanent(fmt.Errorf("%s: %w", h.Name(), withoutURL(err)))
	}
	req.Header.Set(orDefault(h.Header, "Sidecar-Hash"), e.Version)
	client := h.Client
	if client == nil {
		client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	resp, err := client.Do(req)
	if err != nil {
		if h.Status == 0 && parent.Err() == nil { // sent and forgotten, whatever became of it
			return nil
		}
		return fmt.Errorf("%s: %w", h.Name(), withoutURL(err))
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, drained))
	if h.Status != 0 && resp.StatusCode != h.Status {
		return fmt.Errorf("%s: answer %d, want %d", h.Name(), resp.StatusCode, h.Status)
	}
	return nil
}

// withoutURL drops the address from a client's error: it may hold a token.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
