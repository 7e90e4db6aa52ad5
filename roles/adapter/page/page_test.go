package page

import (
	"fmt"
	"math"
	"testing"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

func labels(pairs ...string) []model.Label {
	var list []model.Label
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, model.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	return list
}

func TestFamiliesOwnTheNamesOfTheirSamples(t *testing.T) {
	b := New(model.Limits{})
	a := b.Family("a", model.Counter, "help", "")
	if got := b.Family("a", model.Counter, "", ""); got != a {
		t.Errorf("the same family = %d; want %d", got, a)
	}
	for name, kind := range map[string]model.Type{"a": model.Gauge, "a_total": model.Gauge, "a_created": model.Unknown} {
		if got := b.Family(name, kind, "", ""); got != -1 {
			t.Errorf("Family(%s, %s) = %d; want a conflict", name, kind, got)
		}
	}
	b.Family("h_sum", model.Gauge, "", "")
	if got := b.Family("h", model.Histogram, "", ""); got != -1 {
		t.Errorf("a histogram beside its own sum = %d; want a conflict", got)
	}
	b.Add(-1, model.Sample{})
	b.Add(a, model.Sample{Suffix: "_total", Value: 1})
	p, drops := b.Page()
	if len(p.Families) != 1 || p.Families[0].Help != "help" || drops != (model.Drops{model.Conflict: 1}) {
		t.Errorf("Page = %+v, %v; want the family with a sample, and a conflict", p, drops)
	}
}

func TestSeriesComeOnce(t *testing.T) {
	b := New(model.Limits{})
	f, g := b.Family("f", model.Unknown, "", ""), b.Family("g", model.Summary, "", "")
	for i := range 5000 { // beyond several growths of the table
		for _, at := range []int{f, g} {
			if !b.Add(at, model.Sample{Labels: labels("a", fmt.Sprint(i), "b", "x")}) {
				t.Fatalf("sample %d of %d is dropped", i, at)
			}
		}
	}
	if !b.Add(g, model.Sample{Suffix: "_sum", Labels: labels("a", "1", "b", "x")}) || !b.Add(f, model.Sample{}) || !b.Add(f, model.Sample{Labels: labels("a", "1")}) || !b.Add(f, model.Sample{Labels: labels("a", "x", "b", "1")}) {
		t.Errorf("a series of its own is dropped: %v", b.Drops())
	}
	if b.Add(f, model.Sample{Labels: labels("b", "x", "a", "77")}) || b.Add(f, model.Sample{}) || b.Drops() != (model.Drops{model.Repeated: 2}) {
		t.Errorf("a repeated series stays: %v", b.Drops())
	}
	if sizes := b.Sizes(); sizes["f"] != 5003 || sizes["g"] != 5001 {
		t.Errorf("Sizes = %v", sizes)
	}
}

func TestLimitsAndNumbers(t *testing.T) {
	b := New(model.Limits{Series: 2, Labels: 1, Name: 4, Value: 2})
	f := b.Family("f", model.Counter, "", "")
	long := b.Family("longer", model.Gauge, "", "")
	for _, s := range []model.Sample{{Labels: labels("a", "1", "b", "2")}, {Labels: labels("a", "123")}, {Labels: labels("abcde", "1")}, {Suffix: "_total"}} {
		b.Add(f, s)
	}
	b.Add(long, model.Sample{})
	b.Add(f, model.Sample{Value: math.Inf(1), Text: "1e999"})
	b.Add(f, model.Sample{Labels: labels("a", "1")})
	b.Add(f, model.Sample{Labels: labels("a", "2")})
	p, drops := b.Page()
	if p.Len() != 2 || p.Families[0].Samples[0].Text != "" || drops != (model.Drops{model.OverLabels: 5, model.OverSeries: 1}) {
		t.Errorf("Page = %+v, %v; want two samples, the first without its text", p, drops)
	}
}

func TestNames(t *testing.T) {
	for text, want := range map[string]string{"a_b:c9": "a_b:c9", "a b-c": "a_b_c", " a ": "a", "9": "_9", "": "_", "é": "_", "a.b[0].c": "a_b_0_c", "-x": "x", "http 2xx": "http_2xx"} {
		if got := Name(text); got != want || !IsName(got, true) {
			t.Errorf("Name(%q) = %q; want %q", text, got, want)
		}
	}
	for _, c := range []struct {
		name           string
		kind           model.Type
		family, suffix string
	}{{"a_total", model.Counter, "a", "_total"}, {"a_total", model.Gauge, "a_total", ""}, {"_total", model.Counter, "_total", ""}, {"a_bucket", model.Histogram, "a", "_bucket"}, {"a_info", model.Info, "a", "_info"}, {"a_gsum", model.GaugeHistogram, "a", "_gsum"}} {
		if family, suffix := Split(c.name, c.kind); family != c.family || suffix != c.suffix {
			t.Errorf("Split(%s, %s) = %s, %s; want %s, %s", c.name, c.kind, family, suffix, c.family, c.suffix)
		}
	}
}
