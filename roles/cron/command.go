package cron

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/sidecar-kit/sidecar/internal/host"
	"github.com/sidecar-kit/sidecar/internal/role"
	"github.com/sidecar-kit/sidecar/internal/secret"
)

const doc = `Runs jobs at the times that crontabs name: of any user, with a read-only root, and without a shell in the image.

Without --crontab it reads the spool (/var/spool/cron/crontabs, one file per user), as busybox crond does. A FILE after
the flags is a crontab, as with supercronic. The flags of both are accepted.

Options of a job stand in a comment right above its line:
  #: name=backup timeout=5m overlap=forbid retry=3 jitter=30s catchup=last tz=Asia/Tokyo
  0 3 * * *  /app/backup --all`

const jobsExample = `jobs:
  - name: report
    schedule: "30 6 * * 1-5"
    timezone: Europe/Berlin
    exec: ["/app/report", "--daily"]
    timeout: 10m
  - name: tasks
    schedule: "*/5 * * * *"
    http: http://127.0.0.1:8080/tasks/run
    retry: 3`

// Command returns the cron role.
func Command() *cli.Command {
	cfg := Default()
	jobs := &host.Key{Name: "jobs", Usage: "jobs beside those of crontabs, with the same options", Example: jobsExample, Decode: cfg.setJobs, Show: cfg.showJobs}
	cfg.reread, cfg.file, cfg.waiting = jobs.Reread, jobs.File, jobs.Waiting
	return host.Command(host.Spec{
		Name:     "cron",
		Usage:    "run jobs at the times that crontabs name",
		Doc:      doc,
		Admin:    ":9446",
		Args:     "[FILE...]",
		Place:    func(args []string) (map[string][]string, error) { return map[string][]string{"crontab": args}, nil },
		Flags:    append(append(tableFlags(&cfg), runFlags(&cfg)...), leaseFlags(&cfg.Lease)...),
		Keys:     []*host.Key{jobs},
		Legacy:   legacy(),
		Compat:   map[string]host.Compat{"check": {Flags: []string{"test"}}},
		Commands: commands(),
		Signals:  func() []os.Signal { return []os.Signal{syscall.SIGUSR2} },
		Check:    cfg.Validate,
		New:      func(env role.Env) (role.Runner, error) { return New(&cfg, env) },
		Demo:     demo,
	})
}

// shownDefault hides the URL of a ping, which whoever knows it can use.
func shownDefault(text string) string {
	if key, value, ok := strings.Cut(text, "="); ok && strings.TrimSpace(key) == "ping" && !strings.HasPrefix(strings.TrimSpace(value), "file:") {
		return key + "=" + secret.Mask
	}
	return text
}

func readingFlags(c *Config) []cli.Flag {
	defaults := host.Strings(&c.Defaults)
	defaults.Show = shownDefault
	return []cli.Flag{
		&cli.GenericFlag{Name: "dialect", Value: host.OneOf(&c.Dialect, "vixie", "robfig", "quartz"), Usage: "how schedules are read: vixie (cron), robfig (Kubernetes CronJob) or quartz"},
		&cli.GenericFlag{Name: "dst", Value: host.OneOf(&c.DST, "isc", "skip", "both"), Usage: "times that a change of the clock skips or repeats: isc (each job once, wild-card jobs by the clock), skip (not and once) or both (once and twice)"},
		&cli.StringFlag{Name: "timezone", Destination: &c.Zone, Usage: "`ZONE` of schedules that name none, such as Europe/Berlin (default: that of $TZ, of /etc/localtime, or UTC)"},
		&cli.BoolFlag{Name: "seconds", Destination: &c.Seconds, Usage: "schedules of six fields begin with seconds"},
		&cli.BoolFlag{Name: "percent", Destination: &c.Percent, Usage: "in a command, % ends it and begins its input, and \\% is a percent sign; false takes % as it is"},
		&cli.BoolFlag{Name: "user-column", Destination: &c.Users, Usage: "every line has a user before its command, as in /etc/crontab; without it that is found out where all lines name root, nobody, daemon, www-data or nonroot"},
		&cli.BoolFlag{Name: "expand-env", Destination: &c.Expand, Usage: "replace $NAME and ${NAME} in the variables of a crontab"},
		&cli.StringFlag{Name: "seed", Destination: &c.Seed, Usage: "`TEXT` that H, ~ and stable jitter are drawn from beside the job's name, such as the pod's name, so that pods differ"},
		&cli.GenericFlag{Name: "default", Value: defaults, Usage: "`KEY=VALUE` of every job that does not say otherwise, such as timeout=5m or overlap=allow; may be repeated"},
	}
}

