package job

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/suggest"
)

// Key is an option of a job, in a comment line of a crontab or in the config file.
type Key struct {
	Name, Doc string
	Example   string // a right value
	Of        Owner
}

// Owner says what an option is part of, and so who reads it.
type Owner int

// The owners.
const (
	OfPolicy   Owner = iota // Policy.Set
	OfJob                   // Job.Set
	OfSchedule              // needed before the schedule can be read
	OfLine                  // of crontab lines only
)

// Keys lists every option, in the order of the manual.
func Keys() []Key {
	return []Key{
		{"name", "name in metrics, journal and API: letters, digits, dot, dash, underscore", "backup", OfJob},
		{"timeout", "a run that takes longer is stopped; 0 is no limit", "5m", OfPolicy},
		{"kill-after", "time between TERM and KILL when a run is stopped", "10s", OfPolicy},
		{"overlap", "what to do when the run before goes on: forbid, allow, replace or queue(N)", "queue(2)", OfPolicy},
		{"retry", "further attempts after a failure", "3", OfPolicy},
		{"retry-delay", "time before the first further attempt; it doubles", "10s", OfPolicy},
		{"retry-max", "the longest time between attempts", "5m", OfPolicy},
		{"retry-on", "exit codes that are tried again; all failures when not given", "1,75", OfPolicy},
		{"success", "exit codes that mean success", "0,3", OfPolicy},
		{"jitter", "put off each start by up to this: D or D/random by a random time, D/stable by the same time for this job and pod", "30s/stable", OfPolicy},
		{"catchup", "missed starts: none, last, all or all(N) for the newest N", "last", OfPolicy},
		{"deadline", "starts missed by more than this are not caught up; 0 is no limit", "1h", OfPolicy},
		{"group", "jobs of one group do not run at once", "database", OfPolicy},
		{"weight", "what a run takes of the number of runs allowed at once", "2", OfPolicy},
		{"ping", "tell a dead-man switch of start, success and failure: an URL, or file:PATH of a file that holds it", "file:/run/secrets/ping", OfPolicy},
		{"output", "where lines of output go: log, raw, both or none", "raw", OfPolicy},
		{"max-log-lines", "lines of output that are logged per run; 0 is no limit", "1000", OfPolicy},
		{"tz", "time zone of the schedule", "Europe/Berlin", OfSchedule},
		{"dst", "times at a change of the clock: isc, skip or both", "isc", OfSchedule},
		{"dialect", "how the schedule is read: vixie, robfig or quartz", "vixie", OfSchedule},
		{"dir", "working directory", "/srv/app", OfJob},
		{"shell", "the shell of the command", "/bin/bash", OfJob},
		{"enabled", "false: the job is listed, but never due", "false", OfJob},
		{"user", "run as this user; needs root", "www-data", OfJob},
		{"exec", "true: split the line into words and run it without a shell", "true", OfLine},
	}
}

// Find returns the option of a name, or an error with what may have been meant.
func Find(name string) (Key, error) {
	var names []string
	for _, k := range Keys() {
		if k.Name == name {
			return k, nil
		}
		names = append(names, k.Name)
	}
	if hint := suggest.DidYouMean("", name, names); hint != "" {
		return Key{}, fmt.Errorf("unknown option %q%s", name, hint)
	}
	return Key{}, fmt.Errorf("unknown option %q: must be one of %s", name, strings.Join(names, " "))
}

// Set gives an option of a job its value. Options of the schedule are not set here,
// because the schedule is there already when a job is.
func (j *Job) Set(key, value string) error {
	switch key {
	case "name":
		if !isName(value) {
			return wrong(key, value, "must be 1 to 63 letters, digits, dots, dashes or underscores, and begin with a letter or digit")
		}
		j.Name, j.Named = value, true
	case "dir":
		if !path.IsAbs(value) {
			return wrong(key, value, "must be an absolute path")
		}
		j.Dir = value
	case "shell":
		if value == "" {
			return wrong(key, value, "is empty")
		}
		j.Shell = value
	case "enabled":
		on, err := boolean(key, value)
		j.Disabled = !on
		return err
	case "user":
		if !isName(value) && !isIDPair(value) {
			return wrong(key, value, "not the name or number of a user")
		}
		j.User = value
	default:
		var own Policy
		if j.Policy != nil {
			own = *j.Policy
		}
		j.Policy = &own
		return own.Set(key, value)
	}
	return nil
}

// Set gives an option of a policy its value.
func (p *Policy) Set(key, value string) (err error) {
	switch key {
	case "timeout":
		p.Timeout, err = duration(key, value)
	case "kill-after":
		p.KillAfter, err = duration(key, value)
	case "retry-delay":
		p.RetryDelay, err = duration(key, value)
	case "retry-max":
		p.RetryMax, err = duration(key, value)
	case "deadline":
		p.Deadline, err = duration(key, value)
	case "jitter":
		err = p.setJitter(value)
	case "overlap":
		err = p.setOverlap(value)
	case "catchup":
		err = p.setCatchup(value)
	case "retry":
		p.Retry, err = number(key, value, 0, 1000)
	case "weight":
		p.Weight, err = number(key, value, 1, 1_000_000)
	case "max-log-lines":
		p.MaxLogLines, err = number(key, value, 0, 1_000_000_000)
	case "retry-on":
		p.RetryOn, err = codes(key, value)
	case "success":
		p.Success, err = codes(key, value)
	case "group":
		if !isName(value) {
			return wrong(key, value, "must be 1 to 63 letters, digits, dots, dashes or underscores")
		}
		p.Group = value
	case "ping":
		if err = checkPing(value); err == nil {
			p.Ping = value
		}
	case "output":
		var n int
		n, err = oneOf(key, value, "log", "raw", "both", "none")
		p.LogOutput = Output(n)
	default:
		return p.refuse(key)
	}
	return err
}

