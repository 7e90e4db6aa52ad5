package remote

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/secret"
)

// errStalled means that a server said nothing for too long.
var errStalled = fmt.Errorf("the server said nothing for %s", stallTime)

// temporary is an error that another attempt may cure.
type temporary struct {
	error
	after time.Duration // the server's wish, 0 for none
}

func (t temporary) Unwrap() error { return t.error }

// explain sorts errors of the network: a certificate that does not fit is there for good, the others may pass.
func explain(err error) error {
	if broken, ok := errors.AsType[*url.Error](err); ok {
		err = broken.Err // its text has the address, with its query
	}
	if bad, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("the server's certificate is not trusted: %w\nhint: name the authority that vouches for the server with --ca-file", bad.Err)
	}
	if plain(err) {
		return errors.New("the server does not speak TLS")
	}
	return temporary{error: errors.New(secret.Printable(secret.Redact(err.Error())))}
}

// plain tells whether a server answered a TLS handshake with something else.
func plain(err error) bool {
	_, ok := errors.AsType[tls.RecordHeaderError](err)
	return ok || errors.Is(err, http.ErrSchemeMismatch)
}

// refused is the error for an answer that is none of those hoped for. The words are ours: a server's may be anything.
func refused(res *resource, resp *http.Response) error {
	err := fmt.Errorf("the server answers %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	switch code := resp.StatusCode; {
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return fmt.Errorf("%w\nhint: %s", err, res.remedy)
	case code == http.StatusNotFound, code == http.StatusGone:
		return fmt.Errorf("%w\nhint: is the address right? Some servers say so, too, when credentials are missing: %s", err, res.remedy)
	case code == http.StatusNotImplemented, code == http.StatusHTTPVersionNotSupported:
		return err
	case code >= 500, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code == http.StatusTooEarly:
		return temporary{err, retryAfter(resp.Header.Get("Retry-After"), time.Now())}
	}
	return err
}

// retryAfter reads seconds or a date; 0 for nothing of use.
func retryAfter(text string, now time.Time) time.Duration {
	const most = 24 * time.Hour
	if n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 32); err == nil {
		return min(time.Duration(n)*time.Second, most)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(now), 0), most)
	}
	return 0
}
