package cron

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sidecar-kit/sidecar/internal/zone"
	"github.com/sidecar-kit/sidecar/roles/cron/crontab"
	"github.com/sidecar-kit/sidecar/roles/cron/job"
	"github.com/sidecar-kit/sidecar/roles/cron/schedule"
)

// Config is what the flags say.
type Config struct {
	Crontabs []string // files and folders
	Dialect  string
	DST      string
	Zone     string // empty is the zone of the program, from $TZ
	Seconds  bool   // six fields begin with seconds
	Percent  bool
	Expand   bool // $NAME in env lines
	Users    bool // every line has a user column
	Seed     string
	Defaults []string // key=value of every job that does not say otherwise
	Output   string   // log, raw, both or none
	Only     []string // names of the jobs that are loaded; none is all

	State      string // folder of the journal; empty keeps none
	MaxRunning int
	History    int
	Tail       int // bytes of output kept per run
	MaxLine    int
	OnStop     string // wait or term
	Reload     bool

	Shell      string
	EnvAllow   []string
	EnvDeny    []string
	NoNewPrivs bool
	Writable   bool // crontabs that everybody may write are taken

	TokenFile string
	Remote    bool

	Lease Lease

	inline  []inlineJob      // jobs: of the config file
	node    *yaml.Node       // as they are written there
	reread  func() error     // reads jobs: again
	file    func() string    // the config file
	waiting func() []string  // keys of it that changed and need another start
	now     func() time.Time // when it was loaded; for tests of past years
}

// Lease says how replicas agree on who starts the jobs.
type Lease struct {
	Name      string // empty is no election
	Namespace string
	Identity  string
	Duration  time.Duration
	Renew     time.Duration
	Retry     time.Duration
	Server    string // empty is the cluster the pod runs in
	Account   string // folder of the service account; empty is that of the pod
}

// Default returns what holds without any flag.
func Default() Config {
	return Config{
		Dialect: "vixie", DST: "isc", Percent: true, Output: "log",
		History: 10, Tail: 4 << 10, MaxLine: 16 << 10, OnStop: "wait", Reload: true,
		Lease: Lease{Duration: 15 * time.Second, Renew: 10 * time.Second, Retry: 2 * time.Second},
		now:   time.Now,
	}
}

// spools are where crontabs are when nobody says: Debian and busybox, Alpine, Red Hat.
func spools() []string {
	return []string{"/var/spool/cron/crontabs", "/etc/crontabs", "/var/spool/cron"}
}

// Validate returns all complaints at once, those about the crontabs too.
func (c *Config) Validate() error {
	var errs []error
	least := func(flag string, got, want int) {
		if got < want {
			errs = append(errs, fmt.Errorf("--%s %d: want at least %d", flag, got, want))
		}
	}
	least("max-running", c.MaxRunning, 0)
	least("history", c.History, 0)
	least("output-tail", c.Tail, 0)
	least("max-line", c.MaxLine, 80)
	if c.State != "" {
		if info, err := os.Stat(filepath.Dir(c.State)); err != nil || !info.IsDir() {
			errs = append(errs, fmt.Errorf("--state %s: the folder above it is not there; mount a volume, such as --state /state/cron", c.State))
		}
	}
	if c.TokenFile != "" {
		if _, err := os.Stat(c.TokenFile); err != nil {
			errs = append(errs, fmt.Errorf("--api-token-file: %w", err))
		}
	}
	if c.Remote && c.TokenFile == "" {
		errs = append(errs, errors.New("--api-remote: want --api-token-file, too"))
	}
	errs = append(errs, patterns("env-allow", c.EnvAllow), patterns("env-deny", c.EnvDeny), c.Lease.validate())
	if _, err := c.options(); err != nil {
		return errors.Join(append(errs, err)...) // every line of every file would say it again
	}
	_, _, err := c.load()
	return errors.Join(append(errs, err)...)
}

// patterns complains of those that could fit nothing: a variable that was to be kept from jobs would not be.
func patterns(flag string, list []string) error {
	var errs []error
	for _, p := range list {
		if _, err := path.Match(p, ""); err != nil || p == "" || strings.Contains(p, "=") {
			errs = append(errs, fmt.Errorf("--%s %q: no pattern of names of variables; want such as AWS_*", flag, p))
		}
	}
	return errors.Join(errs...)
}

func (l Lease) validate() error {
	switch {
	case l.Name == "":
		return nil
	case l.Retry < 100*time.Millisecond:
		return fmt.Errorf("--lease-retry %s: want at least 100ms", l.Retry)
	case l.Renew < 2*l.Retry:
		return fmt.Errorf("--lease-renew-deadline %s: want at least twice --lease-retry %s", l.Renew, l.Retry)
	case l.Duration < l.Renew+l.Retry:
		return fmt.Errorf("--lease-duration %s: want at least --lease-renew-deadline %s and --lease-retry %s together", l.Duration, l.Renew, l.Retry)
	}
	return nil
}

