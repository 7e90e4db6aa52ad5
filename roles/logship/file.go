package logship

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/logship/outputs"
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
	case c.Kind == yaml.ScalarNode && hidden(key) && !strings.HasPrefix(c.Value, "${"):
		c.Value, c.Tag, c.Style = secret.Mask, "", yaml.DoubleQuotedStyle
	case c.Kind == yaml.ScalarNode && (key == "to" || key == ""):
		c.Value = outputs.Show(c.Value)
	case c.Kind == yaml.ScalarNode:
		c.Value = passwordIn().ReplaceAllString(c.Value, "${1}"+secret.Mask+"@")
	case c.Kind == yaml.MappingNode:
		for i := 1; i < len(c.Content); i += 2 {
			below := key
			if below != "headers" {
				below = c.Content[i-1].Value
			}
			c.Content[i-1], c.Content[i] = masked(c.Content[i-1], "a key"), masked(c.Content[i], below)
		}
	default:
		for i := range c.Content {
			c.Content[i] = masked(c.Content[i], key)
		}
	}
	return &c
}

// hidden says whether the value of key may be a secret. Some of the keys are refused, but they are printed before that.
func hidden(key string) bool {
	switch key {
	case "headers", "salt", "password", "token", "api-key", "shared-key", "access-key", "secret-key", "session-token":
		return true
	}
	return false
}

// passwordIn is made when it is needed, which is once.
func passwordIn() *regexp.Regexp { return regexp.MustCompile(`(://[^/?#@]*?:)[^/?#]*@`) }
