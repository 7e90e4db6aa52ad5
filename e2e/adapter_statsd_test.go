package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	datadog "github.com/DataDog/datadog-go/v5/statsd"
	"github.com/cactus/go-statsd-client/v5/statsd"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/statsd_exporter/pkg/event"
	"github.com/prometheus/statsd_exporter/pkg/line"
	"github.com/prometheus/statsd_exporter/pkg/mapper"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/push"
	own "github.com/sidecar-kit/sidecar/roles/adapter/statsd"
	"github.com/sidecar-kit/sidecar/roles/adapter/statsmap"
)

// values is every sample of a page by its name and labels.
func values(p model.Page) map[string]float64 {
	all := map[string]float64{}
	for _, f := range p.Families {
		for _, s := range f.Samples {
			var labels []string
			for _, l := range s.Labels {
				labels = append(labels, l.Name+"="+l.Value)
			}
			sort.Strings(labels)
			all[f.Name+s.Suffix+"{"+strings.Join(labels, ",")+"}"] = s.Value
		}
	}
	return all
}

// pushed is a table that listens.
func pushed(t *testing.T, listen string) (table *push.Table, stop func()) {
	t.Helper()
	table, err := push.New(push.Options{Listen: []string{listen}})
	if err != nil {
		t.Fatal(err)
	}
	if err := table.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- table.Run(ctx) }()
	return table, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestAdapterTakesDogStatsD sends what a client of DataDog sends, aggregated and not, over UDP and a socket in the file system.
func TestAdapterTakesDogStatsD(t *testing.T) {
	for _, network := range []string{"udp", "unixgram"} {
		for _, aggregate := range []bool{false, true} {
			t.Run(fmt.Sprint(network, aggregate), func(t *testing.T) {
				listen, to := "udp://127.0.0.1:0", ""
				if network == "unixgram" {
					path := filepath.Join(t.TempDir(), "s")
					listen, to = "unixgram://"+path, "unixgram://"+path
				}
				table, stop := pushed(t, listen)
				if to == "" {
					to = table.Addr(0)
				}
				options := []datadog.Option{datadog.WithNamespace("app."), datadog.WithTags([]string{"env:prod"}), datadog.WithoutTelemetry(), datadog.WithContainerID("c0ffee"), datadog.WithMaxMessagesPerPayload(10)}
				if aggregate {
					options = append(options, datadog.WithExtendedClientSideAggregation())
				} else {
					options = append(options, datadog.WithoutClientSideAggregation())
				}
				client, err := datadog.New(to, options...)
				if err != nil {
					t.Fatal(err)
				}
				for i := range 100 {
					tags := []string{fmt.Sprintf("n:%d", i%2)}
					check(t, client.Incr("hits", tags, 1), client.Gauge("queue", float64(i), tags, 1), client.Histogram("size", float64(i), tags, 1))
					check(t, client.Timing("took", 250*time.Millisecond, tags, 1), client.Distribution("dist", 7, tags, 1), client.Set("users", fmt.Sprint("u", i%7), tags, 1))
				}
				check(t, client.CountWithTimestamp("old", 5, nil, 1, time.Unix(1656581400, 0)), client.SimpleEvent("title", "text: with | bars"), client.SimpleServiceCheck("db", datadog.Ok), client.Close())
				want := map[string]float64{}
				for n := range 2 {
					labels := fmt.Sprintf("container_id=c0ffee,env=prod,n=%d", n)
					for name, v := range map[string]float64{
						"app_hits": 50, "app_queue": float64(98 + n), "app_size_count": 50, "app_size_sum": float64(2450 + 50*n), "app_took_count": 50, "app_took_sum": 12.5, "app_dist_count": 50, "app_dist_sum": 350, "app_users": 7,
					} {
						want[name+"{"+labels+"}"] = v
					}
				}
				want["app_old{container_id=c0ffee,env=prod}"] = 5
				var wrong string
				for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
					page, _ := table.Page(time.Now())
					got := values(page)
					wrong = ""
					for k, v := range want {
						if math.Abs(got[k]-v) > 1e-9 {
							wrong = fmt.Sprintf("%s = %v; want %v", k, got[k], v)
						}
					}
					if s := table.Stats(); wrong == "" && (s.Events != 1 || s.ServiceChecks != 1 || s.Samples != s.Used || s.KernelDrops > 0) {
						wrong = fmt.Sprintf("%+v", s)
					}
					if wrong == "" {
						break
					}
				}
				stop()
				if wrong != "" {
					t.Error(wrong)
				}
			})
		}
	}
}

