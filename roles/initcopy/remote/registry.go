package remote

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

const (
	// maxToken is how long the answer of a token service may be.
	maxToken = 1 << 20
	// imageRemedy is the hint for a registry that refuses.
	imageRemedy = "give credentials with --auth-file"
)

// registry is one repository of a registry. As an authorizer it is anonymous until it is told that this will not do.
type registry struct {
	c     *Client
	base  *url.URL // https://host
	name  string
	login login
	value string // of Authorization
}

// open finds out how the registry is talked to: by https, and on this machine by http when it knows nothing else.
func (c *Client) open(ctx context.Context, ref Reference) (*registry, error) {
	l, err := readLogin(c.o.AuthFile, ref)
	if err != nil {
		return nil, err
	}
	host, name := ref.home()
	r := &registry{c: c, base: &url.URL{Scheme: "https", Host: host, Path: "/"}, name: name, login: l}
	if l.token != "" {
		r.value = "Bearer " + l.token
	}
	if loopback(r.base) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		req := (&http.Request{Method: http.MethodGet, URL: r.base.JoinPath("v2/"), Header: http.Header{}}).WithContext(ctx)
		resp, err := c.web.RoundTrip(req)
		if err == nil {
			discard(resp)
		} else if plain(err) {
			r.base.Scheme = "http"
		}
	}
	return r, nil
}

func (r *registry) resource(kind, what string) *resource {
	return &resource{url: r.base.JoinPath("v2", r.name, kind, what), shown: r.base.Host + "/" + r.name + " " + what, auth: r, remedy: imageRemedy}
}

func (r *registry) header() string { return r.value }

// challenged gets a token, or shows a password, as the registry wants it.
func (r *registry) challenged(ctx context.Context, values []string) (again bool, err error) {
	before := r.value
	for _, ch := range parseChallenges(values) {
		switch {
		case ch.scheme == "bearer" && r.login.token == "":
			r.value = ""
			token, err := r.token(ctx, ch.params)
			if err != nil {
				return false, fmt.Errorf("get a token: %w", err)
			}
			r.value = "Bearer " + token
			return true, nil
		case ch.scheme == "basic" && r.login.password != "":
			r.value = basic(r.login.user + ":" + r.login.password)
			return r.value != before, nil
		}
	}
	return false, nil
}

// token asks the service that a challenge names.
func (r *registry) token(ctx context.Context, params map[string]string) (string, error) {
	realm, err := r.realm(params["realm"])
	if err != nil {
		return "", err
	}
	scope := params["scope"]
	if scope == "" {
		scope = "repository:" + r.name + ":pull"
	}
	form := url.Values{"scope": {scope}}
	if s := params["service"]; s != "" {
		form.Set("service", s)
	}
	req := (&http.Request{Method: http.MethodGet, URL: realm, Host: realm.Host, Header: http.Header{"Accept-Encoding": {"identity"}}}).WithContext(ctx)
	if r.login.refresh != "" {
		form.Set("grant_type", "refresh_token")
		form.Set("client_id", "sidecar-initcopy")
		form.Set("refresh_token", r.login.refresh)
		body := form.Encode()
		req.Method, req.Body, req.ContentLength = http.MethodPost, io.NopCloser(strings.NewReader(body)), int64(len(body))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	} else {
		query := realm.Query()
		for name, values := range form {
			query[name] = values
		}
		realm.RawQuery = query.Encode()
		if r.login.password != "" {
			req.Header.Set("Authorization", basic(r.login.user+":"+r.login.password))
		}
	}
	return r.exchange(req)
}

// realm is where tokens are given out. What is sent there may be a password, so it has to be https, except that a registry
// on this machine may have it there, too.
func (r *registry) realm(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, errors.New("the registry names no address for it")
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && r.base.Scheme == "http" && u.Hostname() == r.base.Hostname()) {
		return nil, fmt.Errorf("the registry wants them from %s by %q; want https", secret.Printable(u.Host), secret.Printable(u.Scheme))
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// exchange sends the question and reads the token.
func (r *registry) exchange(req *http.Request) (string, error) {
	resp, err := r.c.web.RoundTrip(req)
	if err != nil {
		return "", explain(err)
	}
	defer discard(resp)
	if resp.StatusCode != http.StatusOK {
		return "", refused(&resource{remedy: imageRemedy}, resp)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxToken))
	if err != nil {
		return "", explain(err)
	}
	var answer struct {
		Token  string `json:"token"`
		Access string `json:"access_token"`
	}
	if json.Unmarshal(data, &answer) != nil {
		return "", errors.New("the service answers something that is no token")
	}
	token := answer.Token
	if token == "" {
		token = answer.Access
	}
	if token == "" || strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		return "", errors.New("the service answers something that is no token")
	}
	return token, nil
}

// document fetches an index or a manifest. want is its digest, zero for whatever the tag stands for now.
func (r *registry) document(ctx context.Context, what string, want item.Sum) (*document, item.Sum, error) {
	res := r.resource("manifests", what)
	res.accept = acceptDocuments
	in := &memory{}
	t := &transfer{c: r.c, res: res, to: in, limit: maxDocument, over: "of a manifest", whole: true}
	if err := t.run(ctx); err != nil {
		return nil, item.Sum{}, err
	}
	sum := item.Sum(sha256.Sum256(in.Bytes()))
	if !want.IsZero() && sum != want {
		return nil, sum, fmt.Errorf("the manifest has %s, and was asked for as %s\nhint: the registry, or something on the way, changed it", sum, want)
	}
	d, err := parseDocument(in.Bytes(), t.kind)
	if err != nil {
		return nil, sum, fmt.Errorf("manifest %s %w", sum, err)
	}
	return d, sum, nil
}

// memory is a sink for what is small.
type memory struct{ bytes.Buffer }

func (m *memory) Begin(int64) error {
	m.Reset()
	return nil
}
