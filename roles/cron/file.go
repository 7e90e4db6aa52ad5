package cron

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/internal/strict"
	"github.com/sidecar-kit/sidecar/roles/cron/crontab"
	"github.com/sidecar-kit/sidecar/roles/cron/job"
	"github.com/sidecar-kit/sidecar/roles/cron/schedule"
)

// inlineJob is a job of the config file before the flags are known: its policy
// builds on them.
type inlineJob struct {
	job     job.Job
	where   string
	at      func(key string) string // FILE:LINE:COL of a key's value
	when    schedule.Options        // zone, dialect and DST where the job gives its own
	own     map[string]bool         // which of them it gives
	options [][2]string
}

// jobKeys are the keys of a job that a comment in a crontab does not know.
func jobKeys() []string {
	return []string{"schedule", "command", "exec", "http", "role", "stdin", "env", "timezone", "seconds"}
}

// optionKeys are those that it knows.
func optionKeys() (all []string) {
	for _, k := range job.Keys() {
		if k.Of != job.OfLine {
			all = append(all, k.Name)
		}
	}
	return all
}

func decodeJobs(path string, n *yaml.Node) ([]inlineJob, error) {
	var jobs []inlineJob
	var zones schedule.Zones
	if n == nil {
		return nil, nil
	}
	err := strict.List(path, n, func(item *yaml.Node) error {
		d := &jobDecoder{path: path, zones: &zones, places: map[string]string{}}
		err := d.decode(item)
		if d.out.job.Spec != "" { // its schedule is looked at even if the rest is wrong
			jobs = append(jobs, d.out)
		}
		return err
	})
	return jobs, err
}

type jobDecoder struct {
	path   string
	zones  *schedule.Zones
	out    inlineJob
	kinds  []string
	places map[string]string
}

func (d *jobDecoder) decode(n *yaml.Node) error {
	d.out.where = fmt.Sprintf("%s:%d", d.path, n.Line)
	d.out.own = map[string]bool{}
	d.out.at = func(key string) string {
		if p := d.places[key]; p != "" {
			return p
		}
		return d.out.where
	}
	err := strict.Each(d.path, n, append(jobKeys(), optionKeys()...), func(key string, v *yaml.Node) error {
		d.places[key] = fmt.Sprintf("%s:%d:%d", d.path, v.Line, v.Column)
		if k, err := job.Find(key); err == nil && (k.Of == job.OfPolicy || k.Of == job.OfJob) {
			return d.option(key, v)
		}
		return d.key(key, v)
	})
	if err != nil {
		return err
	}
	if d.out.job.Spec == "" {
		return strict.Errorf(d.path, n, `the job has no schedule; want one such as schedule: "0 3 * * *"`)
	}
	if len(d.kinds) != 1 {
		return strict.Errorf(d.path, n, "the job has %s; want one of command, exec, http and role", strings.Join(append(d.kinds, "nothing to do")[:max(1, len(d.kinds))], " and "))
	}
	return nil
}

// option checks an option now, where its place is known; build sets it again, over the defaults.
func (d *jobDecoder) option(key string, v *yaml.Node) error {
	text, err := strict.Text(d.path, v)
	if err != nil {
		return err
	}
	if err := d.out.job.Set(key, text); err != nil {
		return strict.Errorf(d.path, v, "%w", err)
	}
	d.out.options = append(d.out.options, [2]string{key, text})
	return nil
}

// key reads a key that is no option of a comment.
func (d *jobDecoder) key(key string, v *yaml.Node) error {
	j := &d.out.job
	switch key {
	case "exec", "role":
		d.kinds = append(d.kinds, key)
		j.Kind = map[string]job.Kind{"exec": job.Exec, "role": job.Role}[key]
		words, err := strict.Texts(d.path, v)
		if err == nil && (len(words) == 0 || words[0] == "") {
			err = strict.Errorf(d.path, v, `%s is empty; want a list of words, such as ["/app/report", "--daily"]`, key)
		}
		j.Argv = words
		return err
	case "http":
		d.kinds = append(d.kinds, key)
		j.Kind = job.HTTP
		return d.request(v)
	case "env":
		vars, err := strict.Map(d.path, v)
		for name, value := range vars {
			j.Env = append(j.Env, name+"="+value)
		}
		slices.Sort(j.Env)
		return err
	}
	text, err := strict.Text(d.path, v)
	if err != nil {
		return err
	}
	return d.scalar(key, text, v)
}

