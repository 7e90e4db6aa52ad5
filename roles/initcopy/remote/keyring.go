package remote

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/secret"
)

// login is what a registry is shown.
type login struct {
	user, password string
	refresh        string // a token to get tokens with
	token          string // a token for the registry itself
}

// keyring is a file of credentials as docker writes it, and as Secrets of the type kubernetes.io/dockerconfigjson hold it.
type keyring struct {
	Auths map[string]struct {
		Auth          string `json:"auth"`
		Username      string `json:"username"`
		Password      string `json:"password"`
		IdentityToken string `json:"identitytoken"`
		RegistryToken string `json:"registrytoken"`
	} `json:"auths"`
	CredsStore  string            `json:"credsStore"`
	CredHelpers map[string]string `json:"credHelpers"`
}

// readLogin finds the credentials for a repository; none are no error.
func readLogin(path string, ref Reference) (login, error) {
	if path == "" {
		return login{}, nil
	}
	text, err := secret.File(path)
	if err != nil {
		return login{}, fmt.Errorf("--auth-file: %w", err)
	}
	l, err := findLogin([]byte(text.Reveal()), ref)
	if err != nil {
		return login{}, fmt.Errorf("--auth-file %s: %w", path, err)
	}
	return l, nil
}

// findLogin looks for the entry that fits best: names of repositories go before the name of their registry.
func findLogin(data []byte, ref Reference) (login, error) {
	var ring keyring
	if json.Unmarshal(data, &ring) != nil {
		// The decoder's words might hold a part of a password.
		return login{}, errors.New(`is no JSON such as {"auths": {"registry": {"auth": "..."}}}`)
	}
	whole, best, found := registryKey(ref.Registry)+"/"+ref.Name, -1, ""
	for key := range ring.Auths {
		k := registryKey(key)
		if len(k) > best && (whole == k || strings.HasPrefix(whole, k+"/")) {
			best, found = len(k), key
		}
	}
	if best < 0 {
		if ring.CredsStore != "" || ring.CredHelpers[ref.Registry] != "" {
			return login{}, fmt.Errorf("leaves %s to a helper program, which there is none of here\nhint: put the credentials into the file", ref.Registry)
		}
		return login{}, nil
	}
	a := ring.Auths[found]
	l := login{a.Username, a.Password, a.IdentityToken, a.RegistryToken}
	if a.Auth != "" {
		pair, err := base64.StdEncoding.DecodeString(a.Auth)
		user, password, ok := strings.Cut(strings.TrimRight(string(pair), "\x00"), ":")
		if err != nil || !ok {
			return login{}, fmt.Errorf(`auth of %s: want "user:password" in base64`, secret.Redact(found))
		}
		l.user, l.password = user, password
	}
	return l, nil
}

// registryKey is the name of a registry, or of a part of it, as keys of the file have it: some with a scheme and the
// version of the protocol.
func registryKey(key string) string {
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	key = strings.TrimRight(key, "/")
	key = strings.TrimSuffix(strings.TrimSuffix(key, "/v1"), "/v2")
	for _, alias := range []string{"index.docker.io", "registry-1.docker.io"} {
		if rest, ok := strings.CutPrefix(key, alias); ok && (rest == "" || rest[0] == '/') {
			key = dockerHub + rest
		}
	}
	return key
}
