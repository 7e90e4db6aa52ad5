package otlp

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// name is what Prometheus calls a metric: words of letters and digits, the unit, and total or ratio where they belong. A counter's total is left to the suffix of its samples.
func (o *Options) name(name, unit string, kind model.Type) (full, word string) {
	if o.NoSuffixes {
		return sanitize(name), ""
	}
	words := strings.FieldsFunc(name, func(r rune) bool { return !wordRune(r) })
	one, per := units(unit)
	if one != "" && !slices.Contains(words, one) {
		words = append(words, one)
	}
	if per != "" && !slices.Contains(words, per) {
		words = append(words, "per", per)
	}
	if kind == model.Counter {
		words = slices.DeleteFunc(words, func(w string) bool { return w == "total" })
	}
	if unit == "1" && kind == model.Gauge {
		words = append(slices.DeleteFunc(words, func(w string) bool { return w == "ratio" }), "ratio")
	}
	full = strings.Join(words, "_")
	if full == "" || full[0] >= '0' && full[0] <= '9' {
		full = "_" + full
	}
	if one != "" && strings.HasSuffix(full, "_"+one) {
		word = one
	}
	return full, word
}

func wordRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == ':'
}

// sanitize makes underscores of what a name cannot have.
func sanitize(name string) string {
	good := name != "" && (name[0] < '0' || name[0] > '9')
	for _, r := range name {
		good = good && (wordRune(r) || r == '_')
	}
	if good {
		return name
	}
	var b strings.Builder
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		b.WriteByte('_')
	}
	for _, r := range name {
		if !wordRune(r) && r != '_' {
			r = '_'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// labelName makes the name of a label of an attribute's. A digit in front gets key_ before it.
func labelName(key string) string {
	name := strings.ReplaceAll(sanitize(key), ":", "_")
	if key != "" && key[0] >= '0' && key[0] <= '9' {
		return "key" + name
	}
	return name
}

// units are the words for a unit such as By/s.
func units(unit string) (one, per string) {
	front, back, _ := strings.Cut(unit, "/")
	return unitWord(front, oneWords), unitWord(back, perWords)
}

func unitWord(unit string, words func(string) string) string {
	if unit = strings.TrimSpace(unit); unit == "" || strings.ContainsAny(unit, "{}") {
		return ""
	}
	if word := words(unit); word != "" {
		return strings.TrimPrefix(word, "-")
	}
	return strings.Join(strings.FieldsFunc(unit, func(r rune) bool { return !wordRune(r) || r == ':' }), "_")
}

// oneWords are the words of Prometheus for units; "-" is none at all.
func oneWords(unit string) string { return pair(unit, 0) }

// ucum is the unit whose word is given; the word itself if there is none.
func ucum(word string) string {
	if unit := pair(word, 1); unit != "" {
		return unit
	}
	return word
}

// pair finds text among the units of UCUM (0) or their words (1), and returns the other one.
func pair(text string, side int) string {
	pairs := [...]string{
		"d", "days", "h", "hours", "min", "minutes", "s", "seconds", "ms", "milliseconds", "us", "microseconds", "ns", "nanoseconds",
		"By", "bytes", "KiBy", "kibibytes", "MiBy", "mebibytes", "GiBy", "gibibytes", "TiBy", "tibibytes", "KBy", "kilobytes", "MBy", "megabytes", "GBy", "gigabytes", "TBy", "terabytes",
		"m", "meters", "V", "volts", "A", "amperes", "J", "joules", "W", "watts", "g", "grams", "Cel", "celsius", "Hz", "hertz", "1", "-", "%", "percent",
	}
	for i := side; i < len(pairs); i += 2 {
		if pairs[i] == text {
			return pairs[i^1]
		}
	}
	return ""
}

func perWords(unit string) string {
	switch unit {
	case "s":
		return "second"
	case "m":
		return "minute"
	case "h":
		return "hour"
	case "d":
		return "day"
	case "w":
		return "week"
	case "mo":
		return "month"
	case "y":
		return "year"
	}
	return ""
}

// valid is text, or what of it is UTF-8: protocol buffers do not force strings to be it.
func valid(text []byte) string {
	if utf8.Valid(text) {
		return string(text)
	}
	return strings.ToValidUTF8(string(text), "\uFFFD")
}
