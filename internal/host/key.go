package host

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sidecar-kit/sidecar/internal/secret"
)

// Key is a key of the config file whose value has a shape of its own, such as a list of jobs. Beside flags it stands at the top of the file
// or under the name of the role. Neither a flag nor the environment can set it.
type Key struct {
	Name    string
	Usage   string // one line for the help
	Example string // as it would stand in a file

	// Decode takes the value and returns all complaints at once, see package strict for how. It is called when the file has the key, and by
	// Reread also when it has it no more: then n is nil. What it took before must stay in use when it returns an error from Reread.
	Decode func(path string, n *yaml.Node) error

	// Show returns what --print-config prints; it must mask secrets. Without it the value is printed as it is written.
	Show func() any

	node  *yaml.Node
	file  file
	first map[*option]given // what the file said of flags at the start
	later []string
}

// File is the path of the config file, "" when there is none. It is known when Check is called.
func (k *Key) File() string { return k.file.path }

// Reread reads the config file once more and decodes this key. The rest of the file must be valid, but it has no effect. Without a config
// file it does nothing.
func (k *Key) Reread() error {
	if k.file.path == "" {
		return nil
	}
	r, err := k.file.read()
	if err != nil {
		return err
	}
	k.later = nil
	for _, o := range k.file.options {
		if !slices.Equal(k.first[o].values, r.found[o].values) {
			k.later = append(k.later, o.name())
		}
	}
	return k.decode(r.keys[k])
}

// Later are the flags of which the file said something else, when it was read last, than at the start: that takes a restart.
func (k *Key) Later() []string { return k.later }

func (k *Key) decode(n *yaml.Node) error {
	if err := k.Decode(k.file.path, n); err != nil {
		return err
	}
	k.node = n
	return nil
}

// print writes the key as printConfig does with an option.
func (k *Key) print() (string, error) {
	if k.node == nil {
		return "", nil
	}
	var value any = k.node
	if k.Show != nil {
		value = k.Show()
	} else if aliased(k.node) {
		value = nil // its anchor may be elsewhere in the file
		if err := k.node.Decode(&value); err != nil {
			return "", fmt.Errorf("print %s: %w", k.Name, err)
		}
	}
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(map[string]any{k.Name: value}), encoder.Close()); err != nil {
		return "", fmt.Errorf("print %s: %w", k.Name, err)
	}
	comment := "# file " + k.place()
	if k.Show != nil && strings.Contains(text.String(), secret.Mask) {
		return comment + " (masked, give it again)\n" + commentOut(text.String()), nil
	}
	return comment + "\n" + text.String(), nil
}

func (k *Key) place() string { return fmt.Sprintf("%s:%d", k.file.path, k.node.Line) }

func aliased(n *yaml.Node) bool {
	for _, c := range n.Content {
		if aliased(c) {
			return true
		}
	}
	return n.Kind == yaml.AliasNode
}

// keyHelp is the part of the long help that tells of the keys.
func keyHelp(keys []*Key) string {
	var b strings.Builder
	for i, k := range keys {
		if i == 0 {
			b.WriteString("\n\nKeys of the --config FILE beside the flags:")
		}
		fmt.Fprintf(&b, "\n\n%s: %s", k.Name, k.Usage)
		for line := range strings.Lines(k.Example) {
			b.WriteString("\n  " + strings.TrimSuffix(line, "\n"))
		}
	}
	return b.String()
}
