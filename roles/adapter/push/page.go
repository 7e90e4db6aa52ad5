package push

import (
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/order"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// pageBuilder makes samples of series, with few allocations.
type pageBuilder struct {
	list   []model.Sample
	labels []model.Label // what with hands out parts of
}

func (p *pageBuilder) add(s model.Sample) { p.list = append(p.list, s) }

// with is labels and one more.
func (p *pageBuilder) with(labels []model.Label, name, value string) []model.Label {
	n := len(labels) + 1
	if cap(p.labels)-len(p.labels) < n {
		p.labels = make([]model.Label, 0, max(n, 1024))
	}
	from := len(p.labels)
	p.labels = append(append(p.labels, labels...), model.Label{Name: name, Value: value})
	return p.labels[from:len(p.labels):len(p.labels)]
}

// atOnce is how many series are read before the lock is let go for those who write.
const atOnce = 256

// Page is what the table holds: families in the order of their names, series in that of their labels. Drops are what was refused since the last call.
// Strings of the page do not change; it may be kept. Series that came and went while it is made may be missing.
func (t *Table) Page(now time.Time) (model.Page, model.Drops) {
	nano := now.UnixNano()
	t.mu.Lock()
	t.sweep(nano)
	lists := t.lists()
	families := make([]model.Family, len(lists))
	for i := range lists {
		families[i] = t.describe(lists[i].family)
	}
	size, drops := t.samples, t.drops
	t.drops = model.Drops{}
	t.mu.Unlock()

	p := pageBuilder{list: make([]model.Sample, 0, size)}
	for i, l := range lists {
		if !l.sorted {
			t.sort(l)
		}
		from := len(p.list)
		for all := l.series; len(all) > 0; {
			n := min(len(all), atOnce)
			t.mu.Lock()
			for _, s := range all[:n] {
				s.samples(&p, families[i].Name, nano)
			}
			t.mu.Unlock()
			all = all[n:]
		}
		families[i].Samples = p.list[from:len(p.list):len(p.list)]
	}
	return model.Page{Families: families}, drops
}

// list is a copy of the series of a family.
type list struct {
	family *family
	series []*series
	change uint64
	sorted bool
}

// lists copies all series, in the order of the families' names.
func (t *Table) lists() []list {
	if t.sorted == nil {
		t.sorted = make([]*family, 0, len(t.families))
		for _, f := range t.families {
			t.sorted = append(t.sorted, f)
		}
		order.Sort(t.sorted, func(a, b *family) int { return strings.Compare(a.key, b.key) })
	}
	lists := make([]list, len(t.sorted))
	all := make([]*series, 0, t.count)
	for i, f := range t.sorted {
		from := len(all)
		all = append(all, f.list...)
		lists[i] = list{f, all[from:len(all):len(all)], f.change, f.sorted}
	}
	return lists
}

// sort puts a list into order, without the lock: nothing that the order depends on ever changes. The family takes it over if it still has the same series.
func (t *Table) sort(l list) {
	sort.Sort(bySeries(l.series))
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.family.change == l.change {
		copy(l.family.list, l.series)
		l.family.sorted = true
	}
}

// describe is a family without its samples. Names follow the model: a counter foo_total is foo, unless another family has that name.
func (t *Table) describe(f *family) model.Family {
	d := model.Family{Name: f.key, Help: f.help, Unit: f.unit, Type: f.kind}
	if f.total {
		if short := strings.TrimSuffix(f.key, "_total"); t.families[short] == nil {
			d.Name = short
		}
	}
	return d
}

func (s *series) samples(p *pageBuilder, name string, now int64) {
	if s.kept != nil {
		s.kept.samples(p, s, now)
		return
	}
	suffix := s.suffix
	if s.family.total && len(name) < len(s.family.key) {
		suffix = "_total"
	}
	p.add(model.Sample{Suffix: suffix, Labels: s.labels, Value: s.value})
}

type bySeries []*series

func (b bySeries) Len() int           { return len(b) }
func (b bySeries) Less(i, j int) bool { return less(b[i], b[j]) }
func (b bySeries) Swap(i, j int)      { b[i], b[j] = b[j], b[i] }

// less orders the series of a family: by their labels, but for le and quantile; then buckets before sums and counts; then by le or quantile.
func less(a, b *series) bool {
	if c := compareLabels(a, b); c != 0 {
		return c < 0
	}
	if x, y := suffixRank(a.suffix), suffixRank(b.suffix); x != y {
		return x < y
	}
	if a.suffix != b.suffix {
		return a.suffix < b.suffix
	}
	return bound(a) < bound(b)
}

func compareLabels(a, b *series) int {
	kind := a.family.kind
	i, j := 0, 0
	for {
		for i < len(a.labels) && isBound(kind, a.labels[i].Name) {
			i++
		}
		for j < len(b.labels) && isBound(kind, b.labels[j].Name) {
			j++
		}
		if i == len(a.labels) || j == len(b.labels) {
			return len(a.labels) - i - (len(b.labels) - j)
		}
		if c := strings.Compare(a.labels[i].Name, b.labels[j].Name); c != 0 {
			return c
		}
		if c := strings.Compare(a.labels[i].Value, b.labels[j].Value); c != 0 {
			return c
		}
		i, j = i+1, j+1
	}
}

func isBound(kind model.Type, name string) bool {
	return name == "le" && (kind == model.Histogram || kind == model.GaugeHistogram) || name == "quantile" && kind == model.Summary
}

func bound(s *series) float64 {
	for _, l := range s.labels {
		if isBound(s.family.kind, l.Name) {
			v, _ := strconv.ParseFloat(l.Value, 64)
			return v
		}
	}
	return 0
}

func suffixRank(suffix string) int {
	switch suffix {
	case "", "_bucket", "_total", "_info":
		return 0
	case "_sum", "_gsum":
		return 1
	case "_count", "_gcount":
		return 2
	}
	return 3
}
