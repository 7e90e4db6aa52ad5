package merge

import (
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/expo"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// page reads a body of text, or of OpenMetrics if it ends so.
func page(t *testing.T, body string) *model.Page {
	t.Helper()
	p, drops, err := expo.Decode([]byte(body), model.NoText, model.Limits{})
	if err != nil || drops.Sum() > 0 {
		t.Fatalf("Decode(%q) = %v, %v", body, drops, err)
	}
	return &p
}

func TestMerge(t *testing.T) {
	const (
		hist = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"5.0\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 4\nh_count 3\n"
		less = "# TYPE h histogram\nh_bucket{le=\"5\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 2\nh_count 1\n"
	)
	for _, c := range []struct {
		name   string
		policy Policy
		in     []string
		want   string
		drops  uint64 // conflicts
	}{
		{"nothing", Fail, nil, "", 0},
		{"one", Fail, []string{"a 1\n"}, "a 1\n", 0},
		{"two families", Fail, []string{"# TYPE a gauge\na 1\n", "b 1\n"}, "# TYPE a gauge\na 1\nb 1\n", 0},
		{
			"one family in two sources: one HELP, one TYPE", Fail,
			[]string{"# HELP a x\n# TYPE a counter\na{i=\"1\"} 1\n", "# HELP a y\n# TYPE a counter\na{i=\"2\"} 1\n"},
			"# HELP a x\n# TYPE a counter\na{i=\"1\"} 1\na{i=\"2\"} 1\n", 0,
		},
		{"labels", Label, []string{"a 1\nb 1\n", "a{x=\"y\"} 2\n"}, "# TYPE a untyped\na{source=\"s0\"} 1\na{source=\"s1\",x=\"y\"} 2\nb 1\n", 0},
		{
			"labels that are there already", Label, []string{"a{source=\"mine\"} 1\n", "a{source=\"mine\",exported_source=\"z\"} 2\n"},
			"# TYPE a untyped\na{source=\"s0\",exported_source=\"mine\"} 1\na{source=\"s1\",exported_exported_source=\"mine\",exported_source=\"z\"} 2\n", 0,
		},
		{"first", First, []string{"a{x=\"1\"} 1\n", "a{x=\"1\"} 2\na{x=\"2\"} 2\n"}, "# TYPE a untyped\na{x=\"1\"} 1\na{x=\"2\"} 2\n", 1},
		{"first of histograms takes whole ones", First, []string{hist, less}, hist, 4},
		{"sum", Sum, []string{"# TYPE a counter\na{x=\"1\"} 1\n", "# TYPE a counter\na{x=\"1\"} 2\na{x=\"2\"} 2\n"}, "# TYPE a counter\na{x=\"1\"} 3\na{x=\"2\"} 2\n", 0},
		{
			"sum of histograms has the buckets of both", Sum, []string{hist, less},
			"# TYPE h histogram\nh_bucket{le=\"5.0\"} 3\nh_bucket{le=\"+Inf\"} 4\nh_sum 6\nh_count 4\n", 1,
		},
		{
			"sum of summaries has no quantiles", Sum,
			[]string{"# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 1\ns_count 1\n", "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 2\ns_count 2\n"},
			"# TYPE s summary\ns_sum 3\ns_count 3\n", 2,
		},
		{"types that differ", First, []string{"# TYPE a counter\na 1\n", "# TYPE a gauge\na{x=\"1\"} 1\n"}, "# TYPE a counter\na 1\n", 1},
		{"a type that one does not know", First, []string{"a 1\n", "# HELP a x\n# TYPE a gauge\na{x=\"1\"} 1\n"}, "# HELP a x\n# TYPE a gauge\na 1\na{x=\"1\"} 1\n", 0},
		{"a part of a histogram", First, []string{hist, "h_sum 7\n"}, hist, 1},
		{"a counter beside its namesake", First, []string{"# TYPE a_total counter\na_total 1\n", "# TYPE a gauge\na 1\n"}, "# TYPE a_total counter\na_total 1\n# TYPE a gauge\na 1\n", 0},
		{
			"two dialects", First, []string{"# TYPE a_total counter\na_total{x=\"1\"} 1\n", "# TYPE a counter\na_total{x=\"2\"} 1\n# EOF\n"},
			"# TYPE a_total counter\na_total{x=\"1\"} 1\na_total{x=\"2\"} 1\n", 0,
		},
	} {
		var in []Input
		for i, body := range c.in {
			in = append(in, Input{Source: "s" + string(rune('0'+i)), Page: page(t, body)})
		}
		p, drops, err := Merge(in, c.policy, "")
		got, lost := expo.Encode(nil, &p, model.Text)
		if err != nil || string(got) != c.want || drops.Sum() != c.drops || drops[model.Conflict] != c.drops || lost.Sum() > 0 {
			t.Errorf("%s: %q, %v, %v, %v; want %q and %d conflicts", c.name, got, drops, lost, err, c.want, c.drops)
		}
		if _, drops, err := expo.Decode(got, model.Text, model.Limits{}); err != nil || drops.Sum() > 0 {
			t.Errorf("%s: the result is refused: %v, %v", c.name, drops, err)
		}
		open, lost := expo.Encode(nil, &p, model.OpenMetrics)
		if _, drops, err := expo.Decode(open, model.OpenMetrics, model.Limits{}); err != nil || drops.Sum() > 0 || lost.Sum() > 0 {
			t.Errorf("%s: the result is refused as OpenMetrics: %v, %v, %v\n%s", c.name, drops, lost, err, open)
		}
	}
}

func TestFailSaysWhatAndWhere(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{"a{x=\"1\",y=\"2\"} 1\n", "a{y=\"2\",x=\"1\"} 2\n", `sources "app" and "db" both have a{y="2",x="1"}`},
		{"a 1\n", "a 2\n", `sources "app" and "db" both have a;`},
		{"# TYPE a counter\na 1\n", "# TYPE a gauge\na{x=\"1\"} 2\n", `a is a counter in source "app" and a gauge in source "db"`},
		{"# TYPE a summary\na_sum 1\n", "a_sum 2\n", `a_sum of source "db" is a part of a of source "app"`},
	} {
		_, _, err := Merge([]Input{{"app", page(t, c.a)}, {"db", page(t, c.b)}}, Fail, "")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Merge(%q, %q) = %v; want %q", c.a, c.b, err, c.want)
		}
	}
}

func TestParsePolicy(t *testing.T) {
	for i, word := range []string{"fail", "label", "first", "sum"} {
		if p, err := ParsePolicy(word); err != nil || p != Policy(i) {
			t.Errorf("ParsePolicy(%s) = %v, %v", word, p, err)
		}
	}
	if _, err := ParsePolicy("last"); err == nil {
		t.Error("ParsePolicy(last) = nil; want an error")
	}
}

func TestParse(t *testing.T) {
	for yaml, want := range map[string]Options{"{}": {}, "{on-conflict: label, conflict-label: app}": {Label, "app"}, "on_conflict: sum": {Policy: Sum}} {
		v, _ := draft.Parse("c", []byte(yaml))
		if o, err := Parse(v); err != nil || o != want {
			t.Errorf("Parse(%s) = %+v, %v; want %+v", yaml, o, err, want)
		}
	}
	for _, yaml := range []string{"on-conflict: last", "conflict-label: le", "conflict-label: a b"} {
		v, _ := draft.Parse("c", []byte(yaml))
		if _, err := Parse(v); err == nil {
			t.Errorf("Parse(%s) = nil; want an error", yaml)
		}
	}
}
