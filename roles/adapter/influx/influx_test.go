package influx

import (
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/expo"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		name, body string
		o          Options
		want       string // as text 0.0.4
		drops      model.Drops
	}{
		{"nothing", "\n# a comment\n  \n", Options{}, "", model.Drops{}},
		{"value is the bare name", "cpu value=1.50", Options{}, "# TYPE cpu untyped\ncpu 1.50\n", model.Drops{}},
		{"fields and tags", "cpu,host=a,core=0 user=1,sys=2i,idle=3u 1500000000\n", Options{}, "# TYPE cpu_user untyped\ncpu_user{host=\"a\",core=\"0\"} 1 1500\n# TYPE cpu_sys untyped\ncpu_sys{host=\"a\",core=\"0\"} 2 1500\n# TYPE cpu_idle untyped\ncpu_idle{host=\"a\",core=\"0\"} 3 1500\n", model.Drops{}},
		{"booleans", "a value=t\nb value=FALSE\n", Options{}, "# TYPE a untyped\na 1\n# TYPE b untyped\nb 0\n", model.Drops{}},
		{"texts have no number", "a text=\"x, \\\"y\\\" \n z\",value=1\r\n", Options{}, "# TYPE a untyped\na 1\n", model.Drops{model.Unstorable: 1}},
		{"escapes", `my\ cpu\,x,a\ b\=c=d\ e\,f\=g\h value=1`, Options{}, "# TYPE my_cpu_x untyped\nmy_cpu_x{a_b_c=\"d e,f=g\\\\h\"} 1\n", model.Drops{}},
		{"names", "1.cpu,0=x,a.b=y some-field=1", Options{}, "# TYPE _1_cpu_some_field untyped\n_1_cpu_some_field{_0=\"x\",a_b=\"y\"} 1\n", model.Drops{}},
		{"seconds", "a value=1 3\n", Options{Precision: "s"}, "# TYPE a untyped\na 1 3000\n", model.Drops{}},
		{"microseconds", "a value=1 3500\n", Options{Precision: "us"}, "# TYPE a untyped\na 1 3\n", model.Drops{}},
		{"without time", "a value=1 3500\n", Options{Untimed: true}, "# TYPE a untyped\na 1\n", model.Drops{}},
		{"the last one counts", "a,x=1 value=1 1000000\na,x=2 value=2\na,x=1 value=3 2000000\n", Options{}, "# TYPE a untyped\na{x=\"1\"} 3 2\na{x=\"2\"} 2\n", model.Drops{model.Repeated: 1}},
		{"a fixed measurement", "prom,x=1 a_total=1,b=2", Options{Measurement: "prom"}, "# TYPE a_total untyped\na_total{x=\"1\"} 1\n# TYPE b untyped\nb{x=\"1\"} 2\n", model.Drops{}},
		{"wrong lines are skipped", "a value=\n\xff value=1\nb value=1\nc\n", Options{Skip: true}, "# TYPE b untyped\nb 1\n", model.Drops{model.Unreadable: 3}},
	} {
		p, drops, err := Decode([]byte(c.body), c.o, model.Limits{})
		got, lost := expo.Encode(nil, &p, model.Text)
		if err != nil || drops != c.drops || string(got) != c.want || lost.Sum() > 0 {
			t.Errorf("%s: %q, %v, %v, %v; want %q, %v", c.name, got, drops, lost, err, c.want, c.drops)
		}
	}
}

