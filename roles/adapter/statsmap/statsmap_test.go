package statsmap

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

func mustLoad(t testing.TB, text string) *Mapping {
	t.Helper()
	m, err := Load("map.yml", []byte(text))
	if err != nil {
		t.Fatalf("Load(%s) = %v", text, err)
	}
	return m
}

func show(r Result) string {
	if r.Rule == nil {
		return "-"
	}
	var b strings.Builder
	b.WriteString(r.Name)
	for _, l := range r.Labels {
		fmt.Fprintf(&b, " %s=%s", l.Name, l.Value)
	}
	if r.Rule.Drop {
		b.WriteString(" drop")
	}
	return b.String()
}

const dispatcher = `---
mappings:
- match: test.dispatcher.*.*.*
  name: "dispatch_events"
  labels: {processor: "$1", action: "$2", result: "$3", job: "test_dispatcher"}
- match: test.my-dispatch-host01.name.dispatcher.*.*.*
  name: "host_dispatch_events"
  labels: {processor: "$1"}
- match: request_time.*.*.*.*.*.*.*.*.*.*.*.*
  name: "tyk_http_request"
  labels: {ipv4_t4: "${10}", orgid: "${11}", oauthid: "${12}", path: "$1"}
- match: "*.*"
  name: "catchall"
  labels: {first: "$1", second: "$2", third: "$3", job: "$1-$2-$3"}
- match: (.*)\.(.*)-(.*)\.(.*)
  match_type: regex
  name: "proxy_requests_total"
  labels: {job: "$1", protocol: "$2", endpoint: "$3", result: "$4"}
`

func TestNamesAreMapped(t *testing.T) {
	unordered := "defaults: {glob_disable_ordering: true}\n"
	super := "mappings:\n- {match: a.*.*, name: x, labels: {l: '${1}_foo'}}\n- {match: a.*.b, name: y, labels: {l: '${1}_foo'}}\n- {match: a.c.b, name: z}\n"
	back := "mappings:\n- {match: a.*.bbb, name: b, labels: {l: '${1}_foo'}}\n- {match: a.just.aaa, name: a, labels: {l: '${1}_foo'}}\n"
	for _, c := range []struct{ text, name, want string }{
		{dispatcher, "test.dispatcher.Foo.send.ok", "dispatch_events action=send job=test_dispatcher processor=Foo result=ok"},
		{dispatcher, "test.my-dispatch-host01.name.dispatcher.Foo.send.ok", "host_dispatch_events processor=Foo"},
		{dispatcher, "request_time.get/threads/1/posts.200.0.n.d.a.172.20.0.1.12b.", "tyk_http_request ipv4_t4=1 oauthid= orgid=12b path=get/threads/1/posts"},
		{dispatcher, "foo.bar", "catchall first=foo job=foo-bar- second=bar third="},
		{dispatcher, "foo.bar.baz", "-"},
		{dispatcher, "proxy-1.http-goober.success", "proxy_requests_total endpoint=goober job=proxy-1 protocol=http result=success"},
		{unordered + back, "a.good.bbb", "b l=good_foo"},
		{unordered + back, "a.just.bbb", "b l=just_foo"},
		{unordered + back, "a.just.aaa", "a l=_foo"},
		{"mappings:\n- {match: '*.dummy.*', name: one, labels: {s: $1, a: $2}}\n- {match: 'full.name.*', name: two, labels: {s: x, a: $1}}\n", "full.name.another", "two a=another s=x"},
		{unordered + super, "a.x.b", "y l=x_foo"},
		{unordered + super, "a.c.b", "z"},
		{unordered + super, "a.c.x", "x l=c_foo"},
		{super, "a.x.b", "x l=x_foo"},
		{super, "a.c.b", "x l=c_foo"},
		{"mappings:\n- {match: a.b.c, name: long}\n- {match: a.b, name: short}\n", "a.b", "short"},
		{"mappings:\n- {match: test.*, name: n, labels: {label: $1_foo}}", "test.a", "n label="},
		{"mappings:\n- {match: test.*, name: n, labels: {label: '${1}_$x_100%$'}}", "test.a", "n label=a_%$"},
		{"mappings:\n- {match: test.99test.*, name: n, labels: {label: $1}}", "test.99test.a", "n label=a"},
		{"mappings:\n- {match: '*', name: single, labels: {label: $1}}", "test", "single label=test"},
		{"mappings:\n- {match: 'foo--bar.*', name: 'foo_bar_${1}', labels: {}}", "foo--bar.count", "foo_bar_count"},
		{"mappings:\n- {match: t.*.*, name: '${1}_$2'}", "t.a.b", "a_b"},
		{"mappings:\n- {match: 't\\.(\\w+)\\.(\\w+)', match_type: regex, name: '${2}_$1'}", "t.a.b", "b_a"},
		{"mappings:\n- {match: ., match_type: regex, name: drop, action: drop}", "abc", "drop drop"},
		{"mappings:\n- {match: ., match_type: regex, name: r}\n- {match: a.*, name: g}", "a.b", "g"},
		{"defaults: {match_type: regex}\nmappings:\n- {match: ^a$, name: r}\n", "a", "r"},
		{"mappings:\n- {match: a.*, name: c, match_metric_type: gauge}\n- {match: a.*, name: d, match_metric_type: counter}\n- {match: ^a, match_type: regex, match_metric_type: observer, name: e}", "a.b", "d"},
		{"", "a", "-"},
	} {
		m := mustLoad(t, c.text)
		if got := show(m.Find(c.name, Counter)); got != c.want {
			t.Errorf("%s\nFind(%q) = %s; want %s", c.text, c.name, got, c.want)
		}
	}
}

