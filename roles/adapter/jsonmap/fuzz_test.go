package jsonmap

import (
	"testing"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/page"
)

// FuzzDecode reads foreign documents in every way; whatever they are, pages keep the promises of model.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		stats, `[{"name":"a_total","type":"COUNTER","metrics":[{"labels":{"x":"y"},"value":"3","timestamp_ms":"5"}]},{"name":"h","type":"HISTOGRAM","metrics":[{"buckets":{"1":"2"},"count":"3","sum":"x"}]}]`,
		`[{"name":"a","type":"info","labels":{"x":1},"value":3,"time":1.5}]`, `{"a{b=\"c\"}":1,"a":{"":3,"l":{"x":1}},"a-b":2,"a_b":3}`, `[[1,[2]],{"__name__":"x","n":3}]`, `{"pools":[{"name":"a","size":"5"}],"started":1e300}`, `{"0":{"0":{"":0}}}`, `{"a":{"x":{"a":{"y":1}}},"b":{"x-y":{"1":{"x_y":{"2":3}}}}}`,
	} {
		f.Add([]byte(s))
	}
	var maps []*Map
	for _, config := range []string{
		"{}", "template: rows", "template: nested", "template: flat", "template: prom2json", "template: array",
		`map: [{each: '.[]', name: 'a_{.name}', value: .value, labels: {'*': ., k: $key, p: $parent.name}, time: .time}, {each: {p: '.pools[]?', q: '.disks[]?'}, name: b, value: .used, type: counter, labels: {n: $p.name}}, {name: c, value: .started, as: date}, {name: d, value: .lat, as: duration}, {name: e, value: .state, enum: [up, down], type: stateset}, {name: f, value: .mem, as: size}, {name: g, value: .load, as: percent}]`,
	} {
		v, err := draft.Parse("a.yaml", []byte(config))
		if err != nil {
			f.Fatal(err)
		}
		m, err := Parse(v)
		if err != nil {
			f.Fatal(err)
		}
		maps = append(maps, m)
	}
	lim := model.Limits{Series: 50, Labels: 6, Name: 60, Value: 60}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, m := range maps {
			p, _, err := m.Decode(body, lim)
			if err != nil && p.Len() != 0 {
				t.Fatalf("%q is refused, and used", body)
			}
			check(t, body, p, lim)
		}
	})
}

func check(t *testing.T, body []byte, p model.Page, lim model.Limits) {
	t.Helper()
	names, n := map[string]bool{}, 0
	for _, f := range p.Families {
		if names[f.Name] || !page.IsName(f.Name, true) || len(f.Samples) == 0 {
			t.Fatalf("%q gives family %q twice, wrong or without samples", body, f.Name)
		}
		names[f.Name] = true
		for _, s := range f.Samples {
			n++
			labels := map[string]bool{}
			for _, l := range s.Labels {
				if labels[l.Name] || l.Value == "" || len(l.Value) > lim.Value || !page.IsName(l.Name, false) {
					t.Fatalf("%q gives label %q = %q", body, l.Name, l.Value)
				}
				labels[l.Name] = true
			}
			if len(s.Labels) > lim.Labels || len(f.Name+s.Suffix) > lim.Name {
				t.Fatalf("%q gives %s with %d labels", body, f.Name, len(s.Labels))
			}
		}
	}
	if n > lim.Series {
		t.Fatalf("%q gives %d series", body, n)
	}
}
