package relabel

import (
	"testing"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/expo"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// FuzzApply does what a configuration says to a body: no sample is lost that is not counted, and the result is valid.
func FuzzApply(f *testing.F) {
	for _, yaml := range []string{
		"relabel: [{source_labels: [x, __name__], regex: '(.*);a(.*)', target_label: __name__, replacement: 'b$2'}, {regex: 'y.*', action: labelmap, replacement: 'z'}]",
		"relabel: [{regex: '__name__|x', action: labelkeep}, {source_labels: [x], action: hashmod, modulus: 3, target_label: y}]",
		"{keep: ['a*'], drop: [b], rename: {'(.*)_total': '${1}_x', a: h}, type: {a: counter, h: histogram, i: info}, scale: {h: 2}, help: {a: x}, unit: {a: s}, labels: {x: y, z: ''}, limits: {series: 3, labels: 2, value-length: 9}}",
	} {
		f.Add(yaml, []byte(sample))
		f.Add(yaml, []byte("# TYPE h gaugehistogram\nh_bucket{le=\"+Inf\"} 1\nh_gsum 1\nh_gcount 1\n# TYPE i info\ni_info{x=\"y\"} 1\n# TYPE a counter\na_total{x=\"1\",y=\"2\"} 1\na_created{x=\"1\",y=\"2\"} 1\n# EOF\n"))
	}
	f.Add("", []byte("a{x=\"\x00\"} 0\n# EOF"))
	f.Fuzz(func(t *testing.T, yaml string, body []byte) {
		v, err := draft.Parse("c", []byte(yaml))
		if err != nil || len(yaml) > 2000 {
			return
		}
		p, err := Parse(v)
		if err != nil {
			return
		}
		page, _, err := expo.Decode(body, model.NoText, model.Limits{})
		if err != nil {
			return
		}
		total := page.Len()
		drops, err := p.Apply(&page)
		if err != nil || page.Len()+int(drops.Sum()) != total {
			t.Fatalf("Apply(%s) to %q: %d of %d samples, %v, %v", yaml, body, page.Len(), total, drops, err)
		}
		for _, d := range []model.Dialect{model.Text, model.OpenMetrics} {
			out, lost := expo.Encode(nil, &page, d)
			r := expo.NewReader(model.Limits{})
			r.Lenient = true
			again, more, err := r.Decode(out, d)
			if err != nil || again.Len()+int(lost.Sum()+more[model.Repeated]) < page.Len() {
				t.Fatalf("Apply(%s) to %q: written as %q: %v, %d of %d samples, %v, %v", yaml, body, out, err, again.Len(), page.Len(), lost, more)
			}
		}
	})
}