func check(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestAdapterTakesPlainStatsD sends what a client of the first protocol sends, with the tags of three others.
func TestAdapterTakesPlainStatsD(t *testing.T) {
	for _, format := range []statsd.TagFormat{statsd.SuffixOctothorpe, statsd.InfixComma, statsd.InfixSemicolon} {
		table, stop := pushed(t, "udp://127.0.0.1:0")
		client, err := statsd.NewClientWithConfig(&statsd.ClientConfig{Address: table.Addr(0), Prefix: "app", TagFormat: format})
		if err != nil {
			t.Fatal(err)
		}
		tag := statsd.Tag{"k", "v"}
		check(t, client.Inc("hits", 3, 1, tag), client.Gauge("queue", 5, 1, tag), client.GaugeDelta("queue", -2, 1, tag), client.TimingDuration("took", time.Second, 1, tag), client.Set("users", "a", 1, tag), client.Close())
		for deadline := time.Now().Add(20 * time.Second); table.Stats().Samples < 5 && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		stop()
		page, _ := table.Page(time.Now())
		got := values(page)
		suffix := "{k=v}"
		if format == statsd.InfixSemicolon { // Graphite's tags are part of the name for StatsD
			suffix = "_k_v{}"
		}
		for name, v := range map[string]float64{"app_hits": 3, "app_queue": 3, "app_took_sum": 1, "app_users": 1} {
			name += suffix
			if format == statsd.InfixSemicolon {
				name = strings.Replace(name, "took_sum_k_v", "took_k_v_sum", 1)
			}
			if got[name] != v {
				t.Errorf("format %d: %s = %v; want %v in %v", format, name, got[name], v, got)
			}
		}
	}
}

// oracle is how statsd_exporter reads a line.
type oracle struct {
	parser                        *line.Parser
	errors                        *prometheus.CounterVec
	samples, tagErrors, tagsTotal prometheus.Counter
}

func newOracle() *oracle {
	counter := func(name string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name})
	}
	o := &oracle{parser: line.NewParser(), samples: counter("samples"), tagErrors: counter("tag_errors"), tagsTotal: counter("tags")}
	o.errors = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "errors"}, []string{"reason"})
	o.parser.EnableDogstatsdParsing()
	o.parser.EnableInfluxdbParsing()
	o.parser.EnableLibratoParsing()
	o.parser.EnableSignalFXParsing()
	return o
}

func (o *oracle) read(text string) []string {
	var all []string
	for _, e := range o.parser.LineToEvents(text, *o.errors, o.samples, o.tagErrors, o.tagsTotal, slog.New(slog.DiscardHandler)) {
		relative := false
		if g, ok := e.(*event.GaugeEvent); ok {
			relative = g.GRelative
		}
		var labels []string
		for k, v := range e.Labels() {
			labels = append(labels, k+"="+v)
		}
		sort.Strings(labels)
		all = append(all, fmt.Sprintf("%s %s %v %v %v", e.MetricType(), e.MetricName(), e.Value(), relative, labels))
	}
	return all
}

// ours is the same by our parser.
func ours(text string) []string {
	var p own.Parser
	name, pieces, fault := p.Pieces(nil, text)
	if fault != own.None {
		return nil
	}
	var all []string
	for _, piece := range pieces {
		var h own.Head
		p.Head(name, piece.Rest, &h)
		if h.Parts != own.None || h.After != own.None {
			continue
		}
		vals, more := piece.Values, true
		for more {
			var word string
			word, vals, more = own.NextValue(vals)
			v, ok := h.Value(word)
			if !ok {
				continue
			}
			kind := "observer"
			switch h.Kind {
			case own.Counter:
				kind = "counter"
			case own.Gauge:
				kind = "gauge"
			}
			var labels []string
			for _, l := range h.Tags {
				labels = append(labels, l.Name+"="+l.Value)
			}
			sort.Strings(labels)
			for range v.Times {
				all = append(all, fmt.Sprintf("%s %s %v %v %v", kind, h.Name, v.Number, v.Relative, labels))
			}
		}
	}
	return all
}

