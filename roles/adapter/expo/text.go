package expo

import (
	"strings"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// What may be wrong with metadata.
const (
	noMetaName = "HELP or TYPE without the name of a metric"
	noType     = "want counter, gauge, histogram, summary or untyped as type"
	twoTypes   = "a second TYPE for the same metric"
	lateType   = "TYPE has to come before the samples"
	twoHelps   = "a second HELP for the same metric"
	partMeta   = "HELP or TYPE for a part of a histogram or summary"
	partTaken  = "TYPE of a histogram or summary after samples of its parts"
	noBound    = "le and quantile have to be numbers"
	negative   = "buckets and counts of histograms cannot be negative"
)

// readText reads the lines from i to end, which is behind a newline.
func (r *Reader) readText(i, end int) fault {
	b := r.body
	for i < end {
		start := i
		i = blank(b, i)
		switch b[i] {
		case '\n':
			i++
			r.memo.line(start, 0, i)
			continue
		case '#':
			next := i + strings.IndexByte(b[i:], '\n') + 1
			if wrong := r.textMeta(start, i, next); wrong != "" {
				return fault{i, wrong}
			}
			i = next
			r.memo.line(start, 0, i)
			continue
		}
		next, wrong := r.s.readText(b, i)
		if wrong != "" {
			return fault{next, wrong}
		}
		f := r.textFamily(r.s.name)
		if fam := &r.fams[f]; fam.typ == model.Histogram || fam.typ == model.Summary {
			if wrong := checkText(fam, &r.s); wrong != "" {
				return fault{i, wrong}
			}
		}
		r.memo.line(start, r.s.at, next)
		r.store(f, start, next)
		i = next
	}
	return fault{}
}

// textFamily is the family of a sample, which it makes if there is none.
func (r *Reader) textFamily(name string) int32 {
	if r.cur >= 0 {
		c := &r.fams[r.cur]
		if c.name == name || (strings.HasPrefix(name, c.name) && isPart(c.typ, name[len(c.name):])) {
			return r.cur
		}
	}
	if f, ok := r.byName[name]; ok {
		return f
	}
	if f, ok := r.whole(name); ok {
		return f
	}
	return r.create(name)
}

// whole is the histogram or summary that name is a part of.
func (r *Reader) whole(name string) (int32, bool) {
	at := strings.LastIndexByte(name, '_')
	if at <= 0 {
		return 0, false
	}
	f, ok := r.byName[name[:at]]
	return f, ok && isPart(r.fams[f].typ, name[at:])
}

// isPart reports whether samples of a type have the suffix, in text 0.0.4.
func isPart(t model.Type, suffix string) bool {
	switch suffix {
	case "_sum", "_count":
		return t == model.Histogram || t == model.Summary
	case "_bucket":
		return t == model.Histogram
	}
	return false
}

// checkText says what is wrong with a sample of a histogram or a summary.
func checkText(f *family, s *sample) string {
	key := "le"
	if f.typ == model.Summary {
		key = "quantile"
	}
	if v, ok := s.label(key); ok && !isNumber(v) {
		return noBound
	}
	if f.typ == model.Histogram && s.value[0] == '-' && !strings.HasSuffix(s.name, "_sum") && s.name != f.name && strings.Trim(s.value, "-0.") != "" {
		return negative
	}
	return ""
}

// isNumber reports whether all of s is a number.
func isNumber(s string) bool {
	if s == "" || len(s) > 400 {
		return false
	}
	var line [401]byte // number wants something behind it
	n := copy(line[:], s)
	line[n] = '\n'
	return number(view(line[:n+1]), 0) == n
}

// textMeta reads a line that begins with # at i.
func (r *Reader) textMeta(start, i, next int) string {
	line := r.body[i+1 : next-1]
	rest := strings.TrimLeft(line, " \t")
	if len(rest) == len(line) || (!word4(rest, "HELP") && !word4(rest, "TYPE")) {
		return "" // a comment
	}
	help := rest[0] == 'H'
	rest = strings.TrimLeft(rest[4:], " \t")
	name, text, quoted := metaName(rest, &r.s)
	if name == "" {
		return noMetaName
	}
	if text != "" {
		if text[0] != ' ' && text[0] != '\t' {
			return noMetaName
		}
		text = text[1:]
	}
	f, ok := r.byName[name]
	if !ok {
		if _, part := r.whole(name); part {
			return partMeta
		}
		f = r.create(name)
	}
	fam := &r.fams[f]
	fam.odd = fam.odd || quoted
	var wrong string
	var drop bool
	if help {
		drop, wrong = r.setHelp(fam, text)
	} else {
		drop, wrong = r.setType(fam, text)
	}
	if wrong != "" {
		return wrong
	}
	if drop {
		r.cur, r.cut = f, true
		return ""
	}
	r.take(f, start, next)
	return ""
}

func word4(s, word string) bool {
	return strings.HasPrefix(s, word) && len(s) > 4 && (s[4] == ' ' || s[4] == '\t')
}

// metaName cuts the name off the rest of a line of metadata.
func metaName(rest string, s *sample) (name, text string, quoted bool) {
	if strings.HasPrefix(rest, `"`) {
		line := rest + "\n"
		end := s.quoted(line, 1)
		if end < 0 {
			return "", "", false
		}
		return unescape(line[1:end]), rest[end+1:], true
	}
	n := 0
	for n < len(rest) && is(rest[n], nameRest) {
		n++
	}
	if n == 0 || !is(rest[0], nameFirst) {
		return "", "", false
	}
	return rest[:n], rest[n:], false
}

func (r *Reader) setHelp(f *family, text string) (drop bool, wrong string) {
	if f.helped && !r.Lenient {
		return false, twoHelps
	}
	if f.helped {
		return true, ""
	}
	f.helped, f.help = true, text
	for i := strings.IndexByte(text, '\\'); i >= 0 && i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		if i++; i == len(text) || (text[i] != '\\' && text[i] != 'n') {
			f.odd = true // Prometheus takes it, its tools do not
		}
	}
	return false, ""
}

func (r *Reader) setType(f *family, text string) (drop bool, wrong string) {
	var t model.Type
	switch text {
	case "counter":
		t = model.Counter
	case "gauge":
		t = model.Gauge
	case "histogram":
		t = model.Histogram
	case "summary":
		t = model.Summary
	case "untyped":
	default:
		return false, noType
	}
	switch {
	case f.typed && r.Lenient && f.typ == t:
		return true, ""
	case f.typed:
		return false, twoTypes
	case f.count > 0:
		return false, lateType
	}
	for suffix := range strings.SplitSeq(parts(t), " ") {
		if _, taken := r.byName[f.name+suffix]; taken && suffix != "" {
			return false, partTaken
		}
	}
	f.typed, f.typ = true, t
	return false, ""
}
