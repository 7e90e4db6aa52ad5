package remote

import (
	"context"
	"time"
)

// Secret yields a password or token. It is called for each request, so that a rotated file counts at once.
type Secret func(ctx context.Context) (string, error)

// Config says where the repository is and how to get in.
type Config struct {
	URL string

	Username    string
	Password    Secret
	BearerToken Secret
	AskpassURL  string // answers GET with lines username=... and password=...
	// AskpassForce allows an AskpassURL that is neither https nor on the loopback interface.
	AskpassForce bool
	GitHub       *GitHubApp

	CookieFile string   // Netscape format
	Headers    []string // "Name: value", as in git's http.extraHeader
	CAFile     string   // PEM; takes the place of the system's authorities
	CertFile   string   // client certificate, PEM
	KeyFile    string

	SSHKeys           []string
	SSHKnownHosts     bool // false trusts any host key
	SSHKnownHostsFile string

	UserAgent string
	Timeouts  Timeouts
	Limits    Limits

	// Redact removes known secrets from a text of the server before it enters an error. May be nil.
	Redact func(string) string
}

// GitHubApp authenticates as an installation of a GitHub App.
type GitHubApp struct {
	BaseURL        string // default https://api.github.com
	ID             string // application id or client id
	InstallationID string
	PrivateKey     Secret // PEM
}

// Timeouts bound single waits; the caller's context bounds the whole call. Zero means the default.
type Timeouts struct {
	Dial     time.Duration // connect, TLS and ssh handshake each; 15s
	Response time.Duration // first byte of an answer; 60s, a big repository takes long to count its objects
	Stall    time.Duration // no byte of a pack; 60s
}

// Limits bound what a server can make us hold. Zero means the default.
type Limits struct {
	Refs      int   // 1,000,000
	PackBytes int64 // 64 GiB
}

func (c Config) withDefaults() Config {
	orDuration := func(v *time.Duration, def time.Duration) {
		if *v <= 0 {
			*v = def
		}
	}
	orDuration(&c.Timeouts.Dial, 15*time.Second)
	orDuration(&c.Timeouts.Response, time.Minute)
	orDuration(&c.Timeouts.Stall, time.Minute)
	if c.Limits.Refs <= 0 {
		c.Limits.Refs = 1_000_000
	}
	if c.Limits.PackBytes <= 0 {
		c.Limits.PackBytes = 64 << 30
	}
	if c.UserAgent == "" {
		c.UserAgent = "git/2.0 (sidecar)"
	}
	return c
}
