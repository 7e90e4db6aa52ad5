package schedule

import (
	"fmt"
	"strconv"
	"strings"
)

// kind is a field of a schedule.
type kind int

const (
	second kind = iota
	minute
	hour
	dom
	month
	dow
	year
)

// limits of a field: what may be written, and how a range may wrap around.
type limits struct {
	name     string
	min, max int
	cycle    int // values after which it begins anew; 0: ranges do not wrap around
	example  string
}

func (k kind) limits() limits {
	switch k {
	case second:
		return limits{"second", 0, 59, 0, "0 or */10"}
	case minute:
		return limits{"minute", 0, 59, 0, "5 or */15"}
	case hour:
		return limits{"hour", 0, 23, 24, "4 or 8-18"}
	case dom:
		return limits{"day of month", 1, 31, 0, "1, L or 15W"}
	case month:
		return limits{"month", 1, 12, 12, "3 or mar-oct"}
	case dow:
		return limits{"weekday", 0, 7, 7, "1-5 or mon-fri"}
	}
	return limits{"year", firstYear, lastYear, 0, "2030 or 2030-2035"}
}

// field reads one field of a schedule.
type field struct {
	*parser
	kind kind
	word word
	mask uint64
	year *years
	more special
	any  bool // something of more is set
	all  bool // year: every one
	draw int  // how many times H and ~ were drawn
}

// read puts the field into the schedule and returns it as it is to be printed.
func (f *field) read(s *Schedule) string {
	items := strings.Split(f.word.text, ",")
	at := f.word.column
	for i, item := range items {
		items[i] = f.item(word{item, at})
		at += len(item) + 1
	}
	switch f.kind {
	case second:
		s.second = f.mask
	case minute:
		s.minute = f.mask
	case hour:
		s.hour = uint32(f.mask)
	case dom:
		s.days = uint32(f.mask)
	case month:
		s.month = uint16(f.mask)
	case dow:
		s.weekdays = uint8(f.mask)
	case year:
		if !f.all {
			s.years = f.year
		}
	}
	if f.any {
		f.keepSpecial(s)
	}
	return strings.Join(items, ",")
}

func (f *field) keepSpecial(s *Schedule) {
	if s.special == nil {
		s.special = &special{}
	}
	if f.kind == dom {
		s.special.last, s.special.lastWork, s.special.work = f.more.last, f.more.lastWork, f.more.work
		return
	}
	s.special.nth, s.special.lastDay = f.more.nth, f.more.lastDay
}

func (f *field) bad(w word, problem string) string {
	l := f.kind.limits()
	f.fail(w.column, l.name, w.text, problem, l.example)
	return w.text
}

// item reads one item of a list and returns how it is to be printed.
func (f *field) item(w word) string {
	if w.text == "" {
		return f.bad(word{f.word.text, w.column}, "an item of the list is empty")
	}
	if f.kind == dom && f.monthEnd(w) || f.kind == dow && f.nthWeekday(w) {
		return w.text
	}
	base, step, stepped := strings.Cut(w.text, "/")
	n := 1
	if stepped {
		var ok bool
		if n, ok = f.step(word{step, w.column + len(base) + 1}); !ok {
			return w.text
		}
	}
	if isDraw(base) {
		return f.drawn(word{base, w.column}, n, stepped)
	}
	lo, hi, ok := f.bounds(word{base, w.column}, stepped)
	if !ok {
		return w.text
	}
	f.add(lo, hi, n)
	return w.text
}

// step reads what follows the slash.
func (f *field) step(w word) (int, bool) {
	n, ok := number(w.text)
	l := f.kind.limits()
	switch {
	case !ok:
		f.bad(w, "the step must be a number")
	case n == 0:
		f.bad(w, "the step must be 1 or more")
	case n > l.max:
		f.bad(w, fmt.Sprintf("the step is greater than the highest value, %d", l.max))
	default:
		return n, true
	}
	return 0, false
}

