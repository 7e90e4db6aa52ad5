package gitsync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/gitsync/remote"
)

// credential is one entry of --credential: it counts for addresses at and below URL.
type credential struct {
	URL          string `json:"url"`
	Username     string `json:"username"`
	Password     string `json:"password"`
	PasswordFile string `json:"password-file"`
}

// parseCredentials reads the values of --credential, each one object or a list of them.
func parseCredentials(values []string) ([]credential, error) {
	var out []credential
	for i, v := range values {
		var list []credential
		dec := json.NewDecoder(strings.NewReader(v))
		dec.DisallowUnknownFields()
		var err error
		if strings.HasPrefix(strings.TrimSpace(v), "[") {
			err = dec.Decode(&list)
		} else {
			var one credential
			err = dec.Decode(&one)
			list = []credential{one}
		}
		if err != nil {
			// The decoder's own text may hold a part of the secret.
			return nil, fmt.Errorf("value %d is not JSON of the form {\"url\":\"...\",\"username\":\"...\",\"password-file\":\"...\"}", i+1)
		}
		for _, c := range list {
			if c.URL == "" || c.Username == "" || (c.Password == "") == (c.PasswordFile == "") {
				return nil, fmt.Errorf("value %d: url, username and one of password and password-file are needed", i+1)
			}
			out = append(out, c)
		}
	}
	return out, nil
}

// covers tells how well the credential fits an address: the length of the common path, or -1.
func (c credential) covers(raw string) int {
	want, err := url.Parse(c.URL)
	if err != nil {
		return -1
	}
	have, err := url.Parse(raw)
	if err != nil || have.Scheme != want.Scheme || !strings.EqualFold(have.Host, want.Host) {
		return -1
	}
	prefix := strings.TrimRight(want.Path, "/")
	if have.Path != prefix && !strings.HasPrefix(have.Path, prefix+"/") {
		return -1
	}
	return len(prefix)
}

// setting is one entry of --git-config.
type setting struct{ key, value string }

