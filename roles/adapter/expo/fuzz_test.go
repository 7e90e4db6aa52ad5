package expo

import (
	"fmt"
	"testing"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// FuzzDecode reads a body, then another one by the same Reader, which must not matter; what was read is written in both dialects and read again, and all
// samples are there or counted.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		"# HELP a b\n# TYPE a counter\na{x=\"1\"} 1\na{x=\"2\"} 2 3\n",
		"# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\nh_created 5\n# EOF\n",
		"# TYPE a_s summary\n# UNIT a_s s\na_s{quantile=\"0.5\"} 1 2.5\na_s_sum 1 2.5\n# TYPE b stateset\nb{b=\"x\"} 1\n# EOF",
		"# TYPE i info\ni_info{v=\"1\"} 1\n# TYPE c counter\nc_total 1 # {t=\"u\"} 1 2\n# EOF\n",
		"a 1\nb 2\na{x=\"\"} 3\n# TYPE \"ü.b\" gauge\n{\"ü.b\",\"k k\"=\"v\\\\\"} NaN\n",
		"# TYPE g gaugehistogram\ng_bucket{le=\"+Inf\"} 1\ng_gcount 1\ng_gsum 2\n# EOF\n",
	} {
		f.Add([]byte(s), []byte(s), true, false)
		f.Add([]byte(s), []byte(s+"a 1\n"), false, true)
	}
	f.Fuzz(func(t *testing.T, first, second []byte, open, lenient bool) {
		d := model.Text
		if open {
			d = model.OpenMetrics
		}
		r := NewReader(model.Limits{})
		r.Lenient = lenient
		_, _, _ = r.Decode(first, d)
		page, drops, err := r.Decode(second, d)
		fresh := NewReader(model.Limits{})
		fresh.Lenient = lenient
		want, wantDrops, wantErr := fresh.Decode(second, d)
		if (err == nil) != (wantErr == nil) || drops != wantDrops || told(&page) != told(&want) {
			t.Fatalf("after %q: Decode(%q) = %+v, %v, %v; want %+v, %v, %v", first, second, page, drops, err, want, wantDrops, wantErr)
		}
		for _, to := range []model.Dialect{model.Text, model.OpenMetrics} {
			for _, quote := range []bool{false, true} {
				w := Writer{Dialect: to, Quote: quote}
				out, lost := w.Append(nil, &page)
				r := Reader{Lenient: true}
				again, more, err := r.Decode(out, to)
				if err != nil || again.Len()+int(lost.Sum()+more[model.Repeated]) < page.Len() {
					t.Fatalf("%q is written as %q: %v, %d of %d samples, lost %v, %v", second, out, err, again.Len(), page.Len(), lost, more)
				}
			}
		}
	})
}

// told is all that a page says; NaN is equal to itself here.
func told(p *model.Page) string {
	text := ""
	for i := range p.Families {
		f := p.Families[i]
		text += fmt.Sprintln(f.Name, f.Help, f.Unit, f.Type, f.Dialect, f.Count, f.Block)
		for _, s := range f.Samples {
			text += fmt.Sprintln(s.Suffix, s.Labels, s.Value, s.Text, s.Time, s.Timed, s.Exemplar != nil)
		}
	}
	return text
}

func FuzzNegotiate(f *testing.F) {
	f.Add("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.4;escaping=\"allow-utf-8\"")
	f.Fuzz(func(t *testing.T, accept string) {
		if d, contentType := Negotiate(accept); d == model.NoText || contentType == "" {
			t.Errorf("Negotiate(%q) = %v, %q", accept, d, contentType)
		}
	})
}
