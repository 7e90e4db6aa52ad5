package remote

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// What an error of this package is about. Every error wraps one of these, unless the context ended.
var (
	ErrConfig      = errors.New("bad setting")
	ErrAuth        = errors.New("not authorized")
	ErrNotFound    = errors.New("repository not found")
	ErrHostKey     = errors.New("host key not trusted")
	ErrUnreachable = errors.New("server not reachable")
	ErrServer      = errors.New("server reports a failure")
	ErrProtocol    = errors.New("answer is not the git protocol")
	ErrUnsupported = errors.New("not supported")
	ErrWant        = errors.New("server does not give this object")
	ErrLimit       = errors.New("answer exceeds a limit")
)

// RetryAfterError carries the server's wish not to be asked again for a while.
type RetryAfterError struct {
	After time.Duration
	Err   error
}

func (e *RetryAfterError) Error() string {
	return fmt.Sprintf("%v (the server asks to wait %s)", e.Err, e.After)
}

func (e *RetryAfterError) Unwrap() error { return e.Err }

// RetryAfter is how long the server wants to be left alone.
func (e *RetryAfterError) RetryAfter() time.Duration { return e.After }

// Answers of a server are other people's text: cut, escaped and scrubbed before they enter an error.
const errorTextCap = 1024

// quote makes server text fit for a log line.
func (c Config) quote(text string) string {
	cut := len(text) > errorTextCap
	if cut {
		text = text[:errorTextCap]
	}
	text = strings.TrimSpace(strings.ToValidUTF8(text, "?"))
	if c.Redact != nil {
		text = c.Redact(text)
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			b.WriteByte(' ')
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "\\u%04x", r)
		}
	}
	if cut {
		b.WriteString(" ...")
	}
	return b.String()
}

// serverError turns the text of an ERR packet or of the error band into an error a caller can classify.
// The protocol has no codes, so the words of git itself are the only sign; unknown words stay ErrServer.
func (c Config) serverError(text string) error {
	kind := ErrServer
	low := strings.ToLower(text)
	switch {
	case strings.Contains(low, "not our ref"), strings.Contains(low, "unadvertised object"):
		kind = ErrWant
	case strings.Contains(low, "repository not found"), strings.Contains(low, "not exported"),
		strings.Contains(low, "does not appear to be a git repository"), strings.Contains(low, "no such repository"):
		kind = ErrNotFound
	}
	return fmt.Errorf("%w: %q", kind, c.quote(text))
}