func TestRefused(t *testing.T) {
	for body, want := range map[string]string{
		"a":                           "line 1: there are no fields",
		"a value=1\n\nb ":             "line 3: want key=value",
		",x=1 value=1":                "no name",
		"a,x value=1":                 "as tag",
		"a,x= value=1":                "as tag",
		"a,=1 value=1":                "as tag",
		"a value":                     "as field",
		"a value=1i2":                 "want a number",
		"a value=1.5i":                "want a number",
		"a value=-1u":                 "want a number",
		"a value=NaN":                 "want a number",
		"a value=0x10p1":              "want a number",
		"a value=\"x":                 "not closed",
		"a value=1 x":                 "as timestamp",
		"a value=1 1 1":               "as timestamp",
		"a value=\"x\"1":              "as timestamp",
		"a value=1\nb,x=\xff value=2": "line 2: bytes that are not UTF-8",
	} {
		if _, _, err := Decode([]byte(body), Options{}, model.Limits{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Decode(%q) = %v; want %q", body, err, want)
		}
	}
	if _, _, err := Decode([]byte("a value=1 9223372036854775807"), Options{Precision: "s"}, model.Limits{}); err == nil {
		t.Error("a timestamp that is too large was taken")
	}
}

func TestEncode(t *testing.T) {
	const body = "# TYPE h histogram\nh_bucket{le=\"+Inf\",p=\"a b,c=d\"} 2 1500\nh_sum NaN\nh_count{x=\"line\\nend\"} 2\nh_count{x=\"end\\\\\"} 2\n"
	p, _, err := expo.Decode([]byte(body), model.Text, model.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	got, drops := Encode(nil, &p, Options{})
	if want := "h_bucket,le=+Inf,p=a\\ b\\,c\\=d value=2 1500000000\n"; string(got) != want || drops != (model.Drops{model.Unstorable: 3}) {
		t.Errorf("Encode = %q, %v; want %q", got, drops, want)
	}
	got, _ = Encode(nil, &p, Options{Measurement: "prom", Precision: "s", Now: 7000})
	if want := "prom,le=+Inf,p=a\\ b\\,c\\=d h_bucket=2 1\n"; string(got) != want {
		t.Errorf("Encode = %q; want %q", got, want)
	}
}

func TestParse(t *testing.T) {
	v, err := draft.Parse("c", []byte("{precision: ms, measurement: m, timestamps: false}"))
	if err != nil {
		t.Fatal(err)
	}
	if o, err := Parse(v); err != nil || o != (Options{Precision: "ms", Measurement: "m", Untimed: true}) {
		t.Errorf("Parse = %+v, %v", o, err)
	}
}

// FuzzRoundTrip writes what was read and reads it again: all that is not in Drops has to be the same.
func FuzzRoundTrip(f *testing.F) {
	for _, s := range []string{"cpu,host=a value=1 1500000000\n", "a b=t,c=\"x\\\"\",d=1i -5\n# x\n\n", `m\ y,a\,b=c\\\ d value=-1.5e-7`, "a,\\=b=c\\ value=1\n", "x value=00001u"} {
		f.Add([]byte(s), "prefix")
	}
	f.Fuzz(func(t *testing.T, body []byte, measurement string) {
		p, _, err := Decode(body, Options{}, model.Limits{})
		if err != nil {
			skipped, drops, err := Decode(body, Options{Skip: true}, model.Limits{})
			if err != nil || drops[model.Unreadable] == 0 && utf8.Valid(body) {
				t.Errorf("Decode with Skip = %v, %v", drops, err)
			}
			p = skipped
		}
		for _, o := range []Options{{}, {Measurement: measurement}} {
			text, drops := Encode(nil, &p, o)
			again, moreDrops, err := Decode(text, o, model.Limits{})
			if err != nil || moreDrops.Sum() > 0 || again.Len()+int(drops.Sum()) != p.Len() {
				if o.Measurement != "" && !strings.Contains(measurement, "\xff") && err == nil {
					continue // names that were one by chance
				}
				if o.Measurement != "" {
					continue
				}
				t.Fatalf("Encode(%q) = %q, %v; read again: %v, %v, %d of %d samples", body, text, drops, moreDrops, err, again.Len(), p.Len())
			}
			if drops.Sum() == 0 && o.Measurement == "" && !reflect.DeepEqual(numbers(again), numbers(p)) {
				t.Fatalf("Decode(%q) = %+v; want %+v", text, again, p)
			}
		}
	})
}

// numbers is a page without the texts of numbers, which may be written in another way.
func numbers(p model.Page) []model.Family {
	for i := range p.Families {
		for j := range p.Families[i].Samples {
			p.Families[i].Samples[j].Text = ""
		}
	}
	return p.Families
}
