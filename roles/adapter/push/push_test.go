package push

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/statsmap"
)

// mustTable is a table with a mapping.
func mustTable(t testing.TB, o Options, mapping string) *Table {
	t.Helper()
	if mapping != "" {
		m, err := statsmap.Load("map.yml", []byte(mapping))
		if err != nil {
			t.Fatal(err)
		}
		o.Mapping = m
	}
	table, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// show writes a page in a form that is easy to compare.
func show(p *model.Page) string {
	var b strings.Builder
	for _, f := range p.Families {
		fmt.Fprintf(&b, "# %s %s\n", f.Name, f.Type)
		for _, s := range f.Samples {
			b.WriteString(f.Name + s.Suffix)
			for i, l := range s.Labels {
				sep := ","
				if i == 0 {
					sep = "{"
				}
				fmt.Fprintf(&b, "%s%s=%q", sep, l.Name, l.Value)
			}
			if len(s.Labels) > 0 {
				b.WriteString("}")
			}
			fmt.Fprintf(&b, " %v\n", s.Value)
		}
	}
	return b.String()
}

func (t *Table) shown() string {
	p, _ := t.Page(time.Now())
	return show(&p)
}

// sum is how many samples Stats has an account of.
func sum(s Stats) uint64 {
	n := s.Used + s.Negative + s.Conflicts + s.Over + s.Oversized + s.Dropped + s.Nameless
	for _, f := range s.Faults[5:] {
		n += f
	}
	return n
}

func TestLinesBecomeSeries(t *testing.T) {
	for _, c := range []struct{ name, mapping, lines, want string }{
		{"counters add up", "", "a.b:1|c\na.b:2|c|@0.5\na.b:-1|c\n", "# a_b counter\na_b 5\n"},
		{"a counter of OpenMetrics", "", "a_total:1|c", "# a counter\na_total 1\n"},
		{"two of one name", "", "a_total:1|c\na:2|g", "# a gauge\na 2\n# a_total counter\na_total 1\n"},
		{"gauges", "", "g:5|g\ng:+3|g\ng:-1|g\nh:-1|g\n", "# g gauge\ng 7\n# h gauge\nh -1\n"},
		{"tags", "", "a:1|c|#x:1,b:2\na,b=2,x=1:1|c\na#x=1,b=2:1|c\na[x=1,b=2]:1|c", "# a counter\na{b=\"2\",x=\"1\"} 4\n"},
		{"label sets may differ", "", "a:1|c\na:1|c|#x:1\na:1|c|#y:1", "# a counter\na 1\na{x=\"1\"} 1\na{y=\"1\"} 1\n"},
		{"types may not", "", "a:1|c\na:1|g\na:1|ms\nb:1|ms\nb_sum:1|c\nb_bucket:1|c", "# a counter\na 1\n# b summary\nb{quantile=\"0.5\"} 0.001\nb{quantile=\"0.9\"} 0.001\nb{quantile=\"0.99\"} 0.001\nb_sum 0.001\nb_count 1\n# b_bucket counter\nb_bucket 1\n"},
		{"packed", "", "h:1:2:3|h|@0.5", "# h summary\nh{quantile=\"0.5\"} 2\nh{quantile=\"0.9\"} 3\nh{quantile=\"0.99\"} 3\nh_sum 12\nh_count 6\n"},
		{"sets", "", "s:a|s\ns:b|s\ns:a|s", "# s gauge\ns 2\n"},
		{"a histogram", "defaults: {observer_type: histogram, histogram_options: {buckets: [1, 10]}}\n", "h:1|h\nh:5|h\nh:11|h|@0.5", "# h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"10\"} 2\nh_bucket{le=\"+Inf\"} 4\nh_sum 28\nh_count 4\n"},
		{"mapped", "mappings:\n- {match: '*.hits.*', name: hits_total, scale: 10, labels: {host: $1, path: $2}}\n- {match: 'no.*', name: x, action: drop}\n", "web.hits.a:1|c|#host:x\nno.no:1|c\n", "# hits counter\nhits_total{host=\"web\",path=\"a\"} 10\n"},
		{"labels are honoured", "mappings:\n- {match: 'a', name: a, honor_labels: true, labels: {x: map, y: map}}\n", "a:1|c|#x:tag\n", "# a counter\na{x=\"tag\",y=\"map\"} 1\n"},
		{"nothing is infinite", "", "a:nan|c\na:inf|c\na:1e400|g\na:inf|g", "# a gauge\na +Inf\n"},
	} {
		table := mustTable(t, Options{}, c.mapping)
		for range 2 { // the second time all heads are known
			table.Lines([]byte(c.lines))
		}
		one := mustTable(t, Options{}, c.mapping)
		one.Lines([]byte(c.lines))
		if got := one.shown(); got != c.want {
			t.Errorf("%s: Page = %s; want %s", c.name, got, c.want)
		}
		for _, table := range []*Table{table, one} {
			if s := table.Stats(); s.Samples != sum(s) {
				t.Errorf("%s: %d samples, of which %d are accounted for", c.name, s.Samples, sum(s))
			}
		}
	}
}

func TestLimitsAreCounted(t *testing.T) {
	table := mustTable(t, Options{Limits: model.Limits{Series: 2, Labels: 2, Name: 8, Value: 4}}, "")
	table.Lines([]byte("a:1|c\nb:1|c\nc:1|c\nc:1|c\na:1|c|#a:1,b:2,c:3\na:1|c|#a:12345\nlongername:1|c\na:1|c\n"))
	_, drops := table.Page(time.Now())
	if s := table.Stats(); s.Over != 2 || s.Oversized != 3 || s.Used != 3 || s.Page != 2 || drops[model.OverSeries] != 2 || drops[model.OverLabels] != 3 {
		t.Errorf("Stats = %+v, drops %v", s, drops)
	}
	if _, drops := table.Page(time.Now()); drops.Sum() != 0 {
		t.Errorf("drops of the second page = %v; want none", drops)
	}
}

func TestSeriesExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := mustTable(t, Options{TTL: time.Minute}, "mappings:\n- {match: long.*, name: long, ttl: 1h, labels: {x: $1}}\n")
		table.Lines([]byte("a:1|c\nlong.a:1|c\n"))
		time.Sleep(time.Minute + 1)
		if got, want := table.shown(), "# long counter\nlong{x=\"a\"} 1\n"; got != want {
			t.Errorf("after a minute: %s; want %s", got, want)
		}
		table.Lines([]byte("a:5|g\n")) // the name is free
		if got, want := table.shown(), "# a gauge\na 5\n# long counter\nlong{x=\"a\"} 1\n"; got != want {
			t.Errorf("a new type: %s; want %s", got, want)
		}
		time.Sleep(2 * time.Hour)
		if got := table.shown(); got != "" || table.Stats().Expired != 3 || len(table.index) != 0 {
			t.Errorf("after an hour: %s, %+v", got, table.Stats())
		}
		table.Lines([]byte("a:1|c\nlong.a:2|c\n"))
		if got, want := table.shown(), "# a counter\na 1\n# long counter\nlong{x=\"a\"} 2\n"; got != want {
			t.Errorf("again: %s; want %s", got, want)
		}
	})
}

