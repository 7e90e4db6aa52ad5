package graphite

import (
	"reflect"
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/expo"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		name, body string
		o          Options
		want       string
		drops      model.Drops
	}{
		{"nothing", "\n\r\n", Options{}, "", model.Drops{}},
		{"a path", "servers.web-1.load 1.50 1500000000\n", Options{}, "# TYPE servers_web_1_load untyped\nservers_web_1_load 1.50 1500000000000\n", model.Drops{}},
		{"tags", "disk.used;host=a b=c 1 2\n", Options{Skip: true}, "", model.Drops{model.Unreadable: 1}},
		{"tags", "disk.used;host=a.b;rack=r=1;empty= 5 -1", Options{}, "# TYPE disk_used untyped\ndisk_used{host=\"a.b\",rack=\"r=1\"} 5\n", model.Drops{}},
		{"more space", "a \t 1   1.5\r\n", Options{}, "# TYPE a untyped\na 1 1500\n", model.Drops{}},
		{"now", "a 1 N\nb 2\nc 3 -1\n", Options{}, "# TYPE a untyped\na 1\n# TYPE b untyped\nb 2\n# TYPE c untyped\nc 3\n", model.Drops{}},
		{"without time", "a 1 5\n", Options{Untimed: true}, "# TYPE a untyped\na 1\n", model.Drops{}},
		{"prefix", "app.a 1 5\n", Options{Prefix: "app.", Untimed: true}, "# TYPE a untyped\na 1\n", model.Drops{}},
		{"the last one counts", "a 1 5\na 2 6\n", Options{}, "# TYPE a untyped\na 2 6000\n", model.Drops{model.Repeated: 1}},
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
		"a":              "line 1: want name, number",
		"\na 1 2 3":      "line 2: want name, number",
		"a x 1":          "second word is no number",
		"a 0x1p1 1":      "second word is no number",
		"a 1 x":          "third word is no number",
		"a 1 1e99":       "third word is no number",
		";a=b 1 1":       "no name",
		"a; 1 1":         "name=value",
		"a;b 1 1":        "name=value",
		"a;=b 1 1":       "name=value",
		"a;b=\xff 1 1\n": "UTF-8",
	} {
		if _, _, err := Decode([]byte(body), Options{}, model.Limits{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Decode(%q) = %v; want %q", body, err, want)
		}
	}
}

func TestEncode(t *testing.T) {
	const body = "req{path=\"/a b\",code=\"200\",z=\"x.y\"} 1.50 1999\nreq NaN\nup 1\n"
	p, _, err := expo.Decode([]byte(body), model.Text, model.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]Options{
		"req;path=/a_b;code=200;z=x.y 1.50 1\nup 1 -1\n":                 {},
		"x.req;path=/a_b;code=200;z=x.y 1.50 1\nx.up 1 7\n":              {Prefix: "x.", Now: 7000},
		"req.code.200.path./a_b.z.x_y 1.50 1\nup 1 -1\n":                 {Path: true},
		"a.200.req.total.path./a_b.z.x_y 1.50 1\na.none.up.total 1 -1\n": {Path: true, Template: "a.{code}.{name}.total"},
	} {
		if got, drops := Encode(nil, &p, o); string(got) != want || drops != (model.Drops{model.Unstorable: 1}) {
			t.Errorf("Encode(%+v) = %q, %v; want %q", o, got, drops, want)
		}
	}
}

func TestParse(t *testing.T) {
	for yaml, want := range map[string]Options{
		"{form: path, prefix: a., timestamps: false}": {Path: true, Prefix: "a.", Untimed: true},
		"template: 'x.{name}'":                        {Path: true, Template: "x.{name}"},
	} {
		v, _ := draft.Parse("c", []byte(yaml))
		if o, err := Parse(v); err != nil || o != want {
			t.Errorf("Parse(%s) = %+v, %v; want %+v", yaml, o, err, want)
		}
	}
	for _, yaml := range []string{"form: x", "template: 'a.b'", "template: '{name} {x}'", "prefix: 'a b'"} {
		v, _ := draft.Parse("c", []byte(yaml))
		if _, err := Parse(v); err == nil {
			t.Errorf("Parse(%s) = nil; want an error", yaml)
		}
	}
}

// FuzzRoundTrip writes what was read and reads it again. What the protocol has no place for was made fit when it was read, or is counted.
func FuzzRoundTrip(f *testing.F) {
	for _, s := range []string{"a.b 1 1500000000\n", "a;b=c;d==e 1.5 -1\n", "a 1e3 N\r\nb NaN\nc -Inf 1.5\n", "a;~=~b 0 0", "é;ü=\u00a0 1 -7\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		p, _, err := Decode(body, Options{}, model.Limits{})
		if err != nil {
			skipped, drops, err := Decode(body, Options{Skip: true}, model.Limits{})
			if err != nil || drops[model.Unreadable] == 0 {
				t.Errorf("Decode with Skip = %v, %v", drops, err)
			}
			p = skipped
		}
		text, drops := Encode(nil, &p, Options{})
		again, more, err := Decode(text, Options{}, model.Limits{})
		if err != nil || again.Len()+int(drops.Sum()+more[model.Repeated]) != p.Len() {
			t.Fatalf("Encode(%q) = %q, %v; read again: %v, %v, %d of %d samples", body, text, drops, more, err, again.Len(), p.Len())
		}
		if drops.Sum()+more.Sum() == 0 && !reflect.DeepEqual(simple(again), simple(p)) {
			t.Fatalf("Decode(%q) = %+v; want %+v", text, again, p)
		}
		Encode(nil, &p, Options{Path: true, Template: "{a}.{name}"})
	})
}

// simple is a page without what the protocol has no place for.
func simple(p model.Page) []model.Family {
	for i := range p.Families {
		for j := range p.Families[i].Samples {
			s := &p.Families[i].Samples[j]
			s.Text, s.Time = "", s.Time/1000
			if s.Time < 0 || s.Timed {
				s.Time = max(s.Time, 0)
			}
			for k := range s.Labels {
				s.Labels[k].Value = strings.Map(func(r rune) rune {
					if r <= ' ' || r == 0x7f || r == '~' || r == '_' {
						return '_'
					}
					return r
				}, s.Labels[k].Value)
			}
		}
	}
	return p.Families
}
