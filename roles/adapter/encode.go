package adapter

import (
	"slices"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/expo"
	"github.com/sidecar-kit/sidecar/roles/adapter/graphite"
	"github.com/sidecar-kit/sidecar/roles/adapter/influx"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/otlp"
	"github.com/sidecar-kit/sidecar/roles/adapter/shape"
	"github.com/sidecar-kit/sidecar/roles/adapter/statsd"
	"github.com/sidecar-kit/sidecar/roles/adapter/view"
)

// shapeFormats are those that package shape writes.
func shapeFormats() []string { return []string{jsonFormat, "keyvalue", "text", "redis-info"} }

// viewFormats are those that are written.
func viewFormats() []string {
	return append([]string{auto, prometheus, openmetrics, influxWord, graphiteWd, statsdWord, otlpWord}, shapeFormats()...)
}

// parseShape reads the keys of a view's format.
func parseShape(w *viewPlan, v draft.Value) (*shape.Shape, error) {
	if !slices.Contains(shapeFormats(), w.format) && len(v.Pairs) == 0 {
		return nil, nil
	}
	if w.format == auto {
		w.format = jsonFormat // it has keys that no other format has
	}
	v.Shape = draft.Map
	if w.format == jsonFormat && len(only(v, []string{"template", "jq", "body"}).Pairs) == 0 {
		v.Pairs = append(slices.Clone(v.Pairs), draft.Pair{Key: "template", Place: v.Place, Value: draft.Of(v.Place, "nested")}) // what who reads JSON expects
	}
	v.Pairs = append(slices.Clone(v.Pairs), draft.Pair{Key: "format", Place: v.Place, Value: draft.Of(v.Place, w.format)})
	return shape.Parse(v)
}

// chooser is how a view finds the encoder for a request.
func chooser(p *viewPlan) (func(accept string) view.Encoder, error) {
	if p.shape != nil {
		e := shaped(p)
		return func(string) view.Encoder { return e }, nil
	}
	switch p.format {
	case auto:
		return func(accept string) view.Encoder { return textEncoder(expo.Negotiate(accept)) }, nil
	case prometheus:
		return func(accept string) view.Encoder { return textEncoder(model.Text, expo.ContentType(accept, model.Text)) }, nil
	case openmetrics:
		return func(accept string) view.Encoder {
			return textEncoder(model.OpenMetrics, expo.ContentType(accept, model.OpenMetrics))
		}, nil
	}
	encode, kind := lines(p.format)
	e := view.Encoder{Key: p.format, ContentType: kind, Encode: func(page *model.Page) (view.Body, error) {
		if err := expand(page); err != nil {
			return view.Body{}, err
		}
		data, drops := encode(page)
		return view.Body{Pieces: [][]byte{data}, Drops: drops}, nil
	}}
	return func(string) view.Encoder { return e }, nil
}

// lines are the formats that are mostly pushed, and may be asked for, too.
func lines(format string) (func(p *model.Page) ([]byte, model.Drops), string) {
	switch format {
	case influxWord:
		return func(p *model.Page) ([]byte, model.Drops) { return influx.Encode(nil, p, influx.Options{}) }, "text/plain; charset=utf-8"
	case graphiteWd:
		return func(p *model.Page) ([]byte, model.Drops) { return graphite.Encode(nil, p, graphite.Options{}) }, "text/plain; charset=utf-8"
	case otlpWord:
		return func(p *model.Page) ([]byte, model.Drops) {
			return otlp.Encode(nil, p, otlp.Options{Now: now(), Scope: "sidecar adapter"})
		}, "application/x-protobuf"
	}
	return func(p *model.Page) ([]byte, model.Drops) {
		var e statsd.Encoder
		e.Encode(nil, &model.Page{}) // so that counters count from 0
		return e.Encode(nil, p)
	}, "text/plain; charset=utf-8"
}

// textEncoder writes one of the text formats. Families that are blocks of it go out as they are, without a copy; behind them may follow others.
func textEncoder(d model.Dialect, contentType string) view.Encoder {
	return view.Encoder{Key: contentType, ContentType: contentType, Encode: func(page *model.Page) (view.Body, error) {
		w := expo.Writer{Dialect: d, Quote: expo.Quotes(contentType)}
		n := 0
		for n < len(page.Families) && page.Families[n].Block != "" {
			n++
		}
		front, rest := model.Page{Families: page.Families[:n], Body: page.Body}, model.Page{Families: page.Families[n:]}
		if n > 0 && apart(&rest) {
			if pieces := expo.Pieces(&front, d); pieces != nil {
				if d == model.OpenMetrics {
					pieces = pieces[:len(pieces)-1] // the end, which follows the rest
				}
				data, drops := w.Append(nil, &rest)
				return view.Body{Pieces: append(pieces, data), Drops: drops}, nil
			}
		}
		data, drops := w.Append(make([]byte, 0, sizeOf(page)), page)
		return view.Body{Pieces: [][]byte{data}, Drops: drops}, nil
	}}
}

// apart is whether these families are those about the sources, whose names no other family of the page has.
func apart(p *model.Page) bool {
	for i := range p.Families {
		if !view.IsMeta(p.Families[i].Name) {
			return false
		}
	}
	return true
}

// sizeOf is about how long a page gets.
func sizeOf(p *model.Page) int {
	n := 64
	for i := range p.Families {
		f := &p.Families[i]
		n += len(f.Block) + len(f.Samples)*96 + len(f.Help) + 64
	}
	return n
}

// shaped writes by package shape.
func shaped(p *viewPlan) view.Encoder {
	ruled := has(p.value, "status")
	return view.Encoder{Key: p.format, ContentType: p.shape.ContentType(), Encode: func(page *model.Page) (view.Body, error) {
		if err := expand(page); err != nil {
			return view.Body{}, err
		}
		r, err := p.shape.Render(nil, page)
		b := view.Body{Pieces: [][]byte{r.Body}, Drops: r.Drops}
		if ruled {
			b.Status = r.Status
		}
		return b, err
	}}
}

// expand reads all blocks of a page, whose families are the caller's own.
func expand(p *model.Page) error {
	for i := range p.Families {
		if err := expo.Expand(&p.Families[i]); err != nil {
			return err
		}
	}
	return nil
}
