package kind

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/suggest"
	"github.com/sidecar-kit/sidecar/roles/adapter/check"
	"github.com/sidecar-kit/sidecar/roles/adapter/expo"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// threshold is a check of a number that a source gives.
type threshold struct {
	source    string
	metric    selector
	of        *selector // the number is a share of this
	aggregate string
	rate      time.Duration // 0: the value itself, else its increase per second over so long
	above     float64       // not well above it
	below     float64       // not well below it
	lasting   time.Duration // so long until it counts
	missing   string        // fail or ok

	history []point
	since   time.Time // when it went out of bounds; zero while it is within
}

type point struct {
	at       time.Time
	value, n float64
}

// makeMetric reads {source: app, metric: 'errors_total{code=~"5.."}', of: requests_total, rate: 1m, above: 0.05, for: 1m}.
func makeMetric(v draft.Value, e *Env, s *check.Spec) error {
	t := &threshold{aggregate: "sum", above: math.Inf(1), below: math.Inf(-1), missing: "fail"}
	known := []string{"source", "metric", "of", "aggregate", "rate", "above", "below", "for", "missing"}
	err := v.Each(known, func(key string, v draft.Value) error { return t.set(key, v) })
	if t.source == "" && len(e.Sources) == 1 {
		t.source = e.Sources[0]
	}
	switch {
	case t.source == "":
		err = errors.Join(err, v.Errorf("want source: the name of one of the sources"))
	case !slices.Contains(e.Sources, t.source):
		err = errors.Join(err, v.Errorf("no source has the name %s%s", t.source, suggest.DidYouMean("", t.source, e.Sources)))
	}
	if t.metric.name == "" {
		err = errors.Join(err, v.Errorf("want metric: a name, with labels or without, such as 'errors_total{code=\"500\"}'"))
	}
	if math.IsInf(t.above, 1) && math.IsInf(t.below, -1) {
		err = errors.Join(err, v.Errorf("want above or below: where it is not well any more"))
	}
	s.Target = t.source + " " + t.metric.String()
	s.Do = func(ctx context.Context) check.Result {
		r := e.Fetch(ctx, t.source)
		if r.Page == nil || r.Stale {
			return check.Result{Detail: fmt.Sprintf("source %s: %v", t.source, r.Err)}
		}
		return t.look(r.Page, time.Now())
	}
	return err
}

func (t *threshold) set(key string, v draft.Value) error {
	switch key {
	case "source":
		return v.Word(&t.source)
	case "metric":
		return t.metric.read(v)
	case "of":
		t.of = &selector{}
		return t.of.read(v)
	case "aggregate":
		return v.OneOf(&t.aggregate, "sum", "max", "min", "avg", "count")
	case "rate":
		return v.Duration(&t.rate, time.Second, 24*time.Hour)
	case "above":
		return v.Float(&t.above, -math.MaxFloat64, math.MaxFloat64)
	case "below":
		return v.Float(&t.below, -math.MaxFloat64, math.MaxFloat64)
	case "for":
		return v.Duration(&t.lasting, 0, 24*time.Hour)
	}
	return v.OneOf(&t.missing, "fail", "ok")
}

// look judges one page.
func (t *threshold) look(p *model.Page, now time.Time) check.Result {
	value, found, err := t.number(p, now)
	if err != nil {
		return check.Result{Detail: err.Error()}
	}
	if !found {
		t.since = time.Time{}
		return check.Result{OK: t.missing == "ok", Detail: t.metric.String() + t.lacks(p)}
	}
	text := strconv.FormatFloat(value, 'g', 6, 64)
	out := ""
	switch {
	case value > t.above:
		out = fmt.Sprintf("%s is above %g", text, t.above)
	case value < t.below:
		out = fmt.Sprintf("%s is below %g", text, t.below)
	case math.IsNaN(value):
		out = "NaN is within no bounds"
	}
	if out == "" {
		t.since = time.Time{}
		return check.Result{OK: true, Detail: text + " is within bounds", Value: text}
	}
	if t.since.IsZero() {
		t.since = now
	}
	if lasted := now.Sub(t.since); lasted < t.lasting {
		return check.Result{OK: true, Detail: fmt.Sprintf("%s for %s, which counts after %s", out, lasted.Round(time.Second), t.lasting), Value: text}
	}
	return check.Result{Detail: out, Value: text}
}

// lacks is why there is no number.
func (t *threshold) lacks(p *model.Page) string {
	if _, found, _ := t.metric.aggregate(p, t.aggregate); !found {
		return " is not there"
	}
	if t.of != nil {
		if _, found, _ := t.of.aggregate(p, t.aggregate); !found {
			return " is there, " + t.of.String() + " is not"
		}
	}
	if t.rate != 0 && len(t.history) < 2 {
		return " was seen once, which makes no rate yet"
	}
	return " is a share of nothing"
}

// number is what is compared. Not found is also a rate of which there is but one point, and a share of nothing.
func (t *threshold) number(p *model.Page, now time.Time) (float64, bool, error) {
	value, found, err := t.metric.aggregate(p, t.aggregate)
	if err != nil || !found {
		return 0, found, err
	}
	whole := 1.0
	if t.of != nil {
		if whole, found, err = t.of.aggregate(p, t.aggregate); err != nil || !found {
			return 0, found, err
		}
	}
	if t.rate == 0 {
		if t.of == nil {
			return value, true, nil
		}
		return value / whole, whole != 0, nil
	}
	t.history = append(t.history, point{now, value, whole})
	first := 0
	for first+1 < len(t.history) && now.Sub(t.history[first+1].at) >= t.rate {
		first++ // the newest that is old enough
	}
	t.history = t.history[first:]
	from := t.history[0]
	grown, all := increase(t.history, func(p point) float64 { return p.value }), increase(t.history, func(p point) float64 { return p.n })
	if t.of != nil {
		return grown / all, all > 0, nil
	}
	span := now.Sub(from.at).Seconds()
	return grown / span, span > 0, nil
}

// increase is how much a counter grew, over restarts that began again from nothing.
func increase(points []point, of func(point) float64) float64 {
	sum := 0.0
	for i := 1; i < len(points); i++ {
		if d := of(points[i]) - of(points[i-1]); d >= 0 {
			sum += d
		} else {
			sum += of(points[i])
		}
	}
	return sum
}

// aggregate is one number of all samples that match.
func (s *selector) aggregate(p *model.Page, how string) (float64, bool, error) {
	sum, low, high, n := 0.0, math.Inf(1), math.Inf(-1), 0
	for i := range p.Families {
		f := p.Families[i] // a copy: what is shared must not be expanded
		if !s.mayBe(f.Name) {
			continue
		}
		if err := expo.Expand(&f); err != nil {
			return 0, false, err
		}
		for j := range f.Samples {
			sample := &f.Samples[j]
			if f.Name+sample.Suffix == s.name && s.matches(sample.Labels) {
				n++
				sum += sample.Value
				low, high = min(low, sample.Value), max(high, sample.Value)
			}
		}
	}
	switch how {
	case "max":
		return high, n > 0, nil
	case "min":
		return low, n > 0, nil
	case "avg":
		return sum / float64(n), n > 0, nil
	case "count":
		return float64(n), true, nil
	}
	return sum, n > 0, nil
}
