package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/expo"
	"github.com/sidecar-kit/sidecar/roles/adapter/graphite"
	"github.com/sidecar-kit/sidecar/roles/adapter/influx"
	"github.com/sidecar-kit/sidecar/roles/adapter/jsonmap"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/otlp"
	"github.com/sidecar-kit/sidecar/roles/adapter/shape"
	"github.com/sidecar-kit/sidecar/roles/adapter/textmap"
)

// codec is a format, and what it carries by the table of losses.
type codec struct {
	name                                string
	encode                              func(p *model.Page) ([]byte, model.Drops, error) // p is expanded
	decode                              func(body []byte) (model.Page, model.Drops, error)
	types, help, units, times, exemplar bool
	finite                              bool                                // NaN and infinities are counted
	value                               func(v string) (kept string)        // what becomes of a label's value
	clock                               func(ms int64) int64                // what becomes of a timestamp
	kind                                func(t model.Type) model.Type       // what becomes of a type
	suffix                              func(t model.Type, s string) string // what becomes of a suffix; "-" is no sample anymore
}

// newCodecs are the formats that are written and read again. StatsD is none: it is written as changes.
func newCodecs() ([]codec, error) {
	list := []codec{textCodec(model.Text), textCodec(model.OpenMetrics), influxCodec(), graphiteCodec(), otlpCodec()}
	for _, name := range []string{"prom2json", "array", "flat", "nested", "keyvalue", "text"} {
		c, err := shapeCodec(name)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

func textCodec(d model.Dialect) codec {
	c := codec{
		name: "prometheus", types: true, help: true, times: true,
		encode: func(p *model.Page) ([]byte, model.Drops, error) { b, n := expo.Encode(nil, p, d); return b, n, nil },
		decode: func(body []byte) (model.Page, model.Drops, error) { // as a source is read
			r := expo.NewReader(model.Limits{})
			r.Lenient = true
			return r.Decode(body, d)
		},
		kind: func(t model.Type) model.Type {
			switch t {
			case model.Info, model.StateSet:
				return model.Gauge
			case model.GaugeHistogram:
				return model.Histogram
			}
			return t
		},
		suffix: func(t model.Type, s string) string {
			if t == model.GaugeHistogram {
				return strings.Replace(s, "_g", "_", 1)
			}
			return s
		},
	}
	if d == model.OpenMetrics {
		c.name, c.units, c.exemplar, c.kind, c.suffix = "openmetrics", true, true, nil, nil
	}
	return c
}

func influxCodec() codec {
	return codec{
		name: "influx", times: true, finite: true,
		encode: func(p *model.Page) ([]byte, model.Drops, error) {
			b, n := influx.Encode(nil, p, influx.Options{})
			return b, n, nil
		},
		decode: func(body []byte) (model.Page, model.Drops, error) {
			return influx.Decode(body, influx.Options{}, model.Limits{})
		},
	}
}

func graphiteCodec() codec {
	return codec{
		name: "graphite", times: true, finite: true,
		encode: func(p *model.Page) ([]byte, model.Drops, error) {
			b, n := graphite.Encode(nil, p, graphite.Options{})
			return b, n, nil
		},
		decode: func(body []byte) (model.Page, model.Drops, error) {
			return graphite.Decode(body, graphite.Options{}, model.Limits{})
		},
		clock: func(ms int64) int64 { return ms / 1000 * 1000 },
		value: func(v string) string {
			if strings.HasPrefix(v, "~") {
				v = "_" + v[1:]
			}
			return strings.Map(func(r rune) rune {
				if r <= ' ' || r == 0x7f || r == ';' {
					return '_'
				}
				return r
			}, v)
		},
	}
}

func otlpCodec() codec {
	now := time.UnixMilli(1_600_000_000_000)
	return codec{
		name: "otlp", types: true, help: true,
		encode: func(p *model.Page) ([]byte, model.Drops, error) {
			b, n := otlp.Encode(nil, p, otlp.Options{Now: now})
			return b, n, nil
		},
		decode: func(body []byte) (model.Page, model.Drops, error) {
			return otlp.Decode(body, otlp.Options{}, model.Limits{})
		},
		kind: func(t model.Type) model.Type {
			if t == model.Info || t == model.StateSet || t == model.Unknown {
				return model.Gauge
			}
			return t
		},
	}
}

func shapeCodec(name string) (codec, error) {
	c := codec{name: name}
	v, err := draft.Parse("bench", []byte("template: "+name))
	if err != nil {
		return c, err
	}
	s, err := shape.Parse(v)
	if err != nil {
		return c, err
	}
	c.encode = func(p *model.Page) ([]byte, model.Drops, error) { return s.Encode(nil, p) }
	if name == "keyvalue" || name == "text" {
		m, err := textmap.Parse(name, draft.Value{})
		if err != nil {
			return c, err
		}
		c.decode = func(body []byte) (model.Page, model.Drops, error) { return m.Decode(body, model.Limits{}) }
		return c, nil
	}
	m, err := jsonmap.Parse(v)
	if err != nil {
		return c, err
	}
	c.decode = func(body []byte) (model.Page, model.Drops, error) { return m.Decode(body, model.Limits{}) }
	c.types, c.times, c.help, c.units = name != "flat" && name != "nested", name != "flat" && name != "nested", name == "prom2json", name == "prom2json"
	return c, nil
}

// randomPage is a valid page: no name and no series twice, buckets that add up.
func randomPage(seed uint64) model.Page {
	r := rand.New(rand.NewPCG(seed, 11)) //nolint:gosec // has to be the same each time
	var p model.Page
	for i := range 1 + r.IntN(3) {
		f := model.Family{Name: fmt.Sprintf("m%d_%s", i, []string{"seconds", "bytes", "x:y"}[r.IntN(3)]), Type: model.Type(r.IntN(8))}
		if f.Type == model.StateSet {
			f.Name = fmt.Sprintf("m%d_state", i) // its own name is a label, too, which has no colon
		}
		if r.IntN(2) == 0 {
			f.Help = []string{"plain", "back\\slash \"quoted\"", "two\nlines", "é"}[r.IntN(4)]
		}
		if r.IntN(2) == 0 && !strings.HasSuffix(f.Name, "y") && f.Type != model.Info && f.Type != model.StateSet {
			f.Unit = f.Name[strings.LastIndexByte(f.Name, '_')+1:]
		}
		for j := range 1 + r.IntN(2) {
			labels := randomLabels(r, j)
			ms, timed := int64(1_500_000_000_000+r.IntN(1_000_000_000)), r.IntN(3) == 0
			for _, s := range randomMetric(r, &f, labels) {
				s.Time, s.Timed = 0, timed
				if timed {
					s.Time = ms
				}
				f.Samples = append(f.Samples, s)
			}
		}
		p.Families = append(p.Families, f)
	}
	return p
}

func randomLabels(r *rand.Rand, j int) []model.Label {
	labels := []model.Label{{Name: "n", Value: strconv.Itoa(j)}}
	for _, name := range []string{"a", "path", "z_"}[:r.IntN(4)] {
		labels = append(labels, model.Label{Name: name, Value: []string{"x", "a b", `q"\x`, "l\nf", "é{}=,:", " 7 ", "}: 1", "/p;q~"}[r.IntN(8)]})
	}
	return labels
}

func randomMetric(r *rand.Rand, f *model.Family, labels []model.Label) []model.Sample {
	with := func(suffix, name, text string, v float64) model.Sample {
		l := slices.Clone(labels)
		if name != "" {
			l = append(l, model.Label{Name: name, Value: text})
		}
		return model.Sample{Suffix: suffix, Labels: l, Value: v}
	}
	n := float64(r.IntN(1000))
	switch f.Type {
	case model.Counter:
		s := with("_total", "", "", math.Abs(r.NormFloat64())*1e6)
		if r.IntN(2) == 0 {
			s.Exemplar = &model.Exemplar{Labels: []model.Label{{Name: "trace", Value: "t" + strconv.Itoa(r.IntN(99))}}, Value: r.Float64()}
		}
		return []model.Sample{s}
	case model.Histogram:
		return []model.Sample{with("_bucket", "le", "0.5", n), with("_bucket", "le", "+Inf", n+3), with("_sum", "", "", r.Float64()), with("_count", "", "", n+3)}
	case model.GaugeHistogram:
		return []model.Sample{with("_bucket", "le", "0.5", n), with("_bucket", "le", "+Inf", n+3), with("_gsum", "", "", r.Float64()), with("_gcount", "", "", n+3)}
	case model.Summary:
		return []model.Sample{with("", "quantile", "0.5", r.NormFloat64()), with("_sum", "", "", r.Float64()), with("_count", "", "", n)}
	case model.Info:
		return []model.Sample{with("_info", "", "", 1)}
	case model.StateSet:
		return []model.Sample{with("", f.Name, "on", float64(r.IntN(2)))}
	}
	return []model.Sample{with("", "", "", []float64{0, -1.5, 1e300, 5e-324, math.NaN(), math.Inf(1), math.Inf(-1), 12345678901234567890, r.NormFloat64()}[r.IntN(9)])}
}
