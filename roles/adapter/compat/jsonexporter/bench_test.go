package jsonexporter

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

func bench(b *testing.B, metrics string, series int) {
	b.Helper()
	c, err := Load("a.yml", []byte("modules:\n  default:\n    metrics:\n"+metrics))
	if err != nil {
		b.Fatal(err)
	}
	var doc strings.Builder
	doc.WriteString(`{"location":"mars","values":[`)
	for i := range 2000 {
		if i > 0 {
			doc.WriteByte(',')
		}
		fmt.Fprintf(&doc, `{"id":"id-%06d","count":%d,"some_boolean":%v,"state":"ACTIVE","host":"host-%04d.example.org","zone":"eu-west-%d","ratio":%d.%03d,"description":"an object of a list of objects","n":%d}`,
			i, i*17, i%2 == 0, i%97, i%3, i%10, i%1000, i)
	}
	body := []byte(doc.String() + "]}")
	b.ReportAllocs()
	for b.Loop() {
		p, _, err := c.Modules["default"].Decode(body, model.Limits{})
		if err != nil || p.Len() != series {
			b.Fatal(p.Len(), err)
		}
	}
}

func BenchmarkHundredValues(b *testing.B) {
	var m strings.Builder
	for i := range 100 {
		fmt.Fprintf(&m, "    - {name: value_%d, path: '{.values[%d].count}', labels: {id: '{.values[%d].id}', location: '{.location}'}}\n", i, i*20, i*20)
	}
	bench(b, m.String(), 100)
}

func BenchmarkSixThousandSeries(b *testing.B) {
	bench(b, "    - {name: value, type: object, path: '{.values[?(@.state==\"ACTIVE\")]}', labels: {id: '{.id}', host: '{.host}'}, values: {count: '{.count}', boolean: '{.some_boolean}', ratio: '{.ratio}'}}\n", 6000)
}
