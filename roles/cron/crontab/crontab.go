// Package crontab reads crontabs: lines become jobs, with the environment of the lines
// above them and the options of the comment directly above. It finds all that is
// wrong at once and points at it; nothing is run, and nothing but the given files is read.
//
// A file has four kinds of lines:
//
//	# a comment
//	NAME=value               for the lines below it; quotes ' and " are taken off, empty is a value
//	#: timeout=5m retry=3    options of the job in the next line
//	5 4 * * * command        a schedule and a command for the shell
//
// CRON_TZ= (or TZ=, which commands see, too) sets the zone of the schedules below, SHELL=
// their shell, RANDOM_DELAY= puts them off by up to so many minutes. The first % of a command begins what the
// command reads from its standard input, further ones are line ends there, and \% is a percent sign.
package crontab

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sidecar-kit/sidecar/roles/cron/job"
	"github.com/sidecar-kit/sidecar/roles/cron/schedule"
)

const (
	maxLines = 100_000
	maxLine  = 16 << 10
	// maxErrors bounds what a file that is no crontab at all can say.
	maxErrors = 100
	// longLine is where other crons cut.
	longLine = 1000
)

// Options say how files are read.
type Options struct {
	Schedule schedule.Options
	Defaults job.Policy
	Users    bool     // every line has a user after the schedule
	Percent  bool     // % and \% are special; DefaultOptions sets it
	Expand   bool     // $NAME and ${NAME} in the values of NAME=value lines
	Spools   []string // folders where the name of a file is the user of its jobs
	Writable bool     // take files that everybody may write to
	Env      []string // what they refer to besides lines above
	MaxLines int      // 0 is 100,000
	MaxLine  int      // bytes; 0 is 16 KiB
}

// DefaultOptions reads as cron does.
func DefaultOptions() Options {
	return Options{Defaults: job.Defaults(), Percent: true}
}

// File is what was read.
type File struct {
	Jobs     []*job.Job
	Warnings []Problem
}

// Problem is an error or a warning about a place in a file.
type Problem struct {
	File         string
	Line, Column int // from 1; the column counts bytes; 0 is the whole file or line
	Text         string
}

// String is FILE:LINE:COLUMN: TEXT.
func (p Problem) String() string { return p.Place() + ": " + p.Text }

// Place is file:line:column, as far as the complaint has a line.
func (p Problem) Place() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Error makes a *Problem an error.
func (p *Problem) Error() string { return p.String() }

// Parse reads a crontab. The error joins a *Problem for each thing that is wrong.
func Parse(name string, data []byte, o Options) (*File, error) {
	p := newParser(o)
	p.file(name, data, "")
	if err := p.err(); err != nil {
		return nil, err
	}
	return &File{Jobs: p.jobs, Warnings: p.warnings}, nil
}

// parser reads one or more files whose jobs must have different names.
type parser struct {
	o        Options
	policy   *job.Policy // of jobs without options; a pointer into o would keep all of the parser
	now      time.Time
	jobs     []*job.Job
	warnings []Problem
	errs     []error
	omitted  int
	names    map[string]int    // how many jobs have a name
	seen     map[string]string // schedule and command, to where they were first

	// Of the file at hand.
	name    string
	user    string // for every job of the file
	column  bool   // lines have a user after the schedule
	block   block
	hints   map[string]bool // warnings that are given once
	options *options        // of the comment above
	line    int
}

// block is what lines of the form NAME=value have set.
type block struct {
	env    []string
	zone   *time.Location
	cronTZ bool // zone is from CRON_TZ, which TZ does not change
	shell  string
	jitter time.Duration
}

func newParser(o Options) *parser {
	if o.MaxLines <= 0 {
		o.MaxLines = maxLines
	}
	if o.MaxLine <= 0 {
		o.MaxLine = maxLine
	}
	if o.Schedule.Zones == nil {
		o.Schedule.Zones = &schedule.Zones{}
	}
	return &parser{o: o, policy: new(o.Defaults), now: time.Now(), names: map[string]int{}, seen: map[string]string{}}
}

func (p *parser) err() error {
	if p.omitted > 0 {
		p.errs = append(p.errs, fmt.Errorf("and %d more errors", p.omitted))
	}
	return errors.Join(p.errs...)
}

// fail notes an error at a column of the line at hand.
func (p *parser) fail(column int, format string, args ...any) {
	if len(p.errs) >= maxErrors {
		p.omitted++
		return
	}
	p.errs = append(p.errs, &Problem{p.name, p.line, column, fmt.Sprintf(format, args...)})
}

func (p *parser) warn(column int, format string, args ...any) {
	p.warnings = append(p.warnings, Problem{p.name, p.line, column, fmt.Sprintf(format, args...)})
}

// hint warns once per file and key.
func (p *parser) hint(key string, column int, format string, args ...any) {
	if !p.hints[key] {
		p.hints[key] = true
		p.warn(column, format, args...)
	}
}

// file reads a file for a user; "" is whoever runs this.
func (p *parser) file(name string, data []byte, user string) {
	p.name, p.user, p.line = name, user, 0
	p.block, p.options, p.hints = block{zone: p.o.Schedule.Zone}, nil, map[string]bool{}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	// One string for all: jobs hold pieces of it.
	text := string(data)
	p.column = p.o.Users || p.hasUserColumn(text)
	first := len(p.jobs)
	for text != "" {
		p.line++
		if p.line > p.o.MaxLines {
			p.fail(1, "more than %d lines: is this a crontab? split it, for example into a folder of files", p.o.MaxLines)
			return
		}
		var line string
		line, text, _ = strings.Cut(text, "\n")
		line = strings.TrimSuffix(line, "\r")
		if p.sane(line) {
			p.read(line, len(p.jobs) > first)
		}
	}
	p.noOptions()
}

// sane refuses lines that no editor writes.
func (p *parser) sane(line string) bool {
	if len(line) > p.o.MaxLine {
		p.fail(p.o.MaxLine+1, "the line has %d bytes, more than %d: put the command into a script, for example 5 4 * * * /scripts/backup", len(line), p.o.MaxLine)
		return false
	}
	if i := strings.IndexByte(line, 0); i >= 0 {
		p.fail(i+1, "a NUL byte: is this a text file? Write plain text, for example 5 4 * * * /scripts/backup")
		return false
	}
	if !utf8.ValidString(line) {
		i := 0
		for r, n := utf8.DecodeRuneInString(line); r != utf8.RuneError || n > 1; r, n = utf8.DecodeRuneInString(line[i:]) {
			i += n
		}
		p.fail(i+1, "not valid UTF-8: save the file in UTF-8, for example without the byte %#x", line[i])
		return false
	}
	return true
}

// read takes one line.
func (p *parser) read(line string, afterJob bool) {
	at := len(line) - len(strings.TrimLeft(line, " \t"))
	text := strings.TrimRight(line[at:], " \t")
	switch {
	case text == "":
		p.noOptions()
	case strings.HasPrefix(text, "#:"):
		p.comment(text, at)
	case text[0] == '#':
		p.noOptions()
	case text[0] == '-' && len(text) > 1 && strings.IndexByte("0123456789*@", text[1]) >= 0:
		p.warn(at+1, "the - before the schedule is ignored; to log nothing of a job write #: output=none above it")
		p.job(text[1:], at+1)
	default:
		if name, value, valueAt, ok := splitEnv(text); ok {
			p.noOptions()
			p.setting(name, value, at, at+valueAt, afterJob)
			return
		}
		p.job(text, at)
	}
}
