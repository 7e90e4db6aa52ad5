// Package influx reads and writes InfluxDB's line protocol.
//
// A field is a metric, called measurement_field, or just measurement if the field is "value"; tags are labels; what a name must not have becomes an underscore. That
// is what influxdb_exporter does. Integers and booleans become numbers; fields that are strings have none and are counted as model.Unstorable.
//
// Written is a line for each sample: its full name as the measurement, its labels as tags, the number as field "value". That loses type, help, unit and exemplars, and
// fractions of numbers that only the text of a source had. NaN and infinities, values of labels with newlines, and names or values that end with a backslash are not
// possible in the protocol: model.Unstorable.
package influx

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/expo"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/points"
)

// Options say how lines are read and written. The zero value is nanoseconds, names from measurement and field.
type Options struct {
	Precision   string // of timestamps: "" or ns, us, ms, s
	Measurement string // where it is set, a field of it is a metric of the field's name, and all metrics are written as fields of it
	Untimed     bool   // timestamps are left out when reading and when writing
	Skip        bool   // a line that is wrong is counted as unreadable, instead of being an error
	Now         int64  // when writing: milliseconds since 1970 for samples without a timestamp; 0 leaves it to the server
}

// Keys are the keys that Parse reads.
func Keys() []string { return []string{"precision", "measurement", "timestamps"} }

// Parse reads a mapping with some of Keys.
func Parse(v draft.Value) (Options, error) {
	var o Options
	return o, v.Each(Keys(), func(key string, v draft.Value) error {
		switch key {
		case "precision":
			return v.OneOf(&o.Precision, "ns", "us", "ms", "s", "n", "u", "m", "h")
		case "measurement":
			return v.Word(&o.Measurement)
		}
		keep := true
		err := v.Bool(&keep)
		o.Untimed = !keep
		return err
	})
}

// unit is how many nanoseconds a timestamp counts.
func (o *Options) unit() int64 {
	switch o.Precision {
	case "u", "us":
		return 1e3
	case "ms":
		return 1e6
	case "s":
		return 1e9
	case "m":
		return 60e9
	case "h":
		return 3600e9
	}
	return 1
}

// Decode reads lines; empty ones and comments are skipped. Without Options.Skip an error refuses all of the body; it has the number of the line.
func Decode(body []byte, o Options, lim model.Limits) (model.Page, model.Drops, error) {
	b := points.New(lim)
	d := decoder{o: o, b: b, unit: o.unit()}
	if !utf8.Valid(body) && !o.Skip {
		at := 0
		for at < len(body) {
			c, n := utf8.DecodeRune(body[at:])
			if c == utf8.RuneError && n <= 1 {
				break
			}
			at += n
		}
		return model.Page{}, model.Drops{}, fmt.Errorf("line %d: bytes that are not UTF-8", 1+bytes.Count(body[:at], []byte("\n")))
	}
	text := expo.View(body)
	for line := 1; text != ""; {
		size, wrong := d.line(text)
		if wrong != "" {
			if !o.Skip {
				return model.Page{}, model.Drops{}, fmt.Errorf("line %d: %s: %q", line, wrong, short(text))
			}
			b.Drop(model.Unreadable, 1)
			if size = strings.IndexByte(text, '\n') + 1; size == 0 {
				size = len(text)
			}
		}
		line += strings.Count(text[:size], "\n")
		text = text[size:]
	}
	page, drops := b.Page()
	return page, drops, nil
}

func short(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	if len(line) > 120 {
		line = line[:120] + "..."
	}
	return line
}

type decoder struct {
	o      Options
	b      *points.Builder
	unit   int64
	labels []model.Label
	fields []field
}

type field struct {
	key   string
	value float64
	text  string
	none  bool // a string
}

// line reads the first line of text; it returns its size with the newline, or what is wrong.
func (d *decoder) line(text string) (size int, wrong string) {
	i := 0
	for i < len(text) && (text[i] == ' ' || text[i] == '\t' || text[i] == '\r') {
		i++
	}
	if i == len(text) {
		return i, ""
	}
	if text[i] == '\n' {
		return i + 1, ""
	}
	if text[i] == '#' {
		if end := strings.IndexByte(text, '\n'); end >= 0 {
			return end + 1, ""
		}
		return len(text), ""
	}
	measurement, i := part(text, i, ", ")
	if measurement == "" {
		return 0, "the measurement has no name"
	}
	d.labels, d.fields = d.labels[:0], d.fields[:0]
	for i < len(text) && text[i] == ',' {
		var key, value string
		key, i = part(text, i+1, "=, ")
		if key == "" || i == len(text) || text[i] != '=' {
			return 0, "want key=value as tag"
		}
		value, i = part(text, i+1, ",= ")
		if value == "" || i < len(text) && text[i] == '=' {
			return 0, "want key=value as tag"
		}
		d.labels = append(d.labels, model.Label{Name: points.Label(key), Value: value})
	}
	if i == len(text) || text[i] != ' ' {
		return 0, "there are no fields"
	}
	if i, wrong = d.readFields(text, i+1); wrong != "" {
		return 0, wrong
	}
	time, timed, i, wrong := d.time(text, i)
	if wrong != "" {
		return 0, wrong
	}
	if !utf8.ValidString(text[:i]) {
		return 0, "bytes that are not UTF-8"
	}
	d.add(measurement, time, timed)
	return i, ""
}

