package shape

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

func labels(pairs ...string) []model.Label {
	var list []model.Label
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, model.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	return list
}

// page has every type of family, and values that need care.
func page() *model.Page {
	return &model.Page{Families: []model.Family{
		{Name: "up", Type: model.Gauge, Help: `Is it "up"?`, Samples: []model.Sample{{Value: 1, Text: "1"}}},
		{Name: "hits", Type: model.Counter, Samples: []model.Sample{
			{Suffix: "_total", Labels: labels("code", "200", "path", "/a\"\\\n"), Value: 3, Text: "3", Time: 1500, Timed: true}, {Suffix: "_total", Labels: labels("code", "500", "path", "/"), Value: 1e6},
			{Suffix: "_created", Labels: labels("code", "500", "path", "/"), Value: 1.5},
		}},
		{Name: "took_seconds", Unit: "seconds", Type: model.Histogram, Samples: []model.Sample{
			{Suffix: "_bucket", Labels: labels("le", "0.1", "m", "a"), Value: 1, Text: "1"}, {Suffix: "_bucket", Labels: labels("le", "+Inf", "m", "a"), Value: 2, Text: "2"},
			{Suffix: "_sum", Labels: labels("m", "a"), Value: 0.75, Text: "0.75"}, {Suffix: "_count", Labels: labels("m", "a"), Value: 2, Text: "2"},
		}},
		{Name: "q", Type: model.Summary, Samples: []model.Sample{
			{Labels: labels("quantile", "0.5"), Value: math.NaN(), Text: "NaN"}, {Suffix: "_sum", Value: 0, Text: "0"}, {Suffix: "_count", Value: 0, Text: "0"},
		}},
		{Name: "build", Type: model.Info, Samples: []model.Sample{{Suffix: "_info", Labels: labels("version", "1"), Value: 1, Text: "1"}}},
		{Name: "mixed", Samples: []model.Sample{{Value: math.Inf(-1)}, {Labels: labels("a", "x"), Value: 12345678901234567890, Text: "12345678901234567890"}}},
	}}
}

func render(t *testing.T, config string) (Result, error) {
	t.Helper()
	v, err := draft.Parse("a.yaml", []byte(config))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse(v)
	if err != nil {
		t.Fatalf("Parse(%s): %v", config, err)
	}
	return s.Render(nil, page())
}

func TestShapes(t *testing.T) {
	for template, want := range map[string]string{
		"nested":     `{"up":1,"hits_total":{"code":{"200":{"path":{"/a\"\\\n":3}},"500":{"path":{"/":1000000}}}},"hits_created":{"code":{"500":{"path":{"/":1.5}}}},"took_seconds_bucket":{"le":{"0.1":{"m":{"a":1}},"+Inf":{"m":{"a":2}}}},"took_seconds_sum":{"m":{"a":0.75}},"took_seconds_count":{"m":{"a":2}},"q":{"quantile":{"0.5":"NaN"}},"q_sum":0,"q_count":0,"build_info":{"version":{"1":1}},"mixed":{"":"-Inf","a":{"x":12345678901234567890}}}`,
		"flat":       `{"up":1,"hits_total{code=\"200\",path=\"/a\\\"\\\\\\n\"}":3,"hits_total{code=\"500\",path=\"/\"}":1000000,"hits_created{code=\"500\",path=\"/\"}":1.5,"took_seconds_bucket{le=\"0.1\",m=\"a\"}":1,"took_seconds_bucket{le=\"+Inf\",m=\"a\"}":2,"took_seconds_sum{m=\"a\"}":0.75,"took_seconds_count{m=\"a\"}":2,"q{quantile=\"0.5\"}":"NaN","q_sum":0,"q_count":0,"build_info{version=\"1\"}":1,"mixed":"-Inf","mixed{a=\"x\"}":12345678901234567890}`,
		"prom2json":  `[{"name":"up","help":"Is it \"up\"?","type":"GAUGE","metrics":[{"value":"1"}]},{"name":"hits_total","help":"","type":"COUNTER","metrics":[{"labels":{"code":"200","path":"/a\"\\\n"},"timestamp_ms":"1500","value":"3"},{"labels":{"code":"500","path":"/"},"value":"1e+06","created":"1.5"}]},{"name":"took_seconds","help":"","type":"HISTOGRAM","unit":"seconds","metrics":[{"labels":{"m":"a"},"buckets":{"0.1":"1","+Inf":"2"},"count":"2","sum":"0.75"}]},{"name":"q","help":"","type":"SUMMARY","metrics":[{"quantiles":{"0.5":"NaN"},"count":"0","sum":"0"}]},{"name":"build_info","help":"","type":"INFO","metrics":[{"labels":{"version":"1"},"value":"1"}]},{"name":"mixed","help":"","type":"UNTYPED","metrics":[{"value":"-Inf"},{"labels":{"a":"x"},"value":"12345678901234567890"}]}]`,
		"array":      `[{"name":"up","type":"gauge","labels":{},"value":1},{"name":"hits_total","type":"counter","labels":{"code":"200","path":"/a\"\\\n"},"value":3,"time":1.500},`,
		"keyvalue":   "up: 1|hits_total{code=\"200\",path=\"/a\\\"\\\\\\n\"}: 3|hits_total{code=\"500\",path=\"/\"}: 1e+06|",
		"text":       "up 1|hits_total{code=\"200\",path=\"/a\\\"\\\\\\n\"} 3|",
		"redis-info": "up:1\r|hits_total:code=200,path=/a\"\\_,value=3\r|",
	} {
		r, err := render(t, "template: "+template)
		got := string(r.Body)
		if want[0] == '{' || want[0] == '[' {
			if !json.Valid(r.Body) {
				t.Errorf("%s is no JSON: %s", template, got)
			}
			got = strings.NewReplacer("\n ", "", "\n", "").Replace(got)
		} else {
			got = strings.ReplaceAll(got, "\n", "|")
		}
		if !strings.HasPrefix(got, want) || err != nil {
			t.Errorf("%s = %s, %v; want %s", template, got, err, want)
		}
	}
}

