package expo

import (
	"math/bits"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// mostRemembered bounds the body that a Reader keeps.
const mostRemembered = 32 << 20

// memory is the last good body and its lines. Where the next body differs only in numbers, only those are looked at, and the same families come
// out; nearly all of the time goes into comparing, which is faster than anything that looks at single bytes.
type memory struct {
	on    bool // lines are taken down
	good  bool
	body  string
	d     model.Dialect
	lines []line
	fams  []kept
	page  []model.Family // without blocks; strings are ours
}

// line is the size of a line and where the value begins in it, 0 for lines without one.
type line struct{ size, value uint32 }

// kept is where the block of a family lies.
type kept struct {
	start, end uint32
	deep       bool // some of its samples have timestamps or exemplars
	dirty      bool // it has changed so that its samples have to be looked at together
}

func (m *memory) begin(size int) {
	m.good, m.body = false, ""
	m.on = size <= mostRemembered
	m.lines = m.lines[:0]
}

// line takes a line down.
func (m *memory) line(start, value, end int) {
	if !m.on {
		return
	}
	if value > 0 {
		value -= start
	}
	m.lines = append(m.lines, line{uint32(end - start), uint32(value)})
}

// end keeps the body that was read, unless it was wrong or was not taken as it is.
func (m *memory) end(r *Reader, err error) {
	on := m.on
	m.on = false
	if !on || err != nil || r.drops.Sum() > 0 {
		return
	}
	size := 0
	for i := range r.fams {
		f := &r.fams[i]
		if f.segs != 1 || f.odd {
			return
		}
		size += len(f.name) + len(f.help) + len(f.unit)
	}
	m.fams, m.page = m.fams[:0], m.page[:0]
	var own strings.Builder
	own.Grow(size)
	keep := func(s string) string {
		at := own.Len()
		own.WriteString(s)
		return own.String()[at:]
	}
	for i := range r.fams {
		f := &r.fams[i]
		m.fams = append(m.fams, kept{start: uint32(f.start), end: uint32(f.end), deep: f.deep})
		m.page = append(m.page, model.Family{
			Name: keep(r.modelName(f)), Help: keep(unescapeHelp(f.help, r.d)), Unit: keep(f.unit), Type: f.typ, Dialect: r.d, Count: f.count,
		})
	}
	m.good, m.body, m.d = true, r.body, r.d
}

// again reads a body that differs from the last one only in its numbers; ok is false for any other, which has to be read anew.
func (r *Reader) again(body []byte, d model.Dialect) (page model.Page, ok bool) {
	m := &r.memo
	if !m.good || (d != m.d && d != model.NoText) || len(body) == 0 || body[len(body)-1] != '\n' {
		return model.Page{}, false
	}
	b := view(body)
	page.Families = append(make([]model.Family, 0, len(m.page)), m.page...)
	if !r.compare(b, page.Families) {
		m.good, m.body = false, ""
		return model.Page{}, false
	}
	m.body, page.Body = b, b
	return page, true
}

func (r *Reader) compare(b string, list []model.Family) bool {
	m := &r.memo
	a := m.body
	i, j := 0, 0      // where both go on
	n, at := 0, 0     // a line of the old body, and where it begins
	f, before := 0, 0 // a family, and by how much it is moved
	for {
		same := common(a[i:], b[j:])
		i, j = i+same, j+same
		if i == len(a) && j == len(b) {
			break
		}
		if i == len(a) || j == len(b) {
			return false
		}
		for at+int(m.lines[n].size) <= i {
			at += int(m.lines[n].size)
			n++
		}
		l := &m.lines[n]
		shift := j - i
		if l.value == 0 || i < at+int(l.value) {
			return false
		}
		for int(m.fams[f].end) <= at {
			m.fams[f].move(&list[f], b, before, shift)
			before = shift
			f++
		}
		end := r.tail(b, at+int(l.value)+shift, &list[f])
		if end < 0 {
			return false
		}
		if r.together(&m.fams[f], &list[f]) {
			m.fams[f].dirty = true
		}
		start := at + shift
		at += int(l.size)
		n++
		if size := uint32(end - start); l.size != size {
			l.size = size
		}
		i, j = at, end
	}
	for ; f < len(m.fams); f++ {
		m.fams[f].move(&list[f], b, before, len(b)-len(a))
		before = len(b) - len(a)
	}
	for f := range m.fams {
		if m.fams[f].dirty && !r.recheck(list[f].Block) {
			return false
		}
		m.fams[f].dirty = false
	}
	return true
}

// together reports whether the value in r.s has to fit to other samples of its family, or to its type.
func (r *Reader) together(k *kept, f *model.Family) bool {
	if r.Lenient || f.Dialect == model.Text {
		return false
	}
	k.deep = k.deep || r.s.time != "" || r.s.exemplar != ""
	return k.deep || !(f.Type == model.Unknown || f.Type == model.Gauge || f.Type == model.Counter && is(r.s.value[0], digit))
}

// recheck reads the block of a family of OpenMetrics anew.
func (r *Reader) recheck(block string) bool {
	if r.sub == nil {
		r.sub = &Reader{}
	}
	r.sub.begin(block, model.OpenMetrics)
	wrong := r.sub.readLines(0, len(block))
	return wrong.text == "" && r.sub.finish() == "" && r.sub.drops.Sum() == 0
}

// move finds the block of a family in the new body.
func (k *kept) move(f *model.Family, b string, start, end int) {
	k.start, k.end = uint32(int(k.start)+start), uint32(int(k.end)+end)
	f.Block = b[k.start:k.end]
}

// tail is where the line ends whose value is at i, -1 if the value, or what follows it, is none or needs a closer look.
func (r *Reader) tail(b string, i int, f *model.Family) int {
	if n := run(b, i); n > 0 && n < 300 {
		end := i + n
		if b[end] == '.' {
			end += 1 + run(b, end+1)
		}
		if b[end] == '\n' { // what nearly all are
			r.s.value, r.s.time, r.s.exemplar = b[i:end], "", ""
			return end + 1
		}
	}
	if f.Dialect == model.Text {
		if b[i] == '-' && f.Type == model.Histogram {
			return -1
		}
		r.s.odd = false
		end, wrong := r.s.textTail(b, i)
		if wrong != "" || r.s.odd {
			return -1
		}
		return end
	}
	r.s.odd = false
	end, wrong := r.s.openTail(b, i-1)
	if wrong != "" || r.s.odd {
		return -1
	}
	return end
}

// common is how many bytes two texts begin with in common.
func common(a, b string) int {
	most := min(len(a), len(b))
	i := 0
	for ; i+32 <= most; i += 32 {
		x, y := a[i:i+32], b[i:i+32]
		if (load(x, 0)^load(y, 0))|(load(x, 8)^load(y, 8))|(load(x, 16)^load(y, 16))|(load(x, 24)^load(y, 24)) != 0 {
			break
		}
		if i == 224 { // long enough for one line: there may be a lot that has not changed
			for i+512 <= most && a[i:i+512] == b[i:i+512] {
				i += 512
			}
			if i+32 > most || a[i:i+32] != b[i:i+32] {
				break
			}
		}
	}
	for ; i+8 <= most; i += 8 {
		if x := load(a, i) ^ load(b, i); x != 0 {
			return i + bits.TrailingZeros64(x)>>3
		}
	}
	for i < most && a[i] == b[i] {
		i++
	}
	return i
}

// run is how many digits are at i.
func run(b string, i int) int {
	start := i
	for ; i+8 <= len(b); i += 8 {
		x := load(b, i) ^ '0'*ones
		if m := ((x + 0x76*ones) | x) & highs; m != 0 { // bytes above 9
			return i + bits.TrailingZeros64(m)>>3 - start
		}
	}
	for i < len(b) && is(b[i], digit) {
		i++
	}
	return i - start
}
