package draft

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// mostValues bounds what aliases of aliases may grow to.
const mostValues = 100_000

// Parse reads a YAML document; path is its name in places. Without a document the value is Empty.
func Parse(path string, text []byte) (Value, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return Value{Place: path}, fmt.Errorf("%s: %w", path, err)
	}
	if len(doc.Content) == 0 {
		return Value{Place: path}, nil
	}
	return FromYAML(path, doc.Content[0])
}

// FromYAML keeps what a value of a YAML file says, and where; a nil node is Empty. Aliases stand for copies, of which there must not be too many; !!binary stands for bytes.
func FromYAML(path string, n *yaml.Node) (Value, error) {
	w := walk{path: path, left: mostValues}
	v := w.value(n)
	if w.left < 0 {
		w.err = errors.New(path + ": more than 100000 values, counting those that aliases stand for")
	}
	if w.err != nil {
		return Value{Place: path}, w.err
	}
	return v, nil
}

type walk struct {
	path string
	left int // values that there may still be
	err  error
}

func (w *walk) value(n *yaml.Node) Value {
	w.left--
	if n == nil || w.left < 0 {
		return Value{Place: w.path}
	}
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	v := Value{Place: place(w.path, n)}
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
	case n.Kind == yaml.ScalarNode && n.Tag == "!!binary":
		v.Shape = Word
		if n.Decode(&v.Text) != nil {
			w.err = errors.Join(w.err, errors.New(v.Place+": !!binary: want base64"))
		}
	case n.Kind == yaml.ScalarNode:
		v.Shape, v.Text = Word, n.Value
	case n.Kind == yaml.SequenceNode:
		v.Shape = List
		for _, item := range n.Content {
			v.Items = append(v.Items, w.value(item))
		}
	case n.Kind == yaml.MappingNode:
		v.Shape = Map
		var base []Pair
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, below := n.Content[i], w.value(n.Content[i+1])
			if key.Tag == "!!merge" {
				base = append(base, w.merged(place(w.path, key), below)...)
				continue
			}
			v.Pairs = append(v.Pairs, Pair{Key: key.Value, Place: place(w.path, key), Value: below})
		}
		if len(base) > 0 {
			v.Pairs = over(v.Pairs, base)
		}
	}
	return v
}

// over are the pairs of own, and those of base whose keys are not there yet.
func over(own, base []Pair) []Pair {
	there := map[string]bool{}
	for _, p := range own {
		there[p.Key] = true
	}
	for _, p := range base {
		if !there[p.Key] {
			there[p.Key] = true
			own = append(own, p)
		}
	}
	return own
}

// merged are the pairs that "<<" brings, those of earlier mappings first.
func (w *walk) merged(place string, v Value) []Pair {
	switch v.Shape {
	case Map:
		return v.Pairs
	case List:
		var all []Pair
		for _, item := range v.Items {
			all = append(all, w.merged(place, item)...)
		}
		return all
	}
	w.err = errors.Join(w.err, errors.New(place+": <<: want a mapping, or a list of mappings"))
	return nil
}

func place(path string, n *yaml.Node) string { return fmt.Sprintf("%s:%d:%d", path, n.Line, n.Column) }