func tableFlags(c *Config) []cli.Flag {
	return append([]cli.Flag{
		&cli.GenericFlag{Name: "crontab", Aliases: []string{"c"}, Value: host.Strings(&c.Crontabs), Usage: "`PATH` of a crontab, or of a folder with one file per user; may be repeated (default: /var/spool/cron/crontabs, if there are no jobs in --config)"},
	}, append(readingFlags(c),
		&cli.GenericFlag{Name: "only", Value: host.Strings(&c.Only), Usage: "`NAME` of a job that is loaded, and no other is; may be repeated"},
		&cli.BoolFlag{Name: "reload", Destination: &c.Reload, Usage: "take changed files into use at once; SIGHUP and SIGUSR2 do it in any case"},
		&cli.BoolFlag{Name: "allow-world-writable", Destination: &c.Writable, Usage: "take crontabs that everybody may write to"},
	)...)
}

func runFlags(c *Config) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "state", Destination: &c.State, Usage: "`FOLDER` of the journal, so that a restart repeats no start and can make up for missed ones; empty keeps none"},
		&cli.IntFlag{Name: "max-running", Destination: &c.MaxRunning, Usage: "runs at once, counted by the weight of their jobs; more wait. 0 is no limit"},
		&cli.GenericFlag{Name: "on-stop", Value: host.OneOf(&c.OnStop, "wait", "term"), Usage: "what SIGTERM does to runs: wait lets them end until 7.5s of --drain-timeout are left, or half of a short one, and then sends TERM; term sends it at once; KILL follows"},
		&cli.GenericFlag{Name: "output", Value: host.OneOf(&c.Output, "log", "raw", "both", "none"), Usage: "lines of jobs: structured log records, raw to stdout and stderr, both or none"},
		&cli.IntFlag{Name: "max-line", Destination: &c.MaxLine, Usage: "bytes of a line of output; a longer one is logged in marked pieces"},
		&cli.IntFlag{Name: "history", Destination: &c.History, Usage: "ended runs that are kept per job, for the API; of their output the newest 8 MiB of all jobs"},
		&cli.IntFlag{Name: "output-tail", Destination: &c.Tail, Usage: "bytes of output that are kept per run, for the API and for pings"},
		&cli.StringFlag{Name: "shell", Destination: &c.Shell, Usage: "`PROGRAM` that runs commands with -c (default: SHELL of the crontab, $SHELL, /bin/sh, or the shell in this program)"},
		&cli.GenericFlag{Name: "env-allow", Value: host.Strings(&c.EnvAllow), Usage: "`PATTERN` of variables that jobs get although they are SIDECAR_* or denied; may be repeated"},
		&cli.GenericFlag{Name: "env-deny", Value: host.Strings(&c.EnvDeny), Usage: "`PATTERN` of variables that jobs do not get, such as AWS_*; may be repeated"},
		&cli.BoolFlag{Name: "no-new-privileges", Destination: &c.NoNewPrivs, Usage: "jobs cannot gain privileges by setuid programs"},
		&cli.StringFlag{Name: "api-token-file", Destination: &c.TokenFile, Usage: "`FILE` with the token that starts, stops and suspends jobs over the API; without it the API only tells"},
		&cli.BoolFlag{Name: "api-remote", Destination: &c.Remote, Usage: "let the API answer others than loopback, if they have the token"},
	}
}

func leaseFlags(l *Lease) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "lease", Destination: &l.Name, Usage: "`NAME` of the Kubernetes Lease by which replicas agree on the one that starts jobs; empty is no election"},
		&cli.StringFlag{Name: "lease-namespace", Destination: &l.Namespace, Usage: "namespace of the Lease (default: that of the pod)"},
		&cli.StringFlag{Name: "lease-identity", Destination: &l.Identity, Usage: "name of this replica in the Lease (default: the host name and a random part)"},
		&cli.DurationFlag{Name: "lease-duration", Destination: &l.Duration, Usage: "how long a leader that is not heard of is believed to be one"},
		&cli.DurationFlag{Name: "lease-renew-deadline", Destination: &l.Renew, Usage: "a leader that could not renew for so long starts nothing any more"},
		&cli.DurationFlag{Name: "lease-retry", Destination: &l.Retry, Usage: "time between two looks at the Lease"},
		&cli.StringFlag{Name: "lease-server", Destination: &l.Server, Hidden: true, Usage: "`URL` of the API server (default: that of the cluster)"},
		&cli.StringFlag{Name: "lease-account", Destination: &l.Account, Hidden: true, Usage: "`FOLDER` with token, ca.crt and namespace (default: the pod's service account)"},
	}
}

