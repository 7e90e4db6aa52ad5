package jq

import (
	"math"
	"sort"
	"strconv"
	"unicode/utf8"
)

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// AppendJSON writes the value as JSON text. Numbers of a document stay as they are; NaN and the infinities become the strings "NaN", "+Inf" and "-Inf"; members of a
// computed object are sorted by key.
func (v Value) AppendJSON(dst []byte) []byte {
	switch v.Kind() {
	case Null:
		return append(dst, "null"...)
	case False:
		return append(dst, "false"...)
	case True:
		return append(dst, "true"...)
	case String:
		s, _ := v.Str()
		return AppendString(dst, s)
	case Number:
		f, text, _ := v.Number()
		return AppendNumber(dst, f, text)
	case Array:
		dst = append(dst, '[')
		first := true
		v.Each(func(_, item Value) bool {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = item.AppendJSON(dst)
			return true
		})
		return append(dst, ']')
	}
	dst = append(dst, '{')
	first := true
	v.Each(func(key, item Value) bool {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(AppendString(dst, key.Text()), ':')
		dst = item.AppendJSON(dst)
		return true
	})
	return append(dst, '}')
}

// AppendNumber writes a number as JSON: text when that is a number of JSON, else f; NaN and infinities as strings.
func AppendNumber(dst []byte, f float64, text string) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case text != "" && IsNumber(text):
		return append(dst, text...)
	case math.IsInf(f, 1):
		return append(dst, `"+Inf"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Inf"`...)
	}
	if f == math.Trunc(f) && math.Abs(f) < 1e15 && (f != 0 || !math.Signbit(f)) {
		return strconv.AppendInt(dst, int64(f), 10)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, 64)
}

// IsNumber is whether text is a number as JSON writes it.
func IsNumber(text string) bool {
	i := 0
	if i < len(text) && text[i] == '-' {
		i++
	}
	whole := i
	i = digits(text, i)
	if i == whole || text[whole] == '0' && i > whole+1 {
		return false
	}
	if i < len(text) && text[i] == '.' {
		end := digits(text, i+1)
		if end == i+1 {
			return false
		}
		i = end
	}
	if i < len(text) && (text[i] == 'e' || text[i] == 'E') {
		i++
		if i < len(text) && (text[i] == '+' || text[i] == '-') {
			i++
		}
		end := digits(text, i)
		if end == i {
			return false
		}
		i = end
	}
	return i == len(text)
}

// AppendString writes a string as JSON. Bytes that are no UTF-8 become U+FFFD; < > & and the line separators are escaped, so that it may stand within HTML and scripts.
func AppendString(dst []byte, s string) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&' {
			i++
			continue
		}
		r, n := rune(c), 1
		if c >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(s[i:])
			if (r != utf8.RuneError || n > 1) && r != '\u2028' && r != '\u2029' {
				i += n
				continue
			}
		}
		dst = append(dst, s[start:i]...)
		switch r {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\t':
			dst = append(dst, `\t`...)
		case '\r':
			dst = append(dst, `\r`...)
		case utf8.RuneError:
			dst = append(dst, "\ufffd"...)
		default:
			dst = append(dst, '\\', 'u', digits[r>>12&15], digits[r>>8&15], digits[r>>4&15], digits[r&15])
		}
		i += n
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}
