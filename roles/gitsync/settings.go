package gitsync

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/gitsync/tree"
)

// Config is everything the role can be told. Default gives the values that hold where nothing is said.
type Config struct {
	Repo secret.URL
	Ref  string
	Root string
	Link string

	Depth       int
	Submodules  string
	Sparse      string
	Links       string
	DotGit      bool
	GroupWrite  bool
	WipeRoot    bool
	MaxFiles    int
	MaxBytes    int64
	StaleAfter  time.Duration
	GC          string
	VerifyEvery time.Duration

	Period          time.Duration
	InitPeriod      time.Duration
	SyncTimeout     time.Duration
	MaxFailures     Failures
	InitMaxFailures Failures
	SyncOnSignal    string
	TriggerFile     string
	ReadyMaxAge     time.Duration

	Access Access
	Hooks  Hooks

	TouchFile string
	ErrorFile string

	old oldNames
}

// Access says how to get in.
type Access struct {
	Username     string
	Password     secret.Value
	PasswordFile string
	TokenFile    string
	AskpassURL   secret.URL
	CookieFile   string
	Credentials  []string // JSON, as git-sync's --credential
	CAFile       string
	CertFile     string
	KeyFile      string

	SSHKeys           []string
	SSHKnownHosts     bool
	SSHKnownHostsFile string

	GitHubURL            string
	GitHubAppID          string
	GitHubClientID       string
	GitHubInstallationID string
	GitHubKey            secret.Value
	GitHubKeyFile        string

	GitConfig []string // may hold a token in http.extraHeader
}

// Hooks say who is told.
type Hooks struct {
	Validate        string
	ValidateTimeout time.Duration

	PrePublish        string
	PrePublishTimeout time.Duration

	Exec        string
	ExecTimeout time.Duration
	ExecBackoff time.Duration

	Webhook        secret.URL
	WebhookMethod  string
	WebhookStatus  int
	WebhookTimeout time.Duration
	WebhookBackoff time.Duration

	Signal        string
	SignalProcess string
}

// Failures is a number of failures in a row that are borne; unset, it depends on --once.
type Failures struct {
	n   int
	set bool
}

// Set takes a number; -1 bears any, nothing is "not given".
func (f *Failures) Set(text string) error {
	if text == "" {
		*f = Failures{}
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return errors.New("want a whole number, -1 for no limit")
	}
	f.n, f.set = n, true
	return nil
}

func (f *Failures) String() string {
	if f == nil || !f.set {
		return ""
	}
	return strconv.Itoa(f.n)
}

// limit returns the number, or def where none was given. It is negative for no limit.
func (f *Failures) limit(def int) int {
	if !f.set {
		return def
	}
	return f.n
}

// Default returns the values that hold where nothing is said; they are git-sync's where it has the same setting.
func Default() Config {
	return Config{
		Ref: "HEAD", Depth: 1, Submodules: "recursive", Links: string(tree.KeepLinks), DotGit: true,
		MaxFiles: 1_000_000, MaxBytes: 32 << 30, GC: "auto", StaleAfter: 10 * time.Second,
		VerifyEvery: time.Minute, Period: 10 * time.Second, SyncTimeout: 2 * time.Minute,
		Access: Access{
			SSHKnownHosts: true, SSHKnownHostsFile: "/etc/git-secret/known_hosts",
			SSHKeys: []string{"/etc/git-secret/ssh"}, GitHubURL: "https://api.github.com/",
		},
		Hooks: Hooks{
			ValidateTimeout: 30 * time.Second, PrePublishTimeout: 30 * time.Second,
			ExecTimeout: 30 * time.Second, ExecBackoff: 3 * time.Second,
			WebhookMethod: "POST", WebhookStatus: 200, WebhookTimeout: time.Second, WebhookBackoff: 3 * time.Second,
		},
	}
}

const (
	minPeriod = 10 * time.Millisecond
	minHook   = time.Second
)

