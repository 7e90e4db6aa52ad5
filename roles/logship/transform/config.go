// Package transform changes records before they are sent: it adds, renames and drops fields, leaves records out, and takes away what nobody
// may read. Everything but rate limits depends only on the record. Used by content.
package transform

import (
	"slices"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/suggest"
)

// Config is a list of steps.
type Config struct{ steps []step }

// step is one entry of transforms. One of its parts is set.
type step struct {
	word   string // add, kubernetes, drop ...
	place  string
	add    []added
	keys   []string    // drop, keep
	rename [][2]string // from, to
	when   node        // filter, only; and a condition of sample and limit
	sample *sample
	limit  *limitConfig
	redact *redactConfig
}

// added is a field to add: a text, the content of a file, or one field for each line of a file of the downward API.
type added struct {
	key, text, file, lines string
	optional               bool // an empty text adds nothing
}

// Words are the transforms.
func Words() []string {
	return []string{"add", "kubernetes", "drop", "keep", "rename", "filter", "only", "sample", "limit", "redact"}
}

// Parse reads the list of transforms, each a mapping with one key of Words.
func Parse(v draft.Value) (Config, error) {
	var c Config
	err := v.Each1(func(v draft.Value) error {
		if v.Shape == draft.Word && v.Text == "kubernetes" {
			v = draft.Value{Place: v.Place, Shape: draft.Map, Pairs: []draft.Pair{{Key: v.Text, Place: v.Place, Value: draft.Value{Place: v.Place}}}}
		}
		if v.Shape != draft.Map || len(v.Pairs) != 1 {
			return v.Errorf("want one transform, such as add: {env: prod}; the transforms are %s", strings.Join(Words(), ", "))
		}
		p := v.Pairs[0]
		if !slices.Contains(Words(), p.Key) {
			return v.Errorf("unknown transform %q%s\nhint: the transforms are %s", p.Key, suggest.DidYouMean("", p.Key, Words()), strings.Join(Words(), ", "))
		}
		s := step{word: p.Key, place: v.Place}
		if err := s.parse(p.Value); err != nil {
			return err
		}
		c.steps = append(c.steps, s)
		return nil
	})
	return c, err
}

func (s *step) parse(v draft.Value) error {
	var err error
	switch s.word {
	case "add":
		return v.All(s.parseAdd)
	case "kubernetes":
		return s.parseKubernetes(v)
	case "drop", "keep":
		if err = v.Words(&s.keys); err == nil && len(s.keys) == 0 {
			return v.Errorf("%s names no key", s.word)
		}
		return err
	case "rename":
		return v.All(s.parseRename)
	case "filter", "only":
		s.when, err = parseCondition(v)
		return err
	case "sample":
		return s.parseSample(v)
	case "limit":
		return s.parseLimit(v)
	default:
		s.redact, err = parseRedact(v)
		return err
	}
}

// parseAdd reads KEY: text, KEY: {file: PATH} or KEY: {lines: PATH}.
func (s *step) parseAdd(key string, v draft.Value) error {
	a := added{key: key}
	if err := mayBeSet(v, key); err != nil {
		return err
	}
	if v.Shape == draft.Map {
		err := v.Each([]string{"file", "lines"}, func(word string, v draft.Value) error {
			if word == "file" {
				return v.Word(&a.file)
			}
			return v.Word(&a.lines)
		})
		if err == nil && (a.file == "") == (a.lines == "") {
			err = v.Errorf("%s: want file, whose content is the value, or lines, a file of name=\"value\" lines as the downward API writes it", key)
		}
		s.add = append(s.add, a)
		return err
	}
	if v.Shape == draft.Empty {
		return v.Errorf("%s has no value", key)
	}
	if err := v.Word(&a.text); err != nil {
		return err
	}
	if _, err := expand(a.text, func(string) (string, bool) { return "", true }); err != nil {
		return v.Errorf("%s: %w", key, err)
	}
	s.add = append(s.add, a)
	return nil
}

// mayBeSet refuses keys that are written by logship itself.
func mayBeSet(v draft.Value, key string) error {
	first, _, _ := strings.Cut(key, ".")
	if slices.Contains([]string{"@timestamp", "message", "log", "_id", "_index", "_source", "_type", "_routing"}, first) {
		return v.Errorf("%s is written by logship itself: take another key", key)
	}
	if key == "" || strings.HasPrefix(key, ".") || strings.HasSuffix(key, ".") || strings.Contains(key, "..") || strings.ToValidUTF8(key, "") != key {
		return v.Errorf("%q is no key: want names with dots between, such as service.name", key)
	}
	return nil
}

func (s *step) parseKubernetes(v draft.Value) error {
	texts := []struct{ word, key, env string }{
		{"pod", "kubernetes.pod.name", "${POD_NAME:-}"}, {"namespace", "kubernetes.namespace", "${POD_NAMESPACE:-}"},
		{"node", "kubernetes.node.name", "${NODE_NAME:-}"}, {"uid", "kubernetes.pod.uid", "${POD_UID:-}"}, {"ip", "kubernetes.pod.ip", "${POD_IP:-}"},
		{"container", "kubernetes.container.name", "${CONTAINER_NAME:-}"},
	}
	files := map[string]string{"labels": "/etc/podinfo/labels", "annotations": "/etc/podinfo/annotations"}
	values := map[string]string{}
	known := []string{"labels", "annotations"}
	for _, t := range texts {
		known = append(known, t.word)
	}
	err := v.Each(known, func(word string, v draft.Value) error {
		var text string
		err := v.Word(&text)
		values[word] = text
		return err
	})
	for _, t := range texts {
		text, given := values[t.word]
		if !given {
			text = t.env
		}
		s.add = append(s.add, added{key: t.key, text: text, optional: true})
	}
	for _, word := range known[:2] {
		path, given := values[word]
		if !given {
			path = files[word]
		}
		if path != "" {
			s.add = append(s.add, added{key: "kubernetes." + word, lines: path, optional: true})
		}
	}
	return err
}

func (s *step) parseRename(from string, v draft.Value) error {
	var to string
	if err := v.Word(&to); err != nil {
		return err
	}
	if to != "message" {
		if err := mayBeSet(v, to); err != nil {
			return err
		}
	}
	s.rename = append(s.rename, [2]string{from, to})
	return nil
}