func TestOptionsAreInherited(t *testing.T) {
	m := mustLoad(t, `
defaults:
  ttl: 1m2s
  observer_type: histogram
  summary_options: {quantiles: [{quantile: 0.9, error: 0.1}], max_age: 15m, age_buckets: 3, buf_cap: 100}
  histogram_options: {buckets: [0.2, 2], native_histogram_bucket_factor: 1.1, native_histogram_max_buckets: 256}
mappings:
- {match: a, name: a}
- {match: b, name: b, ttl: 5s, scale: 1e-6, honor_labels: true, help: text, observer_type: summary, summary_options: {max_age: 5m}}
- {match: c, name: c, histogram_options: {buckets: [1, 10, .inf]}}
- {match: d, name: d, timer_type: summary, quantiles: [{quantile: 0.5, error: 0.05}]}
- {match: e, name: e, buckets: [7]}
`)
	quantiles := []Quantile{{.9, .1}}
	base := Shape{Observe: Histogram, Buckets: []float64{.2, 2}, Quantiles: quantiles, MaxAge: 15 * time.Minute, AgeBuckets: 3}
	for i, change := range []func(*Shape){
		func(*Shape) {}, func(s *Shape) { s.Observe, s.MaxAge = Summary, 5*time.Minute }, func(s *Shape) { s.Buckets = []float64{1, 10} },
		func(s *Shape) { s.Observe, s.Quantiles = Summary, []Quantile{{.5, .05}} }, func(s *Shape) { s.Buckets = []float64{7} },
	} {
		want := base
		change(&want)
		if got := m.Rules[i].Shape; !reflect.DeepEqual(got, want) {
			t.Errorf("rule %d: %+v; want %+v", i, got, want)
		}
	}
	if a, b := m.Rules[0], m.Rules[1]; a.TTL != 62*time.Second || b.TTL != 5*time.Second || b.Scale != 1e-6 || !b.Scaled || !b.Honor || b.Help != "text" || a.Scaled || m.TTL != a.TTL {
		t.Errorf("rules = %+v, %+v", a, b)
	}
}

func TestComplaintsNameTheirPlace(t *testing.T) {
	for _, c := range [][2]string{
		{"mappings:\n- {match: 'bad!!metric-line.*.*', name: foo}\n", "map.yml:2:11: match: \"bad!!"},
		{"mappings:\n- {match: test.*.*, name: 0foo}\n", "map.yml:2:27: name: \"0foo\""},
		{"mappings:\n- {match: test.*.*, labels: {this: $1}}\n", "map.yml:2:3: \"\" is no name"},
		{"mappings:\n- {name: x}\n", "map.yml:2:3: \"\" is no glob"},
		{"mappings:\n- match: *.test.*\n  name: x\n", "map.yml: yaml"},
		{"mappings:\n- {match: a, name: a, observer_type: wrong}\n", "map.yml:2:38: observer_type: \"wrong\""},
		{"mappings:\n- {match: a, name: a, match_metric_type: wrong}\n", "map.yml:2:42"},
		{"mappings:\n- {match: a, name: a, action: xyz}\n", "map.yml:2:31"},
		{"mappings:\n- {match: '*\\.foo', match_type: regex, name: a}\n", "map.yml:2:11: match: error parsing regexp"},
		{"mappings:\n- {match: a, name: a, quantiles: [{quantile: 0.4, error: 0.1}], summary_options: {quantiles: []}}\n", "quantiles and summary_options"},
		{"mappings:\n- {match: a, name: a, observer_type: histogram, summary_options: {}}\n", "a histogram cannot"},
		{"mappings:\n- {match: a, name: a, observer_type: summary, histogram_options: {}}\n", "a summary cannot"},
		{"mappings:\n- {match: a, name: a, labels: {a-b: x}}\n", "\"a-b\" is no name of a label"},
		{"mappings:\n- {match: a, name: a, histogram_options: {buckets: [2, 1]}}\n", "map.yml:2:56: bucket 1"},
		{"mappings:\n- {match: a, nam: a}\n", "map.yml:2:14: unknown key \"nam\""},
		{"mappings: x\n", "map.yml:1:11: mappings: want a list"},
		{"mappings: [x]\n", "map.yml:1:12"},
		{"default: {}\n", "unknown key"},
		{"mappings:\n- match: \"test\\.(\\w+)\"\n", "map.yml: yaml"},
	} {
		if _, err := Load("map.yml", []byte(c[0])); err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("Load(%s) = %v; want %s", c[0], err, c[1])
		}
	}
}

