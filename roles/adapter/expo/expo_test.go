package expo

import (
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

func TestTextIsTakenOrRefused(t *testing.T) {
	for _, c := range []struct{ body, wrong string }{
		{"", ""},
		{"\n\n", ""},
		{"up 1", ""},
		{"up 1\n", ""},
		{"  up\t{ a = \"b\" , } 1  123 \n", ""},
		{"up{} +Inf\nlow -Inf\nnone NaN\n", ""},
		{"up{a=\"x\\\\y\\\"z\\n\"} 1e-7\n", ""},
		{"{\"my.metric\",\"a.b\"=\"c\"} 1\n", ""},
		{"# HELP up\n# TYPE up gauge\nup 1\n", ""},
		{"# a comment\n#\n#HELP x\n# HELPER up x\nup 1\n", ""},
		{"# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n", ""},
		{"# TYPE s summary\ns{quantile=\"0.5\"} NaN\ns_sum -1\ns_count 0\n", ""},
		{"0up 1\n", noName},
		{"up\n", noValue},
		{"up one\n", noValue},
		{"up 0x1p3\n", noValue},
		{"up 1_0\n", noValue},
		{"up 1e999\n", noValue},
		{"up 1 1.5\n", noTime},
		{"up 1 9223372036854775808\n", noTime},
		{"up 1 1 1\n", noLine},
		{"up 1\r\n", noValue},
		{"up{a=\"b\" 1\n", noComma},
		{"up{a=\"b\"c=\"d\"} 1\n", noComma},
		{"up{a} 1\n", noEqual},
		{"up{a=b} 1\n", noQuote},
		{"up{a=\"b} 1\n", noEnd},
		{"up{1=\"b\"} 1\n", noLabel},
		{"up{,} 1\n", noLabel},
		{"up{a=\"1\",a=\"2\"} 1\n", twoLabels},
		{"up{__name__=\"x\"} 1\n", isReserved},
		{"up{\"up\"} 1\n", twoNames},
		{"{} 1\n", noName},
		{"# TYPE up\nup 1\n", noType},
		{"# TYPE up guage\nup 1\n", noType},
		{"# HELP 0 x\n", noMetaName},
		{"# TYPE up gauge\n# TYPE up gauge\n", twoTypes},
		{"# HELP up a\n# HELP up a\n", twoHelps},
		{"up 1\n# TYPE up gauge\n", lateType},
		{"# TYPE h histogram\n# TYPE h_sum gauge\n", partMeta},
		{"h_sum 1\n# TYPE h histogram\n", partTaken},
		{"# TYPE h histogram\nh_bucket{le=\"x\"} 1\n", noBound},
		{"# TYPE h histogram\nh_bucket{le=\"1\"} -1\n", negative},
		{"up 1\x00\n", "NUL"},
		{"up{a=\"\xff\"} 1\n", "UTF-8"},
	} {
		_, _, err := Decode([]byte(c.body), model.Text, model.Limits{})
		if (err == nil) != (c.wrong == "") || err != nil && (!strings.Contains(err.Error(), c.wrong) || !strings.HasPrefix(err.Error(), "line ")) {
			t.Errorf("Decode(%q) = %v; want %q", c.body, err, c.wrong)
		}
	}
}

// both writes a page in both dialects.
func both(t *testing.T, body string, d model.Dialect) (text, open string) {
	t.Helper()
	p, drops, err := Decode([]byte(body), d, model.Limits{})
	if err != nil || drops.Sum() > 0 {
		t.Fatalf("Decode(%q) = %v, %v", body, drops, err)
	}
	a, dropsA := Encode(nil, &p, model.Text)
	b, dropsB := Encode(nil, &p, model.OpenMetrics)
	if dropsA.Sum()+dropsB.Sum() > 0 {
		t.Errorf("Encode(%q) dropped %v, %v", body, dropsA, dropsB)
	}
	return string(a), string(b)
}

func TestConversions(t *testing.T) {
	for _, c := range []struct{ name, text, open string }{
		{"counter", "# TYPE a_total counter\na_total{x=\"1\"} 5 1500\n", "# TYPE a counter\na_total{x=\"1\"} 5 1.5\n# EOF\n"},
		{"gauge", "# HELP a h\\\\i\n# TYPE a gauge\na 1.50\n", "# HELP a h\\\\i\n# TYPE a gauge\na 1.50\n# EOF\n"},
		{"untyped", "# TYPE a untyped\na 1\n", "# TYPE a unknown\na 1\n# EOF\n"},
		{
			"histogram", "# TYPE a histogram\na_bucket{le=\"1\"} 1\na_bucket{le=\"+Inf\"} 2\na_sum 3\na_count 2\n",
			"# TYPE a histogram\na_bucket{le=\"1\"} 1\na_bucket{le=\"+Inf\"} 2\na_sum 3\na_count 2\n# EOF\n",
		},
		{
			"created", "# TYPE a_total counter\na_total 5\n# TYPE a_created gauge\na_created 7\n",
			"# TYPE a counter\na_total 5\na_created 7\n# EOF\n",
		},
	} {
		_, open := both(t, c.text, model.Text)
		text, _ := both(t, c.open, model.OpenMetrics)
		if open != c.open || text != c.text {
			t.Errorf("%s: to OpenMetrics %q; want %q\nto text %q; want %q", c.name, open, c.open, text, c.text)
		}
	}
}

func TestToOpenMetrics(t *testing.T) {
	for _, c := range []struct{ name, text, open string }{
		{"counter without _total", "# TYPE a counter\na 1\n", "# TYPE a counter\na_total 1\n# EOF\n"},
		{
			"counter beside its namesake", "# TYPE a gauge\na 1\n# TYPE a_total counter\na_total 2\n",
			"# TYPE a gauge\na 1\n# TYPE a_total unknown\na_total 2\n# EOF\n",
		},
		{
			"histogram in pieces", "# TYPE a histogram\na_sum{x=\"1\"} 1\na_sum{x=\"2\"} 2\na_bucket{le=\"2\",x=\"2\"} 1\na_bucket{le=\"1\",x=\"2\"} 1\na_count{x=\"1\"} 0\na_count{x=\"2\"} 1\n",
			"# TYPE a histogram\na_bucket{x=\"1\",le=\"+Inf\"} 0\na_sum{x=\"1\"} 1\na_count{x=\"1\"} 0\na_bucket{le=\"1\",x=\"2\"} 1\na_bucket{le=\"2\",x=\"2\"} 1\na_bucket{x=\"2\",le=\"+Inf\"} 1\na_sum{x=\"2\"} 2\na_count{x=\"2\"} 1\n# EOF\n",
		},
		{"names in UTF-8", "# TYPE \"a.b\" gauge\n{\"a.b\",\"c d\"=\"é\"} 1\n", "# TYPE a_b gauge\na_b{c_d=\"é\"} 1\n# EOF\n"},
	} {
		_, open := both(t, c.text, model.Text)
		if open != c.open {
			t.Errorf("%s: %q; want %q", c.name, open, c.open)
		}
		if _, _, err := Decode([]byte(open), model.OpenMetrics, model.Limits{}); err != nil {
			t.Errorf("%s: what is written is refused: %v", c.name, err)
		}
	}
}

func TestToText(t *testing.T) {
	for _, c := range []struct{ name, open, text string }{
		{"info", "# TYPE a info\na_info{v=\"1\"} 1\n# EOF\n", "# TYPE a_info gauge\na_info{v=\"1\"} 1\n"},
		{"stateset", "# TYPE a stateset\na{a=\"on\"} 1\na{a=\"off\"} 0\n# EOF\n", "# TYPE a gauge\na{a=\"on\"} 1\na{a=\"off\"} 0\n"},
		{"gaugehistogram", "# TYPE a gaugehistogram\na_bucket{le=\"+Inf\"} 1\na_gsum 2\na_gcount 1\n# EOF\n", "# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_sum 2\na_count 1\n"},
		{"exemplar and unit", "# TYPE a_s counter\n# UNIT a_s s\na_s_total 1 # {t=\"x\"} 1 2\n# EOF\n", "# TYPE a_s_total counter\na_s_total 1\n"},
		{"states in the order of their metrics", "# TYPE a summary\na_sum 1\na_count 1\na_created 5.5\n# EOF\n", "# TYPE a summary\na_sum 1\na_count 1\n# TYPE a_created gauge\na_created 5.5\n"},
	} {
		if text, _ := both(t, c.open, model.OpenMetrics); text != c.text {
			t.Errorf("%s: %q; want %q", c.name, text, c.text)
		}
	}
}

func TestQuotedNames(t *testing.T) {
	const body = "# TYPE \"a.b\" gauge\n{\"a.b\",\"c d\"=\"e\"} 1\n# TYPE plain gauge\nplain 1\n"
	p, _, err := Decode([]byte(body), model.Text, model.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	w := Writer{Dialect: model.Text, Quote: true}
	if got, _ := w.Append(nil, &p); string(got) != body {
		t.Errorf("quoted: %q; want %q", got, body)
	}
}

func TestFamiliesInPieces(t *testing.T) {
	const body = "# TYPE a gauge\n# TYPE b gauge\na{x=\"1\"} 1\nb 1\n# between\na{x=\"2\"} 2\n"
	p, _, err := Decode([]byte(body), model.Text, model.Limits{})
	if err != nil || len(p.Families) != 2 || p.Families[0].Count != 2 {
		t.Fatalf("Decode = %+v, %v", p, err)
	}
	const want = "# TYPE a gauge\na{x=\"1\"} 1\na{x=\"2\"} 2\n# TYPE b gauge\nb 1\n"
	if got, _ := Encode(nil, &p, model.Text); string(got) != want {
		t.Errorf("Encode = %q; want %q", got, want)
	}
}

func TestWhatIsLeftOutIsCounted(t *testing.T) {
	const body = "a{x=\"1\"} 1\na{y=\"\",x=\"1\"} 2\na{x=\"2\",y=\"3\"} 3\na{y=\"3\",x=\"2\"} 4\na{l=\"long value\"} 5\nb 6\nc 7\n"
	p, drops, err := Decode([]byte(body), model.Text, model.Limits{Series: 3, Value: 8})
	want := model.Drops{model.OverSeries: 1, model.OverLabels: 1, model.Repeated: 2}
	if err != nil || drops != want {
		t.Errorf("Decode = %v, %v; want %v", drops, err, want)
	}
	if got, _ := Encode(nil, &p, model.Text); string(got) != "a{x=\"1\"} 1\na{x=\"2\",y=\"3\"} 3\nb 6\n" {
		t.Errorf("Encode = %q", got)
	}
}

func TestLenientTakesWhatPrometheusTakes(t *testing.T) {
	for body, d := range map[string]model.Dialect{
		"# TYPE a counter\na_total -1\n# EOF\n":                                  model.OpenMetrics,
		"# TYPE a gauge\na{x=\"1\"} 1\na{x=\"2\"} 1\nb 1\na{x=\"3\"} 1\n# EOF\n": model.OpenMetrics,
		"# TYPE a gauge\na{x=\"1\"} 1\n# TYPE a gauge\na{x=\"2\"} 1\n":           model.Text,
	} {
		r := NewReader(model.Limits{})
		if _, _, err := r.Decode([]byte(body), d); err == nil {
			t.Errorf("Decode(%q) = nil; want an error", body)
		}
		r.Lenient = true
		p, drops, err := r.Decode([]byte(body), d)
		if err != nil || drops.Sum() > 0 {
			t.Errorf("lenient Decode(%q) = %v, %v", body, drops, err)
		}
		if out, _ := Encode(nil, &p, d); len(out) == 0 {
			t.Errorf("Encode(%q) = %q", body, out)
		}
	}
}
