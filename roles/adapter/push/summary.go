package push

import (
	"math"
	"sort"
	"strconv"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/statsmap"
)

// summary keeps quantiles of the last MaxAge, as client_golang does: AgeBuckets streams that begin one after the other; the oldest is the one that is shown, and is
// emptied when its time is over. So a quantile is of the last (1 - 1/AgeBuckets) * MaxAge up to MaxAge. The rank of what is shown is off by no more than
// the error of the quantile; as long as there are few values it is exact. Values are put into the streams some hundred at a time.
type summary struct {
	quantiles []statsmap.Quantile
	texts     []string
	step      int64 // nanoseconds from one stream to the next
	next      int64 // when the oldest one is emptied; 0 before the first value
	oldest    int
	streams   []stream
	pending   weights // of all streams, in no order
	sum       float64
	count     uint64
	scratch   *scratch
}

// mostPending is how many values wait to be put into the streams.
const mostPending = 500

// leastError bounds the memory of a stream.
const leastError = 0.0001

// margin is how much of the error is used up: values that come in falling order, and with weights, would cost up to a tenth more than was promised.
const margin = 0.75

// scratch is memory that all summaries of a table use in turn.
type scratch struct{ entries []entry }

// weight is a value that was seen n times.
type weight struct {
	value float64
	n     float64
}

type weights []weight

func (w weights) Len() int           { return len(w) }
func (w weights) Less(i, j int) bool { return w[i].value < w[j].value }
func (w weights) Swap(i, j int)      { w[i], w[j] = w[j], w[i] }

func newSummary(shape *statsmap.Shape, s *scratch) *summary {
	buckets := max(1, shape.AgeBuckets)
	sum := &summary{quantiles: shape.Quantiles, step: max(1, int64(shape.MaxAge)/int64(buckets)), streams: make([]stream, buckets), scratch: s}
	for _, q := range shape.Quantiles {
		sum.texts = append(sum.texts, strconv.FormatFloat(q.Quantile, 'g', -1, 64))
	}
	return sum
}

func (s *summary) observe(v float64, times uint64, now int64) {
	if now >= s.next {
		s.rotate(now)
	}
	s.count += times
	s.sum += v * float64(times)
	s.pending = append(s.pending, weight{v, float64(times)})
	if len(s.pending) >= mostPending {
		s.flush()
	}
}

func (s *summary) rotate(now int64) {
	if s.next == 0 {
		s.next = now + s.step
		return
	}
	s.flush()
	for range s.streams {
		s.streams[s.oldest].reset()
		s.oldest = (s.oldest + 1) % len(s.streams)
		if s.next += s.step; now < s.next {
			return
		}
	}
	s.next = now + s.step
}

func (s *summary) flush() {
	if len(s.pending) == 0 {
		return
	}
	sort.Sort(s.pending)
	for i := range s.streams {
		s.scratch.entries = s.streams[i].merge(s.pending, s.quantiles, s.scratch.entries)
	}
	s.pending = s.pending[:0]
}

func (s *summary) samples(p *pageBuilder, of *series, now int64) {
	if now >= s.next {
		s.rotate(now)
	}
	oldest := &s.streams[s.oldest]
	if oldest.n > 0 {
		s.flush()
	} else {
		sort.Sort(s.pending)
	}
	for i, q := range s.quantiles {
		v := math.NaN()
		if oldest.n > 0 {
			v = oldest.query(q.Quantile, s.quantiles)
		} else if len(s.pending) > 0 {
			v = s.pending.query(q.Quantile)
		}
		p.add(model.Sample{Labels: p.with(of.labels, "quantile", s.texts[i]), Value: v})
	}
	p.add(model.Sample{Suffix: "_sum", Labels: of.labels, Value: s.sum})
	p.add(model.Sample{Suffix: "_count", Labels: of.labels, Value: float64(s.count)})
}

// query is the nearest rank of sorted values.
func (w weights) query(q float64) float64 {
	var all, r float64
	for _, v := range w {
		all += v.n
	}
	rank := math.Ceil(q * all)
	for _, v := range w {
		if r += v.n; r >= rank {
			return v.value
		}
	}
	return w[len(w)-1].value
}

// stream is a biased quantile summary (Cormode, Korn, Muthukrishnan, Srivastava: Effective Computation of Biased Quantiles over Data Streams, 2005).
type stream struct {
	entries []entry // by value; the first and the last are the least and the greatest value
	n       float64
}

// entry stands for width values up to its own. The rank of its value is at least the sum of all widths up to it, and at most delta more.
type entry struct{ value, width, delta float64 }

func (s *stream) reset() { s.entries, s.n = s.entries[:0], 0 }

// allowed is how wide entries may be around rank r.
func (s *stream) allowed(r float64, quantiles []statsmap.Quantile) float64 {
	least := math.MaxFloat64
	for _, q := range quantiles {
		if q.Quantile <= 0 || q.Quantile >= 1 {
			continue // the ends are kept anyway
		}
		e := margin * max(q.Error, leastError)
		f := 2 * e * r / q.Quantile
		if q.Quantile*s.n > r {
			f = 2 * e * (s.n - r) / (1 - q.Quantile)
		}
		least = min(least, f)
	}
	return least
}

// merge puts sorted values in. It returns the memory it worked in.
func (s *stream) merge(values weights, quantiles []statsmap.Quantile, memory []entry) []entry {
	out, r, i := memory[:0], 0.0, 0
	for _, v := range values {
		for i < len(s.entries) && s.entries[i].value <= v.value {
			r += s.entries[i].width
			out = append(out, s.entries[i])
			i++
		}
		delta := 0.0
		if i < len(s.entries) && len(out) > 0 {
			delta = max(0, math.Floor(s.allowed(r, quantiles))-1)
		}
		out = append(out, entry{v.value, 1, delta})
		if v.n > 1 { // the others are known to be equal
			out = append(out, entry{v.value, v.n - 1, delta})
		}
		s.n += v.n
		r += v.n
	}
	out = append(out, s.entries[i:]...)
	s.compress(out, quantiles)
	return out
}

// compress keeps of list what is needed, from the greatest value down.
func (s *stream) compress(list []entry, quantiles []statsmap.Quantile) {
	at := len(list) - 1
	r := s.n - 1 - list[at].width
	for i := at - 1; i >= 1; i-- {
		equal := list[i].value == list[at].value && list[i-1].value == list[at].value // of equal values the first one and all others are enough
		if wide := list[i].width + list[at].width + list[at].delta; equal || wide <= s.allowed(r, quantiles) {
			list[at].width += list[i].width
		} else {
			at--
			list[at] = list[i]
		}
		r -= list[i].width
	}
	if len(list) > 1 {
		at--
		list[at] = list[0]
	}
	s.entries = append(s.entries[:0], list[at:]...)
}

// query is the value whose rank is near q.
func (s *stream) query(q float64, quantiles []statsmap.Quantile) float64 {
	last := s.entries[len(s.entries)-1].value
	if q <= 0 {
		return s.entries[0].value
	}
	if q >= 1 {
		return last
	}
	rank := math.Ceil(q * s.n)
	rank += s.allowed(rank, quantiles) / 2
	before, r := s.entries[0], 0.0
	for _, e := range s.entries[1:] {
		if r += before.width; r+e.width+e.delta > rank {
			return before.value
		}
		before = e
	}
	return last
}
