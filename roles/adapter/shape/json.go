package shape

import (
	"math"
	"mime"
	"strconv"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/adapter/jq"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

func isJSON(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && (t == "application/json" || strings.HasSuffix(t, "+json"))
}

// appendNumber writes a number, for queries (bare) so that NaN and infinities stay numbers.
func appendNumber(dst []byte, s *model.Sample, bare bool) []byte {
	if bare {
		switch {
		case math.IsNaN(s.Value):
			return append(dst, "NaN"...)
		case math.IsInf(s.Value, 1):
			return append(dst, "Infinity"...)
		case math.IsInf(s.Value, -1):
			return append(dst, "-Infinity"...)
		}
	}
	return jq.AppendNumber(dst, s.Value, s.Text)
}

// appendText writes a number as text in quotes, which is how prom2json has it.
func appendText(dst []byte, s *model.Sample) []byte {
	if s.Text != "" {
		return jq.AppendString(dst, s.Text)
	}
	dst = append(dst, '"')
	switch {
	case math.IsInf(s.Value, 1):
		dst = append(dst, "+Inf"...)
	case math.IsInf(s.Value, -1):
		dst = append(dst, "-Inf"...)
	default:
		dst = strconv.AppendFloat(dst, s.Value, 'g', -1, 64)
	}
	return append(dst, '"')
}

func comma(dst []byte) []byte {
	if last := dst[len(dst)-1]; last == '{' || last == '[' {
		return dst
	}
	return append(dst, ',')
}

func appendKey(dst []byte, key string) []byte {
	return append(jq.AppendString(comma(dst), key), ':')
}

// appendLabels writes labels but the one called without.
func appendLabels(dst []byte, labels []model.Label, without string) []byte {
	dst = append(dst, '{')
	for i := range labels {
		if labels[i].Name != without {
			dst = jq.AppendString(appendKey(dst, labels[i].Name), labels[i].Value)
		}
	}
	return append(dst, '}')
}

func appendArray(dst []byte, p *model.Page) []byte {
	dst = append(dst, '[')
	for i := range p.Families {
		f := &p.Families[i]
		for j := range f.Samples {
			s := &f.Samples[j]
			dst = append(comma(dst), '\n', '{')
			dst = jq.AppendString(append(dst, `"name":`...), f.Name+s.Suffix)
			if f.Type != model.Unknown {
				dst = jq.AppendString(append(dst, `,"type":`...), f.Type.String())
			}
			dst = appendLabels(append(dst, `,"labels":`...), s.Labels, "")
			dst = appendNumber(append(dst, `,"value":`...), s, false)
			if s.Timed {
				dst = appendMillis(append(dst, `,"time":`...), s.Time)
			}
			dst = append(dst, '}')
		}
	}
	return append(dst, ']')
}

// appendMillis writes milliseconds as seconds.
func appendMillis(dst []byte, ms int64) []byte {
	if ms < 0 {
		dst, ms = append(dst, '-'), -ms
	}
	dst = strconv.AppendUint(dst, uint64(ms)/1000, 10)
	if part := uint64(ms) % 1000; part != 0 {
		dst = append(dst, '.', byte('0'+part/100), byte('0'+part/10%10), byte('0'+part%10))
	}
	return dst
}

func appendFlat(dst []byte, p *model.Page) []byte {
	dst = append(dst, '{')
	var name []byte
	for i := range p.Families {
		f := &p.Families[i]
		for j := range f.Samples {
			s := &f.Samples[j]
			name = appendSeries(name[:0], f, s)
			dst = append(comma(dst), '\n')
			dst = append(jq.AppendString(dst, string(name)), ':')
			dst = appendNumber(dst, s, false)
		}
	}
	return append(dst, '}')
}

// appendSeries writes name{label="value"}.
func appendSeries(dst []byte, f *model.Family, s *model.Sample) []byte {
	dst = append(append(dst, f.Name...), s.Suffix...)
	if len(s.Labels) == 0 {
		return dst
	}
	for i := range s.Labels {
		c := byte(',')
		if i == 0 {
			c = '{'
		}
		dst = append(append(dst, c), s.Labels[i].Name...)
		dst = append(dst, '=', '"')
		for _, b := range []byte(s.Labels[i].Value) {
			switch b {
			case '\\', '"':
				dst = append(dst, '\\', b)
			case '\n':
				dst = append(dst, '\\', 'n')
			default:
				dst = append(dst, b)
			}
		}
		dst = append(dst, '"')
	}
	return append(dst, '}')
}

// appendLines writes a series on each line.
func appendLines(dst []byte, p *model.Page, template string) []byte {
	between, end := ": ", "\n"
	switch template {
	case "text":
		between = " "
	case "redis-info":
		between, end = ":", "\r\n"
	}
	for i := range p.Families {
		f := &p.Families[i]
		for j := range f.Samples {
			s := &f.Samples[j]
			if template == "redis-info" {
				dst = append(append(dst, f.Name...), s.Suffix...)
				dst = appendPairs(append(dst, ':'), s.Labels)
			} else {
				dst = append(appendSeries(dst, f, s), between...)
			}
			dst = append(appendPlain(dst, s), end...)
		}
	}
	return dst
}

// appendPairs writes label=value,value= in front of the number of a series with labels.
func appendPairs(dst []byte, labels []model.Label) []byte {
	if len(labels) == 0 {
		return dst
	}
	for i := range labels {
		dst = append(append(dst, labels[i].Name...), '=')
		for _, c := range []byte(labels[i].Value) {
			if c == ',' || c == '=' || c < ' ' {
				c = '_'
			}
			dst = append(dst, c)
		}
		dst = append(dst, ',')
	}
	return append(dst, "value="...)
}

func appendPlain(dst []byte, s *model.Sample) []byte {
	if s.Text != "" {
		return append(dst, s.Text...)
	}
	quoted := appendText(nil, s)
	return append(dst, quoted[1:len(quoted)-1]...)
}
