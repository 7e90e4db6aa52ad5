package transform

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// Env is where values come from.
type Env struct {
	Getenv   func(name string) (value string, ok bool)
	ReadFile func(name string) ([]byte, error)
}

// expand puts the environment into ${NAME} and ${NAME:-default}; $$ is a dollar sign.
func expand(text string, getenv func(string) (string, bool)) (string, error) {
	var b strings.Builder
	for {
		i := strings.IndexByte(text, '$')
		if i < 0 || i+1 == len(text) {
			b.WriteString(text)
			return b.String(), nil
		}
		b.WriteString(text[:i])
		text = text[i:]
		switch {
		case text[1] == '$':
			b.WriteByte('$')
			text = text[2:]
			continue
		case text[1] != '{':
			b.WriteByte('$')
			text = text[1:]
			continue
		}
		end := strings.IndexByte(text, '}')
		if end < 0 {
			return "", fmt.Errorf("%q has ${ without }: write $$ for a dollar sign", text)
		}
		name, fallback, has := strings.Cut(text[2:end], ":-")
		value, ok := getenv(name)
		if !ok && !has {
			return "", fmt.Errorf("the environment has no %s: set it, or write ${%s:-} for nothing", name, name)
		}
		if value == "" {
			value = fallback
		}
		b.WriteString(value)
		text = text[end+1:]
	}
}

// files are the files that added values are read from.
func (c Config) files() []string {
	var list []string
	for _, s := range c.steps {
		for _, a := range s.add {
			if name := a.file + a.lines; name != "" && !slices.Contains(list, name) {
				list = append(list, name)
			}
		}
	}
	return list
}

// taken are the keys that are added, for those who keep applications from setting them.
func (c Config) taken() []string {
	var list []string
	for _, s := range c.steps {
		for _, a := range s.add {
			list = append(list, a.key)
		}
	}
	return list
}

// static computes the fields that all records have, through all steps. Files that cannot be read are an error beside the fields of the others.
func (c Config) static(env Env) ([]record.Field, error) {
	var fields []record.Field
	var errs []error
	for _, s := range c.steps {
		for _, a := range s.add {
			list, err := a.fields(env)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: add %s: %w", s.place, a.key, err))
			}
			for _, f := range list {
				fields = slices.DeleteFunc(fields, func(old record.Field) bool { return old.Key == f.Key })
				fields = append(fields, f)
			}
		}
		switch s.word {
		case "drop":
			fields = slices.DeleteFunc(fields, func(f record.Field) bool { return matches(s.keys, f.Key) })
		case "keep":
			fields = slices.DeleteFunc(fields, func(f record.Field) bool { return !matches(s.keys, f.Key) })
		case "rename":
			for _, pair := range s.rename {
				for i := range fields {
					if fields[i].Key == pair[0] && pair[1] != "message" {
						fields[i].Key = pair[1]
					}
				}
			}
		}
	}
	return fields, errors.Join(errs...)
}

func (a added) fields(env Env) ([]record.Field, error) {
	switch {
	case a.file != "":
		b, err := env.ReadFile(a.file)
		if err != nil {
			return nil, err
		}
		return one(a.key, string(bytes.TrimSpace(b[:min(len(b), 64<<10)]))), nil
	case a.lines != "":
		b, err := env.ReadFile(a.lines)
		if err != nil {
			if a.optional {
				return nil, nil
			}
			return nil, err
		}
		return lines(a.key, string(b)), nil
	}
	text, err := expand(a.text, env.Getenv)
	if err != nil || a.optional && text == "" {
		return nil, err
	}
	return one(a.key, text), nil
}

func one(key, text string) []record.Field { return []record.Field{{Key: key, Value: []byte(text)}} }

// lines reads what the downward API writes: name="value", quoted as in Go. Dots in names become _, or app and app.kubernetes.io could
// not stand in one document.
func lines(key, text string) []record.Field {
	var fields []record.Field
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || name == "" || len(fields) == 256 {
			continue
		}
		if plain, err := strconv.Unquote(value); err == nil {
			value = plain
		}
		fields = append(fields, one(key+"."+strings.ReplaceAll(name, ".", "_"), value)...)
	}
	return fields
}

// matches tells if key is one of keys, is below one of them, or fits one with * at its end.
func matches(keys []string, key string) bool {
	for _, k := range keys {
		if before, ok := strings.CutSuffix(k, "*"); ok && strings.HasPrefix(key, before) {
			return true
		}
		if strings.HasPrefix(key, k) && (len(key) == len(k) || key[len(k)] == '.') {
			return true
		}
	}
	return false
}

// tree is an object, in the order in which its members came.
type tree struct {
	key   string
	value []byte
	below []*tree
}

// common makes the JSON of fields: keys with dots become objects.
func common(fields []record.Field) *record.Common {
	root := &tree{}
	for _, f := range fields {
		if !root.put(strings.Split(f.Key, "."), f.Value) {
			root.below = append(root.below, &tree{key: f.Key, value: f.Value}) // a and a.b: Elasticsearch decides
		}
	}
	c := &record.Common{N: len(fields)}
	for _, t := range root.below {
		c.JSON = t.append(append(c.JSON, ','))
	}
	return c
}

func (t *tree) put(path []string, value []byte) bool {
	i := slices.IndexFunc(t.below, func(b *tree) bool { return b.key == path[0] })
	if i < 0 {
		i = len(t.below)
		t.below = append(t.below, &tree{key: path[0]})
		if len(path) == 1 {
			t.below[i].value = append([]byte{}, value...)
			return true
		}
	}
	return len(path) > 1 && t.below[i].value == nil && t.below[i].put(path[1:], value)
}

func (t *tree) append(dst []byte) []byte {
	dst, _ = record.AppendString(dst, t.key)
	dst = append(dst, ':')
	if t.value != nil {
		dst, _ = record.AppendString(dst, string(t.value))
		return dst
	}
	for i, b := range t.below {
		dst = b.append(append(dst, "{,"[min(i, 1)]))
	}
	return append(dst, '}')
}

// pathError names the place and the key of an error.
func pathError(place, key string, err error) error { return fmt.Errorf("%s: %s: %w", place, key, err) }
