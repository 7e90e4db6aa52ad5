package host

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/urfave/cli/v2"
)

// Legacy is a flag of a tool that the role replaces, for which a plain alias is
// not enough. It is read from the command line only.
//
//	{Name: "json", Flag: "log-format", Value: "json"}            // -json
//	{Name: "l", Flag: "log-level", Translate: busyboxLevel}      // -l 8
//	{Name: "S", Ignored: "logs go to standard error"}            // -S
//	{Name: "L", Ignored: "redirect standard error", Takes: true} // -L FILE
type Legacy struct {
	Name string

	// Flag is the flag of the role or of the host that it stands for. With a
	// Value the legacy flag takes none itself; with Translate its value is made
	// into one of Flag.
	Flag      string
	Value     string
	Translate func(string) (string, error)

	// Ignored, where set, says why the flag has no effect, which is logged once
	// at the start. Takes says that it takes a value.
	Ignored string
	Takes   bool
}

// adopt adds the legacy flags to the options that they stand for; ignored ones
// become options of their own. A mistake is the programmer's.
func (c *command) adopt(all []Legacy) []*option {
	var ignored []*option
	for _, l := range all {
		i := slices.IndexFunc(c.options, func(o *option) bool { return o.name() == l.Flag })
		switch {
		case l.Ignored != "" && l.Flag == "":
			ignored = append(ignored, newIgnored(c, l))
		case i < 0 || l.Ignored != "" || (l.Value == "") == (l.Translate == nil):
			panic(fmt.Sprintf("host: legacy flag %s of role %s: want a Flag with either Value or Translate, or Ignored", l.Name, c.spec.Name))
		case c.options[i].also == nil:
			c.options[i].also = map[string]Legacy{l.Name: l}
		default:
			c.options[i].also[l.Name] = l
		}
	}
	return ignored
}

func newIgnored(c *command, l Legacy) *option {
	var f cli.Flag = &cli.BoolFlag{Name: l.Name, Hidden: true, Usage: "accepted, without effect: " + l.Ignored}
	if l.Takes {
		f = &cli.StringFlag{Name: l.Name, Hidden: true, Usage: "accepted, without effect: " + l.Ignored}
	}
	o := newOption(c, f)
	o.noFile, o.envs, o.ignored = true, nil, l.Ignored
	return o
}

// meaning is what the manual says of it.
func (l Legacy) meaning() string {
	if l.Translate != nil {
		return "(translated)"
	}
	return "(" + l.Value + ")"
}

// takesValue says whether the name of an option is followed by a value.
func (o *option) takesValue(name string) bool {
	if l, ok := o.also[name]; ok {
		return l.Translate != nil
	}
	return !o.isBool
}

// translate returns what a value given under a name means; ok is false when it
// means that nothing was said (-json=false).
func (o *option) translate(name, value string) (meant string, ok bool, err error) {
	l, found := o.also[name]
	switch {
	case !found:
		return value, true, nil
	case l.Translate != nil:
		meant, err = l.Translate(value)
		if err != nil {
			return "", false, fmt.Errorf("%s: %q: %w", dashed(name), value, err)
		}
		return meant, true, nil
	}
	on, err := strconv.ParseBool(value)
	if err != nil {
		return "", false, fmt.Errorf("%s: %q: want true or false", dashed(name), value)
	}
	return l.Value, on, nil
}
