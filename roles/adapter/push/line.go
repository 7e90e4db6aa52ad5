package push

import (
	"bytes"
	"hash/maphash"
	"math"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/statsd"
	"github.com/sidecar-kit/sidecar/roles/adapter/statsmap"
)

// reader turns lines of StatsD into changes of the table. What a line begins and ends with, the name, the type and the tags, is read once and remembered
// with the series it leads to, so that all later lines that differ in their value cost two hashes and a number.
type reader struct {
	t      *Table
	maps   *statsmap.Cache
	slots  []*head // open addressing; the length is a power of two
	used   int
	pieces []statsd.Piece
	head   statsd.Head
	labels []model.Label
}

// head is what was found out about the name and the rest of a line.
type head struct {
	hash       uint64
	name, rest string
	line       statsd.Head // Tags are not kept
	tagged     bool
	outcome    outcome
	mapped     bool
	scaled     bool
	scale      float64
	series     *series // nil, or dead: to be looked for again
}

type outcome uint8

const (
	use outcome = iota
	dropped
	nameless
)

func (r *reader) init(t *Table) {
	r.t = t
	if t.opts.Mapping != nil {
		r.maps = statsmap.NewCache(t.opts.Mapping, t.opts.Heads)
	}
	r.slots = make([]*head, 64)
}

// text is b as a string. The buffers of listeners are used again, so whatever is kept of it is cloned; a string costs no copy where a conversion would for each line.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// lines reads all lines of a body; the last one needs no end.
func (r *reader) lines(body []byte, now int64) {
	for len(body) > 0 {
		line := body
		if i := bytes.IndexByte(body, '\n'); i >= 0 {
			line, body = body[:i], body[i+1:]
		} else {
			body = nil
		}
		if n := len(line); n > 0 && line[n-1] == '\r' {
			line = line[:n-1]
		}
		if len(line) > 0 {
			r.line(text(line), now)
		}
	}
}

func (r *reader) line(line string, now int64) {
	t := r.t
	t.stats.Lines++
	if line[0] == '_' {
		switch statsd.Is(line) {
		case statsd.Event:
			t.stats.Events++
			return
		case statsd.ServiceCheck:
			t.stats.ServiceChecks++
			return
		}
	}
	if name, values, rest, ok := statsd.Cut(line); ok {
		if h := r.find(r.hash(name, rest), name, rest); h != nil && h.line.Kind != statsd.Set {
			if v, ok := h.line.Value(values); ok {
				t.stats.Samples++
				r.apply(h, v, now)
				return
			}
		}
	}
	r.slow(line, now)
}

// slow reads any line: one that is new, that has several samples or packed values, or that is wrong.
func (r *reader) slow(line string, now int64) {
	t := r.t
	name, pieces, fault := t.opts.Parser.Pieces(r.pieces[:0], line)
	r.pieces = pieces
	if fault != statsd.None {
		t.stats.Faults[fault]++
		t.drops[model.Unreadable]++
		return
	}
	for _, p := range pieces {
		hash := r.hash(name, p.Rest)
		h := r.find(hash, name, p.Rest)
		if h == nil {
			h = r.learn(hash, name, p.Rest)
		}
		values, more := p.Values, true
		for more {
			var value string
			value, values, more = statsd.NextValue(values)
			t.stats.Samples++
			r.value(h, value, now)
		}
	}
}

func (r *reader) value(h *head, value string, now int64) {
	if h.line.Parts != statsd.None {
		r.fault(h.line.Parts)
		return
	}
	if h.line.Kind == statsd.Set {
		if value == "" || !utf8.ValidString(value) {
			r.fault(statsd.MalformedValue)
			return
		}
		r.apply(h, statsd.Value{Number: math.Float64frombits(maphash.String(r.t.seed, value)), Times: 1}, now)
		return
	}
	v, ok := h.line.Value(value)
	if !ok {
		r.fault(statsd.MalformedValue)
		return
	}
	r.apply(h, v, now)
}

func (r *reader) fault(f statsd.Fault) {
	r.t.stats.Faults[f]++
	r.t.drops[model.Unreadable]++
}

func (r *reader) hash(name, rest string) uint64 {
	seed := r.t.seed
	return maphash.String(seed, name)*31 + maphash.String(seed, rest)
}

