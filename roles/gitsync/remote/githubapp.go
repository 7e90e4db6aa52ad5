package remote

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// A token this close to its end may be refused while a fetch runs.
	tokenSpare = 5 * time.Minute
	// GitHub allows ten minutes; both ends leave room for clocks that differ.
	jwtLife = 9 * time.Minute
	jwtSkew = time.Minute
)

// appToken trades the App's key for an installation token.
func (a *authorizer) appToken(ctx context.Context) (string, time.Time, error) {
	token, expires, err := a.newAppToken(ctx, time.Now())
	if err != nil {
		return "", time.Time{}, fmt.Errorf("get token of the GitHub App: %w", err)
	}
	return basic("x-access-token", token), expires.Add(-tokenSpare), nil
}

func (a *authorizer) newAppToken(ctx context.Context, now time.Time) (string, time.Time, error) {
	app := a.cfg.GitHub
	key, err := app.PrivateKey(ctx)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("%w: --github-app-private-key-file: %w", ErrAuth, err)
	}
	jwt, err := signJWT(key, app.ID, now)
	if err != nil {
		return "", time.Time{}, err
	}
	base := app.BaseURL
	if base == "" {
		base = "https://api.github.com"
	}
	at := strings.TrimRight(base, "/") + "/app/installations/" + url.PathEscape(app.InstallationID) + "/access_tokens"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, nil)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("--github-base-url: %w: it is not a URL", ErrConfig)
	}
	req.Header.Set("Authorization", "Bearer "+jwt)
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("User-Agent", a.cfg.UserAgent)
	resp, err := a.client.Do(req)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("--github-base-url: %w", transportError(ctx, err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusOK {
		return "", time.Time{}, fmt.Errorf("%w: %s answers %d: check --github-app-installation-id, the application or client id and the private key", ErrAuth, req.URL.Host, resp.StatusCode)
	}
	return readToken(resp.Body)
}

func readToken(r io.Reader) (string, time.Time, error) {
	var answer struct {
		Token   string    `json:"token"`
		Expires time.Time `json:"expires_at"`
	}
	if err := json.NewDecoder(io.LimitReader(r, 64<<10)).Decode(&answer); err != nil || answer.Token == "" {
		return "", time.Time{}, fmt.Errorf("%w: the answer holds no token", ErrProtocol)
	}
	if answer.Expires.IsZero() {
		answer.Expires = time.Now().Add(2 * tokenSpare)
	}
	return answer.Token, answer.Expires, nil
}

func signJWT(key, issuer string, now time.Time) (string, error) {
	signer, err := parseRSAKey(key)
	if err != nil {
		return "", fmt.Errorf("--github-app-private-key-file: %w: %w", ErrConfig, err)
	}
	claims, err := json.Marshal(map[string]any{
		"iat": now.Add(-jwtSkew).Unix(), "exp": now.Add(jwtLife).Unix(), "iss": issuer,
	})
	if err != nil {
		return "", err
	}
	enc := base64.RawURLEncoding
	text := enc.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + enc.EncodeToString(claims)
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, signer, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return text + "." + enc.EncodeToString(sig), nil
}

func parseRSAKey(text string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("not a PEM private key")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	any, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("not an RSA private key")
	}
	key, ok := any.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("not an RSA private key")
	}
	return key, nil
}
