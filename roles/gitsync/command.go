package gitsync

import (
	"os"

	"github.com/urfave/cli/v2"

	"github.com/sidecar-kit/sidecar/internal/host"
	"github.com/sidecar-kit/sidecar/internal/role"
)

const doc = `Keeps a folder at the newest commit of a git repository, beside a server that serves it.

The content is published below --root through one symbolic link, --link. Every version is a tree of its own, named by
its full commit hash, and the link is swapped in one step: a reader sees the old tree or the new one. What the link
points at is never changed or removed, whatever happens to this process, the server or the disk.

Flags and environment variables of git-sync v4, and the GIT_SYNC_ names of v3, are accepted as they are.`

// Command returns the sync role.
func Command() *cli.Command {
	cfg := Default()
	return host.Command(host.Spec{
		Name:  "sync",
		Usage: "keep a folder at the newest commit of a git repository",
		Doc:   doc,
		Admin: ":9441",
		Flags: append(append(append(contentFlags(&cfg), timeFlags(&cfg)...), accessFlags(&cfg.Access)...), append(hookFlags(&cfg), oldFlags(&cfg)...)...),
		Compat: map[string]host.Compat{
			"once":  {Flags: []string{"one-time"}, Envs: []string{"GITSYNC_ONE_TIME", "GIT_SYNC_ONE_TIME"}},
			"admin": {Flags: []string{"http-bind"}, Envs: []string{"GITSYNC_HTTP_BIND", "GIT_SYNC_HTTP_BIND"}},
		},
		Signals: func() []os.Signal {
			if s, err := parseSignal(cfg.SyncOnSignal); err == nil {
				return []os.Signal{s}
			}
			return nil
		},
		Check: cfg.Validate,
		New:   func(env role.Env) (role.Runner, error) { return New(cfg, env) },
		Demo:  demo,
	})
}

// envs are git-sync's two spellings of a variable.
func envs(name string) []string { return []string{"GITSYNC_" + name, "GIT_SYNC_" + name} }

func contentFlags(c *Config) []cli.Flag {
	return []cli.Flag{
		&cli.GenericFlag{Name: "repo", Value: &c.Repo, EnvVars: envs("REPO"), Usage: "`URL` of the repository: https, http, ssh, user@host:path, git, file or an absolute path"},
		&cli.StringFlag{Name: "ref", Destination: &c.Ref, EnvVars: envs("REF"), Usage: "branch, tag or full hash to follow, or HEAD for the repository's default branch"},
		&cli.StringFlag{Name: "root", Destination: &c.Root, EnvVars: envs("ROOT"), Usage: "`FOLDER` of the shared volume that belongs to this role"},
		&cli.StringFlag{Name: "link", Destination: &c.Link, EnvVars: envs("LINK"), Usage: "symbolic link that readers use: a name below --root, or an absolute path (default: last part of --repo)"},
		&cli.IntFlag{Name: "depth", Destination: &c.Depth, EnvVars: envs("DEPTH"), Usage: "commits of history to fetch; 0 is all"},
		&cli.GenericFlag{Name: "submodules", Value: host.OneOf(&c.Submodules, "recursive", "shallow", "off"), EnvVars: envs("SUBMODULES"), Usage: "submodules to publish: recursive, shallow (first level) or off"},
		&cli.StringFlag{Name: "sparse-checkout-file", Destination: &c.Sparse, EnvVars: envs("SPARSE_CHECKOUT_FILE"), Usage: "`FILE` of patterns in gitignore syntax; only what they match is published"},
		&cli.GenericFlag{Name: "symlinks", Value: host.OneOf(&c.Links, "keep", "inside", "deny"), Usage: "symbolic links in the tree: keep all, refuse a tree with links that leave it (inside), or with any (deny)"},
		&cli.BoolFlag{Name: "dot-git", Destination: &c.DotGit, Usage: "put a .git file into the tree, so that git works in it; false for what a web server serves"},
		&cli.BoolFlag{Name: "group-write", Destination: &c.GroupWrite, EnvVars: envs("GROUP_WRITE"), Usage: "let the group write to what is published (umask 0002 instead of 0022)"},
		&cli.BoolFlag{Name: "wipe-root", Destination: &c.WipeRoot, Usage: "remove what others left in --root instead of refusing to start"},
		&cli.IntFlag{Name: "max-files", Destination: &c.MaxFiles, Usage: "files a tree may have; 0 is no limit"},
		&cli.Int64Flag{Name: "max-bytes", Destination: &c.MaxBytes, Usage: "bytes that may be fetched at once, unpacked; 0 is no limit"},
		&cli.DurationFlag{Name: "stale-worktree-timeout", Destination: &c.StaleAfter, EnvVars: envs("STALE_WORKTREE_TIMEOUT"), Usage: "how long a replaced tree stays for readers that still hold it"},
		&cli.GenericFlag{Name: "git-gc", Value: host.OneOf(&c.GC, "auto", "always", "aggressive", "off"), EnvVars: envs("GIT_GC"), Usage: "when to drop objects of old commits: auto (by size), always (after each change; aggressive means the same) or off"},
		&cli.DurationFlag{Name: "verify-period", Destination: &c.VerifyEvery, Usage: "how often published files are compared with what was written, and mended; 0 is never"},
		&cli.StringFlag{Name: "touch-file", Destination: &c.TouchFile, EnvVars: envs("TOUCH_FILE"), Usage: "`FILE` to touch after each change; relative to --root"},
		&cli.StringFlag{Name: "error-file", Destination: &c.ErrorFile, EnvVars: envs("ERROR_FILE"), Usage: "`FILE` that holds the last error as JSON while there is one; relative to --root"},
	}
}

