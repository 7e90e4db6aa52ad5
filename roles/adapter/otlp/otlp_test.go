package otlp

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/internal/proto"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// show writes a page in a form that is easy to compare.
func show(p *model.Page) string {
	var b strings.Builder
	for _, f := range p.Families {
		fmt.Fprintf(&b, "# %s %s %s|%s\n", f.Name, f.Type, f.Unit, f.Help)
		for _, s := range f.Samples {
			b.WriteString(f.Name + s.Suffix)
			for i, l := range s.Labels {
				sep := ","
				if i == 0 {
					sep = "{"
				}
				fmt.Fprintf(&b, "%s%s=%q", sep, l.Name, l.Value)
			}
			if len(s.Labels) > 0 {
				b.WriteString("}")
			}
			fmt.Fprintf(&b, " %v", s.Value)
			if s.Timed {
				fmt.Fprintf(&b, " @%d", s.Time)
			}
			if s.Exemplar != nil {
				fmt.Fprintf(&b, " # %v %v %v", s.Exemplar.Labels, s.Exemplar.Value, s.Exemplar.Time)
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

// wrap is a request with one metric.
func wrap(metric string) string {
	return `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[` + metric + `]}]}]}`
}

func TestMetricsAreRead(t *testing.T) {
	for _, c := range []struct{ name, body, want, delta string }{
		{"a gauge", wrap(`{"name":"room.temp","unit":"Cel","description":"how warm","gauge":{"dataPoints":[{"asDouble":21.5,"timeUnixNano":"1700000000123000000","attributes":[{"key":"floor.no","value":{"intValue":"2"}}]}]}}`),
			"# room_temp_celsius gauge celsius|how warm\nroom_temp_celsius{floor_no=\"2\"} 21.5 @1700000000123\n", ""},
		{"a counter", wrap(`{"name":"http.requests_total","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{"asInt":"-5"},{"asInt":7,"attributes":[{"key":"a","value":{"boolValue":true}}],"exemplars":[{"asDouble":1,"timeUnixNano":2000000000,"traceId":"0102","spanId":"03","filteredAttributes":[{"key":"x","value":{"stringValue":"y"}}]}]}]}}`),
			"# http_requests counter |\nhttp_requests_total -5\nhttp_requests_total{a=\"true\"} 7 # [{trace_id 0102} {span_id 03} {x y}] 1 2\n", ""},
		{"deltas", wrap(`{"name":"n","unit":"By/s","sum":{"aggregationTemporality":"AGGREGATION_TEMPORALITY_DELTA","isMonotonic":true,"dataPoints":[{"asInt":"5"}]}}`),
			"", "# n_bytes_per_second counter |\nn_bytes_per_second_total 5\n"},
		{"one that goes down", wrap(`{"name":"n","unit":"1","sum":{"aggregationTemporality":2,"dataPoints":[{"asInt":"5"}]}}`), "# n_ratio gauge |\nn_ratio 5\n", ""},
		{"no temporality", wrap(`{"name":"n","sum":{"dataPoints":[{"asInt":"5"}]}}`), "", ""},
		{"a histogram", wrap(`{"name":"d","unit":"ms","histogram":{"aggregationTemporality":2,"dataPoints":[{"count":"6","sum":10,"bucketCounts":["1","2","3"],"explicitBounds":[1,2.5],"exemplars":[{"asDouble":2}]}]}}`),
			"# d_milliseconds histogram milliseconds|\nd_milliseconds_bucket{le=\"1\"} 1\nd_milliseconds_bucket{le=\"2.5\"} 3 # [] 2 0\nd_milliseconds_bucket{le=\"+Inf\"} 6\nd_milliseconds_sum 10\nd_milliseconds_count 6\n", ""},
		{"one without buckets or sum", wrap(`{"name":"d","histogram":{"aggregationTemporality":2,"dataPoints":[{"count":"6"}]}}`),
			"# d histogram |\nd_bucket{le=\"+Inf\"} 6\nd_count 6\n", ""},
		{"wrong ones", wrap(`{"name":"d","histogram":{"aggregationTemporality":2,"dataPoints":[{"bucketCounts":[1],"explicitBounds":[1]},{"bucketCounts":[1,2,3],"explicitBounds":[2,1]}]}}`), "", ""},
		{"an exponential one", wrap(`{"name":"d","exponentialHistogram":{"aggregationTemporality":2,"dataPoints":[{"count":"10","sum":10,"scale":1,"zeroCount":"1","positive":{"offset":-1,"bucketCounts":["1","2","0","4"]},"negative":{"offset":0,"bucketCounts":["2"]}}]}}`),
			"# d histogram |\nd_bucket{le=\"0\"} 3\nd_bucket{le=\"1\"} 4\nd_bucket{le=\"2\"} 6\nd_bucket{le=\"4\"} 10\nd_bucket{le=\"+Inf\"} 10\nd_sum 10\nd_count 10\n", ""},
		{"a summary", wrap(`{"name":"s","summary":{"dataPoints":[{"count":"2","sum":3,"quantileValues":[{"quantile":0.5,"value":1},{"quantile":1,"value":"NaN"}]}]}}`),
			"# s summary |\ns{quantile=\"0.5\"} 1\ns{quantile=\"1\"} NaN\ns_sum 3\ns_count 2\n", ""},
		{"no value", wrap(`{"name":"g","gauge":{"dataPoints":[{"flags":1},{}]}}`), "", ""},
		{"a resource", `{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"cart"}},{"key":"service.namespace","value":{"stringValue":"shop"}},{"key":"service.instance.id","value":{"stringValue":"i1"}},{"key":"host.name","value":{"stringValue":"h"}},{"key":"k8s.pod","value":{"stringValue":"p"}}]},"scopeMetrics":[{"scope":{"name":"lib","version":"1"},"metrics":[{"name":"g","gauge":{"dataPoints":[{"asInt":1,"attributes":[{"key":"b.c","value":{"stringValue":"2"}},{"key":"b_c","value":{"arrayValue":{"values":[{"intValue":1},{"stringValue":"x\""},{"kvlistValue":{"values":[{"key":"k","value":{"doubleValue":0.5}}]}},{}]}}},{"key":"9","value":{"bytesValue":"AQI="}}]}]}}]}]}]}`,
			"# target info |Target metadata\ntarget_info{k8s_pod=\"p\",job=\"shop/cart\",instance=\"i1\"} 1\n# g gauge |\ng{key_9=\"AQI=\",b_c=\"2;[1,\\\"x\\\\\\\"\\\",{\\\"k\\\":0.5},null]\",host_name=\"h\",job=\"shop/cart\",instance=\"i1\",otel_scope_name=\"lib\",otel_scope_version=\"1\"} 1\n", ""},
		{"what is not known", `{"resourceMetrics":[{"schemaUrl":"x","extra":{"a":[1,{"b":null}]},"scopeMetrics":null}]}`, "", ""},
	} {
		o := Options{JSON: true, Scopes: true, Bounds: []float64{0, 1, 2, 4}, Promote: []string{"host.name"}}
		absolute, delta, _, err := Split([]byte(c.body), o, model.Limits{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		want := strings.Replace(c.want, `{k8s_pod`, `{host_name="h",k8s_pod`, 1)
		if got := show(&absolute); got != want {
			t.Errorf("%s: %s; want %s", c.name, got, want)
		}
		if got := show(&delta); got != c.delta {
			t.Errorf("%s: deltas %s; want %s", c.name, got, c.delta)
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		name, unit string
		kind       model.Type
		want       string
	}{
		{"system.cpu.time", "s", model.Counter, "system_cpu_time_seconds"},
		{"a..b--c_", "", model.Gauge, "a_b_c"},
		{"total.things.total", "{thing}", model.Counter, "things"},
		{"seconds.spent", "s", model.Gauge, "seconds_spent"},
		{"io", "By/s", model.Gauge, "io_bytes_per_second"},
		{"io", "/m", model.Gauge, "io_per_minute"},
		{"use", "1", model.Gauge, "use_ratio"},
		{"use", "1", model.Counter, "use"},
		{"9lives", "", model.Gauge, "_9lives"},
		{"a", "weird unit", model.Gauge, "a_weird_unit"},
		{"ü", "", model.Gauge, "_"},
	} {
		o := Options{}
		if got, _ := o.name(c.name, c.unit, c.kind); got != c.want {
			t.Errorf("name(%q, %q, %s) = %q; want %q", c.name, c.unit, c.kind, got, c.want)
		}
	}
	o := Options{NoSuffixes: true}
	if got, _ := o.name("a.b_total", "s", model.Counter); got != "a_b_total" {
		t.Errorf("without suffixes: %q", got)
	}
}

func TestBadBodiesAreRefused(t *testing.T) {
	deep := strings.Repeat(`{"arrayValue":{"values":[`, 40) + strings.Repeat(`]}}`, 40)
	for _, c := range []struct {
		body string
		json bool
	}{
		{"{", true}, {"[]", true}, {"{} {}", true}, {`{"resourceMetrics":5}`, true}, {wrap(`{"name":5}`), true}, {wrap(`{"name":"a","gauge":{"dataPoints":[{"asInt":"x"}]}}`), true},
		{wrap(`{"name":"a","gauge":{"dataPoints":[{"attributes":[{"key":"a","value":` + deep + `}]}]}}`), true},
		{wrap(`{"gauge":{"dataPoints":[{"asInt":"1"}]}}`), true}, {"", true}, {"\xff", false}, {"\x0a\x05abc", false},
	} {
		if _, _, err := Decode([]byte(c.body), Options{JSON: c.json}, model.Limits{}); err == nil {
			t.Errorf("Decode(%.80q) = nil; want an error", c.body)
		}
	}
	var many []byte
	for i := range 2000 {
		many = proto.Bytes(many, 7, proto.Bytes(nil, 1, fmt.Sprint("key", i)))
	}
	body := proto.Bytes(nil, 5, proto.Bytes(nil, 1, many))
	body = proto.Bytes(nil, 1, proto.Bytes(nil, 2, proto.Bytes(nil, 2, append(proto.Bytes(nil, 1, "a"), body...))))
	if _, _, err := Decode(body, Options{}, model.Limits{}); err == nil || !strings.Contains(err.Error(), "more than 1000 attributes") {
		t.Errorf("Decode = %v; want too many attributes", err)
	}
}

func TestLimitsAreKept(t *testing.T) {
	body := wrap(`{"name":"g","gauge":{"dataPoints":[{"asInt":1},{"asInt":1,"attributes":[{"key":"a","value":{"stringValue":"12345"}}]},{"asInt":1},{"asInt":2},{"asInt":1}]}},{"name":"h","histogram":{"aggregationTemporality":2,"dataPoints":[{"count":1}]}},{"name":"g","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{"asInt":1}]}}`)
	p, drops, err := Decode([]byte(body), Options{JSON: true}, model.Limits{Series: 3, Value: 4})
	if err != nil || p.Len() != 1 || drops[model.OverSeries] != 3 || drops[model.OverLabels] != 1 || drops[model.Repeated] != 2 || drops[model.Conflict] != 1 || p.Families[0].Samples[0].Value != 2 {
		t.Errorf("Decode = %s, %v, %v", show(&p), drops, err)
	}
}

func TestAnswers(t *testing.T) {
	if got := string(Answer(3, "a \"b\"", true)); got != `{"partialSuccess":{"rejectedDataPoints":"3","errorMessage":"a \"b\""}}` {
		t.Error(got)
	}
	if got := Answer(0, "", false); len(got) != 0 {
		t.Error(got)
	}
	if got := string(Answer(3, "x", false)); got != "\x0a\x05\x08\x03\x12\x01x" {
		t.Errorf("%q", got)
	}
	if got := Rejected(Answer(3, "x", false)); got != 3 {
		t.Errorf("Rejected = %d; want 3", got)
	}
}

// random is a page that OTLP can carry.
func random(seed uint64) model.Page {
	r := rand.New(rand.NewPCG(seed, 7))
	var p model.Page
	labels := func(i int) []model.Label {
		l := []model.Label{{Name: "a", Value: fmt.Sprint("v", i)}, {Name: "b_c", Value: "ü\n\"" + fmt.Sprint(r.IntN(3))}}
		return l[:1+r.IntN(2)]
	}
	for i := range 1 + r.IntN(5) {
		f := model.Family{Name: fmt.Sprint("m", i, "_seconds"), Unit: "seconds", Help: "help", Type: []model.Type{model.Gauge, model.Counter, model.Histogram, model.Summary}[r.IntN(4)]}
		for j := range 1 + r.IntN(3) {
			add := func(s model.Sample) {
				s.Time, s.Timed = 1700000000000+int64(i), true
				f.Samples = append(f.Samples, s)
			}
			l := labels(j)
			with := func(name, value string) []model.Label {
				return append(append([]model.Label(nil), l...), model.Label{Name: name, Value: value})
			}
			switch f.Type {
			case model.Gauge:
				add(model.Sample{Labels: l, Value: r.NormFloat64()})
			case model.Counter:
				add(model.Sample{Labels: l, Suffix: "_total", Value: float64(r.IntN(1e9))})
			case model.Histogram:
				n := 0.0
				for _, le := range []string{"0.5", "1", "+Inf"} {
					n += float64(r.IntN(100))
					add(model.Sample{Labels: with("le", le), Suffix: "_bucket", Value: n})
				}
				add(model.Sample{Labels: l, Suffix: "_sum", Value: r.Float64()})
				add(model.Sample{Labels: l, Suffix: "_count", Value: n})
			case model.Summary:
				for _, q := range []string{"0.5", "0.99"} {
					add(model.Sample{Labels: with("quantile", q), Value: r.Float64()})
				}
				add(model.Sample{Labels: l, Suffix: "_sum", Value: r.Float64()})
				add(model.Sample{Labels: l, Suffix: "_count", Value: float64(r.IntN(100))})
			}
		}
		p.Families = append(p.Families, f)
	}
	return p
}

// FuzzRoundTrip writes pages and reads them back.
func FuzzRoundTrip(f *testing.F) {
	for i := range uint64(20) {
		f.Add(i)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		p := random(seed)
		body, drops := Encode(nil, &p, Options{Start: time.Unix(1, 0), Resource: []model.Label{{Name: "x", Value: "y"}}})
		got, more, err := Decode(body, Options{}, model.Limits{})
		if err != nil || drops.Sum()+more.Sum() > 0 || show(&got) != show(&p) {
			t.Errorf("%v, drops %v, %v: %s; want %s", err, drops, more, show(&got), show(&p))
		}
	})
}

// FuzzDecode reads anything: numbers of samples are kept to the limits, and names and labels are valid ones.
func FuzzDecode(f *testing.F) {
	for i := range uint64(10) {
		p := random(i)
		body, _ := Encode(nil, &p, Options{Now: time.Unix(1, 0)})
		f.Add(body, false)
	}
	f.Add([]byte(wrap(`{"name":"d","exponentialHistogram":{"aggregationTemporality":1,"dataPoints":[{"count":"10","scale":-11,"positive":{"offset":-1,"bucketCounts":["1","2"]}}]}}`)), true)
	f.Add([]byte(wrap(`{"name":"s","summary":{"dataPoints":[{"count":"2","sum":3,"quantileValues":[{"quantile":0.5,"value":1}]}]}}`)), true)
	f.Fuzz(func(t *testing.T, body []byte, asJSON bool) {
		p, _, err := Decode(body, Options{JSON: asJSON}, model.Limits{Series: 100, Labels: 20})
		if err != nil {
			return
		}
		if p.Len() > 100 {
			t.Errorf("%d samples; want up to 100", p.Len())
		}
		for _, f := range p.Families {
			if f.Name != sanitize(f.Name) {
				t.Errorf("name %q", f.Name)
			}
			for _, s := range f.Samples {
				seen := map[string]bool{}
				for _, l := range s.Labels {
					if l.Name == "" || l.Value == "" || l.Name != sanitize(l.Name) || seen[l.Name] {
						t.Errorf("%s: label %q=%q", f.Name, l.Name, l.Value)
					}
					seen[l.Name] = true
				}
			}
		}
	})
}

func TestNothingElseIsStored(t *testing.T) {
	p := model.Page{Families: []model.Family{
		{Name: "i", Type: model.Info, Samples: []model.Sample{{Suffix: "_info", Value: 1}}},
		{Name: "g", Type: model.GaugeHistogram, Samples: []model.Sample{{Suffix: "_gsum", Value: 1}, {Suffix: "_gcount", Value: 1}}},
		{Name: "c", Type: model.Counter, Samples: []model.Sample{{Suffix: "_total", Value: math.MaxInt64, Text: "9223372036854775807"}, {Suffix: "_created", Value: 1}}},
		{Name: "b", Block: "b 1\n", Count: 1},
	}}
	body, drops := Encode(nil, &p, Options{Now: time.Unix(1, 0)})
	got, _, err := Decode(body, Options{}, model.Limits{})
	if want := "# i_info gauge |\ni_info 1 @1000\n# c counter |\nc_total 9.223372036854776e+18 @1000\n"; err != nil || show(&got) != want || drops[model.Unstorable] != 4 {
		t.Errorf("%s, %v, %v; want %s", show(&got), drops, err, want)
	}
}
