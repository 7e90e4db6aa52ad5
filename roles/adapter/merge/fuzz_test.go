package merge

import (
	"testing"

	"github.com/sidecar-kit/sidecar/roles/adapter/expo"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// FuzzMerge merges two bodies by every policy: the result is valid in both dialects, and with each but sum no sample is lost that is not counted.
func FuzzMerge(f *testing.F) {
	f.Add([]byte("# TYPE a counter\na 1\n"), []byte("# TYPE a counter\na{source=\"x\"} 1\nb 2\n"))
	f.Add([]byte("# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n"), []byte("# TYPE h histogram\nh_bucket{le=\"1.0\"} 1\nh_sum 3\nh_count 2\nh_x 1\n"))
	f.Add([]byte("a_total 1\n# TYPE s summary\ns{quantile=\"1\"} 1\ns_count 1\n"), []byte("# TYPE a counter\na_total 2 # {x=\"y\"} 1\na_created 5\n# TYPE s summary\ns_sum 2\n# EOF\n"))
	f.Add([]byte("# TYPE a_info gauge\na_info{v=\"1\"} 1\n# TYPE a gauge\na 1\n"), []byte("# TYPE a info\na_info{v=\"1\"} 1\n# TYPE b stateset\nb{b=\"x\"} 1\n# EOF\n"))
	f.Add([]byte("a_total 0\nb 0"), []byte("# TYPE a counter\nb 0\na_created 0")) // _created of a family that clashes
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var in []Input
		total := 0
		for i, body := range [][]byte{a, b} {
			r := expo.NewReader(model.Limits{})
			r.Lenient = true
			p, _, err := r.Decode(body, model.NoText)
			if err != nil {
				return
			}
			total += p.Len()
			in = append(in, Input{Source: string(rune('a' + i)), Page: &p})
		}
		for policy := Fail; policy <= Sum; policy++ {
			p, drops, err := Merge(in, policy, "")
			if err != nil && policy == Fail {
				continue
			}
			if err != nil || (policy != Sum && p.Len()+int(drops.Sum()) != total) {
				t.Fatalf("policy %d of %q and %q: %d of %d samples, %v, %v", policy, a, b, p.Len(), total, drops, err)
			}
			for _, d := range []model.Dialect{model.Text, model.OpenMetrics} {
				out, lost := expo.Encode(nil, &p, d)
				r := expo.NewReader(model.Limits{})
				r.Lenient = true
				again, more, err := r.Decode(out, d)
				if err != nil || again.Len()+int(lost.Sum()+more[model.Repeated]) < p.Len() {
					t.Fatalf("policy %d of %q and %q: %q: %v, %v, %v", policy, a, b, out, err, lost, more)
				}
			}
		}
	})
}
