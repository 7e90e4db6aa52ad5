// Package statsmap reads the mapping files of statsd_exporter and graphite_exporter, unchanged, and applies them: which name and labels a
// dotted name gets. Globs run on an automaton of fields that keeps the order of the file; regular expressions come after all globs, as there.
// docs/decisions/0291 says where it differs on purpose. A Mapping does not change after Load and may be used by many goroutines; a Cache may not.
package statsmap

import (
	"regexp"
	"time"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// Type is what kind of metric is looked up.
type Type uint8

// The types.
const (
	Counter Type = iota
	Gauge
	Observer // timers, histograms, distributions
	types
)

// Observe is what an observer is shown as.
type Observe uint8

// What observers are shown as. Default is what Mapping.Default says, and a Summary if that is not set, either.
const (
	Default Observe = iota
	Summary
	Histogram
)

// Quantile is one that a summary shows, and how far its rank may be off, as a part of all ranks.
type Quantile struct{ Quantile, Error float64 }

// Shape is how observers are kept. Zero values and empty lists leave the choice to whoever keeps them.
type Shape struct {
	Observe    Observe
	Buckets    []float64 // ascending, without +Inf
	Quantiles  []Quantile
	MaxAge     time.Duration
	AgeBuckets int
}

// Rule is one of the mappings.
type Rule struct {
	Place  string // "mapping.yml:12:3"
	Match  string
	Help   string
	Drop   bool
	Honor  bool // labels that came with the metric stay as they are
	Scaled bool
	Scale  float64
	TTL    time.Duration // 0: for ever
	Shape  Shape

	typed  bool
	only   Type
	name   template
	labels []labelTemplate
	regex  *regexp.Regexp
	index  int
}

type labelTemplate struct {
	name  string
	value template
}

// Result is what a name is mapped to.
type Result struct {
	Rule   *Rule         // nil: no rule matches
	Name   string        // not yet a valid one: it may have dots and dashes from what * matched
	Labels []model.Label // in the order of their names; values may be empty
}

// Mapping is a file of rules.
type Mapping struct {
	Shape  Shape         // for what no rule says anything of
	TTL    time.Duration // likewise
	Strict bool          // graphite_exporter's strict_match: what no rule matches is dropped
	Rules  []*Rule

	roots     [types]*state
	globs     bool
	regexes   []*Rule
	unordered bool
}

// Find maps a name. It allocates; see Cache.
func (m *Mapping) Find(name string, t Type) Result {
	if m.globs {
		if r, ok := m.glob(name, t); ok {
			return r
		}
	}
	for _, rule := range m.regexes {
		at := rule.regex.FindStringSubmatchIndex(name)
		if at == nil || rule.typed && rule.only != t {
			continue
		}
		expand := func(text template) string { return string(rule.regex.ExpandString(nil, text.text, name, at)) }
		return rule.result(expand)
	}
	return Result{}
}

func (r *Rule) result(expand func(template) string) Result {
	found := Result{Rule: r, Name: expand(r.name)}
	for _, l := range r.labels {
		found.Labels = append(found.Labels, model.Label{Name: l.name, Value: expand(l.value)})
	}
	return found
}
