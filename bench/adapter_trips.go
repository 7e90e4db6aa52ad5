package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sidecar-kit/sidecar/roles/adapter/expo"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// adapterTrips writes random pages in each format, reads them, writes what was read in each other format, and reads it again. What is missing then,
// without the table of losses in docs/roles/adapter.md naming it and without a counter, is a loss.
func (b *bench) adapterTrips(*stand) ([]row, error) {
	pages := b.trips
	if b.quick {
		pages = min(pages, 100)
	}
	codecs, err := newCodecs()
	if err != nil {
		return nil, err
	}
	var lost, samples, next, done atomic.Int64
	began := time.Now()
	var told sync.Map
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for seed := next.Add(1); seed <= int64(pages) && (b.tripping == 0 || time.Since(began) < b.tripping); seed = next.Add(1) {
				t := trip{codecs: codecs}
				t.run(uint64(seed)) //nolint:gosec // counts from 1
				samples.Add(t.samples)
				done.Add(1)
				lost.Add(int64(len(t.losses)))
				for _, l := range t.losses {
					if _, again := told.LoadOrStore(l.pair, true); !again {
						fmt.Fprintf(os.Stderr, "seed %d, %s: %.1500s\n", seed, l.pair, l.why)
					}
				}
			}
		})
	}
	all.Wait()
	pages = int(done.Load())
	pairs := len(codecs) * len(codecs)
	value := float64(lost.Load())
	r := judged(fmt.Sprintf("round trips that lose what no table of losses names, %d random pages for each of %d pairs of %d formats, %.1f M samples", pages, pairs, len(codecs), float64(samples.Load())/1e6),
		fmt.Sprint(lost.Load()), "-", "-", value, 0, 0, "0 in 100,000 / 0 in 1,000,000")
	switch {
	case value > 0:
	case pages < 100_000:
		r.value = reached(0, true, true)
	case pages < 1_000_000:
		r.value, r.floor = 0.5, 0.5
	}
	return []row{r}, nil
}

type loss struct{ pair, why string }

// trip is the way of one page through all pairs.
type trip struct {
	codecs  []codec
	losses  []loss
	samples int64
}

func (t *trip) run(seed uint64) {
	first := randomPage(seed)
	for i := range t.codecs {
		a := &t.codecs[i]
		page, ok := t.pass("a page to "+a.name, &first, a)
		for j := range t.codecs {
			if ok {
				t.pass(a.name+" to "+t.codecs[j].name, &page, &t.codecs[j])
			}
		}
	}
}

// pass writes a page in a format and reads it again; the page that comes back is expanded.
func (t *trip) pass(pair string, p *model.Page, c *codec) (model.Page, bool) {
	body, drops, err := c.encode(p)
	var got model.Page
	var more model.Drops
	want, counted := c.facts(p, true)
	if len(want) == 0 && err == nil && drops.Sum() == uint64(counted) { //nolint:gosec // a number of samples
		return got, false // nothing is left to be read
	}
	if err == nil {
		got, more, err = c.decode(body)
	}
	for k := range got.Families {
		if err == nil {
			err = expo.Expand(&got.Families[k])
		}
	}
	t.samples += int64(p.Len())
	if err != nil || more.Sum() > 0 {
		t.losses = append(t.losses, loss{pair, fmt.Sprintf("%v, drops %v in %q", err, more, body)})
		return got, false
	}
	have, _ := c.facts(&got, false)
	if uint64(counted) != drops.Sum() || !slices.Equal(want, have) {
		t.losses = append(t.losses, loss{pair, fmt.Sprintf("drops %v, want %d:\n%q\nhas  %q\nwant %q", drops, counted, body, have, want)})
	}
	return got, true
}

// facts are what a page says that format c carries, in order; counted is how many samples it has to count as unstorable. sent says that the page is
// the one that was written, and not the one that was read.
func (c *codec) facts(p *model.Page, sent bool) (list []string, counted int) {
	for i := range p.Families {
		f := &p.Families[i]
		var family []byte
		kind := f.Type
		if sent && c.kind != nil {
			kind = c.kind(kind)
		}
		if c.types {
			family = fmt.Appendf(family, " %s", kind)
		}
		if c.help {
			family = fmt.Appendf(family, " %q", f.Help)
		}
		if c.units {
			family = fmt.Appendf(family, " %q", f.Unit)
		}
		for j := range f.Samples {
			line, ok := c.fact(f, &f.Samples[j], sent)
			if !ok {
				counted++
				continue
			}
			list = append(list, string(append(line, family...)))
		}
	}
	slices.Sort(list)
	return list, counted
}

// fact is a sample; ok is false if the format cannot have it.
func (c *codec) fact(f *model.Family, s *model.Sample, sent bool) (line []byte, ok bool) {
	if c.finite && (math.IsNaN(s.Value) || math.IsInf(s.Value, 0)) || c.name == "otlp" && f.Type == model.GaugeHistogram {
		return nil, false
	}
	suffix := s.Suffix
	if sent && c.suffix != nil {
		suffix = c.suffix(f.Type, suffix)
	}
	if sent && c.name == "openmetrics" && f.Type == model.Counter && suffix == "" {
		suffix = "_total"
	}
	line = append(append(line, f.Name...), suffix...)
	labels := make([]string, 0, 8)
	for _, l := range s.Labels {
		value := l.Value
		if c.name == "influx" && (strings.Contains(value, "\n") || strings.HasSuffix(value, `\`)) {
			return nil, false
		}
		if sent && c.value != nil {
			value = c.value(value)
		}
		labels = append(labels, l.Name+"="+strconv.Quote(value))
	}
	slices.Sort(labels)
	line = fmt.Appendf(line, "%s %v", labels, s.Value)
	if s.Timed && c.times {
		ms := s.Time
		if sent && c.clock != nil {
			ms = c.clock(ms)
		}
		line = fmt.Appendf(line, " @%d", ms)
	}
	if e := s.Exemplar; e != nil && c.exemplar {
		line = fmt.Appendf(line, " # %v %v", e.Labels, e.Value)
	}
	return line, true
}
