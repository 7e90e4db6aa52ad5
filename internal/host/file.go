package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// fileLimit is far above any configuration; a larger file is a wrong path.
const fileLimit = 1 << 20

// readFile reads the settings of one role from a YAML file. Keys are flag
// names, at the top or under the name of the role; sections of other roles are
// left alone, so that one file can serve a whole pod.
func readFile(path, roleName string, roles []string, options []*option) (map[*option]given, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, fileLimit+1))
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	if len(data) > fileLimit {
		return nil, fmt.Errorf("--config: %s is larger than 1 MiB, is it the right file?", path)
	}
	return parseFile(path, data, roleName, roles, options)
}

// reader collects what a file says.
type reader struct {
	path    string
	role    string
	roles   []string
	options []*option
	found   map[*option]given
	errs    []error
}

func parseFile(path string, data []byte, roleName string, roles []string, options []*option) (map[*option]given, error) {
	r := &reader{path: path, role: roleName, roles: roles, options: options, found: map[*option]given{}}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	err := decoder.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return r.found, nil // an empty file says nothing, which is fine
	}
	if err != nil {
		return nil, syntaxError(path, err)
	}
	if len(doc.Content) == 1 {
		r.mapping(doc.Content[0], true)
	}
	var more yaml.Node
	switch err := decoder.Decode(&more); {
	case errors.Is(err, io.EOF):
	case err != nil:
		r.errs = append(r.errs, syntaxError(path, err))
	default:
		r.complain(&more, "a second document, want one")
	}
	return r.found, errors.Join(r.errs...)
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): `)

// syntaxError puts the place where editors and people look for it.
func syntaxError(path string, err error) error {
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("%s:%s: %s", path, m[1], strings.TrimPrefix(err.Error(), m[0]))
	}
	return fmt.Errorf("%s: %w", path, err)
}

func (r *reader) complain(n *yaml.Node, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("%s:%d: %s", r.path, n.Line, fmt.Sprintf(format, args...)))
}

func (r *reader) mapping(n *yaml.Node, top bool) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.complain(n, "want keys and values, such as \"log-level: debug\"")
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		section := top && value.Kind == yaml.MappingNode && slices.Contains(append(r.roles, r.role), key.Value)
		switch {
		case section && key.Value == r.role:
			r.mapping(value, false)
		case !section:
			r.entry(key, value)
		}
	}
}

func (r *reader) entry(key, value *yaml.Node) {
	o := r.find(key)
	if o == nil {
		return
	}
	if earlier, twice := r.found[o]; twice {
		r.complain(key, "%s is given twice, first at %s", key.Value, earlier.from.name)
		return
	}
	values, ok := r.scalars(key, value, o)
	if ok {
		r.found[o] = given{values, origin{fromFile, fmt.Sprintf("%s:%d", r.path, key.Line)}}
	}
}

// find returns the option a key names; compatibility names are for flags and
// environment only, a file is new anyway.
func (r *reader) find(key *yaml.Node) *option {
	names := slices.Clone(r.roles)
	for _, o := range r.options {
		switch {
		case o.name() == key.Value && o.noFile:
			r.complain(key, "%s cannot be set in a file, use the flag", key.Value)
			return nil
		case o.name() == key.Value:
			return o
		case slices.Contains(o.names, key.Value):
			r.complain(key, "unknown key %q, did you mean %s?", key.Value, o.name())
			return nil
		case !o.noFile && !o.hidden:
			names = append(names, o.name())
		}
	}
	r.complain(key, "unknown key %q%s", key.Value, didYouMean("", key.Value, names))
	return nil
}

// scalars reads one value, or for a list any number.
func (r *reader) scalars(key, value *yaml.Node, o *option) ([]string, bool) {
	if value.Kind == yaml.AliasNode {
		value = value.Alias
	}
	items, want := []*yaml.Node{value}, "one value"
	if o.isList() {
		want = "a list of values"
		if value.Kind == yaml.SequenceNode {
			items = value.Content
		}
	}
	values := make([]string, 0, len(items))
	for _, item := range items {
		if item.Kind == yaml.AliasNode {
			item = item.Alias
		}
		if item.Kind != yaml.ScalarNode || item.Tag == "!!null" {
			r.complain(key, "%s: want %s", key.Value, want)
			return nil, false
		}
		values = append(values, item.Value)
	}
	return values, true
}
