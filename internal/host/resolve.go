package host

import (
	"errors"
	"fmt"
	"os"

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

// keyError is what Decode said about keys of the file. Unlike other complaints it
// leaves every flag with its value, so that Check can be asked, too.
type keyError struct{ error }

func (e keyError) Unwrap() error { return e.error }

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
	var complaints, ofKeys []error
	said := &reader{}
	if c.common.config != "" {
		var err error
		source := file{c.common.config, c.spec.Name, roles, c.options, c.spec.Keys}
		said, err = source.read()
		if err != nil {
			complaints = append(complaints, err)
		}
		if said != nil {
			ofKeys = c.decode(source, said)
		}
	}
	for _, o := range c.options {
		g, ok := one(o)
		if !ok && said != nil {
			g, ok = said.found[o]
		}
		if !ok {
			continue
		}
		if err := o.assign(g.values, g.from); err != nil {
			complaints = append(complaints, err)
		}
	}
	if len(complaints) == 0 && len(ofKeys) > 0 {
		return keyError{errors.Join(ofKeys...)}
	}
	return errors.Join(append(complaints, ofKeys...)...)
}

// decode hands the keys of the file to the role.
func (c *command) decode(source file, said *reader) []error {
	var errs []error
	for _, k := range c.spec.Keys {
		k.file, k.first = source, said.found
		if n := said.keys[k]; n != nil {
			if err := k.decode(n); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errs
}

// usage makes err a usage error and adds where help is to be found.
func usage(err error, command string) error {
	return &exit.Error{Code: exit.Usage, Err: fmt.Errorf("%w\nhint: %s --help lists the flags", err, command)}
}