// legacy are the flags of busybox crond and supercronic that are not ours.
func legacy() []host.Legacy {
	always := "it is always so"
	return []host.Legacy{
		{Name: "f", Ignored: "it always stays in the foreground"},
		{Name: "b", Ignored: "it always stays in the foreground; let the container run it"},
		{Name: "S", Ignored: "logs go to standard error, not to syslog"},
		{Name: "L", Ignored: "logs go to standard error; redirect it", Takes: true},
		{Name: "l", Flag: "log-level", Translate: busyboxLevel},
		{Name: "d", Flag: "log-level", Translate: func(string) (string, error) { return "debug", nil }},
		{Name: "json", Flag: "log-format", Value: "json"},
		{Name: "passthrough-logs", Flag: "output", Value: "raw"},
		{Name: "overlapping", Flag: "default", Value: "overlap=allow"},
		{Name: "replacing", Flag: "default", Value: "overlap=replace"},
		{Name: "debug", Flag: "log-level", Value: "debug"},
		{Name: "quiet", Flag: "log-level", Value: "warn"},
		{Name: "prometheus-listen-address", Flag: "admin", Translate: supercronicAddress},
		{Name: "inotify", Ignored: always},
		{Name: "split-logs", Ignored: "logs go to standard error, raw output of jobs to where they wrote it"},
		{Name: "no-reap", Ignored: "it buries orphans without disturbing jobs"},
		{Name: "sentry-dsn", Ignored: "use ping=URL for alerts on failures", Takes: true},
		{Name: "sentryDsn", Ignored: "use ping=URL for alerts on failures", Takes: true},
		{Name: "sentry-environment", Ignored: "there is no Sentry", Takes: true},
		{Name: "sentry-release", Ignored: "there is no Sentry", Takes: true},
	}
}

// busyboxLevel reads -l of crond: 0 is everything, 8 the default.
func busyboxLevel(text string) (string, error) {
	n, err := strconv.Atoi(text)
	switch {
	case err != nil || n < 0 || n > 10:
		return "", fmt.Errorf("want 0 (everything) to 10; --log-level takes names")
	case n < 5:
		return "debug", nil
	case n <= 8:
		return "info", nil
	}
	return "error", nil
}

// supercronicAddress adds the port that supercronic takes when none is given.
func supercronicAddress(text string) (string, error) {
	if _, _, err := net.SplitHostPort(text); err == nil || text == "" {
		return text, nil
	}
	return net.JoinHostPort(strings.Trim(text, "[]"), "9746"), nil
}

func commands() []host.Sub {
	check, next := preview{cfg: Default()}, preview{cfg: Default(), n: 10}
	return []host.Sub{
		{
			Name: "test", Args: "PATH...", Least: 1, Most: -1, Usage: "tell what is wrong with crontabs, and what may not be meant",
			Doc: "Every complaint names file:line:column. Exits 0 when the crontabs can be used, 64 when not.", Flags: readingFlags(&check.cfg), Run: check.test,
		},
		{
			Name: "next", Args: "PATH...", Least: 1, Most: -1, Usage: "print the next starts of the jobs of crontabs",
			Doc: "Columns: UTC, time in the zone of the job, job, and a note where a change of the clock matters. Jitter is not in it.",
			Flags: append(readingFlags(&next.cfg),
				&cli.IntFlag{Name: "n", Destination: &next.n, Usage: "how many starts"},
				&cli.StringFlag{Name: "job", Destination: &next.job, Usage: "`NAME` of the one job to look at"},
				&cli.StringFlag{Name: "from", Destination: &next.from, Usage: "`INSTANT` to begin at, such as 2026-03-29T00:00:00Z (default: now)"},
				&cli.BoolFlag{Name: "json", Destination: &next.json, Usage: "print an array of objects"},
			),
			Run: next.next,
		},
	}
}