// Validate fills in what follows from other settings and returns all complaints at once.
func (c *Config) Validate() error {
	errs := []error{c.old.apply(c)}
	if c.Repo.Reveal() == "" {
		errs = append(errs, errors.New("--repo is empty: name the repository, e.g. --repo https://git.example.com/site.git"))
	}
	if c.Root == "" {
		errs = append(errs, errors.New("--root is empty: name the folder of the shared volume, e.g. --root /data"))
	}
	if c.Ref == "" || strings.HasPrefix(c.Ref, "-") || strings.ContainsAny(c.Ref, " ~^:?*[\\\x00") || strings.Contains(c.Ref, "..") {
		errs = append(errs, fmt.Errorf("--ref %q is not a branch, tag, full hash or HEAD", c.Ref))
	}
	errs = append(errs, c.checkLink(), c.checkTimes(), c.checkNumbers(), c.checkHooks(), c.Access.check())
	return errors.Join(errs...)
}

// checkLink works out where the link lies.
func (c *Config) checkLink() error {
	if c.Root != "" {
		abs, err := filepath.Abs(c.Root)
		if err != nil {
			return fmt.Errorf("--root %s: %w", c.Root, err)
		}
		if c.Root = abs; abs == "/" {
			return errors.New("--root /: the whole file system is not a place to publish into; name a folder of its own")
		}
	}
	if c.Link == "" {
		c.Link = defaultLink(c.Repo.Reveal())
	}
	if c.Root == "" || c.Link == "" {
		return nil
	}
	if !filepath.IsAbs(c.Link) {
		if !filepath.IsLocal(c.Link) || filepath.Clean(c.Link) == "." {
			return fmt.Errorf("--link %s leads out of --root %s: give a name below it, or an absolute path if that is what you want", c.Link, c.Root)
		}
		c.Link = filepath.Join(c.Root, c.Link)
	}
	c.Link = filepath.Clean(c.Link)
	rel, err := filepath.Rel(c.Root, c.Link)
	if err != nil || rel == "." || strings.HasPrefix(c.Root+"/", c.Link+"/") {
		return fmt.Errorf("--link %s is --root or lies above it: readers' link and the folder of trees have to be two places", c.Link)
	}
	if first, _, _ := strings.Cut(rel, "/"); first == ".git" || first == worktrees {
		return fmt.Errorf("--link %s lies in %s, which is kept for the program: choose another name", c.Link, first)
	}
	return nil
}

// defaultLink is git-sync's: the last part of the repository's address.
func defaultLink(repo string) string {
	if u, err := url.Parse(repo); err == nil && u.Path != "" {
		repo = u.Path
	} else if _, after, ok := strings.Cut(repo, ":"); ok {
		repo = after
	}
	base := path.Base(strings.TrimRight(repo, "/"))
	base = strings.TrimSuffix(base, ".git")
	if base == "." || base == "/" || base == "" {
		return ""
	}
	return base
}

func (c *Config) checkTimes() error {
	var errs []error
	least := func(flag string, v, least time.Duration) {
		if v < least {
			errs = append(errs, fmt.Errorf("--%s %s is shorter than %s", flag, v, least))
		}
	}
	least("period", c.Period, minPeriod)
	if c.InitPeriod != 0 {
		least("init-period", c.InitPeriod, minPeriod)
	}
	least("sync-timeout", c.SyncTimeout, minPeriod)
	least("stale-worktree-timeout", c.StaleAfter, 0)
	least("verify-period", c.VerifyEvery, 0)
	least("ready-max-age", c.ReadyMaxAge, 0)
	h := c.Hooks
	for _, v := range []struct {
		flag string
		v    time.Duration
	}{
		{"validate-timeout", h.ValidateTimeout}, {"pre-publish-exechook-timeout", h.PrePublishTimeout},
		{"exechook-timeout", h.ExecTimeout}, {"exechook-backoff", h.ExecBackoff},
		{"webhook-timeout", h.WebhookTimeout}, {"webhook-backoff", h.WebhookBackoff},
	} {
		least(v.flag, v.v, minHook)
	}
	return errors.Join(errs...)
}

