package expo

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// Reader reads the bodies of one source. It remembers the last good one: as long as a source says the same series in the same order, only
// numbers are checked again. It keeps that body in memory, up to 32 MiB of it. Not for concurrent use.
type Reader struct {
	// Lenient takes what Prometheus takes: in OpenMetrics values, order and grouping that the specification forbids, and names that clash; in text 0.0.4 a second HELP
	// or a second TYPE that says the same.
	Lenient bool

	lim    model.Limits
	body   string
	d      model.Dialect
	fams   []family
	byName map[string]int32
	segs   []segment
	cur    int32 // family of the line before, -1 at the beginning
	cut    bool  // the line before was left out
	nul    bool  // the body has NUL bytes
	total  int   // samples kept
	drops  model.Drops
	s      sample
	other  sample
	seen   series
	groups series
	order  ordering
	memo   memory
	sub    *Reader // checks one family again
}

// family is what is known of a family while its body is read.
type family struct {
	name       string // as the dialect writes it: foo_total in text, foo in OpenMetrics
	help, unit string // escapes are not resolved
	typ        model.Type
	typed      bool
	helped     bool
	united     bool
	odd        bool // its lines cannot be copied as they are
	deep       bool // samples have timestamps or exemplars
	count      int
	segs       int
	start, end int // of the first segment
}

// segment is a run of lines of one family.
type segment struct {
	family     int32
	start, end int
}

// fault is what is wrong at an offset.
type fault struct {
	at   int
	text string
}

// NewReader makes a Reader.
func NewReader(lim model.Limits) *Reader { return &Reader{lim: lim} }

// Decode reads a body of dialect d and splits it into the blocks of its families. An error means that all of it is refused; it has the number
// of the line. The page's strings are parts of body, which must not change anymore.
func Decode(body []byte, d model.Dialect, lim model.Limits) (model.Page, model.Drops, error) {
	r := Reader{lim: lim}
	return r.read(body, d)
}

// Decode reads a body; see the function. With model.NoText the dialect is guessed.
func (r *Reader) Decode(body []byte, d model.Dialect) (model.Page, model.Drops, error) {
	if page, ok := r.again(body, d); ok {
		return page, model.Drops{}, nil
	}
	r.memo.begin(len(body))
	page, drops, err := r.read(body, d)
	r.memo.end(r, err)
	return page, drops, err
}

func (r *Reader) read(body []byte, d model.Dialect) (model.Page, model.Drops, error) {
	if d == model.NoText {
		d = Detect("", body)
	}
	if len(body) >= math.MaxUint32 {
		return model.Page{}, model.Drops{}, fmt.Errorf("the body has %d bytes, more than 4 GiB", len(body))
	}
	if !utf8.Valid(body) {
		at := 0
		for rest := body; ; {
			c, n := utf8.DecodeRune(rest)
			if c == utf8.RuneError && n <= 1 {
				break
			}
			at, rest = at+n, rest[n:]
		}
		return model.Page{}, model.Drops{}, where(view(body), fault{at, "bytes that are not UTF-8"})
	}
	nul := bytes.IndexByte(body, 0)
	if nul >= 0 && d == model.Text {
		return model.Page{}, model.Drops{}, where(view(body), fault{nul, "a NUL byte"})
	}
	if len(body) > 0 && body[len(body)-1] != '\n' {
		body = append(append(make([]byte, 0, len(body)+1), body...), '\n')
	}
	r.begin(view(body), d)
	r.nul = nul >= 0
	var wrong fault
	if d == model.Text {
		wrong = r.readText(0, len(body))
	} else {
		wrong = r.readOpen()
	}
	if wrong.text != "" {
		return model.Page{}, model.Drops{}, where(r.body, wrong)
	}
	return r.page(), r.drops, nil
}

func (r *Reader) begin(body string, d model.Dialect) {
	r.body, r.d = body, d
	r.fams, r.segs = r.fams[:0], r.segs[:0]
	r.cur, r.cut, r.total, r.drops = -1, false, 0, model.Drops{}
	r.s.name, r.other.name = "", ""
	if r.byName == nil {
		r.byName = map[string]int32{}
	}
	clear(r.byName)
	r.seen.reset(len(body) / 80)
	if d == model.OpenMetrics && !r.Lenient {
		r.groups.reset(len(body) / 80)
		r.order = ordering{}
	}
}

// where is the error of a fault.
func where(body string, f fault) error {
	at := min(f.at, len(body))
	start := strings.LastIndexByte(body[:at], '\n') + 1
	line := body[start:]
	if end := strings.IndexByte(line, '\n'); end >= 0 {
		line = line[:end]
	}
	if len(line) > 120 {
		line = line[:120] + "..."
	}
	return fmt.Errorf("line %d, byte %d: %s: %q", strings.Count(body[:start], "\n")+1, at-start+1, f.text, line)
}

