package e2e

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	promodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/sidecar-kit/sidecar/roles/adapter/expo"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// TestAdapterExpoAgreesWithPrometheus: whatever body our decoder takes, Prometheus takes, with the same samples; and whatever our encoder writes of it, Prometheus, its
// tools and our own decoder take. Bodies are made of pieces that are right and wrong, and of mutations.
func TestAdapterExpoAgreesWithPrometheus(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(7, 9))
	taken := 0
	for n := range 40_000 {
		d := model.Dialect(1 + n%2)
		body := randomBody(rng, d)
		if judgeExpo(t, body, d, false) {
			taken++
		}
		if judgeExpo(t, body, d, true) {
			taken++
		}
		if t.Failed() {
			return
		}
	}
	if taken < 5_000 {
		t.Errorf("only %d bodies were taken: the test is too hard on itself", taken)
	}
}

func FuzzAdapterExpo(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 1))
	for n := range 60 {
		f.Add(randomBody(rng, model.Dialect(1+n%2)), n%2 == 1, n%3 == 0)
	}
	f.Fuzz(func(t *testing.T, body string, open, lenient bool) {
		d := model.Text
		if open {
			d = model.OpenMetrics
		}
		judgeExpo(t, body, d, lenient)
	})
}

// judgeExpo holds one body against the oracles; it reports whether we take it.
func judgeExpo(t *testing.T, body string, d model.Dialect, lenient bool) bool {
	t.Helper()
	r := expo.NewReader(model.Limits{})
	r.Lenient = lenient
	page, drops, err := r.Decode([]byte(body), d)
	if err != nil {
		return false
	}
	theirs, err := prometheusReads(body, d)
	if err != nil {
		t.Errorf("we take what Prometheus refuses: %v\n%q", err, body)
		return true
	}
	ours := samplesOf(t, &page, d)
	if drops.Sum() == 0 && ours != theirs {
		t.Errorf("Decode(%q)\n%s\nPrometheus:\n%s", body, ours, theirs)
	}
	if drops.Sum() != drops[model.Repeated] {
		t.Errorf("Decode(%q) dropped %v", body, drops)
	}
	for _, to := range []model.Dialect{model.Text, model.OpenMetrics} {
		for _, quote := range []bool{false, true} {
			judgeWritten(t, body, &page, to, quote, lenient)
		}
	}
	return true
}

// judgeWritten writes a page and has it read by everybody.
func judgeWritten(t *testing.T, body string, page *model.Page, to model.Dialect, quote, lenient bool) {
	t.Helper()
	w := expo.Writer{Dialect: to, Quote: quote}
	out, lost := w.Append(nil, page)
	if _, err := prometheusReads(string(out), to); err != nil {
		t.Errorf("%q is written as %q, which Prometheus refuses: %v", body, out, err)
	}
	r := expo.NewReader(model.Limits{})
	r.Lenient = true
	again, drops, err := r.Decode(out, to)
	if err != nil || drops.Sum() > drops[model.Repeated] {
		t.Errorf("%q is written as %q, which we refuse: %v, %v", body, out, err, drops)
	}
	if more := again.Len() + int(lost.Sum()+drops.Sum()) - page.Len(); more < 0 {
		t.Errorf("%q is written as %q: %d samples are lost and not counted", body, out, -more)
	}
	if to == model.Text {
		p := expfmt.NewTextParser(promodel.UTF8Validation)
		if _, err := p.TextToMetricFamilies(strings.NewReader(string(out))); err != nil {
			t.Errorf("%q is written as %q, which expfmt refuses: %v", body, out, err)
		}
	}
}

// prometheusReads is what Prometheus makes of a body, as sorted lines.
func prometheusReads(body string, d model.Dialect) (string, error) {
	st := labels.NewSymbolTable()
	p := textparse.NewPromParser([]byte(body), st)
	if d == model.OpenMetrics {
		p = textparse.NewOpenMetricsParser([]byte(body), st)
	}
	var lines []string
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			sort.Strings(lines)
			return strings.Join(lines, "\n"), nil
		}
		if err != nil {
			return "", err
		}
		if entry != textparse.EntrySeries {
			continue
		}
		_, ts, v := p.Series()
		var l labels.Labels
		p.Metric(&l)
		var list []model.Label
		l.Range(func(l labels.Label) { list = append(list, model.Label{Name: l.Name, Value: l.Value}) })
		line := describe(list, v)
		if ts != nil {
			line += stamp(*ts)
		}
		if d == model.OpenMetrics {
			var e exemplar.Exemplar
			if p.Exemplar(&e) {
				line += fmt.Sprint(" #", e.Labels.Len(), " ", e.Value)
			}
		}
		lines = append(lines, line)
	}
}

