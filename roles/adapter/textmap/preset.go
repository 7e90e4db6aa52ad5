package textmap

import (
	"embed"
	"fmt"
	"slices"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/suggest"
)

// presets are configurations as a user could write them.
//
//go:embed presets/*.yaml
var presets embed.FS

// Presets are the names of the presets, sorted.
func Presets() []string {
	entries, _ := presets.ReadDir("presets") // never fails: it is in the program
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return names
}

// Preset is the configuration of a preset.
func Preset(name string) (draft.Value, error) {
	text, err := presets.ReadFile("presets/" + name + ".yaml")
	if err != nil {
		return draft.Value{}, fmt.Errorf("there is no preset %q; there are %s%s", name, strings.Join(Presets(), ", "), suggest.DidYouMean("", name, Presets()))
	}
	return draft.Parse("preset "+name, text)
}

// Help is what a preset is for, for lists.
func Help(name string) string {
	v, err := Preset(name)
	if err != nil {
		return ""
	}
	for _, p := range v.Pairs {
		if p.Key == "help" {
			return p.Value.Text
		}
	}
	return ""
}

// overlay puts the keys of a source over those of its preset, if its format is one.
func (m *Map) overlay(v draft.Value) (draft.Value, error) {
	if !slices.Contains(Presets(), m.format) {
		return v, nil
	}
	preset, err := Preset(m.format)
	if err != nil {
		return v, err
	}
	out := draft.Value{Place: v.Place}
	for _, p := range preset.Pairs {
		i := slices.IndexFunc(v.Pairs, func(q draft.Pair) bool { return q.Key == p.Key })
		switch {
		case p.Key == "format":
			m.format = p.Value.Text
		case i < 0:
			out.Pairs = append(out.Pairs, p)
		case p.Key == "map":
			p.Value.Items = append(slices.Clip(p.Value.Items), rules(v.Pairs[i].Value)...)
			out.Pairs = append(out.Pairs, p)
		}
	}
	for _, p := range v.Pairs {
		if p.Key != "map" {
			out.Pairs = append(out.Pairs, p)
		}
	}
	return out, nil
}

func rules(v draft.Value) []draft.Value {
	if v.Shape == draft.List {
		return v.Items
	}
	return []draft.Value{v}
}
