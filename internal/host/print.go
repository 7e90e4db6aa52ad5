package host

import (
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// printConfig writes the effective settings so that they can be used as a file.
// A masked value is written as a comment: fed back as it is, the mask would
// become the password.
func (c *command) printConfig(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "# %s\n", c.spec.Name); err != nil {
		return err
	}
	for _, o := range c.options {
		if o.noFile || o.hidden && o.origin.kind == fromDefault {
			continue
		}
		text, err := yaml.Marshal(map[string]any{o.name(): o.yamlValue()})
		if err != nil {
			return fmt.Errorf("print %s: %w", o.name(), err)
		}
		comment := "# " + o.origin.String()
		if o.masked() {
			_, err = fmt.Fprintf(w, "%s (masked, give it again)\n%s", comment, commentOut(string(text)))
		} else {
			_, err = fmt.Fprintf(w, "%s\n%s", comment, text)
		}
		if err != nil {
			return err
		}
	}
	for _, k := range c.spec.Keys {
		text, err := k.print()
		if err != nil {
			return err
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
	}
	return nil
}

func commentOut(text string) string {
	return "# " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n# ") + "\n"
}

func (o *option) yamlValue() any {
	if list, ok := o.value.(*List); ok {
		return append([]string{}, list.Shown()...)
	}
	text := o.value.String()
	var plain yaml.Node
	if !o.isText && yaml.Unmarshal([]byte(text), &plain) == nil && len(plain.Content) == 1 &&
		plain.Content[0].Kind == yaml.ScalarNode && plain.Content[0].Value == text {
		return plain.Content[0] // a number or a bool needs no quotes
	}
	return text
}
