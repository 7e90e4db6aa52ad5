package expo

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// name is what a name is written as, without quotes.
func (w *Writer) name(s string) string {
	if IsName(s) {
		return s
	}
	if w.Quote {
		return clean(s)
	}
	return underscored(s, nameFirst, nameRest)
}

// underscored replaces what a plain name must not have, each character by one underscore.
func underscored(s string, first, rest byte) string {
	out := make([]byte, 0, len(s)+1)
	for i, c := range s {
		switch {
		case c < 0x80 && (is(byte(c), rest) && i > 0 || is(byte(c), first)):
			out = append(out, byte(c))
		case i == 0 && c < 0x80 && is(byte(c), rest):
			out = append(out, '_', byte(c))
		default:
			out = append(out, '_')
		}
	}
	if len(out) == 0 {
		return "_"
	}
	return string(out)
}

func (w *Writer) metaName(name string) {
	if IsName(name) {
		w.dst = append(w.dst, name...)
		return
	}
	w.dst = append(w.dst, '"')
	w.dst = appendEscaped(w.dst, name, true)
	w.dst = append(w.dst, '"')
}

// clean is s without what no text format can carry.
func clean(s string) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	return s
}

// appendEscaped appends s with backslashes and newlines escaped, and quotes, too.
func appendEscaped(dst []byte, s string, quotes bool) []byte {
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '\\' && c != '\n' && (c != '"' || !quotes) {
			continue
		}
		dst = append(dst, s[from:i]...)
		if c == '\n' {
			c = 'n'
		}
		dst = append(dst, '\\', c)
		from = i + 1
	}
	return append(dst, s[from:]...)
}

// sample writes the name, the labels and the value of a sample. le is the value that replaces that of the label le, where it is not empty.
// It reports whether the sample can be written; if not, nothing is.
func (w *Writer) sample(name, suffix string, s *model.Sample, le string, sure bool) bool {
	start := len(w.dst)
	plainName := IsName(name)
	if plainName {
		w.dst = append(w.dst, name...)
		w.dst = append(w.dst, suffix...)
	} else {
		w.dst = append(w.dst, `{"`...)
		w.dst = appendEscaped(w.dst, name, true)
		w.dst = append(w.dst, suffix...)
		w.dst = append(w.dst, '"')
	}
	if ok := w.labels(s.Labels, le, plainName, sure); !ok {
		w.dst = w.dst[:start]
		return false
	}
	w.dst = append(w.dst, ' ')
	w.value(s.Value, s.Text, sure)
	return true
}

// labels writes labels; open means that there is no brace yet.
func (w *Writer) labels(list []model.Label, le string, open, sure bool) bool {
	between := byte('{')
	if !open {
		between = ','
	}
	escaped := false
	for i := range list {
		l := &list[i]
		if l.Value == "" {
			continue
		}
		if l.Name == "" || l.Name == "__name__" {
			return false
		}
		w.dst = append(w.dst, between)
		between = ','
		value := l.Value
		if le != "" && l.Name == "le" {
			value = le
		}
		switch {
		case IsLabel(l.Name):
			w.dst = append(w.dst, l.Name...)
		case w.Quote:
			w.dst = append(w.dst, '"')
			w.dst = appendEscaped(w.dst, clean(l.Name), true)
			w.dst = append(w.dst, '"')
		default:
			escaped = true
			w.dst = append(w.dst, underscored(l.Name, labelFirst, labelRest)...)
		}
		w.dst = append(w.dst, '=', '"')
		if !sure {
			value = clean(value)
		}
		w.dst = appendEscaped(w.dst, value, true)
		w.dst = append(w.dst, '"')
	}
	if between == ',' {
		w.dst = append(w.dst, '}')
	}
	return !escaped || distinct(list)
}

// distinct reports whether labels have different names when they are escaped.
func distinct(list []model.Label) bool {
	seen := map[string]bool{}
	for i := range list {
		name := list[i].Name
		if list[i].Value == "" {
			continue
		}
		if !IsLabel(name) {
			name = underscored(name, labelFirst, labelRest)
		}
		if seen[name] {
			return false
		}
		seen[name] = true
	}
	return true
}

// value writes a number, as the source wrote it where that can be.
func (w *Writer) value(v float64, text string, sure bool) {
	start := len(w.dst)
	if text != "" {
		w.dst = append(w.dst, text...)
		if sure {
			return
		}
		w.dst = append(w.dst, '\n')
		ok := number(view(w.dst[start:]), 0) == len(text)
		w.dst = w.dst[:len(w.dst)-1]
		if ok {
			return
		}
		w.dst = w.dst[:start]
	}
	w.dst = AppendValue(w.dst, v)
}

// AppendValue appends a number as Prometheus writes it: shortest form that is the same number, NaN, +Inf, -Inf.
func AppendValue(dst []byte, v float64) []byte {
	switch {
	case math.IsInf(v, 1):
		return append(dst, "+Inf"...)
	case math.IsInf(v, -1):
		return append(dst, "-Inf"...)
	case v != v:
		return append(dst, "NaN"...)
	case v == math.Trunc(v) && math.Abs(v) < 1e15:
		if v == 0 && math.Signbit(v) {
			return append(dst, "-0"...)
		}
		return strconv.AppendInt(dst, int64(v), 10)
	}
	return strconv.AppendFloat(dst, v, 'g', -1, 64)
}

// textEnd ends a line of text 0.0.4. Negative timestamps are not written: the format has none.
func (w *Writer) textEnd(s *model.Sample) {
	if s.Timed && s.Time >= 0 {
		w.dst = append(w.dst, ' ')
		w.dst = strconv.AppendInt(w.dst, s.Time, 10)
	}
	w.dst = append(w.dst, '\n')
}

// openEnd ends a line of OpenMetrics.
func (w *Writer) openEnd(s *model.Sample, exemplar, sure bool) {
	if s.Timed {
		w.dst = append(w.dst, ' ')
		w.dst = appendSeconds(w.dst, s.Time)
	}
	if x := s.Exemplar; exemplar && x != nil && checkExemplar(x.Labels) == "" {
		w.exemplar(x, sure)
	}
	w.dst = append(w.dst, '\n')
}

func appendSeconds(dst []byte, ms int64) []byte {
	if ms < 0 {
		dst = append(dst, '-')
	}
	abs := uint64(ms)
	if ms < 0 {
		abs = -abs
	}
	dst = strconv.AppendUint(dst, abs/1000, 10)
	if part := abs % 1000; part > 0 {
		dst = append(dst, '.', byte('0'+part/100), byte('0'+part/10%10), byte('0'+part%10))
		for dst[len(dst)-1] == '0' {
			dst = dst[:len(dst)-1]
		}
	}
	return dst
}

// exemplar writes an exemplar; labels that cannot be written are left out.
func (w *Writer) exemplar(x *model.Exemplar, sure bool) {
	start := len(w.dst)
	w.dst = append(w.dst, " # "...)
	at := len(w.dst)
	if !w.labels(x.Labels, "", true, sure) {
		w.dst = w.dst[:start]
		return
	}
	if len(w.dst) == at {
		w.dst = append(w.dst, "{}"...)
	}
	w.dst = append(w.dst, ' ')
	w.value(x.Value, x.Text, sure)
	if x.Timed && !math.IsInf(x.Time, 0) && x.Time == x.Time {
		w.dst = append(w.dst, ' ')
		w.dst = strconv.AppendFloat(w.dst, x.Time, 'f', -1, 64)
	}
}
