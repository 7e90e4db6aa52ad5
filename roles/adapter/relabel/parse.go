// Package relabel changes what a page says: Prometheus' metric_relabel_configs, word for word, and short keys for what is needed most. The order is fixed:
//
//	keep, drop    globs of names of families
//	relabel       rules of Prometheus, on each series
//	rename        from then on the new names count
//	type, scale, help, unit
//	labels        constant ones
//	limits
//
// Names are those of families, as text 0.0.4 or OpenMetrics has them (foo_total or foo for a counter). A block is read only if a rule can touch something in it.
package relabel

import (
	"errors"
	"math"
	"path"
	"regexp"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/expo"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// Program is what is to be done to pages. It is not changed by Apply, which may run in several goroutines. The nil Program does nothing.
type Program struct {
	keep, drop []string
	rules      []rule
	rename     []renaming
	types      map[string]model.Type
	typed      []string // the keys of types, as they were written
	scale      map[string]float64
	help, unit map[string]string
	labels     []model.Label
	lim        model.Limits
}

// renaming is a new name for a family, or, with a regular expression, for some.
type renaming struct {
	from  string
	regex *regexp.Regexp
	to    string
}

// Keys are the keys that Parse reads.
func Keys() []string {
	return []string{"relabel", "metric_relabel_configs", "rename", "scale", "type", "help", "unit", "keep", "drop", "labels", "limits"}
}

// Parse reads a mapping with some of Keys, and complains of all that is wrong in it.
func Parse(v draft.Value) (*Program, error) {
	p := &Program{types: map[string]model.Type{}, scale: map[string]float64{}, help: map[string]string{}, unit: map[string]string{}}
	return p, v.Each(Keys(), func(key string, v draft.Value) error {
		switch key {
		case "keep":
			return globs(v, &p.keep)
		case "drop":
			return globs(v, &p.drop)
		case "relabel", "metric_relabel_configs":
			return v.Each1(func(v draft.Value) error {
				r, err := parseRule(v)
				p.rules = append(p.rules, r)
				return err
			})
		case "rename":
			return v.All(p.addRename)
		case "type":
			return v.All(p.addType)
		case "scale":
			return v.All(p.addScale)
		case "help":
			return v.All(func(key string, v draft.Value) error { return words(p.help, key, v) })
		case "unit":
			return v.All(func(key string, v draft.Value) error { return words(p.unit, key, v) })
		case "labels":
			return v.All(p.addLabel)
		}
		return ParseLimits(v, &p.lim)
	})
}

// Limits are those of the program, for decoders that can leave out what is over them before it costs anything.
func (p *Program) Limits() model.Limits {
	if p == nil {
		return model.Limits{}
	}
	return p.lim
}

// ParseLimits reads the mapping of the key limits; what it does not name stays as it is in lim.
func ParseLimits(v draft.Value, lim *model.Limits) error {
	return v.Each([]string{"series", "labels", "name-length", "value-length"}, func(key string, v draft.Value) error {
		switch key {
		case "series":
			return v.Int(&lim.Series, 0, math.MaxInt32)
		case "labels":
			return v.Int(&lim.Labels, 0, math.MaxInt32)
		case "name-length":
			return v.Int(&lim.Name, 0, math.MaxInt32)
		}
		return v.Int(&lim.Value, 0, math.MaxInt32)
	})
}

func globs(v draft.Value, dst *[]string) error {
	if err := v.Words(dst); err != nil {
		return err
	}
	var errs []error
	for _, g := range *dst {
		if _, err := path.Match(g, ""); err != nil {
			errs = append(errs, v.Errorf("%q is no pattern of * ? and [...]", g))
		}
	}
	return errors.Join(errs...)
}

func words(dst map[string]string, key string, v draft.Value) error {
	var s string
	err := empty(v, &s)
	dst[key] = s
	return err
}

// addRename reads "old: new", where old is a name or a regular expression with groups that new takes up as $1.
func (p *Program) addRename(key string, v draft.Value) error {
	r := renaming{from: key}
	if err := v.Word(&r.to); err != nil {
		return err
	}
	if strings.ContainsAny(key, `*+?()[]{}|\^$`) || (strings.Contains(key, ".") && strings.Contains(r.to, "$")) {
		var err error
		if r.regex, err = compile(key); err != nil {
			return v.Errorf("rename %q: %w", key, err)
		}
	}
	if r.to == "" || (r.regex == nil && !expo.IsName(r.to)) {
		return v.Errorf("%q is no name of a metric: letters, digits, _ and :, and no digit in front", r.to)
	}
	p.rename = append(p.rename, r)
	return nil
}

func (p *Program) addType(key string, v draft.Value) error {
	var word string
	if err := v.OneOf(&word, "unknown", "untyped", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"); err != nil {
		return err
	}
	for t := model.Unknown; t <= model.StateSet; t++ {
		if t.String() == word {
			p.types[key] = t
		}
	}
	if word == "untyped" {
		p.types[key] = model.Unknown
	}
	p.typed = append(p.typed, key)
	return nil
}

func (p *Program) addScale(key string, v draft.Value) error {
	var x float64
	err := v.Float(&x, math.SmallestNonzeroFloat64, math.MaxFloat64)
	p.scale[key] = x
	return err
}

func (p *Program) addLabel(key string, v draft.Value) error {
	l := model.Label{Name: key}
	if !expo.IsLabel(key) || strings.HasPrefix(key, "__") {
		return v.Errorf("%q is no name of a label: letters, digits and _, no digit in front, and not __", key)
	}
	err := empty(v, &l.Value)
	p.labels = append(p.labels, l)
	return err
}
