package push

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/statsd"
	"github.com/sidecar-kit/sidecar/roles/adapter/statsmap"
)

// FuzzTable takes any lines: every sample is accounted for, the page is a valid one, and it is the same when lines are read again by what was remembered.
func FuzzTable(f *testing.F) {
	f.Add("a:1|c\na:2|g\na_sum:1|c\nb:1:2|h|@0.5|#le:x,quantile:y,__name__:z\nu:x|s\na_total:1|c\n_e{1,1}:a|b\n_sc|a|0\nbad\n", false)
	f.Add("h:1|ms\nh_bucket:1|c\nh_count:3|g|#a:b\nx.y:1|c|#a:1\nx.y:-1|c\ndrop.a:1|c", true)
	f.Fuzz(func(t *testing.T, lines string, histograms bool) {
		text := "mappings:\n- {match: 'x.*', name: x_$1, scale: 2, labels: {a: map, b: $1}}\n- {match: 'drop.*', name: x, action: drop}\n"
		if histograms {
			text += "defaults: {observer_type: histogram}\n"
		}
		table := mustTable(t, Options{Limits: model.Limits{Series: 50, Labels: 5, Name: 50, Value: 50}}, text)
		table.Lines([]byte(lines))
		table.Lines([]byte(lines))
		s := table.Stats()
		if s.Samples != sum(s) {
			t.Errorf("%d samples, of which %d are accounted for: %+v", s.Samples, sum(s), s)
		}
		page, _ := table.Page(time.Now())
		if page.Len() != s.Page || page.Len() > 50 {
			t.Errorf("%d samples; want %d", page.Len(), s.Page)
		}
		names, shown := map[string]bool{}, map[string]string{}
		for _, f := range page.Families {
			if names[f.Name] || f.Name != statsd.Escape(f.Name) || f.Name == "" {
				t.Errorf("family %q", f.Name)
			}
			names[f.Name] = true
			for _, s := range f.Samples {
				key := f.Name + s.Suffix
				if owner, ok := shown[key]; ok && owner != f.Name {
					t.Errorf("%s is of %s and of %s", key, owner, f.Name)
				}
				shown[key] = f.Name
				for i, l := range s.Labels {
					if l.Value == "" || l.Name != statsd.Escape(l.Name) || l.Name == "" || slices.ContainsFunc(s.Labels[:i], func(m model.Label) bool { return m.Name == l.Name }) {
						t.Errorf("%s: label %q=%q", key, l.Name, l.Value)
					}
				}
				if math.IsNaN(s.Value) {
					t.Errorf("%s is no number", key)
				}
			}
		}
	})
}

// TestQuantilesAreAsGoodAsPromised compares with all values in order, in orders that are hard, with and without weights.
func TestQuantilesAreAsGoodAsPromised(t *testing.T) {
	quantiles := []statsmap.Quantile{{Quantile: .01, Error: .001}, {Quantile: .5, Error: .05}, {Quantile: .9, Error: .01}, {Quantile: .99, Error: .001}}
	seed := uint64(1)
	r := rand.New(rand.NewPCG(seed, 1))
	for name, next := range map[string]func(i int) float64{
		"up": func(i int) float64 { return float64(i) }, "down": func(i int) float64 { return -float64(i) }, "normal": func(int) float64 { return r.NormFloat64() },
		"few": func(int) float64 { return float64(r.IntN(5)) }, "tail": func(int) float64 { return math.Exp(5 * r.Float64()) }, "same": func(int) float64 { return 7 },
		"both ends": func(i int) float64 { return float64(i) * float64(1-2*(i%2)) },
	} {
		for _, n := range []int{1, 2, 10, 499, 501, 20_000} {
			for _, most := range []int{1, 7} {
				*r = *rand.New(rand.NewPCG(seed, uint64(n)))
				var memory scratch
				s := newSummary(&statsmap.Shape{Quantiles: quantiles, MaxAge: time.Hour, AgeBuckets: 2}, &memory)
				var all weights
				total := 0.0
				for i := range n {
					v, w := next(i), 1+r.IntN(most)
					s.observe(v, uint64(w), 1)
					all = append(all, weight{v, float64(w)})
					total += float64(w)
				}
				slices.SortFunc(all, func(a, b weight) int { return cmp.Compare(a.value, b.value) })
				var p pageBuilder
				s.samples(&p, &series{}, 1)
				for i, q := range quantiles {
					got := p.list[i].Value
					below, upTo := 0.0, 0.0
					for _, w := range all {
						if w.value < got {
							below += w.n
						}
						if w.value <= got {
							upTo += w.n
						}
					}
					if low, high := (q.Quantile-q.Error)*total-float64(most), (q.Quantile+q.Error)*total+float64(most); below > high || upTo < low {
						t.Errorf("%s, %d values: quantile %v = %v, whose rank is %v to %v; want %v to %v", name, n, q.Quantile, got, below, upTo, low, high)
					}
				}
				if n == 20_000 && len(s.streams[0].entries) > 1500 {
					t.Errorf("%s: %d entries; want fewer", name, len(s.streams[0].entries))
				}
			}
		}
	}
}

func TestSetsAreCounted(t *testing.T) {
	for _, n := range []int{1, 512, 513, 10_000, 200_000} {
		s := newSet(time.Minute)
		r := rand.New(rand.NewPCG(5, uint64(n)))
		for range n {
			v := math.Float64frombits(r.Uint64())
			s.observe(v, 1, 1)
			s.observe(v, 1, int64(20*time.Second)) // in two parts
		}
		if got := s.size(); math.Abs(got-float64(n)) > 0.06*float64(n) || n <= 512 && got != float64(n) {
			t.Errorf("size of %d = %v", n, got)
		}
		s.rotate(int64(2 * time.Minute))
		if got := s.size(); got != 0 {
			t.Errorf("after the window: %v", got)
		}
	}
}
