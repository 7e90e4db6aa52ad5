package jsonmap

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// objects is a document of some 355 KB: 2,000 objects, as in the map of what others do.
func objects() []byte {
	var b strings.Builder
	b.WriteString(`{"location":"mars","counter":1234,"values":[`)
	for i := range 2000 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"id-%06d","count":%d,"some_boolean":%v,"state":"ACTIVE","host":"host-%04d.example.org","zone":"eu-west-%d","ratio":%d.%03d,"description":"an object of a list of objects","n":%d}`,
			i, i*17, i%2 == 0, i%97, i%3, i%10, i%1000, i)
	}
	b.WriteString("]}")
	return []byte(b.String())
}

func bench(b *testing.B, config string, series int) {
	b.Helper()
	v, err := draft.Parse("a.yaml", []byte(config))
	if err != nil {
		b.Fatal(err)
	}
	m, err := Parse(v)
	if err != nil {
		b.Fatal(err)
	}
	body := objects()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		p, _, err := m.Decode(body, model.Limits{Series: 100_000, Labels: 64, Name: 512, Value: 4096})
		if err != nil || p.Len() != series {
			b.Fatal(p.Len(), err)
		}
	}
}

func BenchmarkHundredValues(b *testing.B) {
	var c strings.Builder
	c.WriteString("map:\n")
	for i := range 100 {
		fmt.Fprintf(&c, "- {name: value_%d, value: '.values[%d].count', labels: {id: '.values[%d].id', location: .location}}\n", i, i*20, i*20)
	}
	bench(b, c.String(), 100)
}

func BenchmarkSixThousandSeries(b *testing.B) {
	bench(b, "map: [{each: '.values[]', name: value, values: {count: .count, boolean: .some_boolean, ratio: .ratio}, labels: {id: .id, host: .host}}]", 6000)
}

// BenchmarkSixThousandSeriesByGojq is the same where neither items nor numbers are plain paths.
func BenchmarkSixThousandSeriesByGojq(b *testing.B) {
	bench(b, `map: [{each: '.values[] | select(.state == "ACTIVE")', name: value, values: {count: .count * 2, boolean: .some_boolean, ratio: .ratio // 0}, labels: {id: .id, host: .host}}]`, 6000)
}

func BenchmarkWithoutRules(b *testing.B) { bench(b, "template: auto", 8001) }