// options are what every crontab is read with.
func (c *Config) options() (crontab.Options, error) {
	var errs []error
	dialect, err := schedule.ParseDialect(c.Dialect)
	if err != nil {
		errs = append(errs, fmt.Errorf("--dialect: %w", err))
	}
	dst, err := schedule.ParseDST(c.DST)
	if err != nil {
		errs = append(errs, fmt.Errorf("--dst: %w", err))
	}
	loc := time.Local
	if c.Zone != "" {
		if loc, err = zone.Load(c.Zone); err != nil {
			errs = append(errs, fmt.Errorf("--timezone %q: unknown; want a name such as Europe/Berlin or UTC", c.Zone))
		}
	} else if text := os.Getenv("TZ"); !isZone(text) {
		errs = append(errs, fmt.Errorf("TZ %q: unknown; want a name such as Europe/Berlin or UTC, or give --timezone", text))
	}
	policy := job.Defaults()
	for _, text := range append([]string{"output=" + c.Output}, c.Defaults...) {
		key, value, ok := strings.Cut(text, "=")
		if !ok {
			errs = append(errs, fmt.Errorf("--default %q: want KEY=VALUE, such as timeout=5m", text))
			continue
		}
		if err := policy.Set(strings.TrimSpace(key), strings.TrimSpace(value)); err != nil {
			errs = append(errs, fmt.Errorf("--default: %w", err))
		}
	}
	return crontab.Options{
		Schedule: schedule.Options{Dialect: dialect, DST: dst, Zone: loc, Seed: c.Seed, Seconds: c.Seconds},
		Defaults: policy, Users: c.Users, Percent: c.Percent, Expand: c.Expand, Env: os.Environ(), Spools: spools(), Writable: c.Writable,
	}, errors.Join(errs...)
}

// isZone says whether $TZ names a zone, which is read as the library reads it. That
// one falls back to UTC without a word, for JST-9 too, which a C library knows.
func isZone(text string) bool {
	name := strings.TrimPrefix(text, ":")
	if !filepath.IsAbs(name) {
		_, err := zone.Load(name)
		return err == nil
	}
	data, err := os.ReadFile(name)
	if err == nil {
		_, err = time.LoadLocationFromTZData(name, data)
	}
	return err == nil
}

// paths are the files and folders that are read: those given, or else the
// first spool there is, unless the config file has jobs.
func (c *Config) paths() []string {
	if len(c.Crontabs) > 0 || len(c.inline) > 0 {
		return c.Crontabs
	}
	for _, dir := range spools() {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return []string{dir}
		}
	}
	return nil
}

// load reads every job there is. All complaints come at once.
func (c *Config) load() ([]*job.Job, []crontab.Problem, error) {
	o, err := c.options()
	if err != nil {
		return nil, nil, err
	}
	paths := c.paths()
	if len(paths) == 0 && len(c.inline) == 0 {
		return nil, nil, fmt.Errorf("no jobs: give --crontab FILE or FOLDER, mount a spool at %s, or write jobs: into the --config file", spools()[0])
	}
	var errs []error
	jobs, warnings, err := crontab.Read(paths, o)
	errs = append(errs, err)
	inline, err := c.build(o)
	jobs, errs = append(jobs, inline...), append(errs, err)
	errs = append(errs, doubles(jobs))
	if err := errors.Join(errs...); err != nil {
		return nil, warnings, err
	}
	if len(c.Only) > 0 {
		jobs, err = only(jobs, c.Only)
	}
	return jobs, warnings, err
}

// doubles finds names that two jobs have: metrics and journal could not tell them apart.
func doubles(jobs []*job.Job) error {
	var errs []error
	seen := map[string]*job.Job{}
	for _, j := range jobs {
		if first := seen[j.Name]; first != nil && (j.Named || first.Named) {
			errs = append(errs, fmt.Errorf("%s: name=%s is taken by %s; give one of them another name", j.Where, j.Name, first.Where))
			continue
		} else if first != nil { // equal lines in two files
			for n := 2; seen[j.Name] != nil; n++ {
				j.Name = fmt.Sprintf("%s-%d", first.Name, n)
			}
		}
		seen[j.Name] = j
	}
	return errors.Join(errs...)
}

func only(jobs []*job.Job, names []string) ([]*job.Job, error) {
	var kept []*job.Job
	for _, name := range names {
		i := slices.IndexFunc(jobs, func(j *job.Job) bool { return j.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("--only %s: there is no such job", name)
		}
		kept = append(kept, jobs[i])
	}
	return kept, nil
}

// setJobs takes jobs: of the config file.
func (c *Config) setJobs(path string, n *yaml.Node) error {
	jobs, err := decodeJobs(path, n)
	if err == nil || c.inline == nil { // at the start, so that what else is wrong is told, too
		c.inline, c.node = jobs, n
	}
	return err
}
