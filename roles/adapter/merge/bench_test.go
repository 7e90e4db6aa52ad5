package merge

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/roles/adapter/expo"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// BenchmarkMerge reads, merges and writes four sources of 10,000 series, 4 MB in all, one family of 10 series after the other. "own" has other families in each source,
// "shared" the same ones with other labels, "same" the same series.
func BenchmarkMerge(b *testing.B) {
	sources := func(family, label string) (list [4][2][]byte) {
		for s := range 4 {
			for v := range 2 {
				var w strings.Builder
				for i := range 1000 {
					name := fmt.Sprintf("app%s_requests_%d_total", strings.Repeat("x", s*len(family)), i)
					fmt.Fprintf(&w, "# HELP %s Requests that were answered.\n# TYPE %s counter\n", name, name)
					for j := range 10 {
						fmt.Fprintf(&w, "%s{method=\"GET\",path=\"/api/v1/things/%d\",code=\"200\"%s} %d\n", name, j, strings.Repeat(fmt.Sprintf(",i=\"%d\"", s), len(label)), i*j+v*s)
					}
				}
				list[s][v] = []byte(w.String())
			}
		}
		return list
	}
	for _, c := range []struct {
		name   string
		policy Policy
		list   [4][2][]byte
		again  bool
	}{
		{"own-first-time", Fail, sources("x", ""), false},
		{"own", Fail, sources("x", ""), true},
		{"shared-label", Label, sources("", ""), true},
		{"shared-fail", Fail, sources("", "x"), true},
		{"same-first", First, sources("", ""), true},
		{"same-sum", Sum, sources("", ""), true},
	} {
		b.Run(c.name, func(b *testing.B) {
			var r [4]*expo.Reader
			var dst []byte
			size, n := 0, 0
			b.ReportAllocs()
			for b.Loop() {
				n++
				in := make([]Input, 4)
				size = 0
				for s := range 4 {
					if r[s] == nil || !c.again {
						r[s] = expo.NewReader(model.Limits{})
					}
					page, _, err := r[s].Decode(c.list[s][n%2], model.Text)
					if err != nil {
						b.Fatal(err)
					}
					in[s] = Input{Source: fmt.Sprint("s", s), Page: &page}
					size += len(c.list[s][n%2])
				}
				page, _, err := Merge(in, c.policy, "")
				if err != nil {
					b.Fatal(err)
				}
				dst, _ = expo.Encode(dst[:0], &page, model.Text)
			}
			b.SetBytes(int64(size))
		})
	}
}
