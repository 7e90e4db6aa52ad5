package web

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/logship/out"
)

const (
	tellMax  = 600              // bytes of an answer that are repeated in an error
	afterMax = 10 * time.Minute // no server may silence us for longer
)

// Status is an answer that is no success.
type Status struct {
	Code int
	Text string // the beginning of the answer, printable and without our credentials
}

func (s *Status) Error() string {
	text := fmt.Sprintf("%d %s", s.Code, http.StatusText(s.Code))
	if s.Text != "" {
		text += ": " + s.Text
	}
	return text
}

// refusal says what an answer means for the batch.
func (c *Client) refusal(req *http.Request, resp *http.Response) error {
	head, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	text := string(head)
	if _, credentials, _ := strings.Cut(req.Header.Get("Authorization"), " "); credentials != "" {
		text = strings.ReplaceAll(text, credentials, secret.Mask) // user and password in base64, for one
	}
	text = c.scrub.Clean(text)
	if len(text) > tellMax {
		text = text[:tellMax] + "…"
	}
	s := &Status{Code: resp.StatusCode, Text: text}
	if resp.StatusCode/100 == 3 {
		s.Text = "redirects are not followed; it points to " + c.scrub.Clean(resp.Header.Get("Location"))
	}
	f := Classify(resp.StatusCode)
	f.After = RetryAfter(resp.Header.Get("Retry-After"), time.Now())
	f.Err = fmt.Errorf("%s %s: %w", req.Method, c.show(req.URL), s)
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
		c.stale()
	}
	return f
}

// Classify says what to do about a status that is no success. Which event of many is to blame for a 400 is not known: halving
// finds it, and the others go through.
func Classify(code int) *out.Failure {
	switch {
	case code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable || code == http.StatusGatewayTimeout ||
		code == http.StatusInsufficientStorage:
		return &out.Failure{How: out.Retry, Slow: true}
	case code == http.StatusNotImplemented || code == http.StatusHTTPVersionNotSupported:
		return &out.Failure{How: out.Pause}
	case code >= 500 || code == http.StatusRequestTimeout || code == http.StatusTooEarly || code < 300:
		return &out.Failure{How: out.Retry}
	case code < 400:
		return &out.Failure{How: out.Pause}
	}
	switch code {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusProxyAuthRequired, http.StatusGone, http.StatusUnsupportedMediaType, http.StatusMisdirectedRequest, http.StatusUpgradeRequired:
		return &out.Failure{How: out.Pause}
	}
	return &out.Failure{How: out.TooLarge}
}

// RetryAfter reads the header, seconds or a date. What cannot be read is 0, what is too far away is ten minutes.
func RetryAfter(value string, now time.Time) time.Duration {
	if n, err := strconv.ParseInt(value, 10, 64); err == nil {
		return min(max(0, time.Duration(min(n, 1e6))*time.Second), afterMax)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(0, at.Sub(now)), afterMax)
}
