package textmap

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// FuzzDecode reads foreign text in every format.
func FuzzDecode(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.in")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		body, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	for _, s := range []string{"a,b\n\"x\"\"y\",1\n", "a: 1\n***\nb=2\n---\nc 3\n", "[s]\nk: a=b,c=d\n# t\n", "a{b=\"c\"}: 1\n", "\"", "a\r\n\r\n1"} {
		f.Add([]byte(s))
	}
	var maps []*Map
	for _, c := range [][2]string{{"keyvalue", "{sections: true, pairs: true, records: r}"}, {"keyvalue", "{separator: ' '}"}, {"regex", `{regex: '(?P<name>\w+)[:= ](?P<value>\d+)'}`}, {"csv", "{}"}, {"csv", "{columns: [a, b], separator: '::'}"}, {"nginx", "{}"}, {"phpfpm", "{}"}, {"redis-info", "{}"}, {"haproxy-csv", "{}"}} {
		v, err := draft.Parse("a.yaml", []byte(c[1]))
		if err != nil {
			f.Fatal(err)
		}
		m, err := Parse(c[0], v)
		if err != nil {
			f.Fatal(err)
		}
		maps = append(maps, m)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, m := range maps {
			p, _, err := m.Decode(body, model.Limits{Series: 100})
			if err != nil && p.Len() != 0 || p.Len() > 100 {
				t.Fatalf("%q: %v, and %d series", body, err, p.Len())
			}
		}
	})
}