// parseGitConfigs reads the values of --git-config, one after another.
func parseGitConfigs(values []string) ([]setting, error) {
	var out []setting
	for _, v := range values {
		more, err := parseGitConfig(v)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

// parseGitConfig reads key:value pairs separated by commas. A key or value may stand in double quotes; a backslash
// escapes, also a comma outside of quotes.
func parseGitConfig(text string) ([]setting, error) {
	var out []setting
	rest := strings.TrimLeft(text, " ,")
	for rest != "" {
		key, after, err := configWord(rest, ":")
		if err != nil {
			return nil, err
		}
		if key == "" || !strings.HasPrefix(after, ":") {
			return nil, fmt.Errorf("entry %d is not of the form key:value", len(out)+1)
		}
		value, after, err := configWord(after[1:], ",")
		if err != nil {
			return nil, err
		}
		out = append(out, setting{key, value})
		rest = strings.TrimLeft(after, " ,")
	}
	return out, nil
}

// configWord reads up to one of the stop characters.
func configWord(s, stop string) (word, rest string, err error) {
	var b strings.Builder
	quoted := strings.HasPrefix(s, `"`)
	if quoted {
		s = s[1:]
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
			if i == len(s) {
				return "", "", errors.New("ends in a backslash")
			}
			switch s[i] {
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			case '"', '\\', ',':
				b.WriteByte(s[i])
			default:
				return "", "", fmt.Errorf(`\%c is not an escape; known are \n \t \" \\ \,`, s[i])
			}
		case quoted && c == '"':
			return b.String(), s[i+1:], nil
		case !quoted && strings.IndexByte(stop, c) >= 0:
			return b.String(), s[i:], nil
		default:
			b.WriteByte(c)
		}
	}
	if quoted {
		return "", "", errors.New("a quote is not closed")
	}
	return b.String(), "", nil
}

// door makes the client's configuration for one address: the repository's own, or a submodule's.
type door struct {
	a        Access
	creds    []credential
	settings []setting
	scrub    *secret.Scrubber
}

func newDoor(a Access) (*door, error) {
	creds, err := parseCredentials(a.Credentials)
	if err != nil {
		return nil, err
	}
	settings, err := parseGitConfigs(a.GitConfig)
	if err != nil {
		return nil, err
	}
	d := &door{a: a, creds: creds, settings: settings, scrub: new(secret.Scrubber)}
	d.scrub.Add(a.Password.Reveal(), a.GitHubKey.Reveal())
	for _, c := range creds {
		d.scrub.Add(c.Password)
	}
	return d, nil
}

// ignored lists the git settings that have no effect here.
func (d *door) ignored() []string {
	var out []string
	for _, s := range d.settings {
		if d.apply(&remote.Config{}, s) || strings.HasSuffix(strings.ToLower(s.key), ".insteadof") {
			continue
		}
		out = append(out, s.key)
	}
	return out
}

func (d *door) apply(cfg *remote.Config, s setting) bool {
	switch key := strings.ToLower(s.key); key {
	case "http.extraheader":
		cfg.Headers = append(cfg.Headers, s.value)
		if _, value, ok := strings.Cut(s.value, ":"); ok {
			value = strings.TrimSpace(value)
			_, token, _ := strings.Cut(value, " ") // behind "Bearer" or "Basic"
			d.scrub.Add(value, token)
		}
	case "http.sslcainfo":
		cfg.CAFile = s.value
	case "http.useragent":
		cfg.UserAgent = s.value
	case "http.cookiefile":
		cfg.CookieFile = s.value
	default:
		return false
	}
	return true
}

// rewrite applies url.<base>.insteadOf: the longest match wins.
func (d *door) rewrite(raw string) string {
	best, out := 0, raw
	for _, s := range d.settings {
		base, ok := strings.CutPrefix(s.key, "url.")
		if !ok || !strings.HasSuffix(strings.ToLower(base), ".insteadof") {
			continue
		}
		base = base[:len(base)-len(".insteadof")]
		if strings.HasPrefix(raw, s.value) && len(s.value) > best {
			best, out = len(s.value), base+raw[len(s.value):]
		}
	}
	return out
}

// open makes a client for an address. own says that it is the repository named by --repo, for which the plain
// user and password count; others get only what --credential names for them.
func (d *door) open(raw string, own bool) (remote.Remote, error) {
	raw = d.rewrite(raw)
	d.hide(raw)
	cfg := remote.Config{
		URL: raw, CAFile: d.a.CAFile, CertFile: d.a.CertFile, KeyFile: d.a.KeyFile,
		SSHKeys: d.keys(), SSHKnownHosts: d.a.SSHKnownHosts, SSHKnownHostsFile: d.a.SSHKnownHostsFile,
		Redact: d.scrub.Clean,
	}
	for _, s := range d.settings {
		if own || !strings.EqualFold(s.key, "http.extraHeader") {
			d.apply(&cfg, s)
		}
	}
	best := -1
	for _, c := range d.creds {
		if n := c.covers(raw); n > best {
			best = n
			cfg.Username, cfg.Password = c.Username, d.password(secret.New(c.Password), c.PasswordFile)
		}
	}
	if own && best < 0 {
		d.ownAccess(&cfg)
	}
	return remote.Open(cfg)
}

// hide keeps the password in an address, or the token that stands in its place, out of what a server says of it.
func (d *door) hide(raw string) {
	u, err := url.Parse(raw)
	if err != nil || u.User == nil {
		return
	}
	password, has := u.User.Password()
	if !has && strings.HasPrefix(u.Scheme, "http") {
		password = u.User.Username()
	}
	d.scrub.Add(password)
}

func (d *door) ownAccess(cfg *remote.Config) {
	a := d.a
	if a.CookieFile != "" {
		cfg.CookieFile = a.CookieFile
	}
	cfg.AskpassURL = a.AskpassURL.Reveal()
	cfg.Username = a.Username
	if a.Username != "" {
		cfg.Password = d.password(a.Password, a.PasswordFile)
	}
	if a.TokenFile != "" {
		cfg.BearerToken = d.password(secret.Value{}, a.TokenFile)
	}
	if id := a.GitHubAppID + a.GitHubClientID; id != "" {
		cfg.GitHub = &remote.GitHubApp{
			BaseURL: a.GitHubURL, ID: id, InstallationID: a.GitHubInstallationID,
			PrivateKey: d.password(a.GitHubKey, a.GitHubKeyFile),
		}
	}
}

// keys leaves out git-sync's default place for a key when nothing is there.
func (d *door) keys() []string {
	if def := Default().Access.SSHKeys; len(d.a.SSHKeys) == 1 && d.a.SSHKeys[0] == def[0] {
		if _, err := os.Stat(def[0]); err != nil {
			return nil
		}
	}
	return d.a.SSHKeys
}

// password reads a secret each time it is needed, so that a rotated file counts at once.
func (d *door) password(v secret.Value, file string) remote.Secret {
	return func(context.Context) (string, error) {
		if file == "" {
			return v.Reveal(), nil
		}
		got, err := secret.File(file)
		if err != nil {
			return "", err
		}
		d.scrub.Add(got.Reveal())
		return got.Reveal(), nil
	}
}
