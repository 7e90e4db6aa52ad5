package host

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/suggest"
)

var errHelp = errors.New("help was asked for")

// parse reads a command line that has no command of its own after --.
func parse(options []*option, args []string) (map[*option]given, []string, error) {
	found, positional, after, err := parseDashes(options, args)
	return found, append(positional, after...), err
}

// line is a command line while it is read.
type line struct {
	byName map[string]*option
	known  []string // for did-you-mean
	args   []string // what is left
	found  map[*option]given
}

// parseDashes reads a command line. Unlike the library it takes flags after a
// positional argument, and it never touches a value before every source is known.
// What follows -- is returned apart, nil without one.
func parseDashes(options []*option, args []string) (found map[*option]given, positional, after []string, err error) {
	l := &line{byName: map[string]*option{}, args: args, found: map[*option]given{}}
	for _, o := range options {
		for _, n := range o.names {
			l.byName[n] = o
		}
		for n := range o.also {
			l.byName[n] = o
		}
		if !o.hidden {
			l.known = append(l.known, o.name())
		}
	}
	for len(l.args) > 0 {
		arg := l.args[0]
		l.args = l.args[1:]
		if arg == "--" {
			return l.found, positional, append([]string{}, l.args...), nil
		}
		if len(arg) < 2 || arg[0] != '-' {
			positional = append(positional, arg)
			continue
		}
		if err := l.flag(arg); err != nil {
			return nil, nil, nil, err
		}
	}
	return l.found, positional, nil, nil
}

// flag reads one argument that begins with a dash, and its value.
func (l *line) flag(arg string) error {
	name, value, hasValue := strings.Cut(strings.TrimPrefix(arg[1:], "-"), "=")
	o := l.byName[name]
	switch {
	case o == nil && (name == "help" || name == "h"):
		return errHelp
	case o == nil && arg[1] != '-' && !hasValue:
		if letters, ok := l.group(name); ok {
			l.args = append(letters, l.args...)
			return nil
		}
		fallthrough
	case o == nil:
		return fmt.Errorf("unknown flag %s%s", dashed(name), suggest.DidYouMean("--", name, l.known))
	case !hasValue && !o.takesValue(name):
		value = "true"
	case !hasValue && len(l.args) == 0:
		return fmt.Errorf("%s needs a value", dashed(name))
	case !hasValue:
		value, l.args = l.args[0], l.args[1:]
	}
	meant, ok, err := o.translate(name, value)
	if err != nil || !ok {
		return err
	}
	g := l.found[o]
	if len(g.values) > 0 && !o.isList() {
		g.values = nil // the last one wins
	}
	l.found[o] = given{append(g.values, meant), origin{fromFlag, dashed(name)}}
	return nil
}

// group takes apart letters in one argument, as getopt allows: -fS, -fl 8, -l8
// or -c/etc/cron. A value may follow its letter only when it begins with a digit
// or a slash: -repo with one letter missing must not be read as -r epo.
func (l *line) group(name string) ([]string, bool) {
	var letters []string
	for i := range len(name) {
		letter := name[i : i+1]
		o := l.byName[letter]
		if o == nil {
			return nil, false
		}
		rest := name[i+1:]
		if o.takesValue(letter) && rest != "" {
			if !strings.ContainsAny(rest[:1], "/0123456789") {
				return nil, false
			}
			return append(letters, "-"+letter+"="+rest), true
		}
		letters = append(letters, "-"+letter)
	}
	return letters, len(name) > 1
}

func (o *option) isList() bool {
	_, ok := o.value.(*List)
	return ok
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}