func TestCacheForgets(t *testing.T) {
	m := mustLoad(t, "mappings:\n- {match: 'a.*', name: n, labels: {x: $1}}\n")
	c := NewCache(m, 10)
	name := []byte("a.0")
	for i := range 1000 {
		name[2] = byte('a' + i%26)
		if got, want := show(c.Find(string(name), Counter)), "n x="+string(name[2]); got != want {
			t.Fatalf("Find(%s) = %s; want %s", name, got, want)
		}
		c.Find("a.x", Counter)
		c.Find("b", Gauge)
	}
	if c.Len() > 30 || c.Hits < 1900 || c.Gets != 3000 {
		t.Errorf("Len = %d, %d hits of %d", c.Len(), c.Hits, c.Gets)
	}
}

// naive looks at each rule in turn.
func naive(m *Mapping, name string, t Type) string {
	fields := strings.Split(name, ".")
next:
	for _, r := range m.Rules {
		want := strings.Split(r.Match, ".")
		if len(want) != len(fields) || r.typed && r.only != t || r.regex != nil {
			continue
		}
		var captures []string
		for i, f := range want {
			if f == "*" {
				captures = append(captures, fields[i])
			} else if f != fields[i] {
				continue next
			}
		}
		return show(r.result(func(x template) string { return x.expand(captures) }))
	}
	return show(Result{})
}

// FuzzGlob compares the automaton with a look at each rule, on mappings and names of few words.
func FuzzGlob(f *testing.F) {
	for i := range uint64(20) {
		f.Add(i)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		words := []string{"a", "b", "c", "*"}
		line := func(n int) string {
			var parts []string
			for range 1 + r.IntN(4) {
				parts = append(parts, words[r.IntN(n)])
			}
			return strings.Join(parts, ".")
		}
		var b strings.Builder
		b.WriteString("mappings:\n")
		for i := range 1 + r.IntN(12) {
			fmt.Fprintf(&b, "- {match: '%s', name: n%d_$2, labels: {x: '$1', y: '$3'}%s}\n", line(4), i, []string{"", ", match_metric_type: gauge", ", match_metric_type: counter"}[r.IntN(3)])
		}
		m := mustLoad(t, b.String())
		for range 20 {
			name, kind := line(3), Type(r.IntN(int(types)))
			if got, want := show(m.Find(name, kind)), naive(m, name, kind); got != want {
				t.Errorf("%s\nFind(%q, %d) = %s; want %s", b.String(), name, kind, got, want)
			}
		}
	})
}

// FuzzLoad reads anything, and maps something by it.
func FuzzLoad(f *testing.F) {
	f.Add(dispatcher, "test.dispatcher.a.b.c")
	f.Add("defaults: {ttl: 1m, buckets: [1], timer_type: histogram, strict_match: true}\nmappings:\n- {match: a, name: b, scale: 3}", "a")
	f.Fuzz(func(t *testing.T, text, name string) {
		m, err := Load("map.yml", []byte(text))
		if err != nil {
			return
		}
		for k := range types {
			m.Find(name, k)
		}
	})
}

func BenchmarkFind(b *testing.B) {
	for _, n := range []int{10, 100} {
		for _, kind := range []string{"glob", "regex"} {
			var text strings.Builder
			text.WriteString("mappings:\n")
			for i := range n {
				match := fmt.Sprintf("metric%d.*.*", i)
				if kind == "regex" {
					match = fmt.Sprintf(`'metric%d\.([^.]*)\.([^.]*)'`, i)
				}
				fmt.Fprintf(&text, "- {match: %s, match_type: %s, name: n, labels: {aa: '$1', bb: '$2'}}\n", match, kind)
			}
			m := mustLoad(b, text.String())
			b.Run(fmt.Sprint(kind, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					m.Find("metric5.one.two", Counter)
				}
			})
			b.Run(fmt.Sprint(kind, n, "/cached"), func(b *testing.B) {
				c := NewCache(m, 100)
				b.ReportAllocs()
				for b.Loop() {
					c.Find("metric5.one.two", Counter)
				}
			})
		}
	}
}
