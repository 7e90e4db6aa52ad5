package crontab

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/cron/job"
	"github.com/sidecar-kit/sidecar/roles/cron/schedule"
)

// job reads a schedule and a command. text begins at byte at of the line.
func (p *parser) job(text string, at int) {
	above := p.options
	p.options = nil
	how := p.o.Schedule
	how.Zone = p.block.zone
	j := &job.Job{Where: p.name + ":" + strconv.Itoa(p.line), Shell: p.block.shell, User: p.user, Policy: p.policy}
	j.Env = p.block.env[:len(p.block.env):len(p.block.env)]
	if p.block.jitter > 0 {
		own := p.o.Defaults
		own.Jitter = p.block.jitter
		j.Policy = &own
	}
	errs := len(p.errs)
	exec := p.apply(above, j, &how)
	end := scheduleEnd(text, how)
	command, commandAt := afterSpace(text, end)
	if user, rest, restAt := firstWord(command); p.column && user != "" {
		// A user given as an option wins, as the more particular.
		if j.User == p.user {
			j.User = user
		}
		command, commandAt = rest, commandAt+restAt
	}
	j.Spec = text[:end]
	key := j.Spec + "\n" + text[commandAt:]
	if !j.Named {
		j.Name = derived(key)
	}
	p.unique(j)
	how.Seed += "/" + j.Name
	when, err := schedule.Parse(j.Spec, how)
	if err != nil {
		p.scheduleErrors(err, at)
	}
	if err == nil || command != "" { // else there were too few words to say more
		p.command(j, command, at+commandAt, exec)
	}
	if len(p.errs) > errs || p.omitted > 0 {
		return
	}
	j.When = when
	p.lint(j, text, key, at, at+commandAt)
	p.jobs = append(p.jobs, j)
}

// command takes % apart, and words when there is no shell.
func (p *parser) command(j *job.Job, command string, at int, exec bool) {
	if command == "" {
		p.fail(at+1, "the command is missing after the schedule, for example 5 4 * * * /scripts/backup")
		return
	}
	if strings.HasSuffix(command, `\`) && !strings.HasSuffix(command, `\\`) {
		p.fail(at+len(command), `the line ends in \, but a crontab has no lines that go on: put the command into a script, for example 5 4 * * * /scripts/backup`)
		return
	}
	if p.o.Percent && strings.ContainsRune(command, '%') {
		var input bool
		command, j.Stdin, input = percent(command)
		if input {
			p.warn(at+1, `%% ends the command, what follows it is its standard input; write \%% for a percent sign`)
		}
	}
	if command == "" {
		p.fail(at+1, "the command is missing before the %%, for example 5 4 * * * cat%%text")
		return
	}
	if !exec {
		j.Command = command
		return
	}
	words, bad, problem := splitWords(command)
	switch {
	case problem != "":
		p.fail(at+bad+1, "command: %s, for example printf '%%s' \"two words\"", problem)
	case len(words) == 0 || words[0] == "":
		p.fail(at+1, "the command is empty, for example /scripts/backup")
	default:
		j.Kind, j.Argv = job.Exec, words
	}
}

// percent splits a command from its standard input at the first % without a backslash.
func percent(text string) (command, stdin string, input bool) {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == '%':
			out.WriteByte('%')
			i++
		case text[i] != '%':
			out.WriteByte(text[i])
		case !input:
			command, input = strings.TrimRight(out.String(), " \t"), true
			out.Reset()
		default:
			out.WriteByte('\n')
		}
	}
	if !input {
		return out.String(), "", false
	}
	return command, out.String() + "\n", true
}

// derived makes a name of a schedule and a command that tells neither.
func derived(key string) string {
	sum := sha256.Sum256([]byte(key))
	return "job-" + hex.EncodeToString(sum[:4])
}

// unique makes a name differ from those before it.
func (p *parser) unique(j *job.Job) {
	name := j.Name
	for {
		p.names[name]++
		n := p.names[name]
		if n == 1 {
			j.Name = name
			return
		}
		if j.Named {
			p.warn(1, "the name %q is taken already: this job is called %s-%d", j.Name, j.Name, n)
		}
		name = j.Name + "-" + strconv.Itoa(n)
	}
}

// scheduleErrors adds the place in the line to what the schedule's parser says.
func (p *parser) scheduleErrors(err error, at int) {
	list := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		list = joined.Unwrap()
	}
	for _, one := range list {
		var e *schedule.Error
		column := 1
		if errors.As(one, &e) {
			column = e.Column
		}
		p.fail(at+column, "%v", one)
	}
}

// scheduleEnd finds where the schedule ends and the command begins.
func scheduleEnd(text string, o schedule.Options) int {
	words, ends := 0, [7]int{}
	for i := 0; i < len(text) && words < len(ends); {
		start := i
		for i < len(text) && !isSpace(text[i]) {
			i++
		}
		if start < i {
			ends[words] = i
			words++
		}
		for i < len(text) && isSpace(text[i]) {
			i++
		}
	}
	if words == 0 {
		return 0
	}
	if text[0] == '@' {
		if words > 1 && strings.EqualFold(text[:ends[0]], "@every") {
			return ends[1]
		}
		return ends[0]
	}
	word := func(n int) string { return strings.TrimLeft(text[ends[n-1]:ends[n]], " \t") }
	n := 5
	switch {
	case o.Dialect == schedule.Quartz:
		n = 6
		if words == 7 && isField(word(6)) {
			n = 7
		}
	case o.Dialect == schedule.Vixie && words == 7 && isField(word(6)) && (isField(word(5)) || isWeekday(word(5))):
		n = 7
	case words > 5 && isField(word(5)):
		n = 6 // right with seconds, and else an error that says so
	case words > 5 && o.Seconds && isWeekday(word(5)):
		n = 6
	}
	return ends[min(n, words)-1]
}

// isField reports whether a word can only be a field of a schedule, because no
// command has such a name.
func isField(word string) bool {
	return word != "" && strings.Trim(word, "0123456789*,/?-") == "" && strings.ContainsAny(word[:1], "0123456789*?")
}

// isWeekday reports whether a word is a weekday field.
func isWeekday(word string) bool {
	if len(word) > 64 || strings.ContainsAny(word, "./_= \"'$") && word[0] != '*' {
		return false
	}
	_, err := schedule.Parse("* * * * "+word, schedule.Options{})
	return err == nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// afterSpace returns the text after position end without the space before it.
func afterSpace(text string, end int) (string, int) {
	rest := strings.TrimLeft(text[end:], " \t")
	return rest, len(text) - len(rest)
}

// firstWord takes the first word off.
func firstWord(text string) (word, rest string, restAt int) {
	end := strings.IndexAny(text, " \t")
	if end < 0 {
		return text, "", len(text)
	}
	rest, restAt = afterSpace(text, end)
	return text[:end], rest, restAt
}
