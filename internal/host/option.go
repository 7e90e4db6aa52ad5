package host

import (
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// option is a flag of the CLI library that the host fills itself. The library
// is left with the tree of commands and the help text: its own way to apply
// values reads the environment before the file could be read, copies values
// between aliases through String() (which turns a secret into its mask) and
// quotes secrets in errors.
type option struct {
	owner   *command
	names   []string // the name, then the compatibility names
	envs    []string // the derived name, then the compatibility names
	usage   string
	def     string
	hidden  bool
	noFile  bool // makes no sense in a file
	value   flag.Value
	kind    string // what the value must look like, for errors
	origin  origin
	isBool  bool
	isText  bool // an empty environment variable is a value
	derived string
	also    map[string]Legacy // legacy flags that stand for this one
	ignored string            // why it has no effect
}

// adopt makes the destination's value the default where the flag has none: the
// library would overwrite it with a zero value.
func adopt[T comparable](value, destination *T) {
	var zero T
	if destination != nil && *value == zero {
		*value = *destination
	}
}

// detail is what the host reads from, and takes away from, a library flag.
type detail struct {
	envs     *[]string
	hidden   bool
	required bool
	filePath string
	kind     string
}

// inspect knows the flag types a role may use. Slices are missing on purpose,
// they split on commas: see List.
func inspect(f cli.Flag) (detail, error) {
	switch f := f.(type) {
	case *cli.StringFlag:
		adopt(&f.Value, f.Destination)
		return detail{&f.EnvVars, f.Hidden, f.Required, f.FilePath, "text"}, nil
	case *cli.BoolFlag:
		adopt(&f.Value, f.Destination)
		return detail{&f.EnvVars, f.Hidden, f.Required, f.FilePath, "true or false"}, nil
	case *cli.DurationFlag:
		adopt(&f.Value, f.Destination)
		return detail{&f.EnvVars, f.Hidden, f.Required, f.FilePath, "a duration such as 500ms, 10s or 5m"}, nil
	case *cli.IntFlag:
		adopt(&f.Value, f.Destination)
		return detail{&f.EnvVars, f.Hidden, f.Required, f.FilePath, "a whole number"}, nil
	case *cli.Int64Flag:
		adopt(&f.Value, f.Destination)
		return detail{&f.EnvVars, f.Hidden, f.Required, f.FilePath, "a whole number"}, nil
	case *cli.UintFlag:
		adopt(&f.Value, f.Destination)
		return detail{&f.EnvVars, f.Hidden, f.Required, f.FilePath, "a whole number, not negative"}, nil
	case *cli.Uint64Flag:
		adopt(&f.Value, f.Destination)
		return detail{&f.EnvVars, f.Hidden, f.Required, f.FilePath, "a whole number, not negative"}, nil
	case *cli.Float64Flag:
		adopt(&f.Value, f.Destination)
		return detail{&f.EnvVars, f.Hidden, f.Required, f.FilePath, "a number"}, nil
	case *cli.GenericFlag:
		return detail{&f.EnvVars, f.Hidden, f.Required, f.FilePath, ""}, nil
	}
	return detail{}, fmt.Errorf("flag %v has type %T, which the host does not know", f.Names(), f)
}

// newOption takes over a library flag. A mistake in it is the programmer's and
// shows the first time the program starts.
func newOption(owner *command, f cli.Flag) *option {
	d, err := inspect(f)
	if err != nil {
		panic("host: " + err.Error())
	}
	if d.required || d.filePath != "" {
		panic(fmt.Sprintf("host: flag %v: Required and FilePath work before the file is read, use Spec.Check", f.Names()))
	}
	doc := f.(cli.DocGenerationFlag)
	derived := "SIDECAR_" + envName(owner.spec.Name) + "_" + envName(f.Names()[0])
	o := &option{
		owner: owner, names: f.Names(), envs: append([]string{derived}, *d.envs...), derived: derived,
		usage: doc.GetUsage(), hidden: d.hidden, kind: d.kind, isText: d.kind == "text",
	}
	*d.envs = nil
	set := flag.NewFlagSet("", flag.ContinueOnError)
	if err := f.Apply(set); err != nil {
		panic("host: " + err.Error())
	}
	o.value = set.Lookup(o.names[0]).Value
	b, ok := o.value.(interface{ IsBoolFlag() bool })
	o.isBool = ok && b.IsBoolFlag()
	o.def = o.value.String()
	return o
}

func envName(name string) string { return strings.ToUpper(strings.ReplaceAll(name, "-", "_")) }

func (o *option) name() string { return o.names[0] }

// masked says that the value's text is not the value.
func (o *option) masked() bool {
	if list, ok := o.value.(*List); ok {
		return !slices.Equal(list.Values(), list.Shown())
	}
	r, ok := o.value.(interface{ Reveal() string })
	return ok && r.Reveal() != o.value.String()
}

// assign applies what the winning source said.
func (o *option) assign(values []string, from origin) error {
	if list, ok := o.value.(*List); ok {
		if from.kind == fromEnv && list.EnvSep != "" {
			values = list.split(values[0])
		}
		list.empty()
	}
	for _, v := range values {
		if err := o.value.Set(v); err != nil {
			return o.complain(v, from, err)
		}
	}
	o.origin = from
	return nil
}

// complain names the place, the value unless it may be a secret, and the remedy.
func (o *option) complain(value string, from origin, err error) error {
	want := err.Error()
	if o.kind != "" {
		want = "want " + o.kind
	}
	_, secret := o.value.(interface{ Reveal() string })
	if list, ok := o.value.(*List); secret || ok && list.Secret {
		return fmt.Errorf("%s: %s", from.place(o), want)
	}
	return fmt.Errorf("%s: %q: %s", from.place(o), value, want)
}

// The methods of cli.Flag and its relatives, for the help text.

func (o *option) Apply(*flag.FlagSet) error { return nil }
func (o *option) Names() []string           { return o.names }
func (o *option) IsSet() bool               { return o.origin.kind != fromDefault }
func (o *option) String() string            { return cli.FlagStringer(o) }
func (o *option) IsVisible() bool           { return !o.hidden }
func (o *option) TakesValue() bool          { return !o.isBool }
func (o *option) GetUsage() string          { return o.usage }
func (o *option) GetValue() string          { return o.def }
func (o *option) GetEnvVars() []string      { return o.envs }

func (o *option) GetDefaultText() string {
	if o.isBool && o.def == "false" {
		return ""
	}
	return o.def
}
