package ping

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/backoff"
	"github.com/sidecar-kit/sidecar/internal/secret"
)

var (
	placeholder = regexp.MustCompile(`\{(job|event|code|run)\}`)
	braces      = regexp.MustCompile(`\{[^{}]*\}`)
	uuid        = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
)

// Check says what is wrong with a target, without showing it.
func Check(target string) error {
	if path, ok := strings.CutPrefix(target, "file:"); ok {
		if path == "" {
			return errors.New("ping file: want file:PATH, such as file:/etc/ping/url")
		}
		return nil // read when it is needed: it may not be there yet
	}
	for _, found := range braces.FindAllString(target, -1) {
		if !placeholder.MatchString(found) {
			return fmt.Errorf("ping %s: %s is unknown, want {job}, {event}, {code} or {run}", shown(target), found)
		}
	}
	_, err := address(target, &Message{})
	return err
}

// deliver sends a ping, again where that may help.
func (p *Pinger) deliver(m *Message) error {
	for attempt := 1; ; attempt++ {
		again, err := p.once(m)
		if err == nil || !again || attempt == p.o.Attempts {
			return err
		}
		if !backoff.Sleep(p.ctx, p.o.Backoff.Delay(attempt)) {
			return err
		}
	}
}

// once makes one attempt and says whether another one may help. The address is read anew from its file each time: it
// is a mounted secret, and may be corrected meanwhile.
func (p *Pinger) once(m *Message) (again bool, err error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-p.ctx.Done():
		return false, p.ctx.Err()
	}
	target := m.Target
	if path, ok := strings.CutPrefix(target, "file:"); ok {
		value, err := secret.File(path)
		if err != nil {
			return true, fmt.Errorf("ping: %w", err)
		}
		target = strings.TrimSpace(value.Reveal())
	}
	to, err := address(target, m)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(p.ctx, p.o.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(m.Body))
	if err != nil {
		return false, fmt.Errorf("ping %s: %w", shown(target), bare(err))
	}
	req.Header.Set("User-Agent", "sidecar-cron")
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	answer, err := p.client.Do(req)
	if err != nil {
		return true, fmt.Errorf("ping %s: %w", shown(target), bare(err))
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxBody)) // so that the connection can be used again
	switch s := answer.StatusCode; {
	case s >= 200 && s <= 299:
		return false, nil
	case s >= 500, s == http.StatusTooManyRequests, s == http.StatusRequestTimeout:
		return true, fmt.Errorf("ping %s: status %d", shown(target), s)
	default:
		return false, fmt.Errorf("ping %s: status %d\nhint: check the address of the ping", shown(target), s)
	}
}

// address is where a message goes: the template filled in, or by the protocol of
// healthchecks URL/start, URL, URL/fail, URL/CODE or URL/log with the run's id.
func address(target string, m *Message) (string, error) {
	code := ""
	switch {
	case m.Event == Success:
		code = strconv.Itoa(m.Code)
	case m.Event == Fail && m.Code > 0 && m.Code < 256:
		code = strconv.Itoa(m.Code)
	}
	template := placeholder.MatchString(target)
	if template {
		values := map[string]string{"{job}": m.Job, "{event}": m.Event.String(), "{code}": code, "{run}": m.Run}
		target = placeholder.ReplaceAllStringFunc(target, func(name string) string {
			return strings.ReplaceAll(url.QueryEscape(values[name]), "+", "%20") // right in a path and in a query
		})
	}
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("ping %s: want http:// or https://, such as https://ping.example.com/UUID", shown(target))
	}
	if template {
		return u.String(), nil
	}
	switch {
	case m.Event == Fail && code != "":
		u = u.JoinPath(code)
	case m.Event != Success:
		u = u.JoinPath(m.Event.String())
	}
	if m.Run != "" {
		q := u.Query()
		q.Set("rid", runID(m))
		u.RawQuery = q.Encode()
	}
	return u.String(), nil
}

// runID is the id of the run as the UUID that the protocol wants.
func runID(m *Message) string {
	if uuid.MatchString(m.Run) {
		return m.Run
	}
	h := sha256.Sum256([]byte(m.Job + "\x00" + m.Run))
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80 // version 8: made as one likes
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

// shown is an address without what makes it a secret: everything but the host.
func shown(target string) string {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" {
		return secret.Mask
	}
	return u.Scheme + "://" + u.Host + "/" + secret.Mask
}

// bare takes the address off an error of the client.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
