package shape

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/jq"
	"github.com/sidecar-kit/sidecar/roles/adapter/jsonmap"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/textmap"
)

// source makes choices from fuzzed bytes.
type source struct {
	data []byte
	text string
}

func (s *source) n(below int) int {
	if len(s.data) == 0 {
		return 0
	}
	b := s.data[0]
	s.data = s.data[1:]
	return int(b) % below
}

func (s *source) value() (float64, string) {
	text := [...]string{"0", "1", "-2.50", "1e5", "12345678901234567890", "NaN", "+Inf", "-Inf", "", "0.1"}[s.n(10)]
	if text == "" {
		return float64(s.n(256)) / 3, ""
	}
	f, _ := strconv.ParseFloat(text, 64)
	return f, text
}

func (s *source) labels() []model.Label {
	var list []model.Label
	for i := range s.n(4) {
		value := s.text
		if n := s.n(8); n < 7 || value == "" {
			value = [...]string{"x", "a b", `q"\`, "l\nf", "é{}=,:", " 7 ", "}: 1", "1"}[n]
		}
		list = append(list, model.Label{Name: [...]string{"a", "job", "value", "z_"}[(i+s.n(2))%4], Value: value})
		for _, l := range list[:i] {
			if l.Name == list[i].Name {
				return list[:i]
			}
		}
	}
	return list
}

// generate makes a page that is valid: no name twice, no series twice.
func (s *source) generate() *model.Page {
	p := &model.Page{}
	for i := range 1 + s.n(5) {
		f := model.Family{Name: fmt.Sprintf("m%d_seconds", i), Type: model.Type(s.n(8))}
		if s.n(2) == 1 {
			f.Help, f.Unit = "help "+s.text, "seconds"
		}
		seen := map[string]bool{}
		for range s.n(5) {
			labels := s.labels()
			if key := series(labels); !seen[key] {
				seen[key] = true
				f.Samples = append(f.Samples, s.metric(f.Type, labels)...)
			}
		}
		if len(f.Samples) > 0 {
			p.Families = append(p.Families, f)
		}
	}
	return p
}

// metric is the samples of one set of labels.
func (s *source) metric(t model.Type, labels []model.Label) []model.Sample {
	one := func(suffix, name, text string) model.Sample {
		m := model.Sample{Suffix: suffix, Labels: labels}
		if name != "" {
			m.Labels = append(labels[:len(labels):len(labels)], model.Label{Name: name, Value: text})
		}
		m.Value, m.Text = s.value()
		return m
	}
	var list []model.Sample
	switch t {
	case model.Counter:
		list = []model.Sample{one("_total", "", "")}
		if s.n(3) == 0 {
			return append(list, one("_created", "", ""))
		}
	case model.Histogram:
		return []model.Sample{one("_bucket", "le", "0.5"), one("_bucket", "le", "+Inf"), one("_sum", "", ""), one("_count", "", "")}
	case model.GaugeHistogram:
		return []model.Sample{one("_bucket", "le", "+Inf"), one("_gsum", "", ""), one("_gcount", "", "")}
	case model.Summary:
		return []model.Sample{one("", "quantile", "0.5"), one("_sum", "", ""), one("_count", "", ""), one("_created", "", "")}
	case model.Info:
		list = []model.Sample{one("_info", "", "")}
	default:
		list = []model.Sample{one("", "", "")}
	}
	if s.n(3) == 0 {
		list[0].Time, list[0].Timed = int64(s.n(256))*1001-5000, true
	}
	return list
}

func series(labels []model.Label) string {
	var parts []string
	for _, l := range labels {
		parts = append(parts, l.Name+"="+strconv.Quote(l.Value))
	}
	sort.Strings(parts)
	return strings.Join(parts, ",")
}

// kept says what a page holds of what a shape can carry: types and times if those.
func kept(p *model.Page, types, help, times bool) string {
	var lines []string
	for _, f := range p.Families {
		for _, s := range f.Samples {
			line := f.Name + s.Suffix + "{" + series(s.Labels) + "}"
			if types {
				line = f.Name + " " + f.Type.String() + " " + line
			}
			if help {
				line += fmt.Sprintf(" %q %q", f.Help, f.Unit)
			}
			if s.Timed && times {
				line += fmt.Sprint(" @", s.Time)
			}
			lines = append(lines, line+" "+string(jq.AppendNumber(nil, s.Value, s.Text)))
		}
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

type decoder interface {
	Decode(body []byte, lim model.Limits) (model.Page, model.Drops, error)
}

// both are the writers of all shapes, and the readers of those that are read back.
func both(f *testing.F) (shapes map[string]*Shape, readers map[string]decoder) {
	f.Helper()
	parse := func(text string) draft.Value {
		v, err := draft.Parse("a.yaml", []byte(text))
		if err != nil {
			f.Fatal(err)
		}
		return v
	}
	shapes, readers = map[string]*Shape{}, map[string]decoder{}
	for name := range Templates() {
		var err error
		if shapes[name], err = Parse(parse("template: " + name)); err != nil {
			f.Fatal(err)
		}
		switch name {
		case "keyvalue", "text":
			readers[name], err = textmap.Parse(name, draft.Value{})
		case "redis-info":
			continue
		default:
			readers[name], err = jsonmap.Parse(parse("template: " + name))
		}
		if err != nil {
			f.Fatal(err)
		}
	}
	return shapes, readers
}

// FuzzRoundTrips writes pages in each shape and reads them again. What is not compared is what the package comment says is lost.
func FuzzRoundTrips(f *testing.F) {
	for i := range byte(60) {
		seed := make([]byte, 80)
		for j := range seed {
			seed[j] = byte(j)*(i*2+1) + i
		}
		f.Add(seed, "label\"\\\n\u2028<&")
	}
	shapes, readers := both(f)
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		if !utf8.ValidString(text) {
			text = ""
		}
		p := (&source{data: data, text: text}).generate()
		if len(p.Families) == 0 {
			return
		}
		for name, reader := range readers {
			body, drops, err := shapes[name].Encode(nil, p)
			if err != nil || drops.Sum() != 0 {
				t.Fatalf("%s: %v, %v", name, err, drops)
			}
			if again, _, _ := shapes[name].Encode(nil, p); string(again) != string(body) {
				t.Fatalf("%s is written in two ways:\n%s\n%s", name, body, again)
			}
			got, drops, err := reader.Decode(body, model.Limits{})
			if err != nil || drops.Sum() != 0 {
				t.Fatalf("%s: %v, %v in\n%s", name, err, drops, body)
			}
			types, help, times := name == "prom2json" || name == "array", name == "prom2json", name == "prom2json" || name == "array"
			want, have := kept(p, types, help, times), kept(&got, types, help, times)
			if want != have {
				t.Fatalf("%s loses something:\n%s\nhas\n%s\nwant\n%s", name, body, have, want)
			}
		}
	})
}
