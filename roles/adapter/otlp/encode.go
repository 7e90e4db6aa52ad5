package otlp

import (
	"cmp"
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/proto"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// Encode appends a request in protocol buffers. Everything is cumulative. Drops are samples that OTLP cannot carry.
func Encode(dst []byte, p *model.Page, o Options) ([]byte, model.Drops) {
	e := encoder{o: o}
	if o.Now.IsZero() {
		e.o.Now = time.Now()
	}
	var metrics []byte
	for i := range p.Families {
		f := p.Families[i]
		if f.Block != "" {
			if o.Expand == nil || o.Expand(&f) != nil {
				e.drops[model.Unstorable] += uint64(f.Len()) //nolint:gosec // a length
				continue
			}
		}
		metrics = e.family(metrics, &f)
	}
	if len(metrics) == 0 {
		return dst, e.drops
	}
	var resource []byte
	for _, l := range o.Resource {
		resource = e.attribute(resource, 1, l)
	}
	scope := proto.Bytes(nil, 1, cmp.Or(o.Scope, "sidecar"))
	scoped := append(proto.Bytes(nil, 1, scope), metrics...)
	all := proto.Bytes(proto.Bytes(nil, 1, resource), 2, scoped)
	return proto.Bytes(dst, 1, all), e.drops
}

type encoder struct {
	o              Options
	drops          model.Drops
	value, pair    []byte
	point, message []byte
}

// group is what belongs to one point.
type group struct {
	labels   []model.Label
	count    float64
	sum      float64
	hasSum   bool
	hasCount bool
	time     int64
	bounds   []float64
	values   []float64
	samples  []model.Sample // with exemplars
}

func (e *encoder) family(dst []byte, f *model.Family) []byte {
	name, field, info := f.Name, 5, []byte(nil)
	switch f.Type {
	case model.Counter:
		field = 7
		info = proto.Uint(proto.Uint(nil, 2, 2), 3, 1)
	case model.Histogram:
		field = 9
		info = proto.Uint(nil, 2, 2)
	case model.Summary:
		field = 11
	case model.Info:
		name += "_info"
	case model.GaugeHistogram:
		e.drops[model.Unstorable] += uint64(len(f.Samples)) //nolint:gosec // a length
		return dst
	}
	var points []byte
	if field == 9 || field == 11 {
		points = e.grouped(f)
	} else {
		for i := range f.Samples {
			points = e.number(points, f, &f.Samples[i])
		}
	}
	if len(points) == 0 {
		return dst
	}
	m := proto.Bytes(nil, 1, name)
	if f.Help != "" {
		m = proto.Bytes(m, 2, f.Help)
	}
	if f.Unit != "" {
		m = proto.Bytes(m, 3, ucum(f.Unit))
	}
	return proto.Bytes(dst, 2, proto.Bytes(m, field, append(points, info...)))
}

func (e *encoder) number(dst []byte, f *model.Family, s *model.Sample) []byte {
	if s.Suffix == "_created" {
		e.drops[model.Unstorable]++
		return dst
	}
	p := e.labels(e.point[:0], 7, s.Labels, "")
	if f.Type == model.Counter && !e.o.Start.IsZero() {
		p = proto.Fixed64(p, 2, uint64(e.o.Start.UnixNano())) //nolint:gosec // after 1970
	}
	p = proto.Fixed64(p, 3, e.time(s))
	if n, err := strconv.ParseInt(s.Text, 10, 64); err == nil && s.Text != "" && math.Abs(s.Value) > 1<<53 {
		p = proto.Fixed64(p, 6, uint64(n)) //nolint:gosec // two's complement
	} else {
		p = proto.Fixed64(p, 4, math.Float64bits(s.Value))
	}
	if s.Exemplar != nil {
		p = e.exemplar(p, 5, s.Exemplar)
	}
	e.point = p
	return proto.Bytes(dst, 1, p)
}

func (e *encoder) time(s *model.Sample) uint64 {
	if s.Timed {
		return uint64(s.Time) * 1e6 //nolint:gosec // after 1970
	}
	return uint64(e.o.Now.UnixNano()) //nolint:gosec // after 1970
}

func (e *encoder) labels(dst []byte, field int, labels []model.Label, without string) []byte {
	for _, l := range labels {
		if without == "" || l.Name != without {
			dst = e.attribute(dst, field, l)
		}
	}
	return dst
}

func (e *encoder) attribute(dst []byte, field int, l model.Label) []byte {
	e.value = proto.Bytes(e.value[:0], 1, l.Value)
	e.pair = proto.Bytes(proto.Bytes(e.pair[:0], 1, l.Name), 2, e.value)
	return proto.Bytes(dst, field, e.pair)
}

func (e *encoder) exemplar(dst []byte, field int, x *model.Exemplar) []byte {
	m := proto.Fixed64(nil, 3, math.Float64bits(x.Value))
	if x.Timed {
		m = proto.Fixed64(m, 2, uint64(x.Time*1e9))
	}
	for _, l := range x.Labels {
		if id, ok := unhex(l); ok {
			m = proto.Bytes(m, id.number, id.bytes)
			continue
		}
		m = e.attribute(m, 7, l)
	}
	return proto.Bytes(dst, field, m)
}

// grouped makes one point of all samples that have the same labels besides le or quantile.
func (e *encoder) grouped(f *model.Family) []byte {
	without := "le"
	if f.Type == model.Summary {
		without = "quantile"
	}
	var groups []group
	at := map[string]int{}
	var key []byte
	for i := range f.Samples {
		s := &f.Samples[i]
		key = appendKey(key[:0], s.Labels, without)
		n, ok := at[string(key)]
		if !ok {
			n = len(groups)
			at[string(key)] = n
			groups = append(groups, group{labels: s.Labels})
		}
		e.put(&groups[n], s, without)
	}
	var points []byte
	for i := range groups {
		points = proto.Bytes(points, 1, e.observed(&groups[i], f.Type, without))
	}
	return points
}

func (e *encoder) put(g *group, s *model.Sample, without string) {
	if s.Timed {
		g.time = s.Time
	}
	switch s.Suffix {
	case "_sum":
		g.sum, g.hasSum = s.Value, true
	case "_count":
		g.count, g.hasCount = s.Value, true
	case "", "_bucket":
		for _, l := range s.Labels {
			if l.Name == without {
				bound, err := strconv.ParseFloat(strings.TrimSpace(l.Value), 64)
				if err == nil {
					g.insert(bound, s.Value)
					g.samples = append(g.samples, *s)
					return
				}
			}
		}
		e.drops[model.Unstorable]++
	default:
		e.drops[model.Unstorable]++
	}
}

// insert keeps bounds ascending.
func (g *group) insert(bound, value float64) {
	i := len(g.bounds)
	g.bounds, g.values = append(g.bounds, bound), append(g.values, value)
	for ; i > 0 && g.bounds[i-1] > bound; i-- {
		g.bounds[i], g.bounds[i-1] = g.bounds[i-1], g.bounds[i]
		g.values[i], g.values[i-1] = g.values[i-1], g.values[i]
	}
}

func (e *encoder) observed(g *group, kind model.Type, without string) []byte {
	p := e.point[:0]
	if !e.o.Start.IsZero() {
		p = proto.Fixed64(p, 2, uint64(e.o.Start.UnixNano())) //nolint:gosec // after 1970
	}
	p = proto.Fixed64(p, 3, e.time(&model.Sample{Time: g.time, Timed: g.time != 0}))
	if kind == model.Summary {
		p = e.labels(p, 7, g.labels, without)
		p = proto.Fixed64(p, 4, uint64(max(0, g.count)))
		p = proto.Fixed64(p, 5, math.Float64bits(g.sum))
		for i, q := range g.bounds {
			e.message = proto.Fixed64(proto.Fixed64(e.message[:0], 1, math.Float64bits(q)), 2, math.Float64bits(g.values[i]))
			p = proto.Bytes(p, 6, e.message)
		}
		e.point = p
		return p
	}
	p = e.labels(p, 9, g.labels, without)
	n := len(g.bounds)
	if n == 0 || !math.IsInf(g.bounds[n-1], 1) {
		last := g.count
		if !g.hasCount && n > 0 {
			last = g.values[n-1]
		}
		g.bounds, g.values = append(g.bounds, math.Inf(1)), append(g.values, last)
		n++
	}
	p = proto.Fixed64(p, 4, uint64(max(0, g.values[n-1])))
	if g.hasSum {
		p = proto.Fixed64(p, 5, math.Float64bits(g.sum))
	}
	p = proto.Tag(p, 6, 8*n)
	before := 0.0
	for _, v := range g.values {
		p = appendFixed(p, uint64(max(0, v-before)))
		before = max(before, v)
	}
	p = proto.Tag(p, 7, 8*(n-1))
	for _, b := range g.bounds[:n-1] {
		p = appendFixed(p, math.Float64bits(b))
	}
	for i := range g.samples {
		if x := g.samples[i].Exemplar; x != nil {
			p = e.exemplar(p, 8, x)
		}
	}
	e.point = p
	return p
}

func appendFixed(dst []byte, n uint64) []byte {
	for i := range 8 {
		dst = append(dst, byte(n>>(8*i)))
	}
	return dst
}

// id is the id of a trace or a span.
type id struct {
	number int
	bytes  []byte
}

func unhex(l model.Label) (id, bool) {
	var of id
	switch {
	case l.Name == "span_id" && len(l.Value) == 16:
		of.number = 4
	case l.Name == "trace_id" && len(l.Value) == 32:
		of.number = 5
	default:
		return of, false
	}
	b, err := hex.DecodeString(l.Value)
	of.bytes = b
	return of, err == nil
}