func timeFlags(c *Config) []cli.Flag {
	return []cli.Flag{
		&cli.DurationFlag{Name: "period", Destination: &c.Period, EnvVars: envs("PERIOD"), Usage: "time between two looks at the repository, at least 10ms"},
		&cli.DurationFlag{Name: "init-period", Destination: &c.InitPeriod, EnvVars: envs("INIT_PERIOD"), Usage: "the same until the first success; 0 is --period"},
		&cli.DurationFlag{Name: "sync-timeout", Destination: &c.SyncTimeout, EnvVars: envs("SYNC_TIMEOUT"), Usage: "time that one sync may take"},
		&cli.GenericFlag{Name: "max-failures", Value: &c.MaxFailures, EnvVars: envs("MAX_FAILURES"), Usage: "failures in a row that are borne before giving up with exit code 1; -1 is any number (default: -1, with --once 0)"},
		&cli.GenericFlag{Name: "init-max-failures", Value: &c.InitMaxFailures, EnvVars: envs("INIT_MAX_FAILURES"), Usage: "the same until the first success (default: --max-failures)"},
		&cli.StringFlag{Name: "sync-on-signal", Destination: &c.SyncOnSignal, EnvVars: envs("SYNC_ON_SIGNAL"), Usage: "`SIGNAL` that triggers a sync at once, beside SIGHUP which always does"},
		&cli.StringFlag{Name: "trigger-secret-file", Destination: &c.TriggerFile, Usage: "`FILE` with the secret of the repository's push webhook; allows POST /trigger on the admin address"},
		&cli.DurationFlag{Name: "ready-max-age", Destination: &c.ReadyMaxAge, Usage: "not ready when the last success is longer ago; 0 is never, which keeps the pod up while the git server is down"},
	}
}

