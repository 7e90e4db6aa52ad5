package host

import (
	"slices"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/secret"
)

// List is the value of a flag that may be repeated: cli.GenericFlag{Destination:
// host.Strings(&cfg.Hooks)}. What a source says replaces the default as a whole,
// and a comma is a character like any other.
type List struct {
	// EnvSep separates the values in an environment variable; without it a
	// variable is one value. Where it is a line end, blank lines are no values:
	// a manifest that writes them in a block (value: |) ends with one.
	EnvSep string
	// Secret says that values are printed as ***.
	Secret bool
	// Show, where set, says how a value is printed that may hold a secret.
	Show func(string) string

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

// split takes the value of an environment variable apart.
func (l *List) split(text string) []string {
	values := strings.Split(text, l.EnvSep)
	if l.EnvSep != "\n" {
		return values
	}
	return slices.DeleteFunc(values, func(line string) bool { return strings.TrimSpace(line) == "" })
}

// Values returns the current values.
func (l *List) Values() []string {
	if l == nil || l.target == nil {
		return nil
	}
	return *l.target
}

// Shown returns what may be printed of the values.
func (l *List) Shown() []string {
	shown := l.Values()
	if l != nil && l.Secret {
		shown = make([]string, len(shown))
		for i := range shown {
			shown[i] = secret.Mask
		}
	}
	if l != nil && l.Show != nil {
		shown = slices.Clone(shown)
		for i := range shown {
			shown[i] = l.Show(shown[i])
		}
	}
	return shown
}

func (l *List) String() string { return strings.Join(l.Shown(), " ") }

// empty replaces the default by nothing, for "key: []" in a file.
func (l *List) empty() { *l.target, l.set = nil, true }
