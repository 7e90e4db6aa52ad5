// Package render fills templates in: text/template with variables that the user listed, and nothing else.
//
// A template sees no environment, reads no files and runs nothing; a variable that is not listed is an error that names
// the place, so that a typing error never becomes an empty setting. It is for configuration files, not for HTML.
package render

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"text/template"
)

// Ending marks templates in a folder; it is taken away from the name.
const Ending = ".tmpl"

// MaxOutput bounds what one template may become, in bytes: templates have loops.
const MaxOutput = 64 << 20

// Set is the variables of one run, and the marks around an action.
type Set struct {
	Vars        map[string]string
	Left, Right string // "" is {{ and }}
}

// nameRule is what a variable may be called, so that {{ .NAME }} can say it.
var nameRule = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Define adds a variable; twice is an error.
func (s *Set) Define(name, value string) error {
	if !nameRule.MatchString(name) {
		return fmt.Errorf("variable %q: want letters, digits and underscores", name)
	}
	if _, twice := s.Vars[name]; twice {
		return fmt.Errorf("variable %s is given twice", name)
	}
	if s.Vars == nil {
		s.Vars = map[string]string{}
	}
	s.Vars[name] = value
	return nil
}

// Render fills in the template text, which errors call name. They have the form name:line: what is wrong.
func (s *Set) Render(name, text string) ([]byte, error) {
	t, err := template.New(name).Option("missingkey=error").Delims(s.Left, s.Right).Funcs(s.functions()).Parse(text)
	if err != nil {
		return nil, s.explain(err)
	}
	out := &bounded{}
	if err := t.Execute(out, s.Vars); err != nil {
		return nil, s.explain(err)
	}
	return out.Bytes(), nil
}

// bounded is a buffer with an end.
type bounded struct{ bytes.Buffer }

var errTooLarge = fmt.Errorf("it becomes larger than %d MiB", MaxOutput>>20)

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > MaxOutput {
		return 0, errTooLarge
	}
	return b.Buffer.Write(p)
}

var missing = regexp.MustCompile(`map has no entry for key "([^"]*)"`)

// explain adds which variables there are. Values are never part of an error of the template package but where a function
// says so, and ours do not.
func (s *Set) explain(err error) error {
	text := strings.TrimPrefix(err.Error(), "template: ")
	if errors.Is(err, errTooLarge) {
		return fmt.Errorf("template %s", text)
	}
	if m := missing.FindStringSubmatch(text); m != nil {
		known := strings.Join(slices.Sorted(maps.Keys(s.Vars)), ", ")
		if known == "" {
			known = "none"
		}
		return fmt.Errorf("template %s\nhint: allow it with --var %s, or --var %s=VALUE; known are: %s", text, m[1], m[1], known)
	}
	return fmt.Errorf("template %s", text)
}

// functions are what configuration files need; all of them are pure.
func (s *Set) functions() template.FuncMap {
	return template.FuncMap{
		"has":        func(name string) bool { _, ok := s.Vars[name]; return ok },
		"get":        func(name, fallback string) string { return orElse(s.Vars, name, fallback) },
		"default":    defaultTo,
		"required":   required,
		"upper":      strings.ToUpper,
		"lower":      strings.ToLower,
		"trim":       strings.TrimSpace,
		"split":      func(sep, text string) []string { return strings.Split(text, sep) },
		"join":       func(sep string, list []string) string { return strings.Join(list, sep) },
		"replace":    func(from, to, text string) string { return strings.ReplaceAll(text, from, to) },
		"contains":   func(part, text string) bool { return strings.Contains(text, part) },
		"hasPrefix":  func(part, text string) bool { return strings.HasPrefix(text, part) },
		"hasSuffix":  func(part, text string) bool { return strings.HasSuffix(text, part) },
		"indent":     indent,
		"quote":      quote,
		"shellQuote": func(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" },
		"b64enc":     func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) },
		"b64dec":     decode,
		"fromJson":   fromJSON,
		"toJson":     toJSON,
	}
}

func orElse(vars map[string]string, name, fallback string) string {
	if v, ok := vars[name]; ok {
		return v
	}
	return fallback
}

func defaultTo(fallback, value string) string {
	if value == "" {
		return fallback
	}
	return value
}

func required(message, value string) (string, error) {
	if value == "" {
		return "", errors.New(message)
	}
	return value, nil
}

func indent(n int, text string) (string, error) {
	if n < 0 || n > 100 {
		return "", fmt.Errorf("indent %d: want 0 to 100", n)
	}
	return strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", n)), nil
}

// quote makes a string that JSON and YAML read as text.
func quote(text string) (string, error) { return toJSON(text) }

func decode(text string) (string, error) {
	data, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return "", errors.New("not base64")
	}
	return string(data), nil
}

func fromJSON(text string) (any, error) {
	var v any
	if json.Unmarshal([]byte(text), &v) != nil {
		return nil, errors.New("not JSON")
	}
	return v, nil
}

func toJSON(v any) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", errors.New("cannot be written as JSON")
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}