func (d *jobDecoder) scalar(key, text string, v *yaml.Node) (err error) {
	j, o := &d.out.job, &d.out.when
	switch key {
	case "schedule":
		j.Spec = text
	case "command":
		d.kinds = append(d.kinds, key)
		j.Command = text
	case "stdin":
		j.Stdin = text
	case "seconds":
		if o.Seconds, err = strconv.ParseBool(text); err != nil {
			return strict.Errorf(d.path, v, "seconds: %q: want true or false", text)
		}
	case "timezone", "tz":
		key = "tz"
		if o.Zone, err = d.zones.Load(text); err != nil {
			err = strict.Errorf(d.path, v, "timezone: %q: unknown; want a name such as Europe/Berlin or UTC", text)
		}
	case "dst":
		if o.DST, err = schedule.ParseDST(text); err != nil {
			err = strict.Errorf(d.path, v, "dst: %w", err)
		}
	case "dialect":
		if o.Dialect, err = schedule.ParseDialect(text); err != nil {
			err = strict.Errorf(d.path, v, "dialect: %w", err)
		}
	}
	d.out.own[key] = true
	return err
}

// request reads http:, which is a URL or a mapping.
func (d *jobDecoder) request(n *yaml.Node) error {
	r := &job.Request{}
	d.out.job.HTTP = r
	if n.Kind == yaml.ScalarNode {
		r.URL = n.Value
		return d.checkURL(n)
	}
	err := strict.Each(d.path, n, []string{"url", "method", "headers", "body", "expect"}, func(key string, v *yaml.Node) (err error) {
		switch key {
		case "headers":
			r.Headers, err = strict.Map(d.path, v)
			return err
		case "expect":
			var words []string
			if words, err = strict.Texts(d.path, v); err != nil {
				return err
			}
			for _, w := range words {
				code, cerr := strconv.Atoi(w)
				if cerr != nil || code < 100 || code > 599 {
					return strict.Errorf(d.path, v, "expect: %q: want statuses such as [200, 204]", w)
				}
				r.Expect = append(r.Expect, code)
			}
			return nil
		}
		text, err := strict.Text(d.path, v)
		switch key {
		case "url":
			r.URL = text
		case "method":
			r.Method = strings.ToUpper(text)
		case "body":
			r.Body = text
		}
		return err
	})
	if err != nil {
		return err
	}
	return d.checkURL(n)
}

func (d *jobDecoder) checkURL(n *yaml.Node) error {
	for _, scheme := range []string{"http://", "https://", "unix://"} {
		if strings.HasPrefix(d.out.job.HTTP.URL, scheme) {
			return nil
		}
	}
	return strict.Errorf(d.path, n, "http: want a URL such as http://127.0.0.1:8080/tasks/report")
}

// build makes jobs of jobs:, with the defaults that the flags give.
func (c *Config) build(o crontab.Options) ([]*job.Job, error) {
	var jobs []*job.Job
	var errs []error
	policy := new(o.Defaults)
	for _, in := range c.inline {
		j := in.job
		j.Where, j.Policy = in.where, policy
		for _, kv := range in.options {
			if err := j.Set(kv[0], kv[1]); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", in.at(kv[0]), err))
			}
		}
		when := o.Schedule
		if in.own["tz"] {
			when.Zone = in.when.Zone
		}
		if in.own["dst"] {
			when.DST = in.when.DST
		}
		if in.own["dialect"] {
			when.Dialect = in.when.Dialect
		}
		when.Seconds = when.Seconds || in.when.Seconds
		if j.Name == "" {
			j.Name = derived(&j)
		}
		when.Seed += j.Name
		var err error
		if j.When, err = schedule.Parse(j.Spec, when); err != nil {
			errs = append(errs, fmt.Errorf("%s: schedule: %w", in.at("schedule"), err))
			continue
		}
		jobs = append(jobs, &j)
	}
	return jobs, errors.Join(errs...)
}

// derived names a job that has no name, so that an edited one is another job.
func derived(j *job.Job) string {
	h := fnv.New64a()
	var r job.Request
	if j.HTTP != nil {
		r = *j.HTTP
	}
	for _, part := range append([]string{j.Spec, j.Command, r.Method, r.URL}, j.Argv...) {
		h.Write([]byte(part + "\x00"))
	}
	return fmt.Sprintf("job-%08x", uint32(h.Sum64())) //nolint:gosec // a part of the hash
}

// showJobs is jobs: for --print-config, without what may be a secret.
func (c *Config) showJobs() any { return masked(c.node, "") }

// masked copies a value of the config file. URLs lose passwords and parameters, pings and headers all.
func masked(n *yaml.Node, key string) *yaml.Node {
	if n == nil {
		return nil
	}
	out := *n
	out.Content = nil
	if n.Kind == yaml.AliasNode {
		return masked(n.Alias, key)
	}
	out.Anchor = ""
	for i, child := range n.Content {
		under := key
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			out.Content = append(out.Content, child)
			continue
		}
		if n.Kind == yaml.MappingNode && key != "headers" && key != "env" {
			under = n.Content[i-1].Value
		}
		out.Content = append(out.Content, masked(child, under))
	}
	switch {
	case n.Kind != yaml.ScalarNode:
	case key == "http" || key == "url":
		out.Value = secret.NewURL(n.Value).String()
	case key == "headers" || key == "env" || key == "body" || key == "stdin" || key == "ping" && !strings.HasPrefix(n.Value, "file:"):
		out.Value, out.Tag = secret.Mask, "!!str"
	}
	return &out
}
