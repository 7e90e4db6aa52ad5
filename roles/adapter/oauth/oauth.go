// Package oauth gets tokens for a program that stands for itself: client credentials of OAuth 2 (RFC 6749, section 4.4), as
// the oauth2 of Prometheus' HTTP clients does it. Not for tokens of users.
//
// It promises: a token is asked for once for all who want it, and again before it ends or when it was refused; secrets are in no error.
package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/internal/tlsconf"
)

// Options say who asks whom for tokens.
type Options struct {
	TokenURL   *url.URL
	ClientID   string
	Secret     secret.Value // counts where SecretFile is empty
	SecretFile string       // read at each request
	Scopes     []string
	Params     map[string]string // sent beside those of the standard

	CA, Cert, Key, ServerName string
	Insecure                  bool
}

// Parse reads {client-id, client-secret-file, token-url, scopes, params, tls}. The error has all complaints.
func Parse(v draft.Value) (*Options, error) {
	o := &Options{}
	err := v.Each([]string{"client-id", "client-secret-file", "token-url", "scopes", "params", "tls"}, func(key string, v draft.Value) error {
		switch key {
		case "client-id":
			return v.Word(&o.ClientID)
		case "client-secret-file":
			return v.Word(&o.SecretFile)
		case "token-url":
			return o.Address(v)
		case "scopes":
			return v.Words(&o.Scopes)
		case "params":
			return o.Param(v)
		}
		return v.Each([]string{"ca", "cert", "key", "server-name", "insecure"}, func(key string, v draft.Value) error {
			if key == "insecure" {
				return v.Bool(&o.Insecure)
			}
			return v.Word(map[string]*string{"ca": &o.CA, "cert": &o.Cert, "key": &o.Key, "server-name": &o.ServerName}[key])
		})
	})
	return o, errors.Join(err, o.Check(v))
}

// Address reads the address of the server that gives tokens.
func (o *Options) Address(v draft.Value) error {
	var text string
	if err := v.Word(&text); err != nil {
		return err
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		return v.Errorf("%s: want the address of the server that gives tokens, https://HOST/PATH without a user", secret.Redact(text))
	}
	o.TokenURL = u
	return nil
}

// Param reads a mapping of parameters.
func (o *Options) Param(v draft.Value) error {
	o.Params = map[string]string{}
	return v.All(func(name string, v draft.Value) error {
		var text string
		err := v.Word(&text)
		o.Params[name] = text
		return err
	})
}

// Check returns what is missing.
func (o *Options) Check(v draft.Value) error {
	var errs []error
	if o.ClientID == "" {
		errs = append(errs, v.Errorf("oauth2: the client's id is missing"))
	}
	if o.TokenURL == nil && !slices.ContainsFunc(v.Pairs, func(p draft.Pair) bool { return strings.HasPrefix(p.Key, "token") }) {
		errs = append(errs, v.Errorf("oauth2: the address of the token server is missing"))
	}
	if (o.Cert == "") != (o.Key == "") {
		errs = append(errs, v.Errorf("oauth2: tls: want both cert and key, or none"))
	}
	return errors.Join(errs...)
}

// Client keeps a token. It may be used by several goroutines at once.
type Client struct {
	o   Options
	now func() time.Time

	turn   chan struct{} // holds one who may ask
	mu     sync.Mutex
	header string    // "" when there is none
	until  time.Time // zero: until it is refused
	inBody bool      // the server wants the id and the secret in the body
}

// New makes a client. Certificates are read, so that what is wrong with them is known; nothing is asked yet.
func New(o Options) (*Client, error) {
	if _, err := o.transport(); err != nil {
		return nil, err
	}
	return &Client{o: o, now: time.Now, turn: make(chan struct{}, 1)}, nil
}

// transport is for one request: they are so rare that certificates are read for each, and new ones are used at once.
func (o *Options) transport() (*http.Transport, error) {
	t := &http.Transport{DisableKeepAlives: true}
	if o.TokenURL.Scheme != "https" {
		return t, nil
	}
	c := tlsconf.ClientOptions{ServerName: o.TokenURL.Hostname(), Insecure: o.Insecure}
	if o.ServerName != "" {
		c.ServerName = o.ServerName
	}
	if o.CA != "" {
		c.CA = []string{o.CA}
	}
	if o.Cert != "" {
		c.Cert, c.Key = []string{o.Cert}, []string{o.Key}
	}
	client, err := tlsconf.NewClient(c)
	if err != nil {
		return nil, fmt.Errorf("oauth2: tls: %w", err)
	}
	t.TLSClientConfig = client.Config()
	return t, nil
}

