package transform

import (
	"strconv"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// sample lets a share of records through. Which ones depends on the value of a field, or on where the record stands.
type sample struct {
	when  node // others pass; nil: all are sampled
	below uint64
	key   string
}

func (s *step) parseSample(v draft.Value) error {
	c := &sample{}
	rate := func(v draft.Value) error {
		text, percent := strings.CutSuffix(v.Text, "%")
		part, err := strconv.ParseFloat(text, 64)
		if percent {
			part /= 100
		}
		if v.Shape != draft.Word || err != nil || !(part > 0 && part <= 1) {
			return v.Errorf("%q is no share: want 10%% or 0.1", v.Text)
		}
		c.below = uint64(part * (1 << 63))
		return nil
	}
	s.sample = c
	if v.Shape == draft.Word {
		return rate(v)
	}
	err := v.Each([]string{"rate", "when", "key"}, func(key string, v draft.Value) error {
		switch key {
		case "rate":
			return rate(v)
		case "key":
			return v.Word(&c.key)
		}
		var err error
		c.when, err = parseCondition(v)
		return err
	})
	if err == nil && c.below == 0 {
		err = v.Errorf("sample has no rate: want 10%% or 0.1")
	}
	return err
}

func (c *sample) passes(r *record.Record) bool {
	if c.when != nil && !c.when.holds(r) {
		return true
	}
	if c.key != "" {
		if b, ok := get(r, c.key); ok {
			return mix(b)>>1 < c.below
		}
	}
	return scramble(r.File.Gen^uint64(r.Offset)*0x9e3779b97f4a7c15)>>1 < c.below
}

func scramble(x uint64) uint64 {
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	return x ^ x>>32
}

// mix is FNV-1a, scrambled: the same everywhere and for ever.
func mix(b []byte) uint64 {
	h := uint64(0xcbf29ce484222325)
	for _, c := range b {
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	return scramble(h)
}

// limitConfig is a limit of records in a time.
type limitConfig struct {
	perSecond, burst float64
	by               []string // file, level, input or a key
	when             node     // others pass; nil: all are counted
}

func (s *step) parseLimit(v draft.Value) error {
	c := &limitConfig{}
	s.limit = c
	if v.Shape == draft.Word {
		v = draft.Value{Place: v.Place, Shape: draft.Map, Pairs: []draft.Pair{{Key: "rate", Place: v.Place, Value: v}}}
	}
	err := v.Each([]string{"rate", "burst", "by", "when"}, func(key string, v draft.Value) error {
		switch key {
		case "rate":
			return c.rate(v)
		case "burst":
			return v.Float(&c.burst, 1, 1e9)
		case "by":
			return v.Words(&c.by)
		}
		var err error
		c.when, err = parseCondition(v)
		return err
	})
	if err == nil && c.perSecond == 0 {
		err = v.Errorf("limit has no rate: want 100/s or 6000/m")
	}
	if c.burst == 0 {
		c.burst = max(1, c.perSecond)
	}
	if c.by == nil {
		c.by = []string{"file"}
	}
	return err
}

func (c *limitConfig) rate(v draft.Value) error {
	text, unit, has := strings.Cut(v.Text, "/")
	seconds := map[string]float64{"s": 1, "m": 60, "h": 3600, "": 1}[unit]
	n, err := strconv.ParseFloat(text, 64)
	if v.Shape != draft.Word || err != nil || seconds == 0 || has && unit == "" || !(n > 0 && n <= 1e9) {
		return v.Errorf("%q is no rate: want 100/s, 6000/m or 1000/h", v.Text)
	}
	c.perSecond = n / seconds
	return nil
}

// limit counts records in buckets that fill with time. It is used by one goroutine.
type limit struct {
	*limitConfig
	buckets map[string]*bucket
	key     []byte
}

type bucket struct {
	tokens float64
	at     int64
}

// maxBuckets bounds the memory; beyond it those that are full are forgotten, or else all.
const maxBuckets = 4096

func (l *limit) passes(r *record.Record) bool {
	if l.when != nil && !l.when.holds(r) {
		return true
	}
	l.key = l.key[:0]
	for _, by := range l.by {
		b, _ := get(r, by)
		l.key = append(append(l.key, b[:min(len(b), 256)]...), 0)
	}
	b := l.buckets[string(l.key)]
	if b == nil {
		l.forget(r.Read)
		b = &bucket{l.burst, r.Read}
		l.buckets[string(l.key)] = b
	}
	if passed := r.Read - b.at; passed > 0 {
		b.tokens = min(l.burst, b.tokens+float64(passed)/float64(time.Second)*l.perSecond)
		b.at = r.Read
	}
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

func (l *limit) forget(now int64) {
	if len(l.buckets) < maxBuckets {
		return
	}
	for key, b := range l.buckets {
		if b.tokens+float64(now-b.at)/float64(time.Second)*l.perSecond >= l.burst {
			delete(l.buckets, key)
		}
	}
	if len(l.buckets) >= maxBuckets {
		clear(l.buckets)
	}
}