func TestSummarySlides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := mustTable(t, Options{}, "defaults: {summary_options: {quantiles: [{quantile: 0.5, error: 0.05}], max_age: 10m, age_buckets: 5}}\n")
		table.Lines([]byte("a:1|h\na:2|h\na:3|h"))
		for _, step := range []struct {
			after time.Duration
			want  float64
		}{{0, 2}, {9 * time.Minute, 2}, {2 * time.Minute, math.NaN()}} {
			time.Sleep(step.after)
			p, _ := table.Page(time.Now())
			if got := p.Families[0].Samples[0].Value; got != step.want && !(math.IsNaN(got) && math.IsNaN(step.want)) {
				t.Errorf("after %s: quantile = %v; want %v", step.after, got, step.want)
			}
			if s := p.Families[0].Samples; s[1].Value != 6 || s[2].Value != 3 {
				t.Errorf("sum and count = %v, %v; want 6, 3", s[1].Value, s[2].Value)
			}
		}
	})
}

func TestPagesMerge(t *testing.T) {
	table := mustTable(t, Options{}, "")
	pages := func(delta bool, samples ...model.Sample) Decoder {
		return func([]byte, model.Limits) (absolute, d model.Page, drops model.Drops, err error) {
			p := model.Page{Families: []model.Family{{Name: "n", Type: model.Counter, Samples: samples}}}
			if delta {
				return absolute, p, drops, nil
			}
			return p, d, drops, nil
		}
	}
	total := func(v float64, at int64) model.Sample {
		return model.Sample{Suffix: "_total", Value: v, Time: at, Timed: at > 0}
	}
	table.Write(nil, pages(true, total(2, 1)))
	table.Write(nil, pages(true, total(2, 1))) // sent twice
	table.Write(nil, pages(true, total(3, 2)))
	if got, want := table.shown(), "# n counter\nn_total 5\n"; got != want {
		t.Errorf("deltas: %s; want %s", got, want)
	}
	table.Write(nil, pages(false, total(3, 3)))
	if got, want := table.shown(), "# n counter\nn_total 3\n"; got != want || table.Stats().Repeated != 1 {
		t.Errorf("a value: %s; want %s", got, want)
	}
	if _, err := table.Write(nil, func([]byte, model.Limits) (a, d model.Page, drops model.Drops, err error) {
		return a, d, drops, fmt.Errorf("bad")
	}); err == nil || table.Stats().BadBodies != 1 {
		t.Errorf("Write = %v; want the error", err)
	}
}

