package expo

import (
	"hash/maphash"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// What may be wrong in OpenMetrics.
const (
	noEOF        = "the body does not end with # EOF"
	afterEOF     = "something follows # EOF"
	emptyLine    = "an empty line"
	noMeta       = "want # HELP, # TYPE, # UNIT or # EOF, with single spaces"
	noOpenType   = "want counter, gauge, histogram, gaugehistogram, summary, info, stateset or unknown as type"
	lateMeta     = "HELP, TYPE and UNIT have to come before the samples of their metric, and together with them"
	twoUnits     = "a second UNIT for the same metric"
	noUnit       = "the name of the metric does not end with _ and the unit"
	unitOfInfo   = "info and stateset have no unit"
	clash        = "the metric has the name of another one, or of a part of another one"
	notTogether  = "the samples of a metric are not together"
	noTypeLabel  = "a stateset needs a label with its own name, a bucket le, a quantile quantile"
	noExemplar   = "only counters and buckets have exemplars"
	notInRange   = "quantiles are from 0 to 1, bounds of buckets numbers with +Inf as the last"
	badValue     = "the value is not possible for the type"
	mixedTimes   = "timestamps of a metric are there or not, and do not go backwards"
	badHistogram = "the histogram has no +Inf bucket, buckets that are out of order, _sum without _count or the other way round, or _count beside the +Inf bucket"
)

const eof = "# EOF\n"

// readOpen reads a body of OpenMetrics.
func (r *Reader) readOpen() fault {
	b := r.body
	if !strings.HasSuffix(b, eof) || (len(b) > len(eof) && b[len(b)-len(eof)-1] != '\n') {
		return fault{len(b), noEOF}
	}
	end := len(b) - len(eof)
	wrong := r.readLines(0, end)
	if wrong.text == "" {
		if text := r.finish(); text != "" {
			return fault{max(end-1, 0), text}
		}
		r.memo.line(end, 0, len(b))
	}
	return wrong
}

// readLines reads the lines from i to end.
func (r *Reader) readLines(i, end int) fault {
	b := r.body
	for i < end {
		next := 0
		var wrong string
		switch b[i] {
		case '\n':
			return fault{i, emptyLine}
		case '#':
			next = i + strings.IndexByte(b[i:], '\n') + 1
			wrong = r.openMeta(i, next)
			r.memo.line(i, 0, next)
		default:
			if next, wrong = r.s.readOpen(b, i); wrong != "" {
				return fault{next, wrong}
			}
			r.memo.line(i, r.s.at, next)
			wrong = r.openSample(i, next)
		}
		if wrong != "" {
			return fault{i, wrong}
		}
		i = next
	}
	return fault{}
}

// openMeta reads a line of metadata.
func (r *Reader) openMeta(i, next int) string {
	line := r.body[i : next-1]
	if line == eof[:len(eof)-1] {
		return afterEOF
	}
	if len(line) < 8 || line[1] != ' ' || line[6] != ' ' {
		return noMeta
	}
	name, text, quoted := metaName(line[7:], &r.s)
	if name == "" || text == "" || text[0] != ' ' {
		return noMeta
	}
	text = text[1:]
	f := r.cur
	if f < 0 || r.fams[f].name != name {
		if _, known := r.byName[name]; known {
			return lateMeta
		}
		if wrong := r.finish(); wrong != "" {
			return wrong
		}
		f = r.create(name)
	} else if r.fams[f].count > 0 || r.cut {
		return lateMeta
	}
	fam := &r.fams[f]
	fam.odd = fam.odd || quoted
	wrong := ""
	switch line[2:6] {
	case "HELP":
		if fam.helped {
			wrong = twoHelps
		}
		fam.helped, fam.help = true, text
	case "TYPE":
		wrong = fam.setOpenType(text)
	case "UNIT":
		if fam.united {
			wrong = twoUnits
		}
		if text != "" && !strings.HasSuffix(name, "_"+text) {
			wrong = noUnit
		}
		fam.united, fam.unit = true, text
	default:
		wrong = noMeta
	}
	r.take(f, i, next)
	return wrong
}

func (f *family) setOpenType(text string) string {
	if f.typed {
		return twoTypes
	}
	for t := model.Unknown; t <= model.StateSet; t++ {
		if t.String() == text {
			f.typed, f.typ = true, t
			return ""
		}
	}
	return noOpenType
}

// openSample finds the family of the sample of r.s and looks whether it may be there.
func (r *Reader) openSample(i, next int) string {
	name := r.s.name
	f := r.cur
	if f < 0 || !owns(r.fams[f].typ, r.fams[f].name, name) {
		if known, ok := r.byName[name]; ok {
			if !r.Lenient {
				return notTogether
			}
			f = known
		} else {
			if wrong := r.finish(); wrong != "" {
				return wrong
			}
			f = r.create(name)
		}
	}
	if !r.Lenient {
		if wrong := r.order.check(r, &r.fams[f]); wrong != "" {
			return wrong
		}
	}
	if r.s.exemplar != "" && !exemplary(r.fams[f].typ, name) && !r.Lenient {
		return noExemplar
	}
	r.store(f, i, next)
	return ""
}

// exemplary reports whether samples of that name have exemplars.
func exemplary(t model.Type, name string) bool {
	return t == model.Counter && strings.HasSuffix(name, "_total") ||
		(t == model.Histogram || t == model.GaugeHistogram) && strings.HasSuffix(name, "_bucket")
}

// owns reports whether a family has samples of a name.
func owns(t model.Type, family, name string) bool {
	if !strings.HasPrefix(name, family) {
		return false
	}
	switch name[len(family):] {
	case "":
		return t == model.Unknown || t == model.Gauge || t == model.Summary || t == model.StateSet
	case "_total":
		return t == model.Counter
	case "_created":
		return t == model.Counter || t == model.Histogram || t == model.Summary
	case "_sum", "_count":
		return t == model.Histogram || t == model.Summary
	case "_bucket":
		return t == model.Histogram || t == model.GaugeHistogram
	case "_gsum", "_gcount":
		return t == model.GaugeHistogram
	case "_info":
		return t == model.Info
	}
	return false
}

// finish ends the family that was read last, before the next one begins.
func (r *Reader) finish() string {
	if r.Lenient || r.cur < 0 {
		return ""
	}
	f := &r.fams[r.cur]
	if wrong := r.order.end(f.typ); wrong != "" {
		return wrong
	}
	r.order = ordering{}
	if f.unit != "" && (f.typ == model.Info || f.typ == model.StateSet) {
		return unitOfInfo
	}
	// The names of all samples that the family may have are taken, whether it has them or not.
	taken := func(name string) string {
		h := maphash.String(r.groups.seed, name) ^ 1
		if r.groups.add(h, 0, func(int) bool { return true }) {
			return clash
		}
		return ""
	}
	if wrong := taken(f.name); wrong != "" {
		return wrong
	}
	for suffix := range strings.SplitSeq(suffixes(f.typ), " ") {
		if suffix == "" {
			continue
		}
		if wrong := taken(f.name + suffix); wrong != "" {
			return wrong
		}
	}
	return ""
}
