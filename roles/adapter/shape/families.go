package shape

import (
	"strconv"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/adapter/jq"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// typeWord is what prom2json calls a type; it has no word for those that only OpenMetrics knows.
func typeWord(t model.Type) string {
	switch t {
	case model.Unknown:
		return "UNTYPED"
	case model.GaugeHistogram:
		return "GAUGE_HISTOGRAM"
	}
	return strings.ToUpper(t.String())
}

// appendFamilies writes what prom2json does; with bare, for queries, numbers are numbers and not text.
func appendFamilies(dst []byte, p *model.Page, bare bool) []byte {
	dst = append(dst, '[')
	for i := range p.Families {
		f := &p.Families[i]
		if f.Block != "" {
			continue
		}
		dst = append(comma(dst), '\n', '{')
		dst = jq.AppendString(append(dst, `"name":`...), familyName(f))
		dst = jq.AppendString(append(dst, `,"help":`...), f.Help)
		dst = jq.AppendString(append(dst, `,"type":`...), typeWord(f.Type))
		if f.Unit != "" {
			dst = jq.AppendString(append(dst, `,"unit":`...), f.Unit)
		}
		dst = append(dst, `,"metrics":[`...)
		for _, g := range group(f) {
			dst = append(comma(dst), '\n', ' ')
			dst = g.append(dst, f, bare)
		}
		dst = append(dst, "]}"...)
	}
	return append(dst, ']')
}

// familyName is that of the text format: with _total or _info where the samples have it.
func familyName(f *model.Family) string {
	if f.Type == model.Counter || f.Type == model.Info {
		for i := range f.Samples {
			if s := f.Samples[i].Suffix; s == "_total" || s == "_info" {
				return f.Name + s
			}
		}
	}
	return f.Name
}

// metric is the samples of a family with the same labels, but for le and quantile.
type metric struct {
	value, sum, count, created *model.Sample
	parts                      []*model.Sample
	labels                     []model.Label
	timed                      *model.Sample
}

// partLabel is the label that tells the parts of a metric of that type from each other.
func partLabel(t model.Type) string {
	switch t {
	case model.Histogram, model.GaugeHistogram:
		return "le"
	case model.Summary:
		return "quantile"
	}
	return ""
}

func group(f *model.Family) []*metric {
	list := make([]*metric, 0, len(f.Samples))
	index := map[string]*metric{}
	var key []byte
	label := partLabel(f.Type)
	for i := range f.Samples {
		s := &f.Samples[i]
		own := s.Suffix == "" && label != "quantile" || s.Suffix == "_total" || s.Suffix == "_info"
		if own && f.Type != model.Counter {
			list = append(list, &metric{value: s, labels: s.Labels, timed: s})
			continue
		}
		key = appendLabels(key[:0], s.Labels, label)
		g := index[string(key)]
		if g == nil {
			g = &metric{labels: s.Labels}
			index[string(key)] = g
			list = append(list, g)
		}
		g.take(s)
	}
	return list
}

func (g *metric) take(s *model.Sample) {
	if g.timed == nil && s.Timed {
		g.timed = s
	}
	switch s.Suffix {
	case "_sum", "_gsum":
		g.sum = s
	case "_count", "_gcount":
		g.count = s
	case "_created":
		g.created = s
	case "_bucket":
		g.parts = append(g.parts, s)
	default:
		for i := range s.Labels {
			if s.Labels[i].Name == "quantile" {
				g.parts = append(g.parts, s)
				return
			}
		}
		g.value = s
	}
}

func (g *metric) append(dst []byte, f *model.Family, bare bool) []byte {
	label := partLabel(f.Type)
	dst = append(dst, '{')
	if len(g.labels) > 1 || len(g.labels) == 1 && g.labels[0].Name != label {
		dst = appendLabels(append(dst, `"labels":`...), g.labels, label)
	}
	if g.timed != nil && g.timed.Timed {
		dst = appendKey(dst, "timestamp_ms")
		dst = append(strconv.AppendInt(append(dst, '"'), g.timed.Time, 10), '"')
	}
	if len(g.parts) > 0 {
		dst = append(appendKey(dst, map[string]string{"le": "buckets", "quantile": "quantiles"}[label]), '{')
		for _, s := range g.parts {
			for i := range s.Labels {
				if s.Labels[i].Name == label {
					dst = numberOrText(appendKey(dst, s.Labels[i].Value), s, bare)
				}
			}
		}
		dst = append(dst, '}')
	}
	for _, part := range []struct {
		key string
		s   *model.Sample
	}{{"count", g.count}, {"sum", g.sum}, {"value", g.value}, {"created", g.created}} {
		if part.s != nil {
			dst = numberOrText(appendKey(dst, part.key), part.s, bare)
		}
	}
	return append(dst, '}')
}

func numberOrText(dst []byte, s *model.Sample, bare bool) []byte {
	if bare {
		return appendNumber(dst, s, true)
	}
	return appendText(dst, s)
}
