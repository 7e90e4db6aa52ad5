package logship

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/secret"
)

// All complaints about what the values say come from Validate, together with those of the flags.
func (c *Config) setInputs(path string, n *yaml.Node) (err error) {
	c.inputsNode = n
	c.inputs, err = draft.FromYAML(path, n)
	return err
}

func (c *Config) setOutputs(path string, n *yaml.Node) (err error) {
	c.outputsNode = n
	c.outputs, err = draft.FromYAML(path, n)
	return err
}

// showOutput is the word of an output as logs and --print-config may have it. Passwords are refused in addresses, but they are printed
// before that; headers, and the query of a web address, may hold what nobody else is to know.
func showOutput(word string) string {
	word = passwordIn().ReplaceAllString(word, "${1}"+secret.Mask+"@")
	if strings.HasPrefix(word, "http://") || strings.HasPrefix(word, "https://") {
		if at := queryIn().FindStringSubmatchIndex(word); at != nil {
			word = word[:at[2]] + valueIn().ReplaceAllString(word[at[2]:at[3]], "="+secret.Mask) + word[at[3]:]
		}
	}
	return headersIn().ReplaceAllStringFunc(word, func(s string) string {
		name, values, _ := strings.Cut(s, "=")
		return name + "=" + headerIn().ReplaceAllString(values, ":"+secret.Mask)
	})
}

// showNode is a value of the config file as --print-config may have it.
func showNode(n *yaml.Node) any {
	if n == nil {
		return nil
	}
	return masked(n, "")
}

// masked is a copy of n, which is the value of key, without aliases and secrets.
func masked(n *yaml.Node, key string) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	c := *n
	c.Anchor, c.Content = "", slices.Clone(n.Content)
	switch {
	case c.Kind == yaml.ScalarNode && (key == "headers" || key == "salt") && !strings.HasPrefix(c.Value, "${"):
		c.Value, c.Tag, c.Style = secret.Mask, "", yaml.DoubleQuotedStyle
	case c.Kind == yaml.ScalarNode:
		c.Value = showOutput(c.Value)
	case c.Kind == yaml.MappingNode:
		for i := 1; i < len(c.Content); i += 2 {
			below := key
			if below != "headers" {
				below = c.Content[i-1].Value
			}
			c.Content[i-1], c.Content[i] = masked(c.Content[i-1], ""), masked(c.Content[i], below)
		}
	default:
		for i := range c.Content {
			c.Content[i] = masked(c.Content[i], key)
		}
	}
	return &c
}

// The patterns are made when they are needed, which is once.
func passwordIn() *regexp.Regexp { return regexp.MustCompile(`(://[^/?#@]*?:)[^/?#]*@`) }
func headersIn() *regexp.Regexp  { return regexp.MustCompile(`([?&#]headers=)([^&#]*)`) }
func headerIn() *regexp.Regexp   { return regexp.MustCompile(`:[^,]*`) }
func queryIn() *regexp.Regexp    { return regexp.MustCompile(`^[^?#]*\?([^#]*)`) }
func valueIn() *regexp.Regexp    { return regexp.MustCompile(`=[^&]*`) }
