package adapter

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/suggest"
	"github.com/sidecar-kit/sidecar/roles/adapter/expo"
	"github.com/sidecar-kit/sidecar/roles/adapter/graphite"
	"github.com/sidecar-kit/sidecar/roles/adapter/influx"
	"github.com/sidecar-kit/sidecar/roles/adapter/jsonmap"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/otlp"
	"github.com/sidecar-kit/sidecar/roles/adapter/push"
	"github.com/sidecar-kit/sidecar/roles/adapter/source"
	"github.com/sidecar-kit/sidecar/roles/adapter/textmap"
)

// The formats that are named in more than one place.
const (
	auto        = "auto"
	prometheus  = "prometheus"
	openmetrics = "openmetrics"
	jsonFormat  = "json"
	statsdWord  = "statsd"
	influxWord  = "influx"
	graphiteWd  = "graphite"
	otlpWord    = "otlp"
)

// formats are all that may stand behind an address or a path.
func formats() []string {
	all := pullFormats()
	for _, f := range append(pushFormats(), viewFormats()...) {
		if !slices.Contains(all, f) {
			all = append(all, f)
		}
	}
	return all
}

// pullFormats are those of answers.
func pullFormats() []string {
	return append([]string{auto, prometheus, openmetrics, jsonFormat, influxWord, graphiteWd, otlpWord, statsdWord}, textmap.Formats()...)
}

// pushFormats are those of what is sent to us.
func pushFormats() []string { return []string{statsdWord, influxWord, graphiteWd, otlpWord} }

// reading is how answers of a source become pages.
type reading struct {
	format string
	strict bool
	json   *jsonmap.Map
	text   *textmap.Map
	influx influx.Options
	graph  graphite.Options
	otlp   otlp.Options
	module moduleDecoder
}

// moduleDecoder is what a module of --compat does with an answer.
type moduleDecoder func(body []byte, lim model.Limits) (model.Page, model.Drops, error)

func readingKeys() []string {
	all := []string{"strict"}
	for _, keys := range [][]string{jsonmap.Keys(), textmap.Keys(), influx.Keys(), graphite.Keys(), otlp.Keys()} {
		for _, k := range keys {
			if !slices.Contains(all, k) {
				all = append(all, k)
			}
		}
	}
	return all
}

// parseReading reads the keys of the format that a source has; keys of another format are complaints.
func parseReading(s *sourcePlan, v draft.Value, c *compat, module string) (reading, error) {
	r := reading{format: s.format}
	if s.push != nil {
		return r, r.readPush(v)
	}
	if !slices.Contains(pullFormats(), s.format) {
		return r, v.Errorf("format %q is not known%s; want one of %s", s.format, suggest.DidYouMean("", s.format, pullFormats()), strings.Join(pullFormats(), ", "))
	}
	if has(v, "map") && s.format == auto {
		r.format = jsonFormat
	}
	var own []string
	var err error
	switch f := r.format; {
	case f == auto || f == prometheus || f == openmetrics:
		own = []string{"strict"}
		if f == auto {
			r.json, err = jsonmap.Parse(draft.Value{Place: v.Place, Shape: draft.Map})
		}
	case f == jsonFormat:
		own = jsonmap.Keys()
		r.json, err = jsonmap.Parse(only(v, own))
	case f == influxWord:
		own = influx.Keys()
		r.influx, err = influx.Parse(only(v, own))
	case f == graphiteWd:
		own = graphite.Keys()
		r.graph, err = graphite.Parse(only(v, own))
	case f == otlpWord:
		own = otlp.Keys()
		r.otlp, err = otlp.Parse(only(v, own))
	case slices.Contains(textmap.Formats(), f):
		own = append(textmap.Keys(), jsonmap.Keys()...)
		r.text, err = textmap.Parse(f, only(v, own))
	}
	errs := []error{err, r.readModule(s, v, c, module)}
	for _, p := range v.Pairs {
		switch key := strings.ReplaceAll(p.Key, "_", "-"); {
		case key == "module":
		case !slices.Contains(own, key):
			errs = append(errs, fmt.Errorf("%s: %s: format %s has none", p.Place, p.Key, r.format))
		case key == "strict":
			errs = append(errs, p.Value.Bool(&r.strict))
		}
	}
	return r, errors.Join(errs...)
}

