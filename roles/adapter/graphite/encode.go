package graphite

import (
	"math"
	"strconv"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/order"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/points"
)

// Encode appends a page. What the protocol cannot carry is counted as model.Unstorable.
func Encode(dst []byte, p *model.Page, o Options) ([]byte, model.Drops) {
	var drops model.Drops
	var labels []model.Label
	unread := points.Each(p, func(name string, _ *model.Family, s *model.Sample) {
		if math.IsNaN(s.Value) || math.IsInf(s.Value, 0) || name == "" {
			drops[model.Unstorable]++
			return
		}
		dst = append(dst, o.Prefix...)
		labels = append(labels[:0], s.Labels...)
		if o.Path {
			dst = o.path(dst, name, labels)
		} else {
			dst = tags(dst, name, labels)
		}
		dst = append(dst, ' ')
		dst = number(dst, s)
		dst = append(dst, ' ')
		switch {
		case s.Timed:
			dst = seconds(dst, s.Time)
		case o.Now != 0:
			dst = seconds(dst, o.Now)
		default:
			dst = append(dst, "-1"...)
		}
		dst = append(dst, '\n')
	})
	drops[model.Unstorable] += uint64(unread)
	return dst, drops
}

// seconds appends whole seconds. -1 means now, so that a sample of that second is one later.
func seconds(dst []byte, ms int64) []byte {
	s := ms / 1000
	if ms%1000 < 0 {
		s--
	}
	if s == -1 {
		s = 0
	}
	return strconv.AppendInt(dst, s, 10)
}

func tags(dst []byte, name string, labels []model.Label) []byte {
	dst = fit(dst, name, "=")
	for i := range labels {
		if labels[i].Value == "" {
			continue
		}
		dst = append(dst, ';')
		dst = fit(dst, labels[i].Name, "=!^")
		dst = append(dst, '=')
		value := labels[i].Value
		if value[0] == '~' { // Graphite takes no value that begins so
			dst, value = append(dst, '_'), value[1:]
		}
		dst = fit(dst, value, "")
	}
	return dst
}

// path appends the path of a template, and the labels that are not in it by their names.
func (o *Options) path(dst []byte, name string, labels []model.Label) []byte {
	order.Sort(labels, func(a, b model.Label) int { return strings.Compare(a.Name, b.Name) })
	template := o.Template
	if template == "" {
		template = "{name}"
	}
	for template != "" {
		before, rest, ok := strings.Cut(template, "{")
		dst = append(dst, before...)
		if !ok {
			break
		}
		var key string
		key, template, _ = strings.Cut(rest, "}")
		value := "none"
		if key == "name" {
			value = name
		}
		for i := range labels {
			if labels[i].Name == key && key != "name" && labels[i].Value != "" {
				value = labels[i].Value
				labels[i].Value = "" // written
			}
		}
		dst = fit(dst, value, ".=")
	}
	for i := range labels {
		if labels[i].Value == "" {
			continue
		}
		dst = append(dst, '.')
		dst = fit(dst, labels[i].Name, ".=")
		dst = append(dst, '.')
		dst = fit(dst, labels[i].Value, ".=")
	}
	return dst
}

// fit appends s with underscores for what would end a word or a tag, and for what is in also.
func fit(dst []byte, s, also string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c <= ' ' || c == 0x7f || c == ';' || strings.IndexByte(also, c) >= 0 {
			c = '_'
		}
		dst = append(dst, c)
	}
	return dst
}

// number appends a value, as the source wrote it if that is a plain number.
func number(dst []byte, s *model.Sample) []byte {
	if v, err := strconv.ParseFloat(s.Text, 64); err == nil && v == s.Value && len(s.Text) < 40 && !strings.ContainsAny(s.Text, "_xXpP") {
		return append(dst, s.Text...)
	}
	return strconv.AppendFloat(dst, s.Value, 'g', -1, 64)
}
