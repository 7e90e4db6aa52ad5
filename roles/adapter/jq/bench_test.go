package jq

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func objects() []byte {
	var b strings.Builder
	b.WriteString(`{"values":[`)
	for i := range 2000 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"id-%06d","count":%d,"some_boolean":%v,"state":"ACTIVE","host":"host-%04d.example.org","zone":"eu-west-%d","ratio":%d.%03d,"description":"an object of a list of objects","n":%d}`,
			i, i*17, i%2 == 0, i%97, i%3, i%10, i%1000, i)
	}
	return []byte(b.String() + "]}")
}

func BenchmarkParse(b *testing.B) {
	body := objects()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(body, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseByLibrary(b *testing.B) {
	body := objects()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		var v any
		if err := json.Unmarshal(body, &v); err != nil {
			b.Fatal(err)
		}
	}
}