// TestLinesAreReadAsByStatsDExporter compares what is read of lines that are put together by chance, of parts that matter.
func TestLinesAreReadAsByStatsDExporter(t *testing.T) {
	parts := []string{
		"foo", "a.b-c", "foo--x", ":", ":", ":", "1", "2.5", "-3", "+4", "1e3", "abc", "|", "|", "|", "c", "g", "ms", "h", "d", "t", "|c", "|g", "|ms", "|h|", "@0.5", "@0", "@x", "@2", "|@0.1", "|#", "#",
		"a:b", "tag=1", ",x=y", "[k=v]", "[", "]", "|#a:1,b:2", "|#bad", "|c:id", "|T12", "é", "\xff", ",", "9digit:v", "T", "|#t:v|c:box",
	}
	r := rand.New(rand.NewPCG(1, 2))
	o := newOracle()
	compared, read := 0, 0
	for range 300_000 {
		var b strings.Builder
		if r.IntN(2) == 0 {
			b.WriteString([]string{"foo:1|c", "a:2|ms", "x:1:2|h", "g:-5|g", "foo,a=b:1|c"}[r.IntN(5)])
		}
		for range r.IntN(8) {
			b.WriteString(parts[r.IntN(len(parts))])
		}
		text := b.String()
		if strings.Contains(text, "]") && strings.Index(text, "]") < strings.Index(text, "[") || // it panics
			strings.Contains(text, "|c:") && !strings.Contains(text, "|#") || strings.Contains(text, "|c|c") || // a container without tags is one for us
			strings.Count(text, "@") > 1 || // rounding
			strings.Count(text, "|") > 5 || strings.HasSuffix(text, "|s") { // more parts, and sets, are taken by us
			continue
		}
		want := o.read(text)
		compared++
		if len(want) > 0 {
			read++
		}
		if got := ours(text); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("%q = %q; statsd_exporter reads %q", text, got, want)
		}
	}
	t.Logf("%d lines, %d of them with samples", compared, read)
}

// TestNamesAreMappedAsByStatsDExporter compares mappings that are put together by chance.
func TestNamesAreMappedAsByStatsDExporter(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	words := []string{"a", "b", "c", "*"}
	dotted := func(n int) string {
		var parts []string
		for range 1 + r.IntN(4) {
			parts = append(parts, words[r.IntN(n)])
		}
		return strings.Join(parts, ".")
	}
	matched := 0
	for round := range 3000 {
		var b strings.Builder
		b.WriteString("mappings:\n")
		var globs []string
		for i := range 1 + r.IntN(8) {
			match, kind := dotted(4), "glob"
			if r.IntN(5) == 0 {
				match, kind = `^(\w)\.`+words[r.IntN(3)], "regex"
			} else if bad(globs, match) {
				continue
			}
			globs = append(globs, match)
			fmt.Fprintf(&b, "- {match: '%s', match_type: %s, name: 'n%d_${1}', labels: {xx: '$1', yy: '$2_z', zz: '${2}-$3'}}\n", match, kind, i)
		}
		theirs := &mapper.MetricMapper{}
		if err := theirs.InitFromYAMLString(b.String()); err != nil {
			t.Fatal(b.String(), err)
		}
		m, err := statsmap.Load("map.yml", []byte(b.String()))
		if err != nil {
			t.Fatal(err)
		}
		for range 30 {
			name := dotted(3)
			rule, labels, ok := theirs.GetMapping(name, mapper.MetricTypeCounter)
			got := m.Find(name, statsmap.Counter)
			if ok != (got.Rule != nil) {
				t.Fatalf("round %d: %s%s: %v; want %v", round, b.String(), name, got, ok)
			}
			if !ok {
				continue
			}
			matched++
			if got.Name != rule.Name || len(got.Labels) != len(labels) {
				t.Fatalf("%s%s: %v; want %s %v", b.String(), name, got, rule.Name, labels)
			}
			for _, l := range got.Labels {
				if labels[l.Name] != l.Value {
					t.Fatalf("%s%s: %v; want %s %v", b.String(), name, got, rule.Name, labels)
				}
			}
		}
	}
	t.Logf("%d names with a rule", matched)
}

// bad says where we differ on purpose: a rule that is the front of an earlier one never matches there, and one that is there twice takes the place of the second.
func bad(globs []string, match string) bool {
	for _, g := range globs {
		if g == match || strings.HasPrefix(g, match+".") {
			return true
		}
	}
	return false
}
