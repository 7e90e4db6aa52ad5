package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sidecar-kit/sidecar/bench/lab"
)

// variants is how many bodies with other numbers the application has.
const variants = 4

// jsonObjects is a document of some 355 KB with n = 2,000 objects; v makes its numbers others.
func jsonObjects(n, v int) []byte {
	b := []byte(`{"location":"mars","values":[`)
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `{"id":"id-%06d","count":%d,"some_boolean":%v,"state":"ACTIVE","host":"host-%04d.example.org","zone":"eu-west-%d","ratio":%d.%03d,"about":"an object of a list","n":%d}`,
			i, i*17+v, (i+v)%2 == 0, i%97, i%3, v%10, i%1000, i)
	}
	return append(b, "]}"...)
}

// textPage is text 0.0.4 with families of ten series each; v makes its numbers others.
func textPage(prefix string, series, v int) []byte {
	var b []byte
	for i := range series {
		if i%10 == 0 {
			b = fmt.Appendf(b, "# HELP %s_requests_%d_total Requests that were answered by this part of the application.\n# TYPE %s_requests_%d_total counter\n", prefix, i/10, prefix, i/10)
		}
		b = fmt.Appendf(b, "%s_requests_%d_total{method=\"GET\",code=\"20%d\",handler=\"/api/v1/items\"} %d\n", prefix, i/10, i%10, 1_000_000+i*31+v)
	}
	return b
}

func several(page func(v int) []byte) (bodies [][]byte) {
	for v := range variants {
		bodies = append(bodies, page(v))
	}
	return bodies
}

// adapterJSON asks what two mappings of one document cost.
func (b *bench) adapterJSON(s *stand) ([]row, error) {
	objects := b.sized(2000, 2000)
	s.serve("/a.json", several(func(v int) []byte { return jsonObjects(objects, v) })...)
	var hundred strings.Builder
	for i := range 100 {
		fmt.Fprintf(&hundred, "      - {name: value_%d, value: '.values[%d].count', labels: {id: '.values[%d].id', location: .location}}\n", i, i*20, i*20)
	}
	each := "      - {each: '.values[]', name: value, values: {count: .count, boolean: .some_boolean, ratio: .ratio}, labels: {id: .id, host: .host}}\n"
	var rows []row
	for _, c := range []struct {
		name, rules, what, theirs string
		series                    int
		floor, target             float64
	}{
		{"hundred", hundred.String(), "100 values with 2 labels", "2646 ms", 100, 20e-3, 10e-3},
		{"each", each, "6,000 series with 2 labels", "390 ms", 6000, 40e-3, 15e-3},
	} {
		p, at, err := s.adapter(c.name, "sources:\n  app:\n    url: "+s.origin+"/a.json\n    format: json\n    map:\n"+c.rules+"views:\n  /metrics: {from: app, meta: false}\n")
		if err != nil {
			return rows, err
		}
		page, err := fetch(at + "/metrics")
		if n := bytes.Count(page, []byte("\nvalue_")); err == nil && n != c.series && n+1 != c.series {
			err = fmt.Errorf("%d samples; want %d", n, c.series)
		}
		if err != nil {
			return rows, err
		}
		m, err := medianOf(p, at+"/metrics", b.pairs, b.sized(30, 3), len(page)/2)
		if err != nil {
			return rows, err
		}
		r := below(fmt.Sprintf("CPU of a scrape, JSON of %d KB, %s", len(s.bodies["/a.json"][0])/1000, c.what), m["cpu"], c.floor, c.target, lab.MS)
		r.peer = "json_exporter, published: " + c.theirs
		rows = append(rows, r, info("the same: peak memory", lab.MB(m["peak"]), map[bool]string{true: "published: 34 MB", false: "-"}[c.series == 6000], "-"))
		p.stop()
	}
	return rows, nil
}

