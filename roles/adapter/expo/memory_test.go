package expo

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// sourceBody is a body of counters, gauges and histograms, n samples of each, with values of v.
func sourceBody(n int, d model.Dialect, v func() string) string {
	var b strings.Builder
	total := "_total"
	if d == model.OpenMetrics {
		total = ""
	}
	fmt.Fprintf(&b, "# HELP app_requests%s Requests that were \\\\ answered.\n# TYPE app_requests%s counter\n", total, total)
	for i := range n {
		fmt.Fprintf(&b, "app_requests_total{method=\"GET\",path=\"/api/v1/things/%d\",code=\"200\"} %s\n", i, v())
	}
	b.WriteString("# TYPE app_queue gauge\n")
	for i := range n {
		fmt.Fprintf(&b, "app_queue{name=\"queue-%d\"} %s\n", i, v())
	}
	b.WriteString("# TYPE app_time histogram\n")
	for i := range n {
		fmt.Fprintf(&b, "app_time_bucket{shard=\"%d\",le=\"0.1\"} 1\napp_time_bucket{shard=\"%d\",le=\"+Inf\"} 200\napp_time_sum{shard=\"%d\"} %s\napp_time_count{shard=\"%d\"} 200\n", i, i, i, v(), i)
	}
	if d == model.OpenMetrics {
		b.WriteString(eof)
	}
	return b.String()
}

// TestMemoryChangesNothing reads bodies by a Reader that remembers and by one that does not: the answers must not differ, whatever the next body is.
func TestMemoryChangesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, d := range []model.Dialect{model.Text, model.OpenMetrics} {
		r := NewReader(model.Limits{})
		kept := 0
		for range 2000 {
			body := []byte(sourceBody(6, d, func() string {
				if rng.IntN(100) > 0 {
					return []string{"1", "12345", "0.5", "1e10"}[rng.IntN(4)]
				}
				return []string{"NaN", "-1", "7 1000", "1 # {a=\"b\"} 2"}[rng.IntN(4)]
			}))
			for range rng.IntN(3) * rng.IntN(2) { // now and then something else changes, too
				switch at := rng.IntN(len(body)); rng.IntN(3) {
				case 0:
					body[at] = "1\n {}\"#ax"[rng.IntN(8)]
				case 1:
					body = append(body[:at:at], body[at+1:]...)
				case 2:
					body = append(body[:at:at], append([]byte("9"), body[at:]...)...)
				}
			}
			want, wantDrops, wantErr := Decode(body, d, model.Limits{})
			good := r.memo.good
			got, drops, err := r.Decode(body, d)
			if good && r.memo.good {
				kept++
			}
			if (err == nil) != (wantErr == nil) || drops != wantDrops || (err == nil && !reflect.DeepEqual(got, want)) {
				t.Fatalf("Decode(%s) = %+v, %v, %v; want %+v, %v, %v", body, got, drops, err, want, wantDrops, wantErr)
			}
		}
		if kept == 0 {
			t.Errorf("nothing was remembered in %v", d)
		}
	}
}

func TestCommon(t *testing.T) {
	for n := range 1400 {
		a := strings.Repeat("x", n) + "a" + strings.Repeat("z", n%9)
		b := strings.Repeat("x", n) + "b"
		if got := common(a, b); got != n {
			t.Fatalf("common = %d; want %d", got, n)
		}
		if got := common(a, a[:n]); got != n {
			t.Fatalf("common with its beginning = %d; want %d", got, n)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	n := 0
	next := func() string { n++; return fmt.Sprint(n * 7919 % 1000003) }
	bodies := [2][]byte{[]byte(sourceBody(1670, model.Text, next)), []byte(sourceBody(1670, model.Text, next))}
	open := [2][]byte{[]byte(sourceBody(1670, model.OpenMetrics, next)), []byte(sourceBody(1670, model.OpenMetrics, next))}
	run := func(name string, d model.Dialect, bodies [2][]byte, cold bool) {
		b.Run(name, func(b *testing.B) {
			r := NewReader(model.Limits{})
			b.SetBytes(int64(len(bodies[0])))
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				if cold {
					r.memo.good = false
				}
				if _, _, err := r.Decode(bodies[i%2], d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("text-first", model.Text, bodies, true)
	run("text-again", model.Text, bodies, false)
	run("text-same", model.Text, [2][]byte{bodies[0], bodies[0]}, false)
	run("open-first", model.OpenMetrics, open, true)
	run("open-again", model.OpenMetrics, open, false)
}

func TestRun(t *testing.T) {
	for n := range 30 {
		for _, end := range []string{"\n", "/\n", ":\n", ".5\n", "\xb0\n", "\x00\n", "e"} {
			if got := run("x"+strings.Repeat("90", n)+end+"1234567890", 1); got != 2*n && end != "" {
				t.Fatalf("run = %d; want %d before %q", got, 2*n, end)
			}
		}
	}
}