// part reads up to one of the bytes of ends, or the end of the line; a backslash in front of one of those, or of a comma, a space or =, takes it in.
func part(s string, i int, ends string) (string, int) {
	start := i
	escaped := false
	for i < len(s) && s[i] != '\n' && strings.IndexByte(ends, s[i]) < 0 {
		if s[i] == '\\' && i+1 < len(s) && (s[i+1] == ',' || s[i+1] == ' ' || s[i+1] == '=') {
			escaped = true
			i++
		}
		i++
	}
	if !escaped {
		return s[start:i], i
	}
	out := make([]byte, 0, i-start)
	for j := start; j < i; j++ {
		if s[j] == '\\' && j+1 < i && (s[j+1] == ',' || s[j+1] == ' ' || s[j+1] == '=') {
			j++
		}
		out = append(out, s[j])
	}
	return string(out), i
}

func (d *decoder) readFields(text string, i int) (int, string) {
	for i < len(text) && text[i] == ' ' {
		i++
	}
	for {
		var f field
		f.key, i = part(text, i, "=, ")
		if f.key == "" || i == len(text) || text[i] != '=' {
			return i, "want key=value as field"
		}
		i++
		if i < len(text) && text[i] == '"' {
			end := quoted(text, i+1)
			if end < 0 {
				return i, "the value of a field is not closed by a quote"
			}
			f.none, i = true, end+1
		} else {
			end := i
			for end < len(text) && strings.IndexByte(", \n\r", text[end]) < 0 {
				end++
			}
			var ok bool
			if f.value, f.text, ok = value(text[i:end]); !ok {
				return i, "want a number, a number with i or u, true, false or a quoted text as field"
			}
			i = end
		}
		d.fields = append(d.fields, f)
		if i == len(text) || text[i] != ',' {
			return i, ""
		}
		i++
	}
}

// quoted is where the quote is closed.
func quoted(s string, i int) int {
	for ; i < len(s); i++ {
		switch s[i] {
		case '"':
			return i
		case '\\':
			i++
		}
	}
	return -1
}

// value reads the value of a field that is no string; text is the number in it, where it is one.
func value(s string) (v float64, text string, ok bool) {
	switch s {
	case "t", "T", "true", "True", "TRUE":
		return 1, "", true
	case "f", "F", "false", "False", "FALSE":
		return 0, "", true
	case "":
		return 0, "", false
	}
	var err error
	switch digits := s[:len(s)-1]; s[len(s)-1] {
	case 'i':
		_, err = strconv.ParseInt(digits, 10, 64)
		s = digits
	case 'u':
		_, err = strconv.ParseUint(digits, 10, 64)
		s = digits
	}
	if err != nil || strings.ContainsAny(s, "_xXpPnN") {
		return 0, "", false
	}
	v, err = strconv.ParseFloat(s, 64)
	return v, s, err == nil
}

// time reads the timestamp at i and the end of the line.
func (d *decoder) time(text string, i int) (ms int64, timed bool, next int, wrong string) {
	end := strings.IndexByte(text[i:], '\n') + i
	next = end + 1
	if end < i {
		end, next = len(text), len(text)
	}
	s := strings.Trim(text[i:end], " \t\r")
	if s == "" {
		return 0, false, next, ""
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || text[i] != ' ' {
		return 0, false, next, "want a whole number as timestamp"
	}
	switch {
	case d.unit <= 1e6:
		per := 1e6 / d.unit
		ms = n / per
		if n%per < 0 {
			ms--
		}
	case n > math.MaxInt64/(d.unit/1e6) || n < math.MinInt64/(d.unit/1e6):
		return 0, false, next, "the timestamp is too large for its precision"
	default:
		ms = n * (d.unit / 1e6)
	}
	return ms, !d.o.Untimed, next, ""
}

// add makes points of the fields.
func (d *decoder) add(measurement string, time int64, timed bool) {
	for i := range d.fields {
		f := &d.fields[i]
		if f.none {
			d.b.Drop(model.Unstorable, 1)
			continue
		}
		name := measurement + "_" + f.key
		if f.key == "value" {
			name = measurement
		}
		if d.o.Measurement != "" && measurement == d.o.Measurement {
			name = f.key
		}
		s := model.Sample{Labels: d.labels, Value: f.value, Text: f.text, Timed: timed}
		if timed {
			s.Time = time
		}
		d.b.Add(points.Name(name), s)
	}
}