// adapterMerge asks what a page of four large sources costs, and whether it is one.
func (b *bench) adapterMerge(s *stand) ([]row, error) {
	const sources = 4
	series := b.sized(10_000, 1000)
	var config strings.Builder
	config.WriteString("sources:\n")
	for i := range sources {
		path := fmt.Sprintf("/%d", i)
		s.serve(path, several(func(v int) []byte { return textPage("app", series, v*7+i) })...) // the same families everywhere: the harder case
		fmt.Fprintf(&config, "  s%d: {url: %q}\n", i, s.origin+path)
	}
	config.WriteString("views:\n  /metrics: {on-conflict: label}\n")
	p, at, err := s.adapter("merge", config.String())
	if err != nil {
		return nil, err
	}
	page, err := fetch(at + "/metrics")
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(page, []byte("\napp_requests_")); n != sources*series {
		return nil, fmt.Errorf("%d samples; want %d", n, sources*series)
	}
	skipped, err := promtool(page)
	valid := judged("the page is valid by promtool check metrics", "yes", "-", "-", 0, 0, 0, "yes")
	if skipped {
		valid = info("**not checked**: promtool is not installed (Debian: prometheus)", "-", "-", "-")
	}
	if err != nil {
		return nil, err
	}
	m, err := medianOf(p, at+"/metrics", b.pairs, b.sized(20, 2), len(page)/2)
	if err != nil {
		return nil, err
	}
	what := fmt.Sprintf("%d sources with %d series each, the same families in all, a page of %s", sources, series, lab.MB(float64(len(page))))
	mb := func(v float64) string { return lab.MB(v) }
	return []row{below("CPU of a scrape, "+what, m["cpu"], 80e-3, 40e-3, lab.MS), below("the same: peak memory", m["peak"], 64e6, 48e6, mb), valid}, nil
}

// adapterPass compares text that is passed on with bytes that are copied.
func (b *bench) adapterPass(s *stand) ([]row, error) {
	var rows []row
	for _, series := range []int{200, b.sized(10_000, 1000)} {
		path := fmt.Sprintf("/%d", series)
		s.serve(path, several(func(v int) []byte { return textPage("app", series, v) })...)
		ours, at, err := s.adapter("pass"+path[1:], "sources:\n  app: {url: \""+s.origin+path+"\"}\nviews:\n  /metrics: {from: app, meta: false}\n")
		if err != nil {
			return rows, err
		}
		raw, rawAt, err := s.raw("raw"+path[1:], s.origin+path)
		if err != nil {
			return rows, err
		}
		least, n := len(s.bodies[path][0])/2, b.sized(max(20, 400_000/series), 5)
		pairs, err := lab.Pairs(max(b.pairs, b.sized(11, 1)), func() (lab.Sample, error) { return scrapes(ours, at+"/metrics", n, least) },
			func() (lab.Sample, error) { return scrapes(raw, rawAt+"/", n, least) })
		if err != nil {
			return rows, err
		}
		a, c, x := lab.Compare(pairs, "cpu")
		what := fmt.Sprintf("CPU of a scrape, text to text, %d series, %d KB, other numbers each time", series, len(s.bodies[path][0])/1000)
		rows = append(rows, judged(what, lab.MS(a), "copied: "+lab.MS(c), lab.Ratio(x), x, 3, 1.5, "at most 3x / 1.5x"))
		zipped, err := scrapesAs(ours, at+"/metrics", "gzip", min(n, 50), 100)
		if err != nil {
			return rows, err
		}
		rows = append(rows, info("the same, compressed by gzip because the scraper asks for it", lab.MS(zipped["cpu"]), "-", "-"))
		ours.stop()
		raw.stop()
	}
	return rows, nil
}

