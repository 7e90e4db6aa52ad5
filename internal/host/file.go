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

	"github.com/sidecar-kit/sidecar/internal/suggest"
)

// fileLimit is far above any configuration; a larger file is a wrong path.
const fileLimit = 1 << 20

// file is a config file as one role reads it: keys are flag names, or keys with
// values of their own shape, at the top or under the name of the role; sections
// of other roles are left alone, so that one file can serve a whole pod.
type file struct {
	path    string
	role    string
	roles   []string
	options []*option
	keys    []*Key
}

func (f file) read() (*reader, error) {
	opened, err := os.Open(f.path)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	defer opened.Close()
	data, err := io.ReadAll(io.LimitReader(opened, fileLimit+1))
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	if len(data) > fileLimit {
		return nil, fmt.Errorf("--config: %s is larger than 1 MiB, is it the right file?", f.path)
	}
	return f.parse(data)
}

// reader collects what a file says.
type reader struct {
	file
	found map[*option]given
	keys  map[*Key]*yaml.Node
	errs  []error
}

// parse returns what the file says also beside complaints, so that more of them
// can be found.
func (f file) parse(data []byte) (*reader, error) {
	r := &reader{file: f, found: map[*option]given{}, keys: map[*Key]*yaml.Node{}}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	err := decoder.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return r, nil // an empty file says nothing, which is fine
	}
	if err != nil {
		return r, syntaxError(f.path, err)
	}
	if len(doc.Content) == 1 {
		r.mapping(doc.Content[0], true)
	}
	var more yaml.Node
	switch err := decoder.Decode(&more); {
	case errors.Is(err, io.EOF):
	case err != nil:
		r.errs = append(r.errs, syntaxError(f.path, err))
	default:
		r.complain(&more, "a second document, want one")
	}
	return r, errors.Join(r.errs...)
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
	if i := slices.IndexFunc(r.file.keys, func(k *Key) bool { return k.Name == key.Value }); i >= 0 {
		r.structured(r.file.keys[i], key, value)
		return
	}
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

func (r *reader) structured(k *Key, key, value *yaml.Node) {
	if earlier := r.keys[k]; earlier != nil {
		r.complain(key, "%s is given twice, first at %s:%d", k.Name, r.path, earlier.Line)
		return
	}
	r.keys[k] = value
}

// find returns the option a key names; compatibility names are for flags and
// environment only, a file is new anyway.
func (r *reader) find(key *yaml.Node) *option {
	names := slices.Clone(r.roles)
	for _, k := range r.file.keys {
		names = append(names, k.Name)
	}
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
	r.complain(key, "unknown key %q%s", key.Value, suggest.DidYouMean("", key.Value, names))
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
