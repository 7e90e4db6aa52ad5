package jsonmap

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// show writes a page as text, so that tests can say what they want.
func show(p model.Page) string {
	var b strings.Builder
	for _, f := range p.Families {
		fmt.Fprintf(&b, "# %s %s", f.Name, f.Type)
		if f.Help+f.Unit != "" {
			fmt.Fprintf(&b, " %q %q", f.Help, f.Unit)
		}
		b.WriteByte('\n')
		for _, s := range f.Samples {
			b.WriteString(f.Name + s.Suffix)
			for i, l := range s.Labels {
				fmt.Fprintf(&b, "%s%s=%q", []string{",", "{"}[min(1, max(0, 1-i))], l.Name, l.Value)
			}
			if len(s.Labels) > 0 {
				b.WriteByte('}')
			}
			text := s.Text
			if text == "" {
				text = fmt.Sprint(s.Value)
			}
			b.WriteString(" " + text)
			if s.Timed {
				fmt.Fprintf(&b, " @%d", s.Time)
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func decode(t *testing.T, config, body string) (string, model.Drops, error) {
	t.Helper()
	v, err := draft.Parse("a.yaml", []byte(config))
	if err != nil {
		t.Fatal(err)
	}
	m, err := Parse(v)
	if err != nil {
		t.Fatalf("Parse(%s): %v", config, err)
	}
	p, drops, err := m.Decode([]byte(body), model.Limits{})
	return show(p), drops, err
}

const stats = `{"region":"eu","ok":true,"state":"up","started":"2020-01-02T03:04:05Z","lat":"15ms","mem":"2KiB","load":"12.5%","seen":1.7000000e+09,
"pools":[{"name":"a","size":5,"tags":{"zone":"z1","rack":7},"disks":[{"id":1,"used":0.50},{"id":2,"used":12345678901234567890}]},{"name":"b","disks":[]}],
"nodes":{"n1":{"up":1,"jobs":{"x":3}},"n2":{"up":0,"jobs":{}}},"text":"7","nothing":null}`

func TestRules(t *testing.T) {
	for config, want := range map[string]string{
		"map: [{each: '.pools[]', name: app_pool_size, value: .size, labels: {pool: .name}}]":                                                      "# app_pool_size unknown\napp_pool_size{pool=\"a\"} 5\n",
		"map: {name: ok, value: .ok, type: gauge, help: Whether}":                                                                                  "# ok gauge \"Whether\" \"\"\nok 1\n",
		"map: [{each: '.pools[].disks[]', name: used, value: .used, labels: {pool: $parent.name, n: $key, region: $root.region, id: .id}}]":        "# used unknown\nused{pool=\"a\",n=\"0\",region=\"eu\",id=\"1\"} 0.50\nused{pool=\"a\",n=\"1\",region=\"eu\",id=\"2\"} 12345678901234567890\n",
		"map: [{each: {pool: '.pools[]', disk: '.disks[]'}, name: used, value: .used, labels: {p: $pool.name, s: $pool.size, d: $disk.id}}]":       "# used unknown\nused{p=\"a\",s=\"5\",d=\"1\"} 0.50\nused{p=\"a\",s=\"5\",d=\"2\"} 12345678901234567890\n",
		"map: [{each: '.nodes[]', name: node_up, value: .up, labels: {node: $key, static: =text, jq: '\"text\"'}}]":                                "# node_up unknown\nnode_up{node=\"n1\",static=\"text\",jq=\"text\"} 1\nnode_up{node=\"n2\",static=\"text\",jq=\"text\"} 0\n",
		"map: [{each: '.nodes | to_entries[]', name: node_up, value: .value.up, labels: {node: .key}}]":                                            "# node_up unknown\nnode_up{node=\"n1\"} 1\nnode_up{node=\"n2\"} 0\n",
		"map: [{each: {n: '.nodes|to_entries[]', j: '.value.jobs|to_entries[]'}, name: jobs, value: .value, labels: {node: $n.key, job: $j.key}}]": "# jobs unknown\njobs{node=\"n1\",job=\"x\"} 3\n",
		"map: [{name: state, value: .state, enum: {up: 1, down: 0}}]":                                                                              "# state unknown\nstate 1\n",
		"map: [{name: state, value: .state, type: stateset, enum: [up, down]}]":                                                                    "# state stateset\nstate{state=\"up\"} 1\nstate{state=\"down\"} 0\n",
		"map: [{name: started_seconds, value: .started, as: date, unit: seconds, type: gauge}]":                                                    "# started_seconds gauge \"\" \"seconds\"\nstarted_seconds 1.577934245e+09\n",
		"map: [{name: n, value: .region, time: .seen, enum: {eu: 3}}]":                                                                             "# n unknown\nn 3 @1700000000000\n",
		"map: [{name: lat, value: .lat, as: duration}, {name: mem, value: .mem, as: size}, {name: load, value: .load, as: percent}]":               "# lat unknown\nlat 0.015\n# mem unknown\nmem 2048\n# load unknown\nload 0.125\n",
		"map: [{name: text, value: .text}]":                                                                      "# text unknown\ntext 7\n",
		"map: [{name: 'app_{.region}_{.state}_ok', value: .ok}]":                                                 "# app_eu_up_ok unknown\napp_eu_up_ok 1\n",
		"map: [{each: '.pools[]', name: p, value: .size, when: '.name == \"a\"', labels: {'*': .tags}}]":         "# p unknown\np{zone=\"z1\",rack=\"7\"} 5\n",
		"map: [{each: '.nodes[]', name: node, values: {up: .up, jobs: '.jobs | length'}, labels: {n: $key}}]":    "# node_up unknown\nnode_up{n=\"n1\"} 1\nnode_up{n=\"n2\"} 0\n# node_jobs unknown\nnode_jobs{n=\"n1\"} 1\nnode_jobs{n=\"n2\"} 0\n",
		"{prefix: app_, map: [{name: hits_total, value: '.pools[0].size', type: counter}]}":                      "# app_hits counter\napp_hits_total 5\n",
		"map: [{name: build_info, type: info, labels: {region: .region}}]":                                       "# build info\nbuild_info{region=\"eu\"} 1\n",
		"map: [{each: '.pools[] | select(.size > 3)', name: big, value: '.disks | length', labels: {p: .name}}]": "# big unknown\nbig{p=\"a\"} 2\n",
		"{missing: 0, map: [{each: '.pools[]', name: s, value: .size, labels: {p: .name}}]}":                     "# s unknown\ns{p=\"a\"} 5\ns{p=\"b\"} 0\n",
	} {
		got, _, err := decode(t, config, stats)
		if got != want || err != nil {
			t.Errorf("%s:\n%s%v; want\n%s", config, got, err, want)
		}
	}
}

func TestMissingValues(t *testing.T) {
	const rule = "map: [{each: '.pools[]', name: s, value: .size, labels: {p: .name}}]}"
	for config, want := range map[string]uint64{"{" + rule: 1, "{missing: skip, " + rule: 0, "{missing: NaN, " + rule: 0} {
		if got, drops, err := decode(t, config, stats); drops[model.Unreadable] != want || err != nil {
			t.Errorf("%s: %s drops %d, %v; want %d", config, got, drops[model.Unreadable], err, want)
		}
	}
	for config, want := range map[string]string{"{missing: error, " + rule: "s is missing", "{missing: error, map: {name: x, value: .state}}": `x: "up" is no number`, "{missing: error, map: {each: '.none[]', name: x}}": "null", "{missing: error, map: {each: 'empty', name: x}}": "finds nothing"} {
		if got, _, err := decode(t, config, stats); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %s %v; want %s", config, got, err, want)
		}
	}
	if _, drops, err := decode(t, "map: [{each: '.none[]', name: x}, {name: y, value: .state}, {name: z, value: .pools}]", stats); drops[model.Unreadable] != 3 || err != nil {
		t.Errorf("nothing fits: drops %v, %v; want 3 unreadable", drops, err)
	}
}

func TestWithoutRules(t *testing.T) {
	for _, c := range []struct{ config, body, want string }{
		{"", `{"a":1,"b-c":{"d e":2.50,"t":true,"s":"x","n":null},"l":[{"v":1},{"v":2}],"ll":[[1,2],[3]],"9":4,"x":"NaN"}`, "# a unknown\na 1\n# b_c_d_e unknown\nb_c_d_e 2.50\n# b_c_t unknown\nb_c_t 1\n# l_v unknown\nl_v{index=\"0\"} 1\nl_v{index=\"1\"} 2\n# ll unknown\nll{index=\"0\",index_2=\"0\"} 1\nll{index=\"0\",index_2=\"1\"} 2\nll{index=\"1\",index_2=\"0\"} 3\n# _9 unknown\n_9 4\n# x unknown\nx NaN\n"},
		{"prefix: app_", `{"a":1}`, "# app_a unknown\napp_a 1\n"},
		{"", `{"a{b=\"c\",d=\"e\\\\\\\"f\\n\"}":1,"x{y}":2}`, "# a unknown\na{b=\"c\",d=\"e\\\\\\\"f\\n\"} 1\n# x_y unknown\nx_y 2\n"},
		{"template: nested", `{"a":{"l":{"x":1,"y":{"m":{"z":2}}},"":3},"b":4}`, "# a unknown\na{l=\"x\"} 1\na{l=\"y\",m=\"z\"} 2\na 3\n# b unknown\nb 4\n"},
		{"", `[{"name":"a_total","help":"h","type":"COUNTER","metrics":[{"labels":{"x":"y"},"value":"3","timestamp_ms":"5"}]},{"name":"h","type":"HISTOGRAM","metrics":[{"buckets":{"1":"2","+Inf":"3"},"count":"3","sum":"4.5"}]},{"name":"s","type":"SUMMARY","metrics":[{"quantiles":{"0.5":"NaN"},"count":"3","sum":"4.5"}]}]`,
			"# a counter \"h\" \"\"\na_total{x=\"y\"} 3 @5\n# h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 4.5\nh_count 3\n# s summary\ns{quantile=\"0.5\"} NaN\ns_sum 4.5\ns_count 3\n"},
		{"", `[{"name":"a_total","type":"counter","labels":{"x":"y"},"value":3,"time":1.5}]`, "# a counter\na_total{x=\"y\"} 3 @1500\n"},
	} {
		got, _, err := decode(t, c.config, c.body)
		if got != c.want || err != nil {
			t.Errorf("%s %s:\n%s%v; want\n%s", c.config, c.body, got, err, c.want)
		}
	}
}

func TestParseNamesWhatIsWrong(t *testing.T) {
	for config, want := range map[string]string{
		"map: [{value: .x}]":                                            "a.yaml:1:7: the rule has no name",
		"map: [{name: a b}]":                                            `a.yaml:1:14: name: "a b" cannot be the name of a metric`,
		"map: [{name: a, value: '.x |'}]":                               "a.yaml:1:24: value: query \".x |\"",
		"map: [{name: a, labels: {a-b: .x}}]":                           "cannot be the name of a label",
		"map: [{name: a, vaule: .x}]":                                   "did you mean value?",
		"map: [{name: a, each: 'keys[]', value: $parent}]":              "$parent is known only where each is a plain path",
		"map: [{name: a, type: guage}]":                                 "did you mean gauge?",
		"map: [{name: a_total, type: counter}, {name: a, type: gauge}]": "a is of type counter in one rule and gauge in another",
		"map: [{name: a, unit: seconds}]":                               `call it "a_seconds"`,
		"map: [{name: a, type: histogram}]":                             "is no part of a histogram",
		"missing: never":                                                "is none of count, skip, error",
		"{template: flat, map: [{name: a}]}":                            "exclude each other",
		"template: flut":                                                "did you mean flat?",
		"map: [{name: 'a{.x'}]":                                         "without }",
		"map: [{name: a, value: env.HOME}]":                             "env is not available",
		"map: [{name: a, value: .x, values: {b: .y}}]":                  "exclude each other",
		"map: [x]":                           "want a rule",
		"prefix: 9x":                         "cannot begin",
		"map: [{name: a, each: {root: .x}}]": "cannot be the name of a level",
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

func TestLimits(t *testing.T) {
	v, _ := draft.Parse("a.yaml", []byte("map: [{each: '.[]', name: a, labels: {l: .l, m: .m}, value: .v}]"))
	m, err := Parse(v)
	if err != nil {
		t.Fatal(err)
	}
	p, drops, err := m.Decode([]byte(`[{"l":"1","v":1},{"l":"1","v":2},{"l":"2","v":1},{"l":"3","m":"x","v":1},{"l":"too long","v":1},{"l":"4","v":1},{"l":"5","v":1}]`), model.Limits{Series: 3, Labels: 1, Value: 3})
	want := model.Drops{model.OverSeries: 1, model.OverLabels: 2, model.Repeated: 1}
	if p.Len() != 3 || drops != want || err != nil {
		t.Errorf("Decode = %s, %v, %v; want 3 samples, %v", show(p), drops, err, want)
	}
}
