package gitsync

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/internal/secret"
)

func valid() Config {
	c := Default()
	c.Repo, c.Root = secret.NewURL("https://git.example.com/site.git"), "/data"
	return c
}

const canary = "CANARY-s3cr3t"

func TestValidateNamesTheFlagAndTheRemedy(t *testing.T) {
	tests := []struct {
		name string
		set  func(c *Config)
		want string // all of these words
	}{
		{"no repo", func(c *Config) { c.Repo = secret.URL{} }, "--repo name"},
		{"no root", func(c *Config) { c.Root = "" }, "--root name"},
		{"whole disk", func(c *Config) { c.Root = "/" }, "--root / name"},
		{"weird whole disk", func(c *Config) { c.Root = "/data/../" }, "--root / name"},
		{"bad ref", func(c *Config) { c.Ref = "a..b c" }, `--ref "a..b c" branch`},
		{"option as ref", func(c *Config) { c.Ref = "--upload-pack=x" }, "--ref"},
		{"empty ref", func(c *Config) { c.Ref = "" }, "--ref"},
		{"link outside", func(c *Config) { c.Link = "../html" }, "--link ../html absolute"},
		{"link is root", func(c *Config) { c.Link = "/data" }, "--link /data two places"},
		{"link above root", func(c *Config) { c.Root = "/data/x"; c.Link = "/data" }, "--link /data"},
		{"link in .git", func(c *Config) { c.Link = ".git/html" }, "--link .git another"},
		{"link in trees", func(c *Config) { c.Link = ".worktrees/html" }, "--link .worktrees another"},
		{"period", func(c *Config) { c.Period = time.Millisecond }, "--period 1ms 10ms"},
		{"init period", func(c *Config) { c.InitPeriod = -1 }, "--init-period"},
		{"timeout", func(c *Config) { c.SyncTimeout = 0 }, "--sync-timeout 0s"},
		{"stale", func(c *Config) { c.StaleAfter = -time.Second }, "--stale-worktree-timeout -1s"},
		{"hook timeout", func(c *Config) { c.Hooks.ExecTimeout = 0 }, "--exechook-timeout 1s"},
		{"hook backoff", func(c *Config) { c.Hooks.WebhookBackoff = time.Millisecond }, "--webhook-backoff 1ms"},
		{"depth", func(c *Config) { c.Depth = -1 }, "--depth -1 history"},
		{"max files", func(c *Config) { c.MaxFiles = -1 }, "--max-files"},
		{"sparse", func(c *Config) { c.Sparse = "/no/such/file" }, "--sparse-checkout-file /no/such/file"},
		{"signal", func(c *Config) { c.SyncOnSignal = "WHAT" }, "--sync-on-signal WHAT SIGHUP"},
		{"trigger", func(c *Config) { c.TriggerFile = "/no/such/secret" }, "--trigger-secret-file /no/such/secret"},
		{"half a notify", func(c *Config) { c.Hooks.Signal = "HUP" }, "--notify-signal --notify-process"},
		{"notify signal", func(c *Config) { c.Hooks.Signal, c.Hooks.SignalProcess = "X", "nginx" }, "--notify-signal X SIGHUP"},
		{"webhook", func(c *Config) { c.Hooks.Webhook = secret.NewURL("ftp://x/y") }, "--webhook-url ftp://x/y http"},
		{"user alone", func(c *Config) { c.Access.Username = "u" }, "--username --password-file"},
		{"password alone", func(c *Config) { c.Access.Password = secret.New(canary) }, "--password-file --username"},
		{"two passwords", func(c *Config) {
			c.Access.Username, c.Access.Password, c.Access.PasswordFile = "u", secret.New(canary), "/f"
		}, "--password --password-file one"},
		{"half a certificate", func(c *Config) { c.Access.CertFile = "/c" }, "--client-cert-file --client-key-file"},
		{"half an App", func(c *Config) { c.Access.GitHubAppID = "1" }, "--github-app-installation-id"},
		{"credential", func(c *Config) { c.Access.Credentials = []string{`{"password":"` + canary + `"`} }, "--credential JSON"},
		{"git config", func(c *Config) { c.Access.GitConfig = []string{"http.extraHeader " + canary} }, "--git-config key:value"},
		{"permissions", func(c *Config) { c.old.ignored.ChangePermissions = "0755" }, "--change-permissions --group-write"},
		{"wait", func(c *Config) { c.old.Wait = "soon" }, `--wait "soon" --period`},
		{"old timeout", func(c *Config) { c.old.Timeout = "1m" }, `--timeout "1m" --sync-timeout`},
	}
	for _, tt := range tests {
		c := valid()
		tt.set(&c)
		err := c.Validate()
		if err == nil {
			t.Errorf("%s: Validate took it", tt.name)
			continue
		}
		for _, word := range strings.Fields(tt.want) {
			if !strings.Contains(err.Error(), strings.Trim(word, `"`)) {
				t.Errorf("%s: Validate = %q; want it to name %s", tt.name, err, word)
			}
		}
		if strings.Contains(err.Error(), canary) {
			t.Errorf("%s: the secret is in %q", tt.name, err)
		}
	}
	c := valid()
	if err := c.Validate(); err != nil {
		t.Errorf("Validate of the least = %v", err)
	}
	var all Config
	if err := all.Validate(); strings.Count(fmt.Sprint(err), "\n") < 5 {
		t.Errorf("Validate of nothing = %v; want all complaints at once", err)
	}
}