func (c *Config) checkNumbers() error {
	var errs []error
	if c.Depth < 0 {
		errs = append(errs, fmt.Errorf("--depth %d is negative: 1 is the newest commit alone, 0 the whole history", c.Depth))
	}
	if c.MaxFiles < 0 || c.MaxBytes < 0 {
		errs = append(errs, errors.New("--max-files and --max-bytes must not be negative: 0 is no limit"))
	}
	if c.Sparse != "" {
		if _, err := readSparse(c.Sparse); err != nil {
			errs = append(errs, fmt.Errorf("--sparse-checkout-file %s: %w", c.Sparse, err))
		}
	}
	if c.SyncOnSignal != "" {
		if _, err := parseSignal(c.SyncOnSignal); err != nil {
			errs = append(errs, fmt.Errorf("--sync-on-signal %s: %w", c.SyncOnSignal, err))
		}
	}
	if c.TriggerFile != "" {
		if _, err := secret.File(c.TriggerFile); err != nil {
			errs = append(errs, fmt.Errorf("--trigger-secret-file: %w", err))
		}
	}
	return errors.Join(errs...)
}

func (c *Config) checkHooks() error {
	h := c.Hooks
	var errs []error
	if (h.Signal == "") != (h.SignalProcess == "") {
		errs = append(errs, errors.New("--notify-signal and --notify-process belong together: which signal goes to which process"))
	}
	if h.Signal != "" {
		if _, err := parseSignal(h.Signal); err != nil {
			errs = append(errs, fmt.Errorf("--notify-signal %s: %w", h.Signal, err))
		}
	}
	if raw := h.Webhook.Reveal(); raw != "" {
		u, err := url.Parse(raw)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			errs = append(errs, fmt.Errorf("--webhook-url %s is not an http or https address", h.Webhook))
		}
	}
	return errors.Join(errs...)
}

func (a *Access) check() error {
	var errs []error
	ways := 0
	for _, given := range []bool{
		a.Password.Reveal() != "", a.PasswordFile != "", a.TokenFile != "", a.AskpassURL.Reveal() != "",
		a.GitHubAppID != "" || a.GitHubClientID != "",
	} {
		if given {
			ways++
		}
	}
	if ways > 1 {
		errs = append(errs, errors.New("--password, --password-file, --token-file, --askpass-url and --github-app-* exclude one another: give one"))
	}
	if a.Username != "" && a.Password.Reveal() == "" && a.PasswordFile == "" {
		errs = append(errs, errors.New("--username needs a password: give --password-file (or the environment variable GITSYNC_PASSWORD)"))
	}
	if (a.Password.Reveal() != "" || a.PasswordFile != "") && a.Username == "" {
		errs = append(errs, errors.New("--password-file needs --username"))
	}
	if (a.CertFile == "") != (a.KeyFile == "") {
		errs = append(errs, errors.New("--client-cert-file and --client-key-file belong together"))
	}
	if a.GitHubAppID != "" || a.GitHubClientID != "" {
		if a.GitHubInstallationID == "" || a.GitHubKey.Reveal() == "" && a.GitHubKeyFile == "" {
			errs = append(errs, errors.New("--github-app-application-id and --github-app-client-id need --github-app-installation-id and --github-app-private-key-file"))
		}
		if a.GitHubAppID != "" && a.GitHubClientID != "" {
			errs = append(errs, errors.New("--github-app-application-id and --github-app-client-id name the same App: give one"))
		}
	}
	if _, err := parseCredentials(a.Credentials); err != nil {
		errs = append(errs, fmt.Errorf("--credential: %w", err))
	}
	if _, err := parseGitConfigs(a.GitConfig); err != nil {
		errs = append(errs, fmt.Errorf("--git-config: %w", err))
	}
	return errors.Join(errs...)
}

// parseSignal reads a signal as git-sync does: by number, by name, with or without SIG.
func parseSignal(text string) (os.Signal, error) {
	names := map[string]syscall.Signal{
		"HUP": syscall.SIGHUP, "USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2, "WINCH": syscall.SIGWINCH,
		"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT, "KILL": syscall.SIGKILL,
		"CONT": syscall.SIGCONT, "ALRM": syscall.SIGALRM,
	}
	if n, err := strconv.Atoi(text); err == nil && n > 0 && n < 65 {
		return syscall.Signal(n), nil
	}
	if s, ok := names[strings.TrimPrefix(strings.ToUpper(text), "SIG")]; ok {
		return s, nil
	}
	return nil, errors.New("want a signal such as SIGHUP, USR1 or 10")
}
