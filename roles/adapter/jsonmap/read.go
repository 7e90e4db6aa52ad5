package jsonmap

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/jq"
)

// forms are the words of as.
func forms() []string { return []string{"number", "bool", "date", "duration", "size", "percent"} }

// reader turns a value into a number.
type reader struct {
	as     string // one of forms; "" takes numbers, true and false, and text that is one of these
	layout string // of dates, as in time.Layout
	enum   map[string]float64
	states []string // of a stateset
}

type number struct {
	value float64
	text  string // as the document has it, if it may stay so
}

// parseEnum reads a mapping of words to numbers, or the list of a stateset's states.
func (r *reader) parseEnum(v draft.Value) error {
	if v.Shape == draft.List {
		return v.Words(&r.states)
	}
	r.enum = map[string]float64{}
	return v.All(func(key string, v draft.Value) error {
		var f float64
		if err := v.Float(&f, -math.MaxFloat64, math.MaxFloat64); err != nil {
			return err
		}
		r.enum[key] = f
		return nil
	})
}

func (r *reader) what() string {
	if r.as == "" || r.as == "number" {
		return "number"
	}
	return r.as
}

func (r *reader) number(v jq.Value) (number, bool) {
	if r.enum != nil {
		if f, ok := r.enum[v.Text()]; ok {
			return number{value: f}, true
		}
	}
	switch v.Kind() {
	case jq.True:
		return number{1, "1"}, true
	case jq.False:
		return number{0, "0"}, true
	case jq.Number:
		f, text, _ := v.Number()
		if r.as == "date" {
			t, ok := moment(v, r.layout)
			return number{value: seconds(t)}, ok
		}
		if !jq.IsNumber(text) {
			text = "" // NaN, Infinity
		}
		return number{f, text}, true
	case jq.String:
		text, _ := v.Str()
		return r.text(strings.TrimSpace(text))
	}
	return number{}, false
}

// text reads a number from a text.
func (r *reader) text(s string) (number, bool) {
	switch r.as {
	case "bool":
		return truth(s)
	case "date":
		t, ok := date(s, r.layout)
		return number{value: seconds(t)}, ok
	case "duration":
		f, ok := span(s)
		return number{value: f}, ok
	case "size":
		n, err := draft.ParseSize(strings.ReplaceAll(s, " ", ""))
		return number{value: float64(n)}, err == nil
	case "percent":
		f, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(s, "%")), 64)
		return number{value: f / 100}, err == nil
	}
	if jq.IsNumber(s) {
		f, _ := strconv.ParseFloat(s, 64)
		return number{f, s}, true
	}
	if r.as == "" && (s == "true" || s == "false") {
		return truth(s)
	}
	if strings.ContainsAny(s, "_xXpP") { // 0x1p-2 and 1_000 are numbers of Go only
		return number{}, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return number{value: f}, err == nil
}

func truth(s string) (number, bool) {
	switch strings.ToLower(s) {
	case "true", "yes", "on", "up", "ok", "enabled", "1", "t", "y":
		return number{1, "1"}, true
	case "false", "no", "off", "down", "disabled", "0", "f", "n":
		return number{0, "0"}, true
	}
	return number{}, false
}

// span reads 10ms, 1h30m, 7d, 01:02:03, 2:03 or a number of seconds.
func span(s string) (float64, bool) {
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return f, true
	}
	if parts := strings.Split(s, ":"); len(parts) == 2 || len(parts) == 3 {
		total := 0.0
		for i, p := range parts {
			f, err := strconv.ParseFloat(p, 64)
			if err != nil || f < 0 || i > 0 && f >= 60 {
				return 0, false
			}
			total = total*60 + f
		}
		return total, true
	}
	total := time.Duration(0)
	if days, rest, ok := strings.Cut(s, "d"); ok && days != "" && rest != "" {
		d, err := draft.ParseDuration(days + "d")
		if err != nil {
			return 0, false
		}
		total, s = d, strings.TrimSpace(rest)
	}
	d, err := draft.ParseDuration(strings.ReplaceAll(s, " ", ""))
	return (total + d).Seconds(), err == nil
}

// layouts are those that are tried for dates, RFC 3339 and what ISO 8601 allows beside it first. Without a zone it is UTC.
func layouts() []string {
	return []string{
		time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999Z07", "2006-01-02T15:04:05.999999999", "2006-01-02T15:04Z07:00", "2006-01-02T15:04",
		"2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999 Z0700", "2006-01-02 15:04:05.999999999", "2006-01-02 15:04:05.999999999 Z0700 MST", "2006-01-02", "20060102T150405Z0700", "20060102T150405",
		time.RFC1123, time.RFC1123Z, time.RFC850, time.ANSIC, time.UnixDate, "02/Jan/2006:15:04:05 -0700",
	}
}

// date reads a date, or the seconds since 1970 as text.
func date(s, layout string) (time.Time, bool) {
	if layout != "" {
		t, err := time.Parse(layout, s)
		return t, err == nil
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return epoch(f)
	}
	for _, l := range layouts() {
		if t, err := time.Parse(l, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// moment reads a date of a value: text, or a number since 1970.
func moment(v jq.Value, layout string) (time.Time, bool) {
	if f, _, ok := v.Number(); ok {
		return epoch(f)
	}
	s, ok := v.Str()
	if !ok {
		return time.Time{}, false
	}
	return date(strings.TrimSpace(s), layout)
}

// epoch takes a number for what its size says: seconds up to 1e11 (the year 5138), milliseconds to 1e14, microseconds to 1e17, else nanoseconds.
func epoch(f float64) (time.Time, bool) {
	size := math.Abs(f)
	switch {
	case math.IsNaN(f) || size > 9e18:
		return time.Time{}, false
	case size >= 1e17:
		return time.Unix(0, int64(f)), true
	case size >= 1e14:
		return time.UnixMicro(int64(f)), true
	case size >= 1e11:
		return time.UnixMilli(int64(f)), true
	}
	whole, part := math.Modf(f)
	return time.Unix(int64(whole), int64(part*1e9)), true
}

func seconds(t time.Time) float64 {
	return float64(t.Unix()) + float64(t.Nanosecond())/1e9
}

func millis(t time.Time) int64 { return t.UnixMilli() }
