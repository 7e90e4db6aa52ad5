package meter

import (
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// ContentType is that of the text format.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// atOnce bounds scrapes: a scraper that does not wait for the answer must not pile them up.
const atOnce = 2

// Handler answers scrapes.
func (r *Registry) Handler() http.Handler {
	slots := make(chan struct{}, atOnce)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			http.Error(w, "too many scrapes at once", http.StatusServiceUnavailable)
			return
		}
		text := r.Append(nil)
		w.Header().Set("Content-Type", ContentType)
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		_, _ = w.Write(text)
	})
}

// WriteTo writes all values in the text format.
func (r *Registry) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(r.Append(nil))
	return int64(n), err
}

// Append appends all values in the text format, by name and labels.
func (r *Registry) Append(dst []byte) []byte {
	r.mu.Lock()
	sources := slices.Clone(r.sources)
	r.mu.Unlock()
	type entry struct {
		desc  *Desc
		lines []string
	}
	found := map[string]*entry{}
	var line []byte
	for _, s := range sources {
		s.Collect(func(v Sample) {
			e := found[v.Desc.Name]
			if e == nil {
				e = &entry{desc: v.Desc}
				found[v.Desc.Name] = e
			}
			line = v.append(line[:0])
			e.lines = append(e.lines, string(line))
		})
	}
	all := make([]*entry, 0, len(found))
	for _, e := range found {
		slices.Sort(e.lines)
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *entry) int { return strings.Compare(a.desc.Name, b.desc.Name) })
	for _, e := range all {
		dst = append(append(append(append(dst, "# HELP "...), e.desc.Name...), ' '), escape(e.desc.Help, false)...)
		dst = append(append(append(append(dst, "\n# TYPE "...), e.desc.Name...), ' '), e.desc.Kind.String()...)
		dst = append(dst, '\n')
		for _, l := range e.lines {
			dst = append(dst, l...)
		}
	}
	return dst
}

// append writes a sample, in several lines where it is a histogram.
func (v Sample) append(dst []byte) []byte {
	if v.Times == nil {
		return v.line(dst, v.suffix, v.extra, v.Value)
	}
	sum := uint64(0)
	for i, n := range v.Times.Counts {
		sum += n
		bound := "+Inf"
		if i < len(v.Times.Bounds) {
			bound = format(v.Times.Bounds[i])
		}
		dst = v.line(dst, "_bucket", `le="`+bound+`"`, float64(sum))
	}
	dst = v.line(dst, "_sum", "", v.Times.Sum)
	return v.line(dst, "_count", "", float64(sum))
}

func (v Sample) line(dst []byte, suffix, extra string, value float64) []byte {
	dst = append(append(dst, v.Desc.Name...), suffix...)
	if len(v.Values) > 0 || extra != "" {
		dst = append(dst, '{')
		for i, label := range v.Desc.Labels {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(append(append(append(dst, label...), `="`...), escape(v.Values[i], true)...), '"')
		}
		if extra != "" {
			if len(v.Values) > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, extra...)
		}
		dst = append(dst, '}')
	}
	return append(append(append(dst, ' '), format(value)...), '\n')
}

func format(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "+Inf"
	case math.IsInf(v, -1):
		return "-Inf"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// escape makes a text fit into one line, and between quotes. What is no UTF-8 is replaced: one such label would spoil the page.
func escape(s string, quoted bool) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if !strings.ContainsAny(s, "\\\n\"") {
		return s
	}
	s = strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), "\n", `\n`)
	if quoted {
		s = strings.ReplaceAll(s, `"`, `\"`)
	}
	return s
}