func (r *reading) readPush(v draft.Value) error {
	var err error
	var own []string
	switch r.format {
	case influxWord:
		own = influx.Keys()
		r.influx, err = influx.Parse(only(v, own))
	case graphiteWd:
		own = graphite.Keys()
		r.graph, err = graphite.Parse(only(v, own))
	case otlpWord:
		own = otlp.Keys()
		r.otlp, err = otlp.Parse(only(v, own))
	}
	r.influx.Skip, r.graph.Skip = true, true // one line that is wrong does not cost the others
	errs := []error{err}
	for _, p := range v.Pairs {
		if !slices.Contains(own, strings.ReplaceAll(p.Key, "_", "-")) {
			errs = append(errs, fmt.Errorf("%s: %s: a source that listens for %s has none", p.Place, p.Key, r.format))
		}
	}
	return errors.Join(errs...)
}

// decoder makes what reads answers; it remembers the last one, so it is for one source.
func (r *reading) decoder(lim model.Limits) source.Decode {
	texts := expo.NewReader(lim)
	texts.Lenient = !r.strict
	return func(b source.Body) (model.Page, model.Drops, error) {
		switch f := r.kind(b); f {
		case prometheus:
			return texts.Decode(b.Data, model.Text)
		case openmetrics:
			return texts.Decode(b.Data, model.OpenMetrics)
		case jsonFormat:
			if r.module != nil {
				return r.module(b.Data, lim)
			}
			return r.json.Decode(b.Data, lim)
		case influxWord:
			return influx.Decode(b.Data, r.influx, lim)
		case graphiteWd:
			return graphite.Decode(b.Data, r.graph, lim)
		case otlpWord:
			o := r.otlp
			o.JSON = strings.Contains(b.Type, "json")
			return otlp.Decode(b.Data, o, lim)
		case statsdWord:
			return statsdPage(b.Data, lim)
		default:
			return r.text.Decode(b.Data, lim)
		}
	}
}

// kind is the format of an answer; with auto its content type says, or else how it begins.
func (r *reading) kind(b source.Body) string {
	if r.module != nil {
		return jsonFormat
	}
	if r.format != auto {
		return r.format
	}
	kind, _, _ := strings.Cut(strings.ToLower(b.Type), ";")
	switch kind = strings.TrimSpace(kind); {
	case kind == "application/json" || strings.HasSuffix(kind, "+json"):
		return jsonFormat
	case kind == "application/openmetrics-text":
		return openmetrics
	case kind == "text/plain" && strings.Contains(b.Type, "version=0.0.4"):
		return prometheus
	}
	if first := bytes.TrimLeft(b.Data, " \t\r\n"); len(first) > 0 && (first[0] == '{' || first[0] == '[') {
		return jsonFormat
	}
	if expo.Detect(b.Type, b.Data) == model.OpenMetrics {
		return openmetrics
	}
	return prometheus
}

// statsdPage reads lines that stand in a file or an answer, as if they had been sent at once.
func statsdPage(body []byte, lim model.Limits) (page model.Page, drops model.Drops, err error) {
	t, err := push.New(push.Options{Limits: lim})
	if err != nil {
		return page, drops, err
	}
	t.Lines(body)
	page, drops = t.Page(now())
	return page, drops, nil
}

// pushDecoder reads what is sent to a source; nil is StatsD, which the table reads itself.
func pushDecoder(p sourcePlan) (push.Decoder, error) {
	switch p.format {
	case statsdWord:
		return nil, nil
	case influxWord:
		return func(body []byte, lim model.Limits) (model.Page, model.Page, model.Drops, error) {
			page, drops, err := influx.Decode(body, p.read.influx, lim)
			return page, model.Page{}, drops, err
		}, nil
	case graphiteWd:
		return func(body []byte, lim model.Limits) (model.Page, model.Page, model.Drops, error) {
			page, drops, err := graphite.Decode(body, p.read.graph, lim)
			return page, model.Page{}, drops, err
		}, nil
	case otlpWord:
		return func(body []byte, lim model.Limits) (model.Page, model.Page, model.Drops, error) {
			return otlp.Split(body, p.read.otlp, lim)
		}, nil
	}
	return nil, fmt.Errorf("nobody reads %s", p.format)
}