// adapterCoalesce lets many ask at once, while the application takes its time.
func (b *bench) adapterCoalesce(s *stand) ([]row, error) {
	const scrapers = 100
	s.serve("/metrics", textPage("app", 200, 0))
	_, at, err := s.adapter("coalesce", "sources:\n  app: {url: \""+s.origin+"/metrics\"}\nviews:\n  /metrics: {from: app}\n")
	if err != nil {
		return nil, err
	}
	s.slow.Store(int64(time.Second))
	worst := int64(0)
	for range b.sized(5, 1) {
		before := s.asked.Load()
		if err := s.together(at+"/metrics", scrapers); err != nil {
			return nil, err
		}
		worst = max(worst, s.asked.Load()-before)
	}
	return []row{judged(fmt.Sprintf("requests to the application, %d scrapes at once, most of %d times", scrapers, b.sized(5, 1)), fmt.Sprint(worst), "-", "-", float64(worst), 1, 1, "1 / 1")}, nil
}

func (s *stand) together(url string, n int) error {
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { _, errs[i] = fetch(url) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// adapterProbe asks for the state of checks of which some hang.
func (b *bench) adapterProbe(s *stand) ([]row, error) {
	hung, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		return nil, err
	}
	defer hung.Close()
	s.serve("/ok", []byte("ok"))
	var config strings.Builder
	config.WriteString("checks:\n")
	for i := range 20 {
		url := s.origin + "/ok"
		if i%4 == 0 {
			url = "http://" + hung.Addr().String() + "/"
		}
		fmt.Fprintf(&config, "  c%d: {http: {url: %q}, every: 1s, timeout: 900ms, fall: 3}\n", i, url)
	}
	p, at, err := s.adapter("probe", config.String())
	if err != nil {
		return nil, err
	}
	time.Sleep(2 * time.Second)
	client := &http.Client{Timeout: 10 * time.Second}
	var took []float64
	failed := 0
	before := p.cpu()
	for range b.sized(5000, 100) {
		began := time.Now()
		answer, err := client.Get(at + "/readyz")
		if err != nil {
			return nil, err
		}
		took = append(took, time.Since(began).Seconds())
		if answer.StatusCode != http.StatusOK {
			failed++
		}
		_ = answer.Body.Close()
		time.Sleep(time.Millisecond)
	}
	if failed != len(took) { // the checks that hang have to show
		return nil, fmt.Errorf("%d of %d answers say that all is well while 5 checks hang", len(took)-failed, len(took))
	}
	spent := (p.cpu() - before).Seconds() / float64(len(took))
	return []row{
		below(fmt.Sprintf("from a request to its answer, 20 checks of which 5 hang, p99 of %d", len(took)), lab.Quantile(took, 0.99), 5e-3, 1e-3, lab.MS),
		info("the same: p50, longest; CPU of one, checks included", fmt.Sprintf("%s, %s; %s", lab.MS(lab.Quantile(took, 0.5)), lab.MS(lab.Quantile(took, 1)), lab.MS(spent)), "-", "-"),
	}, nil
}

// adapterIdle looks at a process that has nothing to do.
func (b *bench) adapterIdle(s *stand) ([]row, error) {
	s.serve("/metrics", several(func(v int) []byte { return textPage("app", 200, v) })...)
	p, at, err := s.adapter("idle", "sources:\n  app: {url: \""+s.origin+"/metrics\"}\nviews:\n  /metrics: {from: app}\n")
	if err != nil {
		return nil, err
	}
	rest := time.Duration(b.sized(10, 1)) * time.Second
	time.Sleep(rest)
	before := p.cpu()
	time.Sleep(rest)
	busy := (p.cpu() - before).Seconds() / rest.Seconds()
	fresh := p.rss()
	for range b.sized(100, 5) {
		if _, err := fetch(at + "/metrics"); err != nil {
			return nil, err
		}
	}
	mb := func(v float64) string { return lab.MB(v) }
	warm := p.rss()
	time.Sleep(rest)
	return []row{
		below("memory at rest, one source of 200 series and a view, before the first scrape", fresh, 20e6, 12e6, mb),
		below("the same, some time after 100 scrapes", p.rss(), 20e6, 12e6, mb),
		info("the same, at once after them", lab.MB(warm), "-", "-"),
		info("idle: part of a processor", fmt.Sprintf("%.3f %%", busy*100), "-", "-"),
	}, nil
}