// bounds reads *, a value or a range; hi < lo wraps around.
func (f *field) bounds(w word, stepped bool) (lo, hi int, ok bool) {
	l := f.kind.limits()
	if w.text == "*" || w.text == "?" {
		if f.kind == dow {
			return 0, 6, true
		}
		return l.min, l.max, true
	}
	from, to, ranged := strings.Cut(w.text, "-")
	if lo, ok = f.value(word{from, w.column}, w.text); !ok {
		return 0, 0, false
	}
	switch {
	case ranged:
		if hi, ok = f.value(word{to, w.column + len(from) + 1}, w.text); !ok {
			return 0, 0, false
		}
		if f.kind == dow && hi == 0 && lo > 0 {
			hi = 7 // mon-sun, fri-sun
		}
	case stepped && f.kind == dow:
		hi = max(lo, 6)
	case stepped:
		hi = l.max
	default:
		hi = lo
	}
	return f.wrap(w, lo, hi)
}

// wrap decides on ranges that run backwards.
func (f *field) wrap(w word, lo, hi int) (int, int, bool) {
	l := f.kind.limits()
	if lo <= hi {
		return lo, hi, true
	}
	if l.cycle == 0 {
		f.bad(w, "the range runs backwards")
		return 0, 0, false
	}
	if f.kind == dow && lo == 7 {
		return 0, hi, true // 7-1 is 0-1
	}
	if hi+l.cycle-lo >= l.cycle-1 {
		f.bad(w, "the range runs backwards through every value: write *, or turn it round")
		return 0, 0, false
	}
	return lo, hi, true
}

// add sets the bits of a range.
func (f *field) add(lo, hi, step int) {
	l := f.kind.limits()
	if f.kind == year {
		f.addYears(lo, hi, step)
		return
	}
	if hi < lo {
		hi += l.cycle
	}
	for v := lo; v <= hi; v += step {
		bit := v
		if l.cycle > 0 && v >= l.min+l.cycle {
			bit = v - l.cycle // after 23 comes 0; 7 is Sunday as 0 is
		}
		f.mask |= 1 << bit
	}
}

func (f *field) addYears(lo, hi, step int) {
	if lo == firstYear && hi == lastYear && step == 1 {
		f.all = true // no set at all
		return
	}
	if f.year == nil {
		f.year = &years{}
	}
	for v := lo; v <= hi; v += step {
		f.year.add(v)
	}
}

// value reads a number or a name. whole is what it is a part of.
func (f *field) value(w word, whole string) (int, bool) {
	l := f.kind.limits()
	lo, hi := l.min, l.max
	quartz := f.kind == dow && f.o.Dialect == Quartz
	if quartz {
		lo = 1
	}
	if n, ok := number(w.text); ok {
		if n < lo || n > hi {
			f.bad(w, fmt.Sprintf("must be %d-%d", lo, hi))
			return 0, false
		}
		if quartz {
			n--
		}
		return n, true
	}
	if n, ok := f.kind.named(w.text); ok {
		return n, true
	}
	switch {
	case w.text == "":
		f.bad(word{whole, w.column}, "a value is missing")
	case f.kind == month || f.kind == dow:
		f.bad(w, fmt.Sprintf("neither %d-%d nor a name", lo, hi))
	default:
		f.bad(w, fmt.Sprintf("must be %d-%d", lo, hi))
	}
	return 0, false
}

// number reads digits; strconv alone would take signs.
func number(text string) (int, bool) {
	if len(text) == 0 || len(text) > 4 || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil
}

// named finds the name of a month or weekday: three letters or all.
func (k kind) named(text string) (int, bool) {
	var names []string
	switch k {
	case month:
		names = []string{"", "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"}
	case dow:
		names = []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}
	}
	if len(text) < 3 {
		return 0, false
	}
	for i, name := range names {
		if name != "" && (strings.EqualFold(text, name) || strings.EqualFold(text, name[:3])) {
			return i, true
		}
	}
	return 0, false
}
