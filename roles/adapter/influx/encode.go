package influx

import (
	"math"
	"strconv"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/points"
)

// Encode appends a page. What the protocol cannot carry is counted as model.Unstorable.
func Encode(dst []byte, p *model.Page, o Options) ([]byte, model.Drops) {
	var drops model.Drops
	unread := points.Each(p, func(name string, _ *model.Family, s *model.Sample) {
		start := len(dst)
		var ok bool
		if dst, ok = o.line(dst, name, s); !ok {
			dst = dst[:start]
			drops[model.Unstorable]++
		}
	})
	drops[model.Unstorable] += uint64(unread)
	return dst, drops
}

// line appends a sample.
func (o *Options) line(dst []byte, name string, s *model.Sample) ([]byte, bool) {
	if math.IsNaN(s.Value) || math.IsInf(s.Value, 0) || !possible(name) || name[0] == '#' {
		return dst, false
	}
	measurement, key := name, "value"
	if o.Measurement != "" {
		measurement, key = o.Measurement, name
	}
	dst = escaped(dst, measurement, ", ")
	for i := range s.Labels {
		l := &s.Labels[i]
		if l.Value == "" {
			continue
		}
		if !possible(l.Name) || !possible(l.Value) {
			return dst, false
		}
		dst = append(dst, ',')
		dst = escaped(dst, l.Name, ",= ")
		dst = append(dst, '=')
		dst = escaped(dst, l.Value, ",= ")
	}
	dst = append(dst, ' ')
	dst = escaped(dst, key, ",= ")
	dst = append(dst, '=')
	dst = number(dst, s)
	time, timed := s.Time, s.Timed
	if !timed && o.Now != 0 {
		time, timed = o.Now, true
	}
	if timed && !o.Untimed {
		var ok bool
		if dst, ok = o.timestamp(append(dst, ' '), time); !ok {
			return dst, false
		}
	}
	return append(dst, '\n'), true
}

// timestamp appends milliseconds in the precision of o. What a coarse precision has no digits for is lost.
func (o *Options) timestamp(dst []byte, ms int64) ([]byte, bool) {
	unit := o.unit()
	if unit > 1e6 {
		per := unit / 1e6
		n := ms / per
		if ms%per < 0 {
			n--
		}
		return strconv.AppendInt(dst, n, 10), true
	}
	per := 1e6 / unit
	if ms > math.MaxInt64/per || ms < math.MinInt64/per {
		return dst, false
	}
	return strconv.AppendInt(dst, ms*per, 10), true
}

// possible reports whether a name or a value can be written.
func possible(s string) bool {
	return s != "" && s[len(s)-1] != '\\' && strings.IndexByte(s, '\n') < 0
}

func escaped(dst []byte, s, which string) []byte {
	for i := 0; i < len(s); i++ {
		if strings.IndexByte(which, s[i]) >= 0 {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return dst
}

// number appends a value, as the source wrote it if that is a float in the protocol.
func number(dst []byte, s *model.Sample) []byte {
	ok := s.Text != "" && len(s.Text) < 40
	for i := 0; ok && i < len(s.Text); i++ {
		c := s.Text[i]
		ok = c >= '0' && c <= '9' || c == '-' && i == 0 || i > 0 && (c == '.' || c == 'e' || c == 'E' || c == '-' || c == '+')
	}
	if v, err := strconv.ParseFloat(s.Text, 64); ok && err == nil && v == s.Value {
		return append(dst, s.Text...)
	}
	return strconv.AppendFloat(dst, s.Value, 'g', -1, 64)
}
