package remote

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

// authorizer puts credentials on requests. Files are read for each request; only what costs a request of its
// own (askpass, App tokens) is remembered, until it expires or the server refuses it.
type authorizer struct {
	cfg     Config
	loc     location
	client  *http.Client
	headers [][2]string

	mu      sync.Mutex
	value   string    // remembered Authorization
	expires time.Time // zero: no known end
}

func newAuthorizer(cfg Config, loc location, tr http.RoundTripper) (*authorizer, error) {
	a := &authorizer{cfg: cfg, loc: loc}
	a.client = &http.Client{
		Transport: tr, Timeout: cfg.Timeouts.Response,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for _, line := range cfg.Headers {
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || name == "" || strings.ContainsAny(line, "\r\n\x00") || strings.ContainsAny(name, " \t") {
			return nil, fmt.Errorf("%w: http.extraHeader is not of the form \"Name: value\"", ErrConfig)
		}
		a.headers = append(a.headers, [2]string{http.CanonicalHeaderKey(name), value})
	}
	if cfg.AskpassURL != "" {
		if err := checkAskpass(cfg); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func checkAskpass(cfg Config) error {
	u, err := url.Parse(cfg.AskpassURL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("--askpass-url: %w: it is not an http or https URL", ErrConfig)
	}
	host := u.Hostname()
	ip := net.ParseIP(host)
	if u.Scheme == "https" || host == "localhost" || (ip != nil && ip.IsLoopback()) || cfg.AskpassForce {
		return nil
	}
	return fmt.Errorf("--askpass-url: %w: host %s would send a password over plain http: use https or the loopback address", ErrConfig, host)
}

// apply sets the credentials. With again, remembered ones are thrown away first.
func (a *authorizer) apply(ctx context.Context, req *http.Request, again bool) error {
	for _, h := range a.headers {
		req.Header[h[0]] = []string{h[1]}
	}
	if a.cfg.CookieFile != "" {
		if err := a.addCookies(req); err != nil {
			return err
		}
	}
	value, err := a.authorization(ctx, again)
	if err != nil {
		return err
	}
	if value != "" {
		req.Header["Authorization"] = []string{value}
	}
	return nil
}

func (a *authorizer) authorization(ctx context.Context, again bool) (string, error) {
	switch {
	case a.cfg.GitHub != nil:
		return a.remembered(ctx, again, a.appToken)
	case a.cfg.AskpassURL != "":
		return a.remembered(ctx, again, a.askpass)
	case a.cfg.BearerToken != nil:
		token, err := a.cfg.BearerToken(ctx)
		if err != nil {
			return "", fmt.Errorf("%w: read token: %w", ErrAuth, err)
		}
		return "Bearer " + token, nil
	case a.cfg.Password != nil:
		password, err := a.cfg.Password(ctx)
		if err != nil {
			return "", fmt.Errorf("%w: read password: %w", ErrAuth, err)
		}
		return basic(a.user(), password), nil
	case a.user() != "":
		return basic(a.user(), a.loc.password), nil
	}
	return "", nil
}

func (a *authorizer) user() string {
	if a.cfg.Username != "" {
		return a.cfg.Username
	}
	return a.loc.user
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func (a *authorizer) renewable() bool { return a.cfg.GitHub != nil || a.cfg.AskpassURL != "" }

func (a *authorizer) remembered(ctx context.Context, again bool, get func(context.Context) (string, time.Time, error)) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.value != "" && !again && (a.expires.IsZero() || time.Now().Before(a.expires)) {
		return a.value, nil
	}
	a.value = ""
	value, expires, err := get(ctx)
	if err != nil {
		return "", err
	}
	a.value, a.expires = value, expires
	return value, nil
}

// remedy says what to change after a refusal. It names flags, never values.
func (a *authorizer) remedy() string {
	switch {
	case a.cfg.GitHub != nil:
		return "check the --github-app-* flags and that the App is installed for this repository"
	case a.cfg.AskpassURL != "":
		return "check what --askpass-url answers"
	case a.cfg.BearerToken != nil:
		return "check the token"
	case a.cfg.Password != nil, a.loc.password != "":
		return "check --username and --password-file"
	case len(a.headers) > 0:
		return "check http.extraHeader in --git-config, or set --username and --password-file"
	case a.cfg.CookieFile != "":
		return "check --cookie-file"
	case a.user() != "":
		return "set --password-file for this user name"
	}
	return "set --username and --password-file"
}

const askpassCap = 16 << 10

// askpass asks the address for lines username=... and password=...
func (a *authorizer) askpass(ctx context.Context) (string, time.Time, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.cfg.AskpassURL, nil)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("--askpass-url: %w: it is not a URL", ErrConfig)
	}
	resp, err := a.client.Do(req)
	if err != nil {
		var wrapped *url.Error // it quotes the address, which may hold a token
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return "", time.Time{}, fmt.Errorf("ask --askpass-url: %w", transportError(ctx, err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", time.Time{}, fmt.Errorf("%w: --askpass-url answers %d", ErrAuth, resp.StatusCode)
	}
	user, password, err := parseAskpass(io.LimitReader(resp.Body, askpassCap+1))
	if err != nil {
		return "", time.Time{}, err
	}
	return basic(user, password), time.Time{}, nil
}

func parseAskpass(r io.Reader) (user, password string, err error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return "", "", fmt.Errorf("%w: read the answer of --askpass-url: %w", ErrAuth, err)
	}
	if len(b) > askpassCap {
		return "", "", fmt.Errorf("%w: the answer of --askpass-url is longer than %d bytes", ErrLimit, askpassCap)
	}
	lines := bufio.NewScanner(strings.NewReader(string(b)))
	lines.Buffer(nil, askpassCap+1)
	for lines.Scan() {
		name, value, _ := strings.Cut(strings.TrimRight(lines.Text(), "\r"), "=")
		switch strings.TrimSpace(name) {
		case "username":
			user = value
		case "password":
			password = value
		}
	}
	if password == "" {
		return "", "", fmt.Errorf("%w: the answer of --askpass-url has no line that begins with password=", ErrAuth)
	}
	return user, password, nil
}

func (a *authorizer) addCookies(req *http.Request) error {
	f, err := os.Open(a.cfg.CookieFile)
	if err != nil {
		return fmt.Errorf("--cookie-file: %w: %w", ErrConfig, err)
	}
	defer f.Close()
	cookies, err := parseCookies(f)
	if err != nil {
		return fmt.Errorf("--cookie-file %s: %w", a.cfg.CookieFile, err)
	}
	now := time.Now()
	delete(req.Header, "Cookie")
	for _, c := range cookies {
		if c.matches(req.URL, now) {
			req.AddCookie(&http.Cookie{Name: c.name, Value: c.value})
		}
	}
	return nil
}
