package meter

import (
	"math"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
)

func TestTextFormat(t *testing.T) {
	var r Registry
	c, g, h := NewCounter("a_total", "Counts\nthings \\ here."), NewGauge("b", "x"), NewHistogram("d_seconds", "x", .5, 2)
	cs := NewCounters("c_total", "x", "path", "code")
	r.MustRegister(c, g, h, cs, NewGauges("e", "nothing yet", "l"))
	c.Inc()
	c.Add(1.5)
	g.Set(math.Inf(-1))
	for _, v := range []float64{.5, 1, 100} {
		h.Observe(v)
	}
	cs.With("q\"\\\n\xff", "200").Inc()
	cs.With("/", "404").Add(2)
	cs.With("/", "404").Inc()
	want := strings.Join([]string{
		`# HELP a_total Counts\nthings \\ here.`, "# TYPE a_total counter", "a_total 2.5",
		"# HELP b x", "# TYPE b gauge", "b -Inf",
		"# HELP c_total x", "# TYPE c_total counter", `c_total{path="/",code="404"} 3`, `c_total{path="q\"\\\n` + "\uFFFD" + `",code="200"} 1`,
		"# HELP d_seconds x", "# TYPE d_seconds histogram", `d_seconds_bucket{le="0.5"} 1`, `d_seconds_bucket{le="2"} 2`, `d_seconds_bucket{le="+Inf"} 3`, "d_seconds_sum 101.5", "d_seconds_count 3", "",
	}, "\n")
	if got := string(r.Append(nil)); got != want {
		t.Errorf("text =\n%s\nwant\n%s", got, want)
	}
	cs.Reset()
	if got := string(r.Append(nil)); strings.Contains(got, "c_total") {
		t.Errorf("after Reset there is still\n%s", got)
	}
	var names []string
	for _, d := range r.Describe() {
		names = append(names, d.Name+" "+d.Kind.String())
	}
	if got, want := strings.Join(names, ","), "a_total counter,b gauge,c_total counter,d_seconds histogram,e gauge"; got != want {
		t.Errorf("Describe = %s; want %s", got, want)
	}
}

func TestMistakesOfTheProgramPanic(t *testing.T) {
	for name, fn := range map[string]func(){
		"twice":      func() { new(Registry).MustRegister(NewGauge("a", ""), NewCounter("a", "")) },
		"a name":     func() { new(Registry).MustRegister(NewGauge("a-b", "")) },
		"a label":    func() { new(Registry).MustRegister(NewGauges("a", "", "0b")) },
		"few labels": func() { NewCounters("a", "", "x", "y").With("1") },
		"down":       func() { NewCounter("a", "").Add(-1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			fn()
		}()
	}
}

func TestNothingIsLostWhenManyCount(t *testing.T) {
	c, h, cs := NewCounter("a", ""), NewHistogram("b", "", 1), NewCounters("c", "", "l")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				c.Inc()
				h.Observe(2)
				cs.With("x").Add(.5)
			}
		})
	}
	wg.Wait()
	if c.Value() != 8000 || h.distribution().Counts[1] != 8000 || h.distribution().Sum != 16000 || cs.With("x").Value() != 4000 {
		t.Errorf("counted %v, %v, %v; want 8000, 8000 and 4000", c.Value(), h.distribution(), cs.With("x").Value())
	}
}

// TestRuntime: what dashboards look for is there, and each line is one of the format.
func TestRuntime(t *testing.T) {
	var r Registry
	r.MustRegister(Runtime())
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	body := w.Body.String()
	for _, name := range []string{"go_goroutines", "go_memstats_heap_inuse_bytes", "process_cpu_seconds_total", "process_start_time_seconds", "process_max_fds", `go_gc_duration_seconds{quantile="0.5"}`, "go_gc_duration_seconds_count"} {
		if !strings.Contains(body, "\n"+name+" ") {
			t.Errorf("%s is missing in\n%s", name, body)
		}
	}
	line := regexp.MustCompile(`^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{([a-z]+="[^"]*",?)+\})? [0-9.e+-]+)$`)
	for l := range strings.Lines(body) {
		if !line.MatchString(strings.TrimSuffix(l, "\n")) {
			t.Errorf("the line %q is not of the format", l)
		}
	}
	if got := w.Header().Get("Content-Type"); got != ContentType {
		t.Errorf("Content-Type = %s; want %s", got, ContentType)
	}
}
