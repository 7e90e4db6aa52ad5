// Package strict reads YAML values of the config file that have a shape of their own, such as a list of jobs. Whatever it does not know is
// a complaint that names file:line:col, and all complaints come at once. It decodes no structs: who reads a job says what a job may have.
// Used by the roles for the keys that they give to host.
package strict

import (
	"errors"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/sidecar-kit/sidecar/internal/suggest"
)

// Errorf is a complaint about the place of n.
func Errorf(path string, n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%s:%d:%d: %w", path, n.Line, n.Column, fmt.Errorf(format, args...))
}

// Each calls fn with every key of a mapping and its value, in the order of the file. Keys beside known are complaints, and so is a key given
// twice. An empty value (key:) is a mapping without keys.
func Each(path string, n *yaml.Node, known []string, fn func(key string, value *yaml.Node) error) error {
	return each(path, n, known[0], func(key *yaml.Node) error {
		if key.Kind == yaml.ScalarNode && slices.Contains(known, key.Value) {
			return nil
		}
		return Errorf(path, key, "unknown key %q%s", key.Value, suggest.DidYouMean("", key.Value, known))
	}, fn)
}

// All calls fn with every key of a mapping whose keys are names that the user chooses.
func All(path string, n *yaml.Node, fn func(name string, value *yaml.Node) error) error {
	return each(path, n, "name", func(key *yaml.Node) error {
		if key.Kind == yaml.ScalarNode && key.Tag != "!!merge" {
			return nil
		}
		return Errorf(path, key, "want a name before the colon")
	}, fn)
}

func each(path string, n *yaml.Node, example string, check func(*yaml.Node) error, fn func(string, *yaml.Node) error) error {
	n = resolved(n)
	if null(n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return Errorf(path, n, "want keys and values, such as \"%s: ...\"", example)
	}
	var errs []error
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if err := check(key); err != nil {
			errs = append(errs, err)
			continue
		}
		if line, twice := lines[key.Value]; twice {
			errs = append(errs, Errorf(path, key, "%s is given twice, first in line %d", key.Value, line))
			continue
		}
		lines[key.Value] = key.Line
		errs = append(errs, fn(key.Value, value))
	}
	return errors.Join(errs...)
}

// List calls fn with every item of a list. An empty value is a list without items.
func List(path string, n *yaml.Node, fn func(item *yaml.Node) error) error {
	n = resolved(n)
	if null(n) {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		return Errorf(path, n, "want a list: each item in a line of its own that begins with \"- \"")
	}
	var errs []error
	for _, item := range n.Content {
		errs = append(errs, fn(item))
	}
	return errors.Join(errs...)
}

// Text returns one value as it is written: a text, a number, true or false.
func Text(path string, n *yaml.Node) (string, error) {
	place, n := n, resolved(n)
	if n.Kind != yaml.ScalarNode || null(n) {
		return "", Errorf(path, place, "want one value")
	}
	return n.Value, nil
}

// Texts returns a list of values, or the one value that stands in place of a list.
func Texts(path string, n *yaml.Node) ([]string, error) {
	if resolved(n).Kind == yaml.ScalarNode && !null(resolved(n)) {
		return []string{resolved(n).Value}, nil
	}
	texts := []string{}
	err := List(path, n, func(item *yaml.Node) error {
		text, err := Text(path, item)
		texts = append(texts, text)
		return err
	})
	return texts, err
}

// Map returns a mapping of names to single values, such as variables of the environment.
func Map(path string, n *yaml.Node) (map[string]string, error) {
	values := map[string]string{}
	err := All(path, n, func(name string, value *yaml.Node) error {
		text, err := Text(path, value)
		values[name] = text
		return err
	})
	return values, err
}

// resolved follows an alias (*name) to its anchor. It does not nest: an alias of an alias is refused by the parser.
func resolved(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func null(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }
