package host

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/exit"
)

const (
	fromDefault = iota
	fromFile
	fromEnv
	fromFlag
)

// origin is where a value came from.
type origin struct {
	kind int
	name string // file:line, variable, or the flag as it was written
}

func (o origin) String() string {
	switch o.kind {
	case fromFile:
		return "file " + o.name
	case fromEnv:
		return "env " + o.name
	case fromFlag:
		return "flag"
	}
	return "default"
}

// place is how an error names the origin of a value of opt.
func (o origin) place(opt *option) string {
	if o.kind == fromFile {
		return o.name + ": " + opt.name()
	}
	return o.name
}

// given is what one source says about one option.
type given struct {
	values []string
	from   origin
}

var errHelp = errors.New("help was asked for")

// parse reads a command line. Unlike the library it takes flags after a
// positional argument, and it never touches a value before every source is known.
func parse(options []*option, args []string) (map[*option]given, []string, error) {
	byName := map[string]*option{}
	var known []string
	for _, o := range options {
		for _, n := range o.names {
			byName[n] = o
		}
		if !o.hidden {
			known = append(known, o.name())
		}
	}
	found := map[*option]given{}
	var positional []string
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			return found, append(positional, args...), nil
		}
		if len(arg) < 2 || arg[0] != '-' {
			positional = append(positional, arg)
			continue
		}
		name, value, hasValue := strings.Cut(strings.TrimPrefix(arg[1:], "-"), "=")
		o := byName[name]
		switch {
		case o == nil && (name == "help" || name == "h"):
			return nil, nil, errHelp
		case o == nil:
			return nil, nil, fmt.Errorf("unknown flag %s%s", dashed(name), didYouMean("--", name, known))
		case !hasValue && o.isBool:
			value = "true"
		case !hasValue && len(args) == 0:
			return nil, nil, fmt.Errorf("%s needs a value", dashed(name))
		case !hasValue:
			value, args = args[0], args[1:]
		}
		g := found[o]
		if len(g.values) > 0 && !o.isList() {
			g.values = nil // the last one wins
		}
		found[o] = given{append(g.values, value), origin{fromFlag, dashed(name)}}
	}
	return found, positional, nil
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

// environment looks an option up. An empty variable means "not set", as an
// optional value in a manifest does, but for text under the derived name.
func environment(o *option) (given, bool) {
	for _, name := range o.envs {
		value, ok := os.LookupEnv(name)
		if ok && (value != "" || o.isText && name == o.derived) {
			return given{[]string{value}, origin{fromEnv, name}}, true
		}
	}
	return given{}, false
}

// resolve fills every option from the strongest source that names it:
// default < file < environment < flag. It reports every complaint at once.
func (c *command) resolve(flags map[*option]given, roles []string) error {
	one := func(o *option) (given, bool) {
		if g, ok := flags[o]; ok {
			return g, true
		}
		return environment(o)
	}
	if g, ok := one(c.configOption()); ok {
		if err := c.configOption().assign(g.values, g.from); err != nil {
			return err
		}
	}
	var complaints []error
	file := map[*option]given{}
	if c.common.config != "" {
		var err error
		file, err = readFile(c.common.config, c.spec.Name, roles, c.options)
		if err != nil {
			complaints = append(complaints, err)
		}
	}
	for _, o := range c.options {
		g, ok := one(o)
		if !ok {
			g, ok = file[o]
		}
		if !ok {
			continue
		}
		if err := o.assign(g.values, g.from); err != nil {
			complaints = append(complaints, err)
		}
	}
	return errors.Join(complaints...)
}

// usage makes err a usage error and adds where help is to be found.
func usage(err error, command string) error {
	return &exit.Error{Code: exit.Usage, Err: fmt.Errorf("%w\nhint: %s --help lists the flags", err, command)}
}
