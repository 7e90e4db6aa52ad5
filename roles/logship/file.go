package logship

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/logship/draft"
)

func (c *Config) setInputs(path string, n *yaml.Node) error {
	c.inputs, c.inputsNode = fromYAML(path, n), n
	return nil // all complaints come from Validate, together with those of the flags
}

func (c *Config) setOutputs(path string, n *yaml.Node) error {
	c.outputs, c.outputsNode = fromYAML(path, n), n
	return nil
}

// fromYAML keeps what a value of the config file says, and where.
func fromYAML(path string, n *yaml.Node) draft.Value {
	if n == nil {
		return draft.Value{Place: path}
	}
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	v := draft.Value{Place: fmt.Sprintf("%s:%d:%d", path, n.Line, n.Column)}
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
	case n.Kind == yaml.ScalarNode:
		v.Shape, v.Text = draft.Word, n.Value
	case n.Kind == yaml.SequenceNode:
		v.Shape = draft.List
		for _, item := range n.Content {
			v.Items = append(v.Items, fromYAML(path, item))
		}
	case n.Kind == yaml.MappingNode:
		v.Shape = draft.Map
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			v.Pairs = append(v.Pairs, draft.Pair{
				Key: key.Value, Place: fmt.Sprintf("%s:%d:%d", path, key.Line, key.Column), Value: fromYAML(path, n.Content[i+1]),
			})
		}
	}
	return v
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