// Header is what the header Authorization has to say. It asks for a token if there is none that is good for some time; others who want one wait meanwhile.
func (c *Client) Header(ctx context.Context) (string, error) {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	defer func() { <-c.turn }()
	if h := c.kept(); h != "" {
		return h, nil
	}
	id, word := c.o.ClientID, c.o.Secret
	if c.o.SecretFile != "" {
		var err error
		if word, err = secret.File(c.o.SecretFile); err != nil {
			return "", err
		}
	}
	a, err := c.ask(ctx, id, word.Reveal())
	if refused := (*refusal)(nil); errors.As(err, &refused) { // some servers read the header, others the body
		c.inBody = !c.inBody
		other, again := c.ask(ctx, id, word.Reveal())
		if again != nil {
			c.inBody = !c.inBody
			return "", err
		}
		a, err = other, nil
	}
	if err != nil {
		return "", err
	}
	c.keep(a)
	return a.header(), nil
}

func (c *Client) kept() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.until.IsZero() || c.now().Before(c.until) {
		return c.header
	}
	return ""
}

func (c *Client) keep(a *answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.header, c.until = a.header(), time.Time{}
	if life := a.life(); life > 0 {
		c.until = c.now().Add(life - min(10*time.Second, life/2)) // what is sent has to arrive
	}
}

// Refused says that a server did not take a header; the next one gets a new token.
func (c *Client) Refused(header string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.header == header {
		c.header, c.until = "", time.Time{}
	}
}

// answer is what RFC 6749, section 5.1, says of answers.
type answer struct {
	Token   string          `json:"access_token"`
	Type    string          `json:"token_type"`
	Expires json.RawMessage `json:"expires_in"` // a number, of some servers in quotes
	Error   string          `json:"error"`
}

func (a *answer) header() string {
	if a.Type == "" || strings.EqualFold(a.Type, "bearer") {
		return "Bearer " + a.Token
	}
	return a.Type + " " + a.Token
}

func (a *answer) life() time.Duration {
	seconds, err := strconv.ParseFloat(strings.Trim(string(a.Expires), `"`), 64)
	if err != nil || !(seconds > 0) {
		return 0
	}
	return time.Duration(min(seconds, 365*24*3600) * float64(time.Second))
}

// refusal is a status of a server that does not know us, or not in this way.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

func (c *Client) ask(ctx context.Context, id, word string) (*answer, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	if len(c.o.Scopes) > 0 {
		form.Set("scope", strings.Join(c.o.Scopes, " "))
	}
	for name, value := range c.o.Params {
		form.Set(name, value)
	}
	if c.inBody {
		form.Set("client_id", id)
		form.Set("client_secret", word)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.o.TokenURL.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return nil, errors.New("oauth2: the address of the token server is not valid")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if !c.inBody {
		req.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(word))
	}
	t, err := c.o.transport()
	if err != nil {
		return nil, err
	}
	never := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := (&http.Client{Transport: t, CheckRedirect: never}).Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("oauth2: the token server %s: %w", c.o.TokenURL.Host, context.Cause(ctx))
		}
		if about := (*url.Error)(nil); errors.As(err, &about) {
			err = about.Err
		}
		return nil, fmt.Errorf("oauth2: the token server %s: %s", c.o.TokenURL.Host, secret.Printable(secret.Redact(err.Error())))
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("oauth2: the answer of the token server %s broke off", c.o.TokenURL.Host)
	}
	var a answer
	wrong := json.Unmarshal(body, &a)
	if resp.StatusCode/100 != 2 {
		text := fmt.Sprintf("oauth2: the token server %s answers with status %d", c.o.TokenURL.Host, resp.StatusCode)
		if code := secret.Printable(a.Error); code != "" && len(code) <= 60 {
			text += " (" + code + ")"
		}
		if s := resp.StatusCode; s == http.StatusBadRequest || s == http.StatusUnauthorized {
			return nil, &refusal{text}
		}
		return nil, errors.New(text)
	}
	if wrong != nil || a.Token == "" || strings.ContainsAny(a.Token+a.Type, "\r\n\x00") {
		return nil, fmt.Errorf("oauth2: the token server %s gives no token: want JSON with access_token", c.o.TokenURL.Host)
	}
	return &a, nil
}