// take appends the line from start to end to its family.
func (r *Reader) take(f int32, start, end int) {
	if f == r.cur && !r.cut && len(r.segs) > 0 {
		r.segs[len(r.segs)-1].end = end
		if fam := &r.fams[f]; fam.segs == 1 {
			fam.end = end
		}
		return
	}
	r.segs = append(r.segs, segment{f, start, end})
	fam := &r.fams[f]
	if fam.segs == 0 {
		fam.start, fam.end = start, end
	}
	fam.segs++
	r.cur, r.cut = f, false
}

// leave leaves the line out that was read last.
func (r *Reader) leave(f int32, why model.Reason) {
	r.drops[why]++
	r.cur, r.cut = f, true
}

func (r *Reader) create(name string) int32 {
	f := int32(len(r.fams))
	r.fams = append(r.fams, family{name: name})
	r.byName[name] = f
	return f
}

// store takes the sample of r.s, unless a limit or a line before forbids it.
func (r *Reader) store(f int32, start, end int) {
	fam := &r.fams[f]
	switch {
	case r.s.over(&r.lim):
		r.leave(f, model.OverLabels)
		return
	case r.lim.Series > 0 && r.total >= r.lim.Series:
		r.leave(f, model.OverSeries)
		return
	case r.seen.add(r.seen.hash(&r.s), start, r.same):
		r.leave(f, model.Repeated)
		return
	}
	fam.count++
	r.total++
	fam.odd = fam.odd || r.s.odd || r.nul && strings.IndexByte(r.body[start:end], 0) >= 0
	fam.deep = fam.deep || r.s.time != "" || r.s.exemplar != ""
	r.take(f, start, end)
}

// same reports whether the line at offset has the series of r.s.
func (r *Reader) same(line int) bool {
	if r.d == model.Text {
		r.other.readText(r.body, blank(r.body, line))
	} else {
		r.other.readOpen(r.body, line)
	}
	return equal(&r.s, &r.other)
}

// page makes families of the segments.
func (r *Reader) page() model.Page {
	p := model.Page{Families: make([]model.Family, len(r.fams)), Body: r.body}
	for i := range r.fams {
		fam := &r.fams[i]
		f := &p.Families[i]
		*f = model.Family{Name: r.modelName(fam), Help: unescapeHelp(fam.help, r.d), Unit: fam.unit, Type: fam.typ, Dialect: r.d, Count: fam.count}
		if fam.segs == 1 {
			f.Block = r.body[fam.start:fam.end]
		}
	}
	r.gather(p.Families)
	kept := p.Families[:0]
	for i := range p.Families {
		f := &p.Families[i]
		if f.Block == "" {
			continue // nothing of it was kept
		}
		if r.fams[i].odd {
			_ = Expand(f) // its lines were read without fault
		}
		kept = append(kept, *f)
	}
	p.Families = kept
	return p
}

// gather joins families that are not in one piece.
func (r *Reader) gather(list []model.Family) {
	var parts map[int32][]byte
	for _, s := range r.segs {
		if r.fams[s.family].segs < 2 {
			continue
		}
		if parts == nil {
			parts = map[int32][]byte{}
		}
		parts[s.family] = append(parts[s.family], r.body[s.start:s.end]...)
	}
	for i, b := range parts {
		list[i].Block = view(b)
	}
}

// modelName is the name of a family as OpenMetrics has it. A counter foo_total beside another foo keeps its name.
func (r *Reader) modelName(f *family) string {
	if r.d != model.Text || f.typ != model.Counter {
		return f.name
	}
	base, ok := strings.CutSuffix(f.name, "_total")
	if _, taken := r.byName[base]; !ok || taken || base == "" {
		return f.name
	}
	return base
}

// Detect guesses the dialect of a body from its content type, and from its end where that says nothing.
func Detect(contentType string, body []byte) model.Dialect {
	kind, _, _ := strings.Cut(contentType, ";")
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case "application/openmetrics-text":
		return model.OpenMetrics
	case "text/plain":
		if strings.Contains(contentType, "version=0.0.4") {
			return model.Text
		}
	}
	tail := bytes.TrimSuffix(body, []byte("\n"))
	if bytes.Equal(tail, []byte("# EOF")) || bytes.HasSuffix(tail, []byte("\n# EOF")) {
		return model.OpenMetrics
	}
	return model.Text
}

var errBlock = errors.New("expo: a block that was not made by Decode")
