package crontab

import (
	"strings"

	"github.com/sidecar-kit/sidecar/roles/cron/job"
	"github.com/sidecar-kit/sidecar/roles/cron/schedule"
)

// options are what comments directly above a job say.
type options struct {
	line   int
	values []option
}

type option struct {
	key, value string
	line       int
	column     int
}

// comment reads "#: key=value ...". text begins at byte at of the line.
func (p *parser) comment(text string, at int) {
	rest := text[2:]
	first, _, _ := strings.Cut(strings.TrimLeft(rest, " \t"), " ")
	if !strings.Contains(first, "=") {
		p.noOptions()
		p.warn(at+1, "a comment that begins with #: but has no key=value; options look like #: timeout=5m")
		return
	}
	if p.options == nil {
		p.options = &options{line: p.line}
	}
	for i := 0; i < len(rest); {
		if rest[i] == ' ' || rest[i] == '\t' {
			i++
			continue
		}
		o, n, problem := nextOption(rest[i:])
		o.line, o.column = p.line, at+2+i+1
		if problem != "" {
			p.fail(o.column, "option %q: %s, for example #: timeout=5m name=\"backup\"", clip(rest[i:]), problem)
			return
		}
		p.options.values = append(p.options.values, o)
		i += n
	}
}

// nextOption reads one key=value, the value quoted or up to a space, and how long it is.
func nextOption(text string) (o option, n int, problem string) {
	key, rest, ok := strings.Cut(text, "=")
	if !ok || key == "" || strings.ContainsAny(key, " \t\"'") {
		return o, 0, "must be key=value"
	}
	o.key = key
	n = len(key) + 1
	if rest != "" && (rest[0] == '"' || rest[0] == '\'') {
		end := strings.IndexByte(rest[1:], rest[0])
		if end < 0 {
			return o, 0, "the quote is not closed"
		}
		o.value, n = rest[1:1+end], n+end+2
		if after := rest[end+2:]; after != "" && after[0] != ' ' && after[0] != '\t' {
			return o, 0, "text after the closing quote"
		}
		return o, n, ""
	}
	if end := strings.IndexAny(rest, " \t"); end >= 0 {
		rest = rest[:end]
	}
	o.value = rest
	return o, n + len(rest), ""
}

// noOptions complains when options have no job in the line below them.
func (p *parser) noOptions() {
	if p.options == nil {
		return
	}
	o := p.options
	p.options = nil
	line := p.line
	p.line = o.line
	p.fail(1, "options without a job in the next line: put them directly above it, for example #: timeout=5m, then 5 4 * * * command")
	p.line = line
}

// apply gives a job its options. Those of the schedule go to how, exec is returned.
func (p *parser) apply(o *options, j *job.Job, how *schedule.Options) (exec bool) {
	if o == nil {
		return false
	}
	line := p.line
	defer func() { p.line = line }()
	given := map[string]bool{}
	for _, v := range o.values {
		p.line = v.line
		if given[v.key] {
			p.fail(v.column, "option %q: given twice, for example #: %s=%s once", v.key, v.key, clip(v.value))
			continue
		}
		given[v.key] = true
		known, err := job.Find(v.key)
		switch {
		case err != nil:
			p.fail(v.column, "%v, for example #: timeout=5m", err)
			continue
		case known.Of <= job.OfJob:
			err = j.Set(v.key, v.value)
		case v.key == "tz":
			how.Zone, err = p.o.Schedule.Zones.Load(v.value)
		case v.key == "dst":
			how.DST, err = schedule.ParseDST(v.value)
		case v.key == "dialect":
			how.Dialect, err = schedule.ParseDialect(v.value)
		case v.key == "exec":
			exec = v.value == "true"
			if !exec && v.value != "false" {
				p.fail(v.column, "exec %q: must be true or false, for example exec=true", clip(v.value))
			}
		}
		switch {
		case err == nil:
		case v.key == "tz":
			p.fail(v.column, "tz %q: %v, for example tz=%s", clip(v.value), err, known.Example)
		case known.Of == job.OfSchedule:
			p.fail(v.column, "%v, for example %s=%s", err, v.key, known.Example)
		default:
			p.fail(v.column, "%v", err)
		}
	}
	return exec
}

// clip shortens what an error repeats.
func clip(text string) string {
	if len(text) > 64 {
		return strings.ToValidUTF8(text[:64], "") + "..."
	}
	return text
}
