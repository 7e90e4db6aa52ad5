package e2e

import (
	"maps"
	"testing"
	"time"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/otlp"
)

// request is what an SDK sends; a request has the same fields.
func request() *metrics.MetricsData {
	attr := func(key, value string) []*common.KeyValue {
		return []*common.KeyValue{{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}}}
	}
	sum, at := 12.5, uint64(time.Unix(1700000000, 0).UnixNano()) //nolint:gosec // after 1970
	cumulative := metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE
	list := []*metrics.Metric{
		{Name: "queue.size", Unit: "{item}", Data: &metrics.Metric_Gauge{Gauge: &metrics.Gauge{DataPoints: []*metrics.NumberDataPoint{{Attributes: attr("q.name", "a"), TimeUnixNano: at, Value: &metrics.NumberDataPoint_AsInt{AsInt: -3}}}}}},
		{Name: "http.requests", Data: &metrics.Metric_Sum{Sum: &metrics.Sum{IsMonotonic: true, AggregationTemporality: cumulative, DataPoints: []*metrics.NumberDataPoint{{TimeUnixNano: at, Value: &metrics.NumberDataPoint_AsDouble{AsDouble: 7.5}}}}}},
		{Name: "jobs", Data: &metrics.Metric_Sum{Sum: &metrics.Sum{IsMonotonic: true, AggregationTemporality: metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA, DataPoints: []*metrics.NumberDataPoint{{Value: &metrics.NumberDataPoint_AsInt{AsInt: 4}}}}}},
		{Name: "took", Unit: "s", Data: &metrics.Metric_Histogram{Histogram: &metrics.Histogram{AggregationTemporality: cumulative, DataPoints: []*metrics.HistogramDataPoint{{Count: 6, Sum: &sum, BucketCounts: []uint64{1, 2, 3}, ExplicitBounds: []float64{0.5, 1}}}}}},
		{Name: "size", Unit: "By", Data: &metrics.Metric_ExponentialHistogram{ExponentialHistogram: &metrics.ExponentialHistogram{AggregationTemporality: cumulative, DataPoints: []*metrics.ExponentialHistogramDataPoint{{
			Count: 7, Sum: &sum, Scale: 2, ZeroCount: 1, Positive: &metrics.ExponentialHistogramDataPoint_Buckets{Offset: -3, BucketCounts: []uint64{1, 0, 2}}, Negative: &metrics.ExponentialHistogramDataPoint_Buckets{BucketCounts: []uint64{3}},
		}}}}},
		{Name: "lat", Data: &metrics.Metric_Summary{Summary: &metrics.Summary{DataPoints: []*metrics.SummaryDataPoint{{Count: 2, Sum: 3, QuantileValues: []*metrics.SummaryDataPoint_ValueAtQuantile{{Quantile: 0.5, Value: 1.5}}}}}}},
	}
	return &metrics.MetricsData{ResourceMetrics: []*metrics.ResourceMetrics{{
		Resource:     &resource.Resource{Attributes: append(attr("service.name", "shop"), attr("host.name", "h")...)},
		ScopeMetrics: []*metrics.ScopeMetrics{{Metrics: list}},
	}}}
}

// TestAdapterReadsOTLPOfItsModule reads what the module of OpenTelemetry writes, in both formats, and the module reads what we write.
func TestAdapterReadsOTLPOfItsModule(t *testing.T) {
	binary, err := proto.Marshal(request())
	if err != nil {
		t.Fatal(err)
	}
	text, err := protojson.Marshal(request())
	if err != nil {
		t.Fatal(err)
	}
	bounds := []float64{0, 1, 2}
	want := map[string]float64{
		"queue_size{job=shop,q_name=a}": -3, "http_requests_total{job=shop}": 7.5, "took_seconds_bucket{job=shop,le=0.5}": 1, "took_seconds_sum{job=shop}": 12.5,
		"size_bytes_bucket{job=shop,le=0}": 4, "size_bytes_bucket{job=shop,le=1}": 7, "size_bytes_count{job=shop}": 7, "lat{job=shop,quantile=0.5}": 1.5, "target_info{host_name=h,job=shop}": 1,
	}
	var first map[string]float64
	for asJSON, body := range map[bool][]byte{false: binary, true: text} {
		absolute, delta, drops, err := otlp.Split(body, otlp.Options{JSON: asJSON, Bounds: bounds}, model.Limits{})
		if err != nil || drops.Sum() > 0 {
			t.Fatal(err, drops)
		}
		got := values(absolute)
		for k, v := range want {
			if g, ok := got[k]; !ok || g != v {
				t.Errorf("JSON %v: %s = %v, %v; want %v in %v", asJSON, k, g, ok, v, got)
			}
		}
		if d := values(delta); d["jobs_total{job=shop}"] != 4 || len(d) != 1 {
			t.Errorf("deltas %v; want 4 jobs", d)
		}
		if first != nil && !maps.Equal(first, got) {
			t.Errorf("JSON and protocol buffers differ: %v and %v", first, got)
		}
		first = got
		written, drops := otlp.Encode(nil, &absolute, otlp.Options{Now: time.Unix(1, 0)})
		var back metrics.MetricsData
		if err := proto.Unmarshal(written, &back); err != nil || drops.Sum() > 0 {
			t.Fatal(err, drops)
		}
		again, err := proto.Marshal(&back)
		if err != nil {
			t.Fatal(err)
		}
		page, _, err := otlp.Decode(again, otlp.Options{NoTarget: true}, model.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if g := values(page); !maps.Equal(g, got) {
			t.Errorf("written and read again: %v; want %v", g, got)
		}
	}
}
