package statsd

import (
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

func labels(pairs ...string) []model.Label {
	var l []model.Label
	for i := 0; i < len(pairs); i += 2 {
		l = append(l, model.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	return l
}

func page(counter, gauge float64, more ...model.Family) *model.Page {
	return &model.Page{Families: append([]model.Family{
		{Name: "c", Type: model.Counter, Samples: []model.Sample{{Suffix: "_total", Labels: labels("a", "1:x,|2", "b", "x y"), Value: counter}, {Suffix: "_created", Value: 1}}},
		{Name: "g", Type: model.Gauge, Samples: []model.Sample{{Value: gauge}, {Labels: labels("nan", "1"), Value: math.NaN()}}},
		{Name: "s", Type: model.Summary, Samples: []model.Sample{{Labels: labels("quantile", "0.5"), Value: 2}, {Suffix: "_count", Value: counter}}},
	}, more...)}
}

func TestEncoderWritesWhatChanged(t *testing.T) {
	e := Encoder{Prefix: "my."}
	for _, step := range []struct {
		p    *model.Page
		want string
	}{
		{page(5, 1), "my.g:1|g\nmy.s:2|g|#quantile:0.5\n"},
		{page(7.5, -1), "my.c_total:2.5|c|#a:1:x__2,b:x y\nmy.g:0|g\nmy.g:-1|g\nmy.s:2|g|#quantile:0.5\nmy.s_count:2.5|c\n"},
		{page(7.5, 0, model.Family{Name: "new", Type: model.Counter, Samples: []model.Sample{{Suffix: "_total", Value: 3}}}), "my.g:0|g\nmy.s:2|g|#quantile:0.5\nmy.new_total:3|c\n"},
		{page(1, 0), "my.c_total:1|c|#a:1:x__2,b:x y\nmy.g:0|g\nmy.s:2|g|#quantile:0.5\nmy.s_count:1|c\n"},
	} {
		got, drops := e.Encode(nil, step.p)
		if string(got) != step.want || drops[model.Unstorable] != 2 {
			t.Errorf("Encode = %s, %v; want %s", got, drops, step.want)
		}
	}
}

func TestEncoderHasStyles(t *testing.T) {
	p := &model.Page{Families: []model.Family{{Name: "g", Samples: []model.Sample{{Labels: labels("a", "x=1", "b", "y.z"), Value: 1}}}}}
	for style, want := range map[Style]string{
		DogStatsD: "g:1|g|#a:x=1,b:y.z\n", InfluxDB: "g,a=x_1,b=y.z:1|g\n", Librato: "g#a=x_1,b=y.z:1|g\n", SignalFX: "g[a=x_1,b=y.z]:1|g\n", NoTags: "g.a.x_1.b.y_z:1|g\n",
	} {
		e := Encoder{Style: style}
		if got, _ := e.Encode(nil, p); string(got) != want {
			t.Errorf("style %d: %s; want %s", style, got, want)
		}
	}
}

// FuzzEncode writes names and labels of any characters; what is written is read as one sample of the same value.
func FuzzEncode(f *testing.F) {
	f.Add("a.b", "l", "v|x", 1.5, byte(0))
	f.Add("a:b", "", "", -2.0, byte(1))
	f.Add("a#b", "x=y", "[]", 1e300, byte(2))
	f.Add("a,b", "é", "\n", 1e-9, byte(3))
	f.Fuzz(func(t *testing.T, name, label, value string, number float64, style byte) {
		if name == "" || value == "" || !utf8.ValidString(name) || !utf8.ValidString(label) || !utf8.ValidString(value) || math.IsNaN(number) || math.IsInf(number, 0) {
			return
		}
		if label == "" {
			label = "x"
		}
		e := Encoder{Style: Style(style % 5)}
		p := &model.Page{Families: []model.Family{{Name: "n" + name, Samples: []model.Sample{{Labels: labels(label, value), Value: number}}}}}
		text, _ := e.Encode(nil, p)
		for line := range strings.SplitSeq(strings.TrimSuffix(string(text), "\n"), "\n") {
			name, pieces, fault := Parser{}.Pieces(nil, line)
			if fault != None || len(pieces) != 1 {
				t.Fatalf("%q: %s, %d samples", line, fault, len(pieces))
			}
			var h Head
			Parser{}.Head(name, pieces[0].Rest, &h)
			v, ok := h.Value(pieces[0].Values)
			if !ok || v.Number != number && v.Number != 0 || h.After != None || h.Parts != None || h.Kind != Gauge || h.BadTags > 0 || len(h.Tags) != min(1, 4-int(e.Style)) {
				t.Errorf("%q is read as %+v, %+v", line, h, v)
			}
		}
	})
}
