package statsmap

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/order"
)

const (
	longest    = 100 * 365 * 24 * time.Hour
	mostFields = 64  // of a glob: the search goes back at most as often as its stars allow
	mostBounds = 512 // buckets or quantiles
)

var (
	metricName = regexp.MustCompile(`^([a-zA-Z_]|\$\{?\d+\}?)([a-zA-Z0-9_]|\$\{?\d+\}?)*$`)
	globMatch  = regexp.MustCompile(`^(\*|[a-zA-Z_][a-zA-Z0-9_\-]*)(\.\*|\.[a-zA-Z0-9_][a-zA-Z0-9_\-]*)*$`)
	labelName  = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
)

// Load reads a mapping file. The error has every complaint, each with path, line and column.
func Load(path string, text []byte) (*Mapping, error) {
	v, err := draft.Parse(path, text)
	if err != nil {
		return nil, err
	}
	return Parse(v)
}

// Parse reads a mapping that is part of another document.
func Parse(v draft.Value) (*Mapping, error) {
	m := &Mapping{}
	d := defaults{}
	var rules draft.Value
	err := v.Each([]string{"defaults", "mappings"}, func(key string, v draft.Value) error {
		if key == "defaults" {
			return d.parse(v)
		}
		rules = v
		return nil
	})
	m.Shape, m.TTL, m.Strict, m.unordered = d.shape, d.ttl, d.strict, d.unordered
	errs := []error{err}
	if rules.Shape != draft.Empty && rules.Shape != draft.List {
		errs = append(errs, rules.Errorf("want a list of mappings"))
		rules = draft.Value{}
	}
	for i, item := range rules.Items {
		rule, regex, err := d.rule(item)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		rule.index = i
		m.Rules = append(m.Rules, rule)
		if regex {
			m.regexes = append(m.regexes, rule)
		} else {
			m.addGlob(rule)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return m, nil
}

type defaults struct {
	shape     Shape
	regex     bool
	unordered bool
	strict    bool
	ttl       time.Duration
}

func (d *defaults) parse(v draft.Value) error {
	known := []string{
		"observer_type", "timer_type", "match_type", "glob_disable_ordering", "strict_match", "ttl", "summary_options", "histogram_options", "buckets", "quantiles",
	}
	return v.Each(known, func(key string, v draft.Value) error {
		switch key {
		case "match_type":
			return matchType(v, &d.regex)
		case "glob_disable_ordering":
			return v.Bool(&d.unordered)
		case "strict_match":
			return v.Bool(&d.strict)
		case "ttl":
			return v.Duration(&d.ttl, 0, longest)
		}
		return d.shape.parse(key, v)
	})
}

// parse reads a key that defaults and rules share.
func (s *Shape) parse(key string, v draft.Value) error {
	switch key {
	case "observer_type", "timer_type":
		var word string
		if v.Shape == draft.Empty {
			s.Observe = Summary
			return nil
		}
		err := v.OneOf(&word, "histogram", "summary", "")
		s.Observe = Summary
		if word == "histogram" {
			s.Observe = Histogram
		}
		return err
	case "buckets":
		return bounds(v, &s.Buckets)
	case "quantiles":
		return quantiles(v, &s.Quantiles)
	case "histogram_options":
		return v.Each([]string{"buckets", "native_histogram_bucket_factor", "native_histogram_max_buckets"}, func(key string, v draft.Value) error {
			if key == "buckets" {
				return bounds(v, &s.Buckets)
			}
			var n float64 // text formats have no native histograms; statsd_exporter shows the classic ones beside them
			return v.Float(&n, 0, 1<<32)
		})
	}
	return v.Each([]string{"quantiles", "max_age", "age_buckets", "buf_cap"}, func(key string, v draft.Value) error {
		switch key {
		case "quantiles":
			return quantiles(v, &s.Quantiles)
		case "max_age":
			return v.Duration(&s.MaxAge, 0, longest)
		case "age_buckets":
			return v.Int(&s.AgeBuckets, 0, 100)
		}
		var n int // how much client_golang keeps unsorted; it changes no result
		return v.Int(&n, 0, 1<<30)
	})
}

func bounds(v draft.Value, dst *[]float64) error {
	*dst = nil
	last := 0.0
	return v.Each1(func(v draft.Value) error {
		var b float64
		if v.Text == "+Inf" || v.Text == ".inf" || v.Text == "+.inf" {
			return nil // it is always there
		}
		if err := v.Float(&b, -1e308, 1e308); err != nil {
			return err
		}
		if len(*dst) > 0 && b <= last {
			return v.Errorf("bucket %s is not above the one before it", v.Text)
		}
		if len(*dst) == mostBounds {
			return v.Errorf("more than %d buckets", mostBounds)
		}
		last, *dst = b, append(*dst, b)
		return nil
	})
}

func quantiles(v draft.Value, dst *[]Quantile) error {
	*dst = nil
	return v.Each1(func(v draft.Value) error {
		var q Quantile
		if len(*dst) == mostBounds {
			return v.Errorf("more than %d quantiles", mostBounds)
		}
		err := v.Each([]string{"quantile", "error"}, func(key string, v draft.Value) error {
			if key == "quantile" {
				return v.Float(&q.Quantile, 0, 1)
			}
			return v.Float(&q.Error, 0, 1)
		})
		*dst = append(*dst, q)
		return err
	})
}

func matchType(v draft.Value, regex *bool) error {
	var word string
	err := v.OneOf(&word, "glob", "regex", "")
	*regex = word == "regex"
	return err
}

type ruleText struct {
	match, name         draft.Value
	labels              draft.Value
	histogram, summary  bool
	oldBounds, oldQuant bool
}

func (d *defaults) rule(v draft.Value) (*Rule, bool, error) {
	r, text, regex := &Rule{Place: v.Place, TTL: d.ttl}, ruleText{match: draft.Value{Place: v.Place}, name: draft.Value{Place: v.Place}}, d.regex
	if v.Shape != draft.Map {
		return nil, false, v.Errorf("a mapping has at least match and name")
	}
	err := v.Each(ruleKeys(), func(key string, v draft.Value) error {
		switch key {
		case "match":
			text.match = v
			return v.Word(&r.Match)
		case "name":
			text.name = v
			return nil
		case "labels":
			text.labels = v
			return nil
		case "match_type":
			return matchType(v, &regex)
		}
		return r.parse(key, v, &text)
	})
	errs := []error{err, r.merge(d, v, text), r.compile(regex, text)}
	return r, regex, errors.Join(errs...)
}

func ruleKeys() []string {
	return []string{
		"match", "name", "labels", "match_type", "honor_labels", "observer_type", "timer_type", "help", "action", "match_metric_type", "ttl",
		"summary_options", "histogram_options", "buckets", "quantiles", "scale",
	}
}

func (r *Rule) parse(key string, v draft.Value, text *ruleText) error {
	var word string
	switch key {
	case "honor_labels":
		return v.Bool(&r.Honor)
	case "help":
		return v.Word(&r.Help)
	case "action":
		err := v.OneOf(&word, "map", "drop", "")
		r.Drop = word == "drop"
		return err
	case "match_metric_type":
		err := v.OneOf(&word, "counter", "gauge", "observer", "timer")
		r.typed = true
		r.only = map[string]Type{"gauge": Gauge, "observer": Observer, "timer": Observer}[word]
		return err
	case "ttl":
		var ttl time.Duration
		err := v.Duration(&ttl, 0, longest)
		if ttl > 0 {
			r.TTL = ttl
		}
		return err
	case "scale":
		r.Scaled = true
		return v.Float(&r.Scale, -1e308, 1e308)
	case "histogram_options":
		text.histogram = true
	case "summary_options":
		text.summary = true
	case "buckets":
		text.oldBounds = true
	case "quantiles":
		text.oldQuant = true
	}
	return r.Shape.parse(key, v)
}

// merge takes over what the defaults say.
func (r *Rule) merge(d *defaults, v draft.Value, text ruleText) error {
	s := &r.Shape
	if text.oldBounds && text.histogram {
		return v.Errorf("buckets and histogram_options are given\nhint: keep histogram_options")
	}
	if text.oldQuant && text.summary {
		return v.Errorf("quantiles and summary_options are given\nhint: keep summary_options")
	}
	if s.Observe == Default {
		s.Observe = d.shape.Observe
	}
	if s.Observe == Histogram && text.summary {
		return v.Errorf("a histogram cannot have summary_options")
	}
	if s.Observe == Summary && text.histogram {
		return v.Errorf("a summary cannot have histogram_options")
	}
	if len(s.Buckets) == 0 {
		s.Buckets = d.shape.Buckets
	}
	if len(s.Quantiles) == 0 {
		s.Quantiles = d.shape.Quantiles
	}
	if s.MaxAge == 0 {
		s.MaxAge = d.shape.MaxAge
	}
	if s.AgeBuckets == 0 {
		s.AgeBuckets = d.shape.AgeBuckets
	}
	return nil
}

// compile reads the match, the name and the labels.
func (r *Rule) compile(regex bool, text ruleText) error {
	var errs []error
	captures := 0
	if regex {
		compiled, err := regexp.Compile(r.Match)
		if err != nil {
			errs = append(errs, text.match.Errorf("%w", err))
		}
		r.regex = compiled
	} else {
		if !globMatch.MatchString(r.Match) || strings.Count(r.Match, ".") >= mostFields {
			errs = append(errs, text.match.Errorf("%q is no glob: want fields of letters, digits, _ and - with dots between, or * for a whole field", r.Match))
		}
		captures = strings.Count(r.Match, "*")
	}
	var name string
	if text.name.Shape == draft.Word {
		name = text.name.Text
	}
	if !metricName.MatchString(name) {
		errs = append(errs, text.name.Errorf("%q is no name of a metric\nhint: name is needed, also where action is drop", name))
	}
	r.name = newTemplate(name, captures)
	errs = append(errs, text.labels.All(func(key string, v draft.Value) error {
		if !labelName.MatchString(key) {
			return fmt.Errorf("%s: %q is no name of a label", v.Place, key)
		}
		value := ""
		if v.Shape != draft.Empty {
			if err := v.Word(&value); err != nil {
				return err
			}
		}
		r.labels = append(r.labels, labelTemplate{key, newTemplate(value, captures)})
		return nil
	}))
	order.Sort(r.labels, func(a, b labelTemplate) int { return strings.Compare(a.name, b.name) })
	return errors.Join(errs...)
}