func TestLinkDefaultsToTheRepositorysName(t *testing.T) {
	for repo, want := range map[string]string{
		"https://example.com/a/site.git": "/data/site", "https://example.com/a/site/": "/data/site", "git@example.com:a/site.git": "/data/site",
		"git@example.com:site": "/data/site", "ssh://git@example.com:22/x/site.git": "/data/site", "/srv/site.git": "/data/site", "file:///srv/site": "/data/site",
	} {
		c := valid()
		c.Repo = secret.NewURL(repo)
		if err := c.Validate(); err != nil || c.Link != want {
			t.Errorf("repo %s: link %q, %v; want %q", repo, c.Link, err, want)
		}
	}
}

func TestOldNamesMeanTodaysSettings(t *testing.T) {
	c := valid()
	c.Repo = secret.URL{}
	c.old = oldNames{Branch: "master", Dest: "html", Wait: "30.5", Timeout: "90", Hook: "/bin/hook", SourceURL: secret.NewURL("https://example.com/x.git")}
	_ = c.old.MaxFailures.Set("3")
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if c.Ref != "master" || c.Link != "/data/html" || c.Period != 30500*time.Millisecond || c.SyncTimeout != 90*time.Second ||
		c.Hooks.Exec != "/bin/hook" || c.Repo.Reveal() != "https://example.com/x.git" || c.MaxFailures.limit(0) != 3 {
		t.Errorf("old names gave %+v", c)
	}
	c = valid()
	c.Ref, c.Link = "today", "link"
	c.old = oldNames{Branch: "master", Rev: "abc", Dest: "html", SourceURL: secret.NewURL("https://old")}
	if err := c.Validate(); err != nil || c.Ref != "today" || c.Link != "/data/link" || c.Repo.Reveal() == "https://old" {
		t.Errorf("today's names lost against old ones: %+v, %v", c, err)
	}
	c = valid()
	c.old = oldNames{Branch: "master", Rev: "v1.0", Wait: "0"}
	if err := c.Validate(); err != nil || c.Ref != "v1.0" || c.Period != time.Second {
		t.Errorf("rev and wait 0: ref %s, period %s, %v", c.Ref, c.Period, err)
	}
}