// run serves until the test is over, or stop is called.
func run(t *testing.T, table *Table) (stop func()) {
	t.Helper()
	if err := table.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- table.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestEverythingSentIsCounted(t *testing.T) {
	dir := t.TempDir()
	table := mustTable(t, Options{Listen: []string{"udp://:0", "tcp://:0", "unixgram://" + filepath.Join(dir, "g"), "unix://" + filepath.Join(dir, "s")}, Receive: 64 << 10}, "")
	stop := run(t, table)
	const each = 20_000
	udp, err := net.Dial("udp", table.Addr(0))
	if err != nil {
		t.Fatal(err)
	}
	for i := range each {
		fmt.Fprintf(udp, "udp:1|c\nlast:%d|g", i)
	}
	for i, network := range map[int]string{1: "tcp", 2: "unixgram", 3: "unix"} {
		conn, err := net.Dial(network, table.Addr(i))
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			fmt.Fprintf(conn, "%s:1|c\n", network)
		}
		conn.Close()
	}
	deadline := time.Now().Add(20 * time.Second)
	for s := table.Stats(); s.Packets+s.KernelDrops < each+100 || s.Used < 300+2*(s.Packets-100); s = table.Stats() {
		if time.Now().After(deadline) {
			t.Fatalf("%+v", s)
		}
		time.Sleep(time.Millisecond)
	}
	stop()
	s := table.Stats()
	if !s.KernelKnown || s.Packets+s.KernelDrops != each+100 || s.Samples != 200+2*(s.Packets-100)+100 || s.Samples != s.Used {
		t.Errorf("%d packets and %d drops of %d; %d samples", s.Packets, s.KernelDrops, each+100, s.Samples)
	}
	t.Logf("the kernel dropped %d of %d", s.KernelDrops, each)
	if s.Connections != 2 || s.Open != 0 || s.ConnectionErrors != 0 {
		t.Errorf("%+v", s)
	}
}

func TestADecoderThatPanics(t *testing.T) {
	table := mustTable(t, Options{}, "")
	for range 2 {
		if _, err := table.Write([]byte("x"), func([]byte, model.Limits) (a, b model.Page, d model.Drops, err error) { panic("oh") }); err == nil || !strings.Contains(err.Error(), "panicked: oh") {
			t.Errorf("Write = %v; want the panic as an error", err)
		}
	}
	if n := table.Stats().BadBodies; n != 2 {
		t.Errorf("%d bad bodies; want 2", n)
	}
}

func TestWhoIsNotAllowedIsCounted(t *testing.T) {
	table := mustTable(t, Options{Listen: []string{"udp://:0", "tcp://:0"}, Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, "")
	stop := run(t, table)
	for i, network := range []string{"udp", "tcp"} {
		conn, err := net.Dial(network, table.Addr(i))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, "a:1|c\n")
		defer conn.Close()
	}
	for deadline := time.Now().Add(20 * time.Second); table.Stats().Refused < 2 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	stop()
	if s := table.Stats(); s.Refused != 2 || s.Samples != 0 {
		t.Errorf("%+v; want 2 refused", s)
	}
}

func TestLongLinesEndTheirConnection(t *testing.T) {
	table := mustTable(t, Options{Listen: []string{"tcp://:0"}, Line: 100}, "")
	defer run(t, table)()
	conn, err := net.Dial("tcp", table.Addr(0))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "a:1|c\nb:%s|c\n", strings.Repeat("1", 200))
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("Read = %d, %v; want the end", n, err)
	}
	if s := table.Stats(); s.LongLines != 1 || s.Used != 1 {
		t.Errorf("%+v; want one line, and one that is too long", s)
	}
}

func TestAddressesAreChecked(t *testing.T) {
	for _, bad := range []string{"", "8125", "http://x:1", "udp://", "udp://host", "unix://"} {
		if _, err := New(Options{Listen: []string{bad}}); err == nil || !strings.Contains(err.Error(), "listen") {
			t.Errorf("New(%q) = %v; want an error", bad, err)
		}
	}
}

func TestSocketsAreTakenOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	left, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	table := mustTable(t, Options{Listen: []string{"unixgram://" + path}}, "")
	if err := table.Open(t.Context()); err == nil {
		t.Error("Open took the socket of somebody")
	}
	left.Close() // and leaves the file
	run(t, table)()
}