// samplesOf is what we make of it.
func samplesOf(t *testing.T, page *model.Page, d model.Dialect) string {
	t.Helper()
	var lines []string
	for i := range page.Families {
		f := page.Families[i]
		if err := expo.Expand(&f); err != nil {
			t.Fatal(err)
		}
		if f.Len() != page.Families[i].Len() {
			t.Errorf("family %s has %d samples; it said %d", f.Name, f.Len(), page.Families[i].Len())
		}
		for _, s := range f.Samples {
			line := describe(append([]model.Label{{Name: "__name__", Value: f.Name + s.Suffix}}, s.Labels...), s.Value)
			if s.Timed {
				line += stamp(s.Time)
			}
			if s.Exemplar != nil {
				line += fmt.Sprint(" #", len(s.Exemplar.Labels), " ", s.Exemplar.Value)
			}
			lines = append(lines, line)
		}
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

// stamp is a timestamp; what Prometheus makes of those that no int64 holds depends on the machine.
func stamp(ms int64) string {
	if ms > 1<<62 || ms < -1<<62 {
		return " @far"
	}
	return fmt.Sprint(" @", ms)
}

// describe is a sample without a timestamp; bounds are numbers, for Prometheus writes 1 as 1.0.
func describe(list []model.Label, v float64) string {
	list = append([]model.Label{}, list...)
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	var b strings.Builder
	for _, l := range list {
		if l.Value == "" {
			continue // the storage leaves these out
		}
		if l.Name == "le" || l.Name == "quantile" {
			if f, err := strconv.ParseFloat(l.Value, 64); err == nil {
				l.Value = fmt.Sprint(f)
			}
		}
		fmt.Fprintf(&b, "%s=%q ", l.Name, l.Value)
	}
	if math.IsNaN(v) {
		return b.String() + "NaN"
	}
	return b.String() + strconv.FormatFloat(v, 'g', -1, 64)
}

// randomBody makes a body of few lines, most of them right.
func randomBody(rng *rand.Rand, d model.Dialect) string {
	pick := func(list ...string) string { return list[rng.IntN(len(list))] }
	var b strings.Builder
	for range 1 + rng.IntN(4) {
		name := pick("a", "a", "b", "c_seconds", "d:e", "a_total", "a_count", "a_created", `"f.g"`, "x_info")
		kind := pick("counter", "gauge", "histogram", "summary", "untyped", "unknown", "info", "stateset", "gaugehistogram")
		if rng.IntN(3) > 0 {
			fmt.Fprintf(&b, "# HELP %s %s\n", name, pick("help", `a \\ b`, `c \n "d"`, `\e`, "", "é"))
		}
		if rng.IntN(5) > 0 {
			fmt.Fprintf(&b, "# TYPE %s %s\n", name, kind)
		}
		if d == model.OpenMetrics && rng.IntN(6) == 0 {
			fmt.Fprintf(&b, "# UNIT %s seconds\n", name)
		}
		for range rng.IntN(4) {
			b.WriteString(randomLine(rng, d, name, kind))
		}
		if rng.IntN(12) == 0 && d == model.Text {
			b.WriteString(pick("\n", "# comment\n", "#comment\n", "  \n", "# TYPE\n"))
		}
	}
	if d == model.OpenMetrics && rng.IntN(30) > 0 {
		b.WriteString("# EOF" + pick("\n", "\n", "", "x"))
	}
	body := b.String()
	for range rng.IntN(2) * rng.IntN(3) {
		at := rng.IntN(len(body) + 1)
		switch rng.IntN(3) {
		case 0:
			body = body[:at] + pick(" ", "\t", "\n", "\"", "\\", "{", "}", ",", "=", "#", "1", "e", "\x00", "\xff", "_", "+", "\r") + body[at:]
		case 1:
			body = body[:at] + body[min(at+1+rng.IntN(3), len(body)):]
		case 2:
			body = body[:at] + body[rng.IntN(len(body)+1):]
		}
	}
	return body
}

// randomLine makes a line of a sample of a family.
func randomLine(rng *rand.Rand, d model.Dialect, name, kind string) string {
	pick := func(list ...string) string { return list[rng.IntN(len(list))] }
	suffix := map[string]string{
		"counter": pick("_total", "_total", "_created", ""), "histogram": pick("_bucket", "_bucket", "_sum", "_count", "_created"),
		"gaugehistogram": pick("_bucket", "_gsum", "_gcount"), "summary": pick("", "_sum", "_count"), "info": "_info",
	}[kind]
	if d == model.Text && strings.HasSuffix(name, "_total") {
		suffix = ""
	}
	var list []string
	for range rng.IntN(3) {
		list = append(list, pick("x", "y", "zone", `"u.v"`, "le", "x")+`="`+pick("1", "2", "", `a\\b`, `a\"b`, `a\nb`, `a\zb`, "é", "{", "# ", ",")+`"`)
	}
	switch {
	case suffix == "_bucket":
		list = append(list, `le="`+pick("1", "1.0", "2", "+Inf", "Inf", "-1", "x")+`"`)
	case kind == "summary" && suffix == "":
		list = append(list, `quantile="`+pick("0.5", "1", "2")+`"`)
	case kind == "stateset":
		list = append(list, name+`="`+pick("on", "off")+`"`)
	}
	full := name + suffix
	set := strings.Join(list, pick(",", ",", ",", " , "))
	if strings.HasPrefix(name, `"`) {
		full = "{" + strings.TrimSuffix(name, `"`) + suffix + `"`
		if set != "" {
			full += "," + set
		}
		full += "}"
	} else if set != "" || rng.IntN(8) == 0 {
		full += "{" + set + "}"
	}
	value := pick("0", "1", "1", "2", "1.5", "-1", "+Inf", "NaN", "1e3", "inf", "0x1", "1_0", ".5", "5.", "1e400", "00012")
	if rng.IntN(4) == 0 {
		value += " " + pick("1", "1500", "1.5", "0", "-1", "99999999999999999999", "1e3", "x")
	}
	if d == model.OpenMetrics && rng.IntN(5) == 0 {
		value += " # " + pick("{} 1", `{a="b"} 0.5`, `{a="b"} 1 2.5`, `{a="b",c="\""} NaN`, "{a} 1", `{a="b"}`)
	}
	return full + pick(" ", " ", " ", " ", "  ", "\t") + value + pick("\n", "\n", "\n", "\n", "\n", " \n")
}
