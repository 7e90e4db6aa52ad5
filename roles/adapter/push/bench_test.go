package push

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

// corpus is what a client sends: 15 lines a datagram, some hundred series.
func corpus() [][]byte {
	var all [][]byte
	for d := range 100 {
		var b bytes.Buffer
		for l := range 15 {
			switch n := d*15 + l; n % 5 {
			case 0:
				fmt.Fprintf(&b, "app.requests.%d:1|c\n", n%50)
			case 1:
				fmt.Fprintf(&b, "app.latency:%d.25|ms|#path:/p%d,code:200\n", n%977, n%30)
			case 2:
				fmt.Fprintf(&b, "app.queue:%d|g|#shard:%d\n", n, n%20)
			case 3:
				fmt.Fprintf(&b, "app.hits:%d|c|@0.5|#env:prod,host:h%d\n", n%7, n%40)
			case 4:
				fmt.Fprintf(&b, "app.size,kind=k%d:%d|h\n", n%10, n*37)
			}
		}
		all = append(all, b.Bytes())
	}
	return all
}

// BenchmarkLines is the parser and the table; divide by 15 for a line.
func BenchmarkLines(b *testing.B) {
	for _, c := range []struct{ name, mapping string }{
		{"plain", ""},
		{"histogram", "defaults: {observer_type: histogram}\n"},
		{"mapped", "mappings:\n- {match: app.requests.*, name: requests_total, labels: {n: $1}}\n- {match: '(.*)\\.(.*)', match_type: regex, name: '${1}_${2}', labels: {a: $1}}\n"},
	} {
		b.Run(c.name, func(b *testing.B) {
			table := mustTable(b, Options{}, c.mapping)
			all := corpus()
			now := time.Now().UnixNano()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				table.mu.Lock()
				table.reader.lines(all[i%len(all)], now)
				table.mu.Unlock()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/15, "ns/line")
		})
	}
}

// BenchmarkNew is lines that were never seen.
func BenchmarkNew(b *testing.B) {
	table := mustTable(b, Options{Heads: 1024}, "")
	var line []byte
	for i := 0; b.Loop(); i++ {
		line = fmt.Appendf(line[:0], "app.requests:1|c|#user:%d", i&0xffff)
		table.Lines(line)
	}
}

// BenchmarkPage is a page of 20,000 series.
func BenchmarkPage(b *testing.B) {
	table := mustTable(b, Options{}, "")
	for i := range 20_000 {
		table.Lines(fmt.Appendf(nil, "app.requests%d:1|c|#user:%d", i%100, i))
	}
	b.ReportAllocs()
	for b.Loop() {
		if p, _ := table.Page(time.Now()); p.Len() != 20_000 {
			b.Fatal(p.Len())
		}
	}
}
