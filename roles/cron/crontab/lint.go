package crontab

import (
	"strings"

	"github.com/sidecar-kit/sidecar/roles/cron/job"
)

// lint warns of what is allowed, but often not meant.
func (p *parser) lint(j *job.Job, line, key string, at, commandAt int) {
	for _, text := range j.When.Lints(p.now) {
		p.warn(at+1, "%s", text)
	}
	key += "\x00" + j.User
	if first, ok := p.seen[key]; ok {
		p.warn(at+1, "the same schedule and command as %s: both run", first)
	} else {
		p.seen[key] = j.Where
	}
	if word, rest, _ := firstWord(j.Command); word == "root" && rest != "" && !p.column {
		p.warn(commandAt+1, "root looks like a user column, but is the command here: take it out, or give every line a user")
	}
	if i := strings.Index(j.Command, " #"); i >= 0 && j.Kind == job.Shell && unquoted(j.Command, i+1) {
		p.warn(commandAt+i+2, "a crontab has no comments behind a command; the shell drops what follows #")
	}
	if len(line) > longLine {
		p.warn(1, "the line has %d bytes; other crons cut at %d", len(line), longLine)
	}
	if p.column {
		p.hint("column", commandAt+1, "lines have a user column; it is honoured when this program runs as root")
	}
}

// unquoted reports whether a byte of a command is outside of quotes.
func unquoted(text string, at int) bool {
	quote := byte(0)
	for i := 0; i < at; i++ {
		switch c := text[i]; {
		case c == '\\' && quote != '\'':
			i++
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		}
	}
	return quote == 0
}

// hasUserColumn reports whether every job line of a file has the name of a usual
// account before its command. One line without says that it is no column.
func (p *parser) hasUserColumn(text string) bool {
	found := false
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.Trim(line, " \t\r")
		if line == "" || line[0] == '#' || len(line) > p.o.MaxLine {
			continue
		}
		if _, _, _, ok := splitEnv(line); ok {
			continue
		}
		command, _ := afterSpace(line, scheduleEnd(line, p.o.Schedule))
		user, rest, _ := firstWord(command)
		if rest == "" || !isAccount(user) {
			return false
		}
		found = true
	}
	return found
}

// isAccount knows accounts that are not the names of programs, too.
func isAccount(name string) bool {
	switch name {
	case "root", "nobody", "daemon", "www-data", "nonroot":
		return true
	}
	return false
}
