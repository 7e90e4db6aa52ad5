package host

import "strings"

// List is the value of a flag that may be repeated: cli.GenericFlag{Destination:
// host.Strings(&cfg.Hooks)}. What a source says replaces the default as a whole,
// and a comma is a character like any other.
type List struct {
	// EnvSep separates the values in an environment variable; without it a
	// variable is one value.
	EnvSep string

	target *[]string
	set    bool
}

// Strings binds a List to a field of the role's Config.
func Strings(target *[]string) *List { return &List{target: target} }

// Set appends a value; the first one replaces the default.
func (l *List) Set(value string) error {
	if !l.set {
		*l.target, l.set = nil, true
	}
	*l.target = append(*l.target, value)
	return nil
}

// Values returns the current values.
func (l *List) Values() []string {
	if l == nil || l.target == nil {
		return nil
	}
	return *l.target
}

func (l *List) String() string { return strings.Join(l.Values(), " ") }

// empty replaces the default by nothing, for "key: []" in a file.
func (l *List) empty() { *l.target, l.set = nil, true }