func TestBodies(t *testing.T) {
	for config, want := range map[string]string{
		"jq: '{up, errors: .hits_total.code[\"500\"].path[\"/\"], n: (.mixed | .a.x)}'": `{"errors":1000000,"n":12345678901234567890,"up":1}` + "\n",
		"jq: '.mixed[\"\"] < 0'":     "true\n",
		"jq: '.q.quantile[\"0.5\"]'": "\"NaN\"\n",
		"{jq: 'if .up == 1 then \"ok\" else \"failed\" end', content-type: text/plain}":                                                                                                   "ok\n",
		"jq: '[$families[] | select(.type == \"HISTOGRAM\") | .metrics[0].sum]'":                                                                                                          "[0.75]\n",
		`body: '{{metric "up"}} {{sum "hits_total"}} {{max "hits_total" "code" "200"}} {{count "hits_total"}} {{has "none"}} {{default 7 (metric "none")}} {{default "-" (sum "none")}}'`: "1 1.000003e+06 3 2 false 7 -",
		`body: '{{range samples "hits_total" "code" "500"}}{{.Labels.path}}={{.Text}} {{json .}}{{end}}{{len .}}'`:                                                                        `/=1e+06 {"name":"hits_total","labels":{"code":"500","path":"/"},"value":1000000}14`,
		`body: '{"up": {{json (metric "up")}}, "x": {{json "a\"b"}}, "n": {{json (metric "none")}}}'`:                                                                                     `{"up": 1, "x": "a\"b", "n": null}`,
	} {
		r, err := render(t, config)
		if string(r.Body) != want || err != nil {
			t.Errorf("%s = %s, %v; want %s", config, r.Body, err, want)
		}
	}
}

func TestStatus(t *testing.T) {
	for config, want := range map[string]int{
		"template: flat": 200, "status: {503: '.up == 0'}": 200, "status: {503: '.up == 1'}": 503, "status: {418: '.none > 0', 500: '.mixed.a.x > 5', 503: true}": 500,
		"status: 'if .up == 1 then 201 else 503 end'": 201, "status: .up == 1": 200, "status: .up == 0": 503,
	} {
		r, err := render(t, config)
		if r.Status != want || err != nil {
			t.Errorf("%s = %d, %v; want %d", config, r.Status, err, want)
		}
	}
	for _, config := range []string{"status: .none", "status: .up", "jq: empty", "jq: .up.x", `body: '{{metric "up" "odd"}}'`} {
		if r, err := render(t, config); err == nil || r.Body != nil {
			t.Errorf("%s = %d %s; want an error", config, r.Status, r.Body)
		}
	}
}

func TestContentTypes(t *testing.T) {
	for config, want := range map[string]string{
		"{}": "application/json", "format: text": "text/plain; charset=utf-8", "format: keyvalue": "text/plain; charset=utf-8", "template: nested": "application/json", "jq: .": "application/json", "body: x": "text/plain; charset=utf-8",
		"{body: x, content-type: text/html}": "text/html", "{format: json, template: redis-info}": "text/plain; charset=utf-8",
	} {
		v, _ := draft.Parse("a.yaml", []byte(config))
		s, err := Parse(v)
		if err != nil || s.ContentType() != want {
			t.Errorf("ContentType of %s = %s, %v; want %s", config, s.ContentType(), err, want)
		}
	}
}

func TestParseNamesWhatIsWrong(t *testing.T) {
	for config, want := range map[string]string{
		"template: nestd": "did you mean nested?", "{template: flat, jq: .}": "exclude each other", "jq: '.['": "query", "status: {99: true}": "no HTTP status", "status: {503: input}": "input is not available", "body: '{{env \"HOME\"}}'": `function "env" not defined`,
		"[]": "want keys and values", "body: '{{.'": "functions are metric",
	} {
		v, err := draft.Parse("a.yaml", []byte(config))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(v); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%s) = %v; want %s", config, err, want)
		}
	}
}

func TestBlocksAreCountedNotLost(t *testing.T) {
	s, err := Parse(draft.Value{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Render([]byte("x"), &model.Page{Families: []model.Family{{Name: "a", Block: "a 1\n", Count: 1}}})
	if err != nil || r.Drops[model.Unstorable] != 1 || string(r.Body) != "x[]\n" {
		t.Errorf("Render = %q, %v, %v; want one unstorable", r.Body, r.Drops, err)
	}
}
