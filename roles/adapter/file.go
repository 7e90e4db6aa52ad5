package adapter

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/secret"
)

// All complaints about what the values say come from Validate, together with those of the flags.
func (c *Config) setSources(path string, n *yaml.Node) (err error) {
	c.sourcesNode = n
	c.sources, err = draft.FromYAML(path, n)
	return err
}

func (c *Config) setViews(path string, n *yaml.Node) (err error) {
	c.viewsNode = n
	c.views, err = draft.FromYAML(path, n)
	return err
}

func (c *Config) setChecks(path string, n *yaml.Node) (err error) {
	c.checksNode = n
	c.checks, err = draft.FromYAML(path, n)
	return err
}

// showNode is a value of the config file as --print-config may have it.
func showNode(n *yaml.Node) any {
	if n == nil {
		return nil
	}
	return masked(n, "")
}

// masked is a copy of n, which is the value of key, without aliases and secrets. Passwords stand in files, but they may be written into
// addresses and headers all the same.
func masked(n *yaml.Node, key string) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	c := *n
	c.Anchor, c.Content = "", slices.Clone(n.Content)
	switch {
	case c.Kind == yaml.ScalarNode && hidden(key):
		c.Value, c.Tag, c.Style = secret.Mask, "", yaml.DoubleQuotedStyle
	case c.Kind == yaml.ScalarNode:
		c.Value = secret.Redact(c.Value)
	case c.Kind == yaml.MappingNode:
		for i := 1; i < len(c.Content); i += 2 {
			below := key
			if below != "headers" && below != "env" {
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

// hidden is whether values of a key may be secrets.
func hidden(key string) bool {
	return key == "headers" || key == "env" || key == "body" || strings.Contains(key, "password") && !strings.HasSuffix(key, "file") || key == "dsn" || key == "token"
}
