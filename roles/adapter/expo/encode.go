package expo

import (
	"strings"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// Writer says how pages are written. A Writer keeps memory between pages and is not for concurrent use.
type Writer struct {
	Dialect model.Dialect
	Quote   bool // names that are not plain are quoted, instead of escaped by underscores

	dst   []byte
	drops model.Drops
	x     Expander
	names map[string]bool          // names of families and samples that are written
	page  map[string]bool          // names of all families of the page
	made  map[string]*model.Family // families of _created samples that wait for the family they belong to
	skip  map[string]bool          // families that were written as a part of another
	group grouping
}

// Encode appends p to dst in dialect d. Blocks of d are copied, all else is converted; see the package comment for what gets lost on the way. What
// could not be written is counted. The result is always valid, and ends with # EOF in OpenMetrics. The page is not changed.
func Encode(dst []byte, p *model.Page, d model.Dialect) ([]byte, model.Drops) {
	w := Writer{Dialect: d}
	return w.Append(dst, p)
}

// Append does as Encode.
func (w *Writer) Append(dst []byte, p *model.Page) ([]byte, model.Drops) {
	size, copied := len(eof), true
	for i := range p.Families {
		f := &p.Families[i]
		size += len(f.Block) + 96*len(f.Samples)
		copied = copied && f.Block != "" && f.Dialect == w.Dialect
	}
	if cap(dst)-len(dst) < size {
		dst = append(make([]byte, 0, len(dst)+size), dst...)
	}
	w.dst, w.drops = dst, model.Drops{}
	if copied {
		// Decode and merge.Merge see to it that the names of blocks do not clash.
		for i := range p.Families {
			w.dst = append(w.dst, p.Families[i].Block...)
		}
	} else {
		w.convert(p)
	}
	if w.Dialect == model.OpenMetrics {
		w.dst = append(w.dst, eof...)
	}
	dst = w.dst
	w.dst = nil
	return dst, w.drops
}

// convert writes a page whose families are not all blocks of the dialect.
func (w *Writer) convert(p *model.Page) {
	w.names = map[string]bool{}
	w.made, w.skip = nil, nil
	if w.Dialect == model.OpenMetrics {
		w.page = make(map[string]bool, len(p.Families))
		for i := range p.Families {
			w.page[p.Families[i].Name] = true
		}
		w.fold(p)
	}
	for i := range p.Families {
		f := &p.Families[i]
		if w.skip[f.Name] {
			continue
		}
		if f.Block != "" && f.Dialect == w.Dialect {
			if w.claim(f, f.Name) {
				w.dst = append(w.dst, f.Block...)
			}
			continue
		}
		open, err := w.x.Expand(f)
		if err != nil || f.Name == "" {
			w.drops[model.Unstorable] += uint64(f.Len())
			continue
		}
		if w.Dialect == model.Text {
			w.textFamily(&open, f.Block != "")
		} else {
			w.openFamily(&open, f.Block != "")
		}
	}
}

// claim takes the names of a family, which is called name in text; it reports whether they were free.
func (w *Writer) claim(f *model.Family, name string) bool {
	if f.Block != "" && w.Dialect == model.Text {
		name = TextName(f)
	}
	list := suffixes(f.Type)
	if w.Dialect == model.Text {
		list = parts(f.Type)
	}
	free := !w.names[name]
	for suffix := range strings.SplitSeq(list, " ") {
		free = free && (suffix == "" || !w.names[name+suffix])
	}
	if !free {
		w.drops[model.Conflict] += uint64(f.Len())
		return false
	}
	w.names[name] = true
	for suffix := range strings.SplitSeq(list, " ") {
		if suffix != "" {
			w.names[name+suffix] = true
		}
	}
	return true
}

// TextName is the name of a family in text 0.0.4: foo_total for a counter foo with samples foo_total, foo_info for an info foo, else the family's own name.
func TextName(f *model.Family) string {
	switch f.Type {
	case model.Info:
		return f.Name + "_info"
	case model.Counter:
		if f.Block != "" && f.Dialect == model.OpenMetrics {
			return f.Name + "_total"
		}
		if f.Block != "" {
			if blockName(f.Block) == f.Name {
				return f.Name
			}
			return f.Name + "_total"
		}
		for i := range f.Samples {
			if f.Samples[i].Suffix == "_total" {
				return f.Name + "_total"
			}
		}
	}
	return f.Name
}

// blockName is the name in the first line of a block of text 0.0.4, be it metadata or a sample.
func blockName(b string) string {
	i := blank(b, 0)
	if b[i] == '#' {
		i = blank(b, i+1)
		i = blank(b, i+len("HELP"))
	}
	end := i
	for is(b[end], nameRest) {
		end++
	}
	return b[i:end]
}

// textFamily writes a family of samples; sure means that its texts were checked already.
func (w *Writer) textFamily(f *model.Family, sure bool) {
	name := w.name(TextName(f))
	if !w.claim(f, name) {
		return
	}
	w.header(name, textWord(f.Type), f.Help)
	created := 0
	main := strings.TrimPrefix(TextName(f), f.Name)
	for i := range f.Samples {
		s := &f.Samples[i]
		suffix, ok := textSuffix(f.Type, s.Suffix, main)
		if s.Suffix == "_created" && (f.Type == model.Counter || parts(f.Type) != "") {
			created++
			continue
		}
		if !ok || !textFits(f.Type, suffix, s) || !w.sample(name, suffix, s, "", sure) {
			w.drops[model.Unstorable]++
			continue
		}
		w.textEnd(s)
	}
	if created > 0 {
		w.textCreated(f, created, sure)
	}
}

// textFits reports whether the tools of Prometheus read a sample of a histogram or summary.
func textFits(t model.Type, suffix string, s *model.Sample) bool {
	key := ""
	switch t {
	case model.Histogram, model.GaugeHistogram:
		key = "le"
		if s.Value < 0 && (suffix == "_bucket" || suffix == "_count") {
			return false
		}
	case model.Summary:
		key = "quantile"
	default:
		return true
	}
	v := value(s.Labels, key)
	return v == "" || isNumber(v)
}

// textWord is the word for a type in text 0.0.4.
func textWord(t model.Type) string {
	switch t {
	case model.Unknown:
		return "untyped"
	case model.GaugeHistogram:
		return "histogram"
	case model.Info, model.StateSet:
		return "gauge"
	}
	return t.String()
}

// textSuffix is what is written behind the name that the family has in text; main is what that name has more than the family's.
func textSuffix(t model.Type, suffix, main string) (string, bool) {
	switch suffix {
	case main:
		return "", true
	case "":
		return "", t == model.Histogram || t == model.Summary || t == model.GaugeHistogram
	case "_gsum", "_gcount":
		return "_" + suffix[2:], t == model.GaugeHistogram
	case "_bucket":
		return suffix, t == model.Histogram || t == model.GaugeHistogram
	case "_sum", "_count":
		return suffix, t == model.Histogram || t == model.Summary
	}
	return "", false
}

// textCreated writes the _created samples of a family as a family of gauges.
func (w *Writer) textCreated(f *model.Family, count int, sure bool) {
	g := model.Family{Name: f.Name + "_created", Type: model.Gauge}
	name := w.name(g.Name)
	if w.names[name] {
		w.drops[model.Conflict] += uint64(count)
		return
	}
	w.names[name] = true
	w.header(name, "gauge", f.Help)
	for i := range f.Samples {
		if f.Samples[i].Suffix != "_created" {
			continue
		}
		if w.sample(name, "", &f.Samples[i], "", sure) {
			w.textEnd(&f.Samples[i])
		} else {
			w.drops[model.Unstorable]++
		}
	}
}

// header writes HELP, if there is one, and TYPE.
func (w *Writer) header(name, word, help string) {
	if help != "" {
		w.dst = append(w.dst, "# HELP "...)
		w.metaName(name)
		w.dst = append(w.dst, ' ')
		w.dst = appendEscaped(w.dst, clean(help), w.Dialect == model.OpenMetrics)
		w.dst = append(w.dst, '\n')
	}
	w.dst = append(w.dst, "# TYPE "...)
	w.metaName(name)
	w.dst = append(w.dst, ' ')
	w.dst = append(w.dst, word...)
	w.dst = append(w.dst, '\n')
}

// Family appends one family, without a look at other names and without # EOF. A block of the Writer's dialect is copied.
func (w *Writer) Family(dst []byte, f *model.Family) ([]byte, model.Drops) {
	w.dst, w.drops = dst, model.Drops{}
	w.names, w.page, w.made, w.skip = map[string]bool{}, nil, nil, nil
	if f.Block != "" && f.Dialect == w.Dialect {
		w.dst = append(w.dst, f.Block...)
	} else if open, err := w.x.Expand(f); err != nil || f.Name == "" {
		w.drops[model.Unstorable] += uint64(f.Len())
	} else if w.Dialect == model.Text {
		w.textFamily(&open, f.Block != "")
	} else {
		w.openFamily(&open, f.Block != "")
	}
	dst = w.dst
	w.dst = nil
	return dst, w.drops
}

// Header appends HELP, if there is one, TYPE and UNIT of a family that is called name in text.
func (w *Writer) Header(dst []byte, f *model.Family) []byte {
	bare := *f
	bare.Samples, bare.Block = nil, ""
	if f.Type == model.Counter && w.Dialect == model.Text && TextName(f) != f.Name {
		bare.Samples = []model.Sample{{Suffix: "_total"}} // only for the name
	}
	w.dst, w.names = dst, map[string]bool{}
	if w.Dialect == model.Text {
		w.header(w.name(TextName(&bare)), textWord(f.Type), f.Help)
	} else {
		w.openFamily(&bare, true)
	}
	dst = w.dst
	w.dst = nil
	return dst
}

// AppendLabelled appends the sample lines of a block with one label more, in front of the others. The label's name must not occur in the block at all.
func AppendLabelled(dst []byte, f *model.Family, name, value string) []byte {
	b := f.Block
	for i := 0; i < len(b); {
		next := i + strings.IndexByte(b[i:], '\n') + 1
		if f.Dialect == model.Text {
			i = blank(b, i)
		}
		if b[i] == '#' || b[i] == '\n' {
			i = next
			continue
		}
		end := i
		for is(b[end], nameRest) {
			end++
		}
		dst = append(dst, b[i:end]...)
		dst = append(dst, '{')
		dst = append(dst, name...)
		dst = append(dst, '=', '"')
		dst = appendEscaped(dst, value, true)
		dst = append(dst, '"')
		rest := blank(b, end)
		if b[rest] != '{' {
			dst = append(dst, '}')
			rest = end
		} else if rest = blank(b, rest+1); b[rest] != '}' {
			dst = append(dst, ',')
		}
		dst = append(dst, b[rest:next]...)
		i = next
	}
	return dst
}