func (r *reader) find(hash uint64, name, rest string) *head {
	mask := uint64(len(r.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		h := r.slots[i]
		if h == nil {
			return nil
		}
		if h.hash == hash && h.name == name && h.rest == rest {
			return h
		}
	}
}

// learn reads the name and the rest, and remembers them. When there are too many it forgets all and begins again: what is in use comes back at once.
func (r *reader) learn(hash uint64, name, rest string) *head {
	key := name + rest
	h := &head{hash: hash, name: key[:len(name)], rest: key[len(name):], scale: 1}
	r.t.opts.Parser.Head(h.name, h.rest, &r.head)
	h.line, h.tagged = r.head, len(r.head.Tags) > 0
	h.line.Tags = nil
	if 2*(r.used+1) > len(r.slots) {
		r.grow()
	}
	r.insert(h)
	return h
}

func (r *reader) grow() {
	old := r.slots
	r.used = 0
	if len(old) >= 2*r.t.opts.Heads {
		r.slots = make([]*head, 64)
		return
	}
	r.slots = make([]*head, 2*len(old))
	for _, h := range old {
		if h != nil {
			r.insert(h)
		}
	}
}

func (r *reader) insert(h *head) {
	mask := uint64(len(r.slots) - 1)
	i := h.hash & mask
	for r.slots[i] != nil {
		i = (i + 1) & mask
	}
	r.slots[i] = h
	r.used++
}

// apply changes the series of h.
func (r *reader) apply(h *head, v statsd.Value, now int64) {
	t := r.t
	t.stats.TagErrors += uint64(h.line.BadTags) //nolint:gosec // not negative
	if h.line.BadRate {
		t.stats.BadRates++
	}
	if h.line.After != statsd.None {
		if h.tagged && h.line.After == statsd.IllegalEvent {
			t.stats.Tagged++
		}
		r.fault(h.line.After)
		return
	}
	if h.tagged {
		t.stats.Tagged++
	}
	if v.Times == 0 { // a rate above 1
		t.stats.Used++
		return
	}
	if h.outcome == use && (h.series == nil || h.series.dead) {
		if why := r.lead(h, v.Number, now); why != found {
			t.refuse(why)
			return
		}
	}
	switch h.outcome {
	case dropped:
		t.stats.Dropped++
		t.drops[model.Unwanted]++
		return
	case nameless:
		t.stats.Nameless++
		t.drops[model.Unreadable]++
		return
	}
	if h.mapped {
		t.stats.Mapped++
	} else {
		t.stats.Unmapped++
	}
	t.change(h, v, now)
}

// change is the end of all that could go wrong but a counter's direction.
func (t *Table) change(h *head, v statsd.Value, now int64) {
	s := h.series
	if h.scaled && h.line.Kind != statsd.Set {
		v.Number *= h.scale
	}
	switch {
	case s.kept != nil:
		s.kept.observe(v.Number, v.Times, now)
	case h.line.Kind == statsd.Counter:
		if v.Number < 0 {
			t.refuse(negative)
			return
		}
		s.value += v.Number
	case v.Relative:
		s.value += v.Number
	default:
		s.value = v.Number
	}
	s.last = now
	t.stats.Used++
}

// lead finds the series that h leads to. A counter that would begin below 0 makes none.
func (r *reader) lead(h *head, first float64, now int64) refusal {
	t := r.t
	t.opts.Parser.Head(h.name, h.rest, &r.head)
	w := want{ttl: int64(t.opts.TTL), labels: append(r.labels[:0], r.head.Tags...)}
	name, kind, shape := r.head.Name, statsmap.Observer, &t.opts.Shape
	switch h.line.Kind {
	case statsd.Counter:
		kind, w.kind = statsmap.Counter, model.Counter
	case statsd.Gauge, statsd.Set:
		kind, w.kind = statsmap.Gauge, model.Gauge
	}
	if r.maps != nil {
		m := r.maps.Find(name, kind)
		rule := m.Rule
		h.mapped, h.outcome = rule != nil, use
		switch {
		case rule == nil && t.opts.Mapping.Strict, rule != nil && rule.Drop:
			h.outcome = dropped
			return found
		case rule != nil:
			name, w.help, w.ttl = m.Name, rule.Help, int64(rule.TTL)
			if h.scaled = rule.Scaled; h.scaled {
				h.scale = rule.Scale
			}
			w.labels = mergeLabels(w.labels, m.Labels, rule.Honor)
			merged := over(t.opts.Shape, rule.Shape)
			shape = &merged
		}
	}
	if name == "" {
		h.outcome = nameless
		return found
	}
	if h.line.Kind == statsd.Counter && first*h.scale < 0 {
		return negative
	}
	w.key = statsd.Escape(name)
	w.set = h.line.Kind == statsd.Set
	if kind == statsmap.Observer {
		w.shape, w.kind = shape, model.Summary
		if shape.Observe == statsmap.Histogram {
			w.kind = model.Histogram
		}
	}
	w.total = w.kind == model.Counter && len(w.key) > len("_total") && strings.HasSuffix(w.key, "_total")
	var why refusal
	h.series, why = t.find(&w, now)
	r.labels = w.labels
	return why
}

// mergeLabels adds what a rule says. honor leaves labels that are there.
func mergeLabels(labels, more []model.Label, honor bool) []model.Label {
	have := len(labels)
next:
	for _, l := range more {
		for i := range labels[:have] {
			if labels[i].Name == l.Name {
				if !honor {
					labels[i].Value = l.Value
				}
				continue next
			}
		}
		labels = append(labels, l)
	}
	return labels
}