func TestParseGitConfig(t *testing.T) {
	for text, want := range map[string]string{
		"": "[]", "a.b:c": "[{a.b c}]", "a.b:c,d.e:f": "[{a.b c} {d.e f}]", `a.b:"c,d"`: "[{a.b c,d}]", `"a.b:c":d`: "[{a.b:c d}]",
		`a.b:c\,d`: "[{a.b c,d}]", `a.b:c\nd`: "[{a.b c\nd}]", " a.b:c , d.e:": "[{a.b c } {d.e }]", "a.b:c:d": "[{a.b c:d}]", `a:"\"\\"`: `[{a "\}]`,
		"a.b": "error", ":x": "error", `a:"open`: "error", `a:b\`: "error", `a:\x`: "error",
	} {
		got, err := parseGitConfig(text)
		text2 := fmt.Sprint(got)
		if err != nil {
			text2 = "error"
		}
		if text2 != want {
			t.Errorf("parseGitConfig(%q) = %s, %v; want %s", text, text2, err, want)
		}
	}
}

func TestParseCredentials(t *testing.T) {
	one := `{"url":"https://a/b","username":"u","password":"p"}`
	for text, want := range map[string]int{
		one: 1, "[" + one + "," + one + "]": 2, " [] ": 0, `{"url":"https://a","username":"u","password-file":"/f"}`: 1,
		"": -1, "{}": -1, `{"url":"x","username":"u"}`: -1, `{"url":"x","username":"u","password":"p","password-file":"f"}`: -1,
		`{"url":"x","username":"u","password":"` + canary + `","other":1}`: -1, `{"password":"` + canary: -1, "5": -1,
	} {
		got, err := parseCredentials([]string{text})
		if (err != nil) != (want < 0) || err == nil && len(got) != want {
			t.Errorf("parseCredentials(%q) = %d, %v; want %d", text, len(got), err, want)
		}
		if strings.Contains(fmt.Sprint(err), canary) {
			t.Errorf("the secret is in %q", err)
		}
	}
}

func TestCredentialCovers(t *testing.T) {
	for _, tt := range []struct {
		cred, url string
		want      int
	}{
		{"https://h/a", "https://h/a", 2}, {"https://h/a", "https://h/a/b.git", 2}, {"https://h/a/", "https://h/a/b", 2}, {"https://h", "https://h/x", 0},
		{"https://H/a", "https://h/a", 2}, {"https://h/a", "https://h/ab", -1}, {"https://h/a", "http://h/a", -1}, {"https://h/a", "https://h:8443/a", -1},
		{"https://h/a", "https://h.evil/a", -1}, {"https://h", "https://evil/h", -1},
	} {
		if got := (credential{URL: tt.cred}).covers(tt.url); got != tt.want {
			t.Errorf("%s covers %s = %d; want %d", tt.cred, tt.url, got, tt.want)
		}
	}
}

func TestSubmoduleURL(t *testing.T) {
	for _, tt := range []struct{ parent, raw, want string }{
		{"https://h/a/b.git", "../c.git", "https://h/a/c.git"}, {"https://h/a/b.git", "./c", "https://h/a/b.git/c"},
		{"https://h/a/b.git/", "../../c", "https://h/c"}, {"git@h:a/b", "../c", "git@h:a/c"}, {"git@h:b", "../c", "git@h:c"},
		{"https://h/a", "https://other/x", "https://other/x"}, {"https://h/a", "ssh://git@o/x", "ssh://git@o/x"}, {"https://h/a", "git@o:x/y", "git@o:x/y"},
		{"/srv/a", "/srv/b", "/srv/b"}, {"file:///srv/a", "file:///srv/b", "file:///srv/b"}, {"/srv/a", "../b", "/srv/b"},
		{"https://h/a", "../../c", ""}, {"https://h/a", "../../../../etc", ""}, {"https://h/a", "/etc", ""}, {"https://h/a", "file:///etc", ""},
		{"https://h/a", "ext::sh -c id", ""}, {"https://h/a", "--upload-pack=x", ""}, {"https://h/a", "git://h/x", ""}, {"https://h/a", "https://h/x\n", ""},
		{"https://h/a", "relative", ""}, {"https://h/a", "", ""}, {"/srv/a", "../../../b", ""}, {"https://h/a", "fd::3", ""},
	} {
		got, err := submoduleURL(tt.parent, tt.raw)
		if got != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("submoduleURL(%s, %q) = %q, %v; want %q", tt.parent, tt.raw, got, err, tt.want)
		}
	}
}

func TestModules(t *testing.T) {
	got := modules([]byte("[submodule \"a\"]\n\tpath = x/y\n\turl = \"../z\"\n[submodule \"b\"]\npath=b\n[submodule \"c\"]\n URL = https://h/c\n PATH = c\n# path = no\n"))
	if len(got) != 2 || got["x/y"] != "../z" || got["c"] != "https://h/c" {
		t.Errorf("modules = %v", got)
	}
}

func FuzzModules(f *testing.F) {
	f.Add([]byte("[submodule \"a\"]\n\tpath = x\n\turl = y\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for path, addr := range modules(data) {
			if path == "" || addr == "" {
				t.Fatalf("modules gave %q = %q", path, addr)
			}
			if got, err := submoduleURL("https://h/a", addr); err == nil && (strings.HasPrefix(got, "/") || strings.HasPrefix(got, "-") || strings.HasPrefix(got, "file:") || strings.Contains(got, "::") && !strings.Contains(got, "://")) {
				t.Fatalf("submoduleURL(%q) = %q", addr, got)
			}
		}
	})
}
