package statsd

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

func tag(name, value string) model.Label { return model.Label{Name: name, Value: value} }

// ParseFloat is strconv.ParseFloat, with a short way for numbers of up to 15 digits: those and their powers of ten are exact, so one division rounds right.
// Where ok is false value is what strconv makes of the text: 0, or an infinity for a number that is too large.
func ParseFloat(text string) (value float64, ok bool) {
	if v, ok := parseShort(text); ok {
		return v, true
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, false
	}
	return value, err == nil
}

func parseShort(text string) (float64, bool) {
	i, negative := 0, false
	if text != "" && (text[0] == '-' || text[0] == '+') {
		i, negative = 1, text[0] == '-'
	}
	if i == len(text) || len(text) > i+16 {
		return 0, false
	}
	var digits uint64
	dot := -1
	for ; i < len(text); i++ {
		c := text[i] - '0'
		if c > 9 {
			if text[i] != '.' || dot >= 0 {
				return 0, false
			}
			dot = i
			continue
		}
		digits = digits*10 + uint64(c)
	}
	if digits > 1<<53 {
		return 0, false
	}
	v := float64(digits)
	if dot >= 0 {
		places := len(text) - dot - 1
		if places == 0 && len(text) <= 2 { // "." and "-." are no numbers, and "5." is left to strconv
			return 0, false
		}
		v /= tens[places]
	}
	if negative {
		v = -v
	}
	return v, true
}

var tens = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16}

// Value is one sample of a piece.
type Value struct {
	Number   float64 // seconds for a Timer; a Counter is divided by its rate
	Times    uint64  // how often it was observed, by the sample rate; 1 for counters and gauges, 0 is possible
	Relative bool    // a gauge is changed by Number
}

// mostTimes bounds what one sample of a timer may stand for.
const mostTimes = 1 << 32

// Value reads a number of a piece whose head is h. Sets have no numbers.
func (h *Head) Value(text string) (Value, bool) {
	n, ok := ParseFloat(text)
	if !ok || math.IsNaN(n) {
		return Value{}, false
	}
	v := Value{Number: n, Times: 1}
	switch h.Kind {
	case Counter:
		v.Number /= h.Rate
	case Gauge:
		v.Relative = text[0] == '+' || text[0] == '-'
	case Timer:
		v.Number /= 1000
		v.Times = times(h.Rate)
	case Histogram, Distribution:
		v.Times = times(h.Rate)
	}
	if math.IsInf(v.Number, 0) && (h.Kind != Gauge || v.Relative) || math.IsNaN(v.Number) {
		return Value{}, false
	}
	return v, true
}

func times(rate float64) uint64 {
	if rate == 1 {
		return 1
	}
	if n := 1 / rate; n >= 1 {
		return uint64(math.Min(n, mostTimes))
	}
	return 0
}

// NextValue cuts the first of packed values off.
func NextValue(values string) (first, rest string, more bool) { return strings.Cut(values, ":") }
