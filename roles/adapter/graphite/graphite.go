// Package graphite reads and writes Graphite's plaintext protocol, with tags: name;tag=value number seconds.
//
// Dots and all else that a name of Prometheus must not have become underscores; tags become labels. Lines without a timestamp, or with -1 or N, are untimed. Paths
// whose parts should be labels go through statsmap, which takes the points of Line.
//
// Written are the full names, with labels as tags or as parts of the path. That loses type, help, unit, exemplars and fractions of a second; spaces, semicolons and
// line ends in values become underscores, in paths dots, too. NaN and infinities are counted as model.Unstorable.
package graphite

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/expo"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/points"
)

// Options say how lines are read and written. The zero value is tags.
type Options struct {
	Path     bool   // labels are written into the path, instead of as tags
	Template string // of the path, with {name} and {label}; labels that it lacks follow as .label.value; "" is {name}
	Prefix   string // in front of every name that is written, with its last dot; cut off where names are read
	Untimed  bool   // timestamps are left out when reading
	Skip     bool   // a line that is wrong is counted as unreadable, instead of being an error
	Now      int64  // when writing: milliseconds since 1970 for samples without a timestamp; 0 writes -1, which Carbon takes as now
}

// Keys are the keys that Parse reads.
func Keys() []string { return []string{"form", "template", "prefix", "timestamps"} }

// Parse reads a mapping with some of Keys.
func Parse(v draft.Value) (Options, error) {
	var o Options
	return o, v.Each(Keys(), func(key string, v draft.Value) error {
		switch key {
		case "form":
			var form string
			err := v.OneOf(&form, "tags", "path")
			o.Path = form == "path"
			return err
		case "template":
			if err := v.Word(&o.Template); err != nil {
				return err
			}
			if !strings.Contains(o.Template, "{name}") || strings.Count(o.Template, "{") != strings.Count(o.Template, "}") || strings.ContainsAny(o.Template, " ;\n") {
				return v.Errorf("template %q has to have {name}, may have {label}, and has no spaces and semicolons", o.Template)
			}
			o.Path = true
			return nil
		case "prefix":
			err := v.Word(&o.Prefix)
			if err == nil && strings.ContainsAny(o.Prefix, " ;\n") {
				return v.Errorf("prefix %q has a space or a semicolon", o.Prefix)
			}
			return err
		}
		keep := true
		err := v.Bool(&keep)
		o.Untimed = !keep
		return err
	})
}

// Point is what one line says, before names are made fit.
type Point struct {
	Name  string // with dots, as it came
	Tags  []model.Label
	Value float64
	Text  string // the number as it came
	Time  int64  // milliseconds since 1970
	Timed bool
}

// Decode reads lines; empty ones are skipped. Without Options.Skip an error refuses all of the body; it has the number of the line.
func Decode(body []byte, o Options, lim model.Limits) (model.Page, model.Drops, error) {
	b := points.New(lim)
	var p Point
	n := 0
	for line := range strings.Lines(expo.View(body)) {
		n++
		line = strings.Trim(line, " \t\r\n")
		if line == "" {
			continue
		}
		if err := p.Line(line); err != nil {
			if !o.Skip {
				return model.Page{}, model.Drops{}, fmt.Errorf("line %d: %w", n, err)
			}
			b.Drop(model.Unreadable, 1)
			continue
		}
		s := model.Sample{Labels: p.Tags, Value: p.Value, Text: p.Text}
		for i := range s.Labels {
			s.Labels[i].Name = points.Label(s.Labels[i].Name)
		}
		if p.Timed && !o.Untimed {
			s.Time, s.Timed = p.Time, true
		}
		b.Add(points.Name(strings.TrimPrefix(p.Name, o.Prefix)), s)
	}
	page, drops := b.Page()
	return page, drops, nil
}

// Line reads one line without its end into p, whose Tags are used again. Strings are parts of the line.
func (p *Point) Line(line string) error {
	bad := func(what string) error {
		if len(line) > 120 {
			line = line[:120] + "..."
		}
		return fmt.Errorf("%s: %q", what, line)
	}
	if !utf8.ValidString(line) {
		return bad("bytes that are not UTF-8")
	}
	path, rest := word(line)
	value, rest := word(rest)
	time, rest := word(rest)
	if value == "" || rest != "" {
		return bad("want name, number and seconds, separated by spaces")
	}
	*p = Point{Tags: p.Tags[:0]}
	var tags string
	p.Name, tags, _ = strings.Cut(path, ";")
	if p.Name == "" {
		return bad("there is no name")
	}
	if tags != "" || len(path) > len(p.Name) {
		for tag := range strings.SplitSeq(tags, ";") {
			key, v, ok := strings.Cut(tag, "=")
			if !ok || key == "" {
				return bad("want name=value as tag")
			}
			p.Tags = append(p.Tags, model.Label{Name: key, Value: v})
		}
	}
	var err error
	if p.Value, err = strconv.ParseFloat(value, 64); err != nil || strings.ContainsAny(value, "_xXpP") {
		return bad("the second word is no number")
	}
	p.Text = value
	if time == "" || time == "-1" || time == "N" {
		return nil
	}
	t, err := strconv.ParseFloat(time, 64)
	if err != nil || strings.ContainsAny(time, "_xXpP") || !(math.Abs(t) < 1e15) {
		return bad("the third word is no number of seconds")
	}
	p.Time, p.Timed = int64(math.Round(t*1000)), true
	return nil
}

// word cuts the first word off.
func word(s string) (first, rest string) {
	end := strings.IndexAny(s, " \t")
	if end < 0 {
		return s, ""
	}
	return s[:end], strings.TrimLeft(s[end:], " \t")
}