// refuse tells an unknown option from one that belongs elsewhere.
func (p *Policy) refuse(key string) error {
	found, err := Find(key)
	if err != nil {
		return err
	}
	return fmt.Errorf("option %q cannot be given here: it is for a single job, for example %s=%s", key, key, found.Example)
}

func (p *Policy) setJitter(value string) error {
	text, how, given := strings.Cut(value, "/")
	if given && how != "random" && how != "stable" {
		return wrong("jitter", value, "after the slash must come random or stable"+suggest.DidYouMean("", how, []string{"random", "stable"}))
	}
	d, err := duration("jitter", text)
	if err != nil {
		return wrong("jitter", value, "must begin with a duration")
	}
	p.Jitter, p.Stable = d, how == "stable"
	return nil
}

func (p *Policy) setOverlap(value string) error {
	name, n, err := counted("overlap", value, "queue")
	if err != nil {
		return err
	}
	choice, err := oneOf("overlap", name, "forbid", "allow", "replace", "queue")
	if err != nil {
		return err
	}
	p.Overlap = Overlap(choice)
	if n > 0 {
		p.Queue = n
	}
	return nil
}

func (p *Policy) setCatchup(value string) error {
	name, n, err := counted("catchup", value, "all")
	if err != nil {
		return err
	}
	choice, err := oneOf("catchup", name, "none", "last", "all")
	if err != nil {
		return err
	}
	p.Catchup = Catchup(choice)
	if n > 0 {
		p.CatchupMax = n
	}
	return nil
}

// counted reads WORD or word(N), where only the word given may have a number.
func counted(key, value, word string) (name string, n int, err error) {
	name, rest, found := strings.Cut(value, "(")
	if !found {
		return value, 0, nil
	}
	digits, closed := strings.CutSuffix(rest, ")")
	n, ok := whole(digits)
	if name != word || !closed || !ok || n < 1 || n > 10_000 {
		return "", 0, wrong(key, value, fmt.Sprintf("only %s takes a number, 1 to 10000 in parentheses", word))
	}
	return name, n, nil
}

// checkPing looks at the form only; a wrong value is not repeated, since it may hold a secret.
func checkPing(value string) error {
	if file, ok := strings.CutPrefix(value, "file:"); ok {
		if !path.IsAbs(file) {
			return wrong("ping", value, "the path must be absolute")
		}
		return nil
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("ping: not an URL that begins with http:// or https://, nor file:PATH, for example %s", example("ping"))
	}
	return nil
}

func duration(key, value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	switch {
	case err != nil && value != "" && strings.Trim(value, "0123456789") == "":
		return 0, wrong(key, value, "the unit is missing, such as s, m or h")
	case err != nil:
		return 0, wrong(key, value, "not a duration")
	case d < 0:
		return 0, wrong(key, value, "must not be negative")
	}
	return d, nil
}

func number(key, value string, low, high int) (int, error) {
	n, ok := whole(value)
	if !ok || n < low || n > high {
		return 0, wrong(key, value, fmt.Sprintf("must be a number from %d to %d", low, high))
	}
	return n, nil
}

// codes reads a list of exit codes.
func codes(key, value string) ([]int, error) {
	var out []int
	for item := range strings.SplitSeq(value, ",") {
		n, ok := whole(item)
		if !ok || n > 255 {
			return nil, wrong(key, value, "must be exit codes, 0 to 255, with commas between")
		}
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out, nil
}

func whole(text string) (int, bool) {
	if text == "" || len(text) > 9 || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil
}

func boolean(key, value string) (bool, error) {
	if value != "true" && value != "false" {
		return true, wrong(key, value, "must be true or false")
	}
	return value == "true", nil
}

func oneOf(key, value string, names ...string) (int, error) {
	if n := slices.Index(names, value); n >= 0 {
		return n, nil
	}
	last := len(names) - 1
	return 0, wrong(key, value, "must be "+strings.Join(names[:last], ", ")+" or "+names[last]+suggest.DidYouMean("", value, names))
}

// isName reports whether a text may be a metric label, a key of the API or a user.
func isName(text string) bool {
	if text == "" || len(text) > 63 {
		return false
	}
	letters := func(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' }
	return letters(rune(text[0])) && strings.IndexFunc(text, func(r rune) bool { return !letters(r) && !strings.ContainsRune("._-", r) }) < 0
}

// isIDPair reports whether a text is UID:GID, which needs no /etc/passwd.
func isIDPair(text string) bool {
	uid, gid, _ := strings.Cut(text, ":")
	_, err := strconv.ParseUint(uid, 10, 31)
	if err == nil {
		_, err = strconv.ParseUint(gid, 10, 31)
	}
	return err == nil
}

// wrong is the error of a value: what, why, and a right one.
func wrong(key, value, problem string) error {
	if len(value) > 64 {
		value = strings.ToValidUTF8(value[:64], "") + "..."
	}
	return fmt.Errorf("%s %q: %s, for example %s=%s", key, value, problem, key, example(key))
}

func example(key string) string {
	found, _ := Find(key)
	return found.Example
}