func accessFlags(a *Access) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "username", Destination: &a.Username, EnvVars: envs("USERNAME"), Usage: "user for http(s)"},
		&cli.GenericFlag{Name: "password", Value: &a.Password, EnvVars: envs("PASSWORD"), Usage: "password or token for http(s); better set by environment or --password-file than here"},
		&cli.StringFlag{Name: "password-file", Destination: &a.PasswordFile, EnvVars: append(envs("PASSWORD_FILE"), "GIT_SYNC_PASSWORD_FILE_PATH"), Usage: "`FILE` with the password, read for each request"},
		&cli.StringFlag{Name: "token-file", Destination: &a.TokenFile, Usage: "`FILE` with a bearer token for http(s), read for each request"},
		&cli.GenericFlag{Name: "askpass-url", Value: &a.AskpassURL, EnvVars: append(envs("ASKPASS_URL"), "GIT_ASKPASS_URL"), Usage: "`URL` that answers username= and password= lines"},
		&cli.StringFlag{Name: "cookie-file", Destination: &a.CookieFile, EnvVars: append(envs("COOKIE_FILE"), "GIT_COOKIE_FILE"), Usage: "`FILE` of cookies for http(s), in Netscape format"},
		&cli.GenericFlag{Name: "credential", Value: secretList(&a.Credentials), EnvVars: envs("CREDENTIAL"), Usage: "credential for one address and what lies below it, as JSON: {\"url\":...,\"username\":...,\"password-file\":...}; repeatable"},
		&cli.StringFlag{Name: "ca-file", Destination: &a.CAFile, Usage: "`FILE` of authorities that vouch for the server, instead of the built-in ones"},
		&cli.StringFlag{Name: "client-cert-file", Destination: &a.CertFile, Usage: "`FILE` with a client certificate for https"},
		&cli.StringFlag{Name: "client-key-file", Destination: &a.KeyFile, Usage: "`FILE` with its key"},
		&cli.GenericFlag{Name: "ssh-key-file", Value: colonList(&a.SSHKeys), EnvVars: append(envs("SSH_KEY_FILE"), "GIT_SSH_KEY_FILE"), Usage: "`FILE` with a private key for ssh; repeatable (the environment separates by :)"},
		&cli.BoolFlag{Name: "ssh-known-hosts", Destination: &a.SSHKnownHosts, EnvVars: append(envs("SSH_KNOWN_HOSTS"), "GIT_KNOWN_HOSTS"), Usage: "check the ssh server's key"},
		&cli.StringFlag{Name: "ssh-known-hosts-file", Destination: &a.SSHKnownHostsFile, EnvVars: append(envs("SSH_KNOWN_HOSTS_FILE"), "GIT_SSH_KNOWN_HOSTS_FILE"), Usage: "`FILE` of known host keys"},
		&cli.StringFlag{Name: "github-base-url", Destination: &a.GitHubURL, EnvVars: envs("GITHUB_BASE_URL"), Usage: "`URL` of the GitHub API"},
		&cli.StringFlag{Name: "github-app-application-id", Destination: &a.GitHubAppID, EnvVars: envs("GITHUB_APP_APPLICATION_ID"), Usage: "GitHub App, by application id"},
		&cli.StringFlag{Name: "github-app-client-id", Destination: &a.GitHubClientID, EnvVars: envs("GITHUB_APP_CLIENT_ID"), Usage: "GitHub App, by client id"},
		&cli.StringFlag{Name: "github-app-installation-id", Destination: &a.GitHubInstallationID, EnvVars: envs("GITHUB_APP_INSTALLATION_ID"), Usage: "installation of the GitHub App"},
		&cli.GenericFlag{Name: "github-app-private-key", Value: &a.GitHubKey, EnvVars: envs("GITHUB_APP_PRIVATE_KEY"), Usage: "key of the GitHub App; better set by environment or file than here"},
		&cli.StringFlag{Name: "github-app-private-key-file", Destination: &a.GitHubKeyFile, EnvVars: envs("GITHUB_APP_PRIVATE_KEY_FILE"), Usage: "`FILE` with the key of the GitHub App"},
		&cli.GenericFlag{Name: "git-config", Value: secretList(&a.GitConfig), EnvVars: append(envs("GIT_CONFIG"), "GITSYNC_GIT_CONFIG_ADD"), Aliases: []string{"git-config-add"}, Usage: "git settings as key:value,...; repeatable; http.extraHeader, http.sslCAInfo, http.userAgent and url.<base>.insteadOf count, others are named in the log"},
	}
}

func colonList(target *[]string) *host.List {
	l := host.Strings(target)
	l.EnvSep = ":"
	return l
}

func secretList(target *[]string) *host.List {
	l := host.Strings(target)
	l.Secret = true
	return l
}

