package relabel

import (
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/expo"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

func program(t *testing.T, yaml string) *Program {
	t.Helper()
	v, err := draft.Parse("c.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	p, err := Parse(v)
	if err != nil {
		t.Fatalf("Parse(%s) = %v", yaml, err)
	}
	return p
}

const sample = `# HELP req_total Requests.
# TYPE req_total counter
req_total{code="200",path="/a"} 10
req_total{code="500",path="/b"} 2
# TYPE q gauge
q{instance="A;B"} 5
# TYPE t histogram
t_bucket{le="1"} 1
t_bucket{le="+Inf"} 2
t_sum 3
t_count 2
`

func TestApply(t *testing.T) {
	hist := sample[strings.Index(sample, "# TYPE t"):]
	q := "# TYPE q gauge\nq{instance=\"A;B\"} 5\n"
	req := sample[:strings.Index(sample, "# TYPE q")]
	for _, c := range []struct {
		name, yaml, want string
		drops            model.Drops
	}{
		{"nothing", "{}", sample, model.Drops{}},
		{"keep", "keep: [t, q*]", q + hist, model.Drops{model.Unwanted: 2}},
		{"drop by either name", "drop: [req, t]", q, model.Drops{model.Unwanted: 6}},
		{"rule keep by name", "relabel: [{source_labels: [__name__], regex: 'q|t_.*', action: keep}]", q + hist, model.Drops{model.Unwanted: 2}},
		{"rule drop of a part", "relabel: [{source_labels: [__name__], regex: t_bucket, action: drop}]", req + q + "# TYPE t histogram\nt_sum 3\nt_count 2\n", model.Drops{model.Unwanted: 2}},
		{
			"rule drop by label", "relabel: [{source_labels: [code, path], regex: '5..;/b', action: Drop}]",
			strings.Replace(sample, "req_total{code=\"500\",path=\"/b\"} 2\n", "", 1), model.Drops{model.Unwanted: 1},
		},
		{"replace", "relabel: [{source_labels: [path], regex: '/(.)', target_label: p, replacement: 'x$1'}]", strings.ReplaceAll(strings.ReplaceAll(sample, `path="/a"`, `path="/a",p="xa"`), `path="/b"`, `path="/b",p="xb"`), model.Drops{}},
		{"rename by a rule", "relabel: [{source_labels: [__name__], regex: 't(.*)', target_label: __name__, replacement: 'u$1'}]", req + q + strings.ReplaceAll(strings.ReplaceAll(hist, "t_", "u_"), " t ", " u "), model.Drops{}},
		{"rename of one part", "relabel: [{source_labels: [__name__], regex: 't_sum', target_label: __name__, replacement: 'other'}]", req + q + strings.Replace(hist, "t_sum 3\n", "", 1) + "# TYPE other untyped\nother 3\n", model.Drops{}},
		{"no name left", "relabel: [{regex: __name__, action: labeldrop}]", "", model.Drops{model.Unwanted: 7}},
		{"labels dropped, series twice", "relabel: [{regex: 'code|path', action: labeldrop}]", "# HELP req_total Requests.\n# TYPE req_total counter\nreq_total 10\n" + q + hist, model.Drops{model.Repeated: 1}},
		{"labelmap", "relabel: [{regex: 'inst(.*)', action: labelmap, replacement: 'x_$1'}]", strings.Replace(sample, `"A;B"`, `"A;B",x_ance="A;B"`, 1), model.Drops{}},
		{"lower", "relabel: [{source_labels: [instance], action: lowercase, target_label: instance}]", strings.Replace(sample, "A;B", "a;b", 1), model.Drops{}},
		{"hashmod", "keep: [q]\nrelabel: [{source_labels: [instance], action: hashmod, target_label: m, modulus: 8}]", "# TYPE q gauge\nq{instance=\"A;B\",m=\"7\"} 5\n", model.Drops{model.Unwanted: 6}},
		{"rename", "rename: {t: u, req_total: hits_total}", strings.NewReplacer("req_total", "hits_total", "t_", "u_", "TYPE t ", "TYPE u ").Replace(sample), model.Drops{}},
		{"rename by a pattern", "rename: {'(req_.*)': 'app_$1'}", strings.ReplaceAll(sample, "req_", "app_req_"), model.Drops{}},
		{"rename of a counter away from _total", "keep: [req]\nrename: {req_total: hits}", strings.ReplaceAll(req, "req_total", "hits"), model.Drops{model.Unwanted: 5}},
		{"type", "keep: [q]\ntype: {q: counter}", "# TYPE q counter\nq{instance=\"A;B\"} 5\n", model.Drops{model.Unwanted: 6}},
		{"type of a counter", "keep: [req]\ntype: {req: gauge}", strings.Replace(req, "counter", "gauge", 1), model.Drops{model.Unwanted: 5}},
		{"scale", "scale: {t: 0.001, q: 10}", req + strings.Replace(q, "5", "50", 1) + "# TYPE t histogram\nt_bucket{le=\"0.001\"} 1\nt_bucket{le=\"+Inf\"} 2\nt_sum 0.003\nt_count 2\n", model.Drops{}},
		{"help", "keep: [q]\nhelp: {q: Length.}", "# HELP q Length.\n" + q, model.Drops{model.Unwanted: 6}},
		{"labels", "keep: [q]\nlabels: {env: x, zone: 'y\"'}", "# TYPE q gauge\nq{env=\"x\",zone=\"y\\\"\",instance=\"A;B\"} 5\n", model.Drops{model.Unwanted: 6}},
		{"labels that are there", "keep: [q]\nlabels: {instance: x}", "# TYPE q gauge\nq{instance=\"x\",exported_instance=\"A;B\"} 5\n", model.Drops{model.Unwanted: 6}},
		{"limits", "limits: {series: 3, labels: 1}", q + "# TYPE t histogram\nt_bucket{le=\"1\"} 1\nt_bucket{le=\"+Inf\"} 2\n", model.Drops{model.OverLabels: 2, model.OverSeries: 2}},
		{"limit of values", "keep: [q]\nlimits: {value-length: 2}", "", model.Drops{model.OverLabels: 1, model.Unwanted: 6}},
	} {
		page, _, err := expo.Decode([]byte(sample), model.Text, model.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		drops, err := program(t, c.yaml).Apply(&page)
		got, lost := expo.Encode(nil, &page, model.Text)
		if err != nil || string(got) != c.want || drops != c.drops || lost.Sum() > 0 {
			t.Errorf("%s: %v, %v, %v\n%s\nwant %v\n%s", c.name, drops, lost, err, got, c.drops, c.want)
		}
	}
}

func TestPartsBecomeOne(t *testing.T) {
	page, _, err := expo.Decode([]byte("h_bucket{le=\"+Inf\"} 1\nh_sum 2\nh_count 1\n"), model.Text, model.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	drops, err := program(t, "type: {h: histogram}\nunit: {h: s}").Apply(&page)
	if err != nil || drops.Sum() > 0 || len(page.Families) != 1 || page.Families[0].Type != model.Histogram || len(page.Families[0].Samples) != 3 {
		t.Errorf("Apply = %+v, %v, %v", page, drops, err)
	}
}

// TestOnlyWhatIsTouchedIsRead looks which blocks are left.
func TestOnlyWhatIsTouchedIsRead(t *testing.T) {
	for yaml, want := range map[string]int{
		"relabel: [{source_labels: [__name__], regex: 'go_.*', action: drop}]":                3,
		"relabel: [{source_labels: [code], regex: '5..', action: drop}]":                      2,
		"relabel: [{regex: 'path', action: labeldrop}]":                                       2,
		"relabel: [{source_labels: [absent], regex: '(.+)', target_label: y}]":                3,
		"relabel: [{source_labels: [__name__], regex: 'q', target_label: y, replacement: z}]": 2,
		"relabel: [{target_label: env, replacement: prod}]":                                   0,
		"labels: {env: prod}": 3,
		"limits: {labels: 2}": 3,
		"rename: {q: p}":      2,
		"keep: ['*']":         3,
		"limits: {series: 3}": 2,
	} {
		page, _, err := expo.Decode([]byte(sample), model.Text, model.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := program(t, yaml).Apply(&page); err != nil {
			t.Errorf("Apply(%s) = %v", yaml, err)
		}
		blocks := 0
		for i := range page.Families {
			if page.Families[i].Block != "" {
				blocks++
			}
		}
		if blocks != want {
			t.Errorf("Apply(%s) leaves %d blocks; want %d", yaml, blocks, want)
		}
	}
}

func TestComplaints(t *testing.T) {
	for yaml, want := range map[string]string{
		"relabel: [{action: dropp}]":                                                    `c.yaml:1:20: action: "dropp" is none of`,
		"relabel:\n- {source_labels: [a]}":                                              "c.yaml:2:3: action replace needs target_label",
		"relabel: [{regex: '(', target_label: x}]":                                      `regex "(": error parsing regexp`,
		"relabel: [{action: hashmod, target_label: x}]":                                 "needs modulus",
		"relabel: [{action: hashmod, target_label: x, modulus: 0}]":                     "from 1 on",
		"relabel: [{action: keepequal, target_label: x, regex: y, source_labels: [z]}]": "remove regex",
		"relabel: [{action: labeldrop, regex: y, target_label: z}]":                     "takes only regex",
		"relabel: [{action: uppercase, target_label: z, replacement: y}]":               "takes no replacement",
		"relabel: [{sourcelabels: [a]}]":                                                `unknown key "sourcelabels"`,
		"rename: {a: 'b c'}":                                                            "no name of a metric",
		"rename: {'(': b}":                                                              `rename "("`,
		"scale: {a: -1}":                                                                "no number from",
		"type: {a: guage}":                                                              "is none of",
		"keep: ['[']":                                                                   "no pattern",
		"labels: {__a: b}":                                                              "no name of a label",
		"limits: {series: -1}":                                                          "no whole number",
		"limits: {serie: 1}":                                                            "unknown key",
	} {
		v, err := draft.Parse("c.yaml", []byte(yaml))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(v); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%s) = %v; want %q", yaml, err, want)
		}
	}
}
