package proxy

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/internal/strict"
	"github.com/sidecar-kit/sidecar/roles/proxy/route"
)

func (c *Config) setRoutes(path string, n *yaml.Node) error {
	drafts, err := decodeDrafts(path, n, true)
	if err == nil || c.drafts.routes == nil {
		c.drafts.routes, c.drafts.routesNode = drafts, n
	}
	return err
}

func (c *Config) setClusters(path string, n *yaml.Node) error {
	drafts, err := decodeDrafts(path, n, false)
	if err == nil || c.drafts.clusters == nil {
		c.drafts.clusters, c.drafts.clustersNode = drafts, n
	}
	return err
}

// decodeDrafts reads a list of routes or clusters. A route may be a text, as --route has it.
func decodeDrafts(path string, n *yaml.Node, routes bool) ([]route.Draft, error) {
	var all []route.Draft
	if n == nil {
		return nil, nil
	}
	known := []string{"name", "upstream"}
	if routes {
		known = append(known, "listen")
	}
	for _, o := range route.Options() {
		known = append(known, o.Name)
	}
	err := strict.List(path, n, func(item *yaml.Node) error {
		place := fmt.Sprintf("%s:%d", path, item.Line)
		if routes && item.Kind == yaml.ScalarNode {
			d, err := route.ParseText(item.Value, place)
			all = append(all, d)
			return err
		}
		d := route.Draft{Place: place}
		err := strict.Each(path, item, known, func(key string, v *yaml.Node) error { return decodeKey(&d, path, key, v) })
		if routes && d.Listen == "" && err == nil {
			err = strict.Errorf(path, item, "the route has no listen; want one such as listen: https://:8443")
		}
		if !routes && d.Upstream == "" && err == nil {
			err = strict.Errorf(path, item, "the cluster has no upstream; want one such as upstream: tls://db1.example:5432")
		}
		all = append(all, d)
		return err
	})
	return all, err
}

func decodeKey(d *route.Draft, path, key string, v *yaml.Node) error {
	place := fmt.Sprintf("%s:%d:%d", path, v.Line, v.Column)
	switch key {
	case "name", "listen", "upstream":
		text, err := strict.Text(path, v)
		if err != nil {
			return err
		}
		if key == "name" {
			d.Name = text
			return nil
		}
		side, target := route.OfListener, &d.Listen
		if key == "upstream" {
			side, target = route.OfCluster, &d.Upstream
		}
		address, query, _ := strings.Cut(text, "?")
		*target = address
		settings, err := route.ParseQuery(query, place, side)
		d.Settings = append(d.Settings, settings...)
		if err != nil {
			return strict.Errorf(path, v, "%s: %w", key, err)
		}
		return nil
	}
	var values []string
	if v.Kind == yaml.MappingNode { // set-header: {X-Tenant: a}
		pairs, err := strict.Map(path, v)
		if err != nil {
			return err
		}
		for name, value := range pairs {
			values = append(values, name+":"+value)
		}
		slices.Sort(values)
	} else {
		var err error
		if values, err = strict.Texts(path, v); err != nil {
			return err
		}
	}
	for _, value := range values {
		d.Settings = append(d.Settings, route.Setting{Key: key, Value: value, Place: place, Side: route.OfRoute})
	}
	return nil
}

// printTable writes what is in force so that it can be used as a file.
func printTable(w io.Writer, t *route.Table) error {
	list := func(entries []route.Entry) *yaml.Node {
		m := &yaml.Node{Kind: yaml.MappingNode}
		for _, e := range entries {
			key, value := &yaml.Node{}, &yaml.Node{}
			key.SetString(e.Key)
			if e.Many {
				value.Kind = yaml.SequenceNode
				for _, v := range e.Values {
					if e.Key == "set-header" {
						v = route.MaskPair(v)
					}
					item := &yaml.Node{}
					item.SetString(v)
					value.Content = append(value.Content, item)
				}
			} else {
				value.SetString(strings.Join(e.Values, ","))
			}
			if !e.Given {
				value.LineComment = "default"
			}
			m.Content = append(m.Content, key, value)
		}
		return m
	}
	doc := &yaml.Node{Kind: yaml.MappingNode}
	add := func(name string, items []*yaml.Node) {
		key := &yaml.Node{}
		key.SetString(name)
		doc.Content = append(doc.Content, key, &yaml.Node{Kind: yaml.SequenceNode, Content: items})
	}
	var clusters, routes []*yaml.Node
	for _, c := range t.Clusters {
		if c.Named {
			clusters = append(clusters, list(c.Entries()))
		}
	}
	for _, r := range t.Routes {
		routes = append(routes, list(r.Entries()))
	}
	if len(clusters) > 0 {
		add("clusters", clusters)
	}
	add("routes", routes)
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(doc); err != nil {
		return err
	}
	return enc.Close()
}

// showNode is a key of the file for --print-config. Nothing in it is secret but values of fields: certificates are named by file.
func showNode(n *yaml.Node) any {
	if n == nil {
		return nil
	}
	return maskFields(n, "")
}

// maskFields copies a value of the file without values of set-header.
func maskFields(n *yaml.Node, under string) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return maskFields(n.Alias, under)
	}
	out := *n
	out.Anchor, out.Content = "", nil
	for i, child := range n.Content {
		key := under
		if n.Kind == yaml.MappingNode {
			if i%2 == 0 {
				out.Content = append(out.Content, child)
				continue
			}
			key = n.Content[i-1].Value
			if under == "set-header" && !strings.HasPrefix(child.Value, route.FromFile) {
				child = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: secret.Mask}
				key = ""
			}
		}
		out.Content = append(out.Content, maskFields(child, key))
	}
	if n.Kind == yaml.ScalarNode {
		if out.Value = route.Mask(n.Value); under == "set-header" {
			out.Value = route.MaskPair(n.Value)
		}
	}
	return &out
}