func hookFlags(c *Config) []cli.Flag {
	h := &c.Hooks
	return []cli.Flag{
		&cli.StringFlag{Name: "validate-command", Destination: &h.Validate, Usage: "program that is run in each new tree; unless it exits 0, the tree is not published"},
		&cli.DurationFlag{Name: "validate-timeout", Destination: &h.ValidateTimeout, Usage: "time it may take"},
		&cli.StringFlag{Name: "pre-publish-exechook-command", Destination: &h.PrePublish, EnvVars: envs("PRE_PUBLISH_EXECHOOK_COMMAND"), Usage: "program that is run in each new tree before it is published, whatever its exit code"},
		&cli.DurationFlag{Name: "pre-publish-exechook-timeout", Destination: &h.PrePublishTimeout, EnvVars: envs("PRE_PUBLISH_EXECHOOK_TIMEOUT"), Usage: "time it may take"},
		&cli.StringFlag{Name: "exechook-command", Destination: &h.Exec, EnvVars: append(envs("EXECHOOK_COMMAND"), "GIT_SYNC_HOOK_COMMAND"), Usage: "program that is run in each published tree, with GITSYNC_HASH in its environment"},
		&cli.DurationFlag{Name: "exechook-timeout", Destination: &h.ExecTimeout, EnvVars: envs("EXECHOOK_TIMEOUT"), Usage: "time it may take"},
		&cli.DurationFlag{Name: "exechook-backoff", Destination: &h.ExecBackoff, EnvVars: envs("EXECHOOK_BACKOFF"), Usage: "time until it is tried again"},
		&cli.GenericFlag{Name: "webhook-url", Value: &h.Webhook, EnvVars: envs("WEBHOOK_URL"), Usage: "`URL` that is told of each published tree, with the hash in the header Gitsync-Hash"},
		&cli.StringFlag{Name: "webhook-method", Destination: &h.WebhookMethod, EnvVars: envs("WEBHOOK_METHOD"), Usage: "its method"},
		&cli.IntFlag{Name: "webhook-success-status", Destination: &h.WebhookStatus, EnvVars: envs("WEBHOOK_SUCCESS_STATUS"), Usage: "the answer that counts as told; 0 sends and forgets"},
		&cli.DurationFlag{Name: "webhook-timeout", Destination: &h.WebhookTimeout, EnvVars: envs("WEBHOOK_TIMEOUT"), Usage: "time it may take"},
		&cli.DurationFlag{Name: "webhook-backoff", Destination: &h.WebhookBackoff, EnvVars: envs("WEBHOOK_BACKOFF"), Usage: "time until it is tried again"},
		&cli.StringFlag{Name: "notify-signal", Destination: &h.Signal, Usage: "`SIGNAL` for --notify-process after each published tree; needs shareProcessNamespace"},
		&cli.StringFlag{Name: "notify-process", Destination: &h.SignalProcess, Usage: "`NAME` of the processes that get --notify-signal"},
	}
}

// oldFlags are accepted so that existing manifests work, and kept out of the help.
func oldFlags(c *Config) []cli.Flag {
	o := &c.old
	text := func(name string, dst *string, env ...string) cli.Flag {
		return &cli.StringFlag{Name: name, Destination: dst, EnvVars: env, Hidden: true, Usage: "git-sync's earlier name"}
	}
	none := func(name string, dst *bool, env ...string) cli.Flag {
		return &cli.BoolFlag{Name: name, Destination: dst, EnvVars: env, Hidden: true, Usage: "accepted, without effect"}
	}
	ignore := func(name string, dst *string, env ...string) cli.Flag {
		return &cli.StringFlag{Name: name, Destination: dst, EnvVars: env, Hidden: true, Usage: "accepted, without effect"}
	}
	return []cli.Flag{
		text("branch", &o.Branch, "GIT_SYNC_BRANCH", "GITSYNC_BRANCH"),
		text("rev", &o.Rev, "GIT_SYNC_REV", "GITSYNC_REV"),
		text("dest", &o.Dest, "GIT_SYNC_DEST", "GITSYNC_DEST"),
		text("wait", &o.Wait, "GIT_SYNC_WAIT", "GITSYNC_WAIT"),
		text("timeout", &o.Timeout, "GIT_SYNC_TIMEOUT", "GITSYNC_TIMEOUT"),
		&cli.GenericFlag{Name: "max-sync-failures", Value: &o.MaxFailures, EnvVars: envs("MAX_SYNC_FAILURES"), Hidden: true, Usage: "git-sync's earlier name"},
		text("sync-hook-command", &o.Hook, "GIT_SYNC_SYNC_HOOK_COMMAND"),
		&cli.GenericFlag{Name: "contents-source-url", Value: &o.SourceURL, EnvVars: []string{"CONTENTS_SOURCE_URL"}, Hidden: true, Usage: "the clone-and-pull loop's name for --repo"},
		none("ssh", &o.SSH, "GIT_SYNC_SSH", "GITSYNC_SSH"),
		none("add-user", &o.ignored.AddUser, envs("ADD_USER")...),
		none("http-metrics", &o.ignored.HTTPMetrics, envs("HTTP_METRICS")...),
		none("http-pprof", &o.ignored.HTTPPprof, envs("HTTP_PPROF")...),
		ignore("git", &o.ignored.Git, envs("GIT")...),
		ignore("filter", &o.ignored.Filter, envs("FILTER")...),
		ignore("pre-publish-exechook-backoff", &o.ignored.PrePublishBackoff, envs("PRE_PUBLISH_EXECHOOK_BACKOFF")...),
		text("change-permissions", &o.ignored.ChangePermissions, "GIT_SYNC_PERMISSIONS", "GITSYNC_CHANGE_PERMISSIONS"),
		&cli.StringFlag{Name: "verbose", Aliases: []string{"v"}, Destination: &o.ignored.Verbose, EnvVars: envs("VERBOSE"), Hidden: true, Usage: "accepted, without effect: see --log-level"},
	}
}
