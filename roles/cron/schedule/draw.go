package schedule

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
)

// isDraw reports whether an item is drawn from the seed: H, H(a-b), ~, a~b.
func isDraw(base string) bool {
	return base == "H" || base == "h" || strings.HasPrefix(base, "H(") || strings.HasPrefix(base, "h(") || strings.Contains(base, "~")
}

// drawn puts a drawn item into the mask and returns what was drawn. With a step
// the first value is drawn, and the others follow up to the end of the range.
func (f *field) drawn(w word, step int, stepped bool) string {
	lo, hi, ok := f.drawBounds(w)
	if !ok {
		return w.text
	}
	if f.kind == year {
		return f.bad(w, "a year cannot be drawn")
	}
	if hi < lo {
		return f.bad(w, "the range runs backwards")
	}
	count := hi - lo + 1
	if stepped {
		count = min(count, step)
	}
	first := lo + int(f.random()%uint64(count))
	if !stepped {
		f.add(first, first, 1)
		return f.print(first)
	}
	f.add(first, hi, step)
	return fmt.Sprintf("%s-%s/%d", f.print(first), f.print(hi), step)
}

// drawBounds reads the range to draw from. Without one it is the whole field, but
// no day that is missing in some month.
func (f *field) drawBounds(w word) (lo, hi int, ok bool) {
	l := f.kind.limits()
	lo, hi = l.min, l.max
	switch f.kind {
	case dom:
		hi = 28
	case dow:
		hi = 6
	}
	text, from, to := w.text, "", ""
	if strings.ContainsRune(text, '~') {
		from, to, _ = strings.Cut(text, "~")
		w.text = from
	} else {
		if len(text) == 1 {
			return lo, hi, true
		}
		inner, closed := strings.CutSuffix(text[2:], ")")
		if from, to, ok = strings.Cut(inner, "-"); !ok || !closed || from == "" || to == "" {
			f.bad(w, "H takes a range in parentheses, such as H(0-29)")
			return 0, 0, false
		}
		w = word{from, w.column + 2}
	}
	if from != "" {
		if lo, ok = f.value(w, text); !ok {
			return 0, 0, false
		}
	}
	if to != "" {
		if hi, ok = f.value(word{to, w.column + len(from) + 1}, text); !ok {
			return 0, 0, false
		}
	}
	return lo, hi, true
}

// print is a value as it is written in the dialect.
func (f *field) print(v int) string {
	if f.kind == dow && f.o.Dialect == Quartz {
		v++
	}
	return strconv.Itoa(v)
}

// random is a number that depends on the seed, the field, and how many were drawn
// in it before. It must never change: jobs would move.
func (f *field) random() uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s\x00%d\x00%d", f.o.Seed, f.kind, f.draw)
	f.draw++
	// FNV leaves its last bits poor, and those are what a remainder sees.
	x := h.Sum64()
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// monthEnd reads L, L-3, LW, L-3W and 15W. It reports whether the item is one,
// right or wrong.
func (f *field) monthEnd(w word) bool {
	text := strings.ToUpper(w.text)
	day, work := strings.CutSuffix(text, "W")
	if rest, ok := strings.CutPrefix(day, "L"); ok {
		back := 0
		if rest != "" {
			digits, minus := strings.CutPrefix(rest, "-")
			if back, ok = number(digits); !ok || !minus || back > 30 {
				f.bad(w, "L may be followed by -0 to -30")
				return true
			}
		}
		f.any = true
		if work {
			f.more.lastWork |= 1 << back
		} else {
			f.more.last |= 1 << back
		}
		return true
	}
	if !work {
		return false
	}
	n, ok := number(day)
	if !ok || n < 1 || n > 31 {
		f.bad(w, "W must follow a day, 1-31")
		return true
	}
	f.any = true
	f.more.work |= 1 << n
	return true
}

// nthWeekday reads fri#2 and 5L. It reports whether the item is one, right or wrong.
func (f *field) nthWeekday(w word) bool {
	if name, n, ok := strings.Cut(w.text, "#"); ok {
		v, ok := f.value(word{name, w.column}, w.text)
		if !ok {
			return true
		}
		nth, ok := number(n)
		if !ok || nth < 1 || nth > 5 {
			f.bad(word{n, w.column + len(name) + 1}, "the weekday of a month has a number from 1 to 5, such as fri#2")
			return true
		}
		f.any = true
		f.more.nth[nth-1] |= 1 << (v % 7)
		return true
	}
	name, ok := strings.CutSuffix(strings.ToUpper(w.text), "L")
	if !ok {
		return false
	}
	if name == "" {
		if f.o.Dialect != Quartz {
			f.bad(w, "L must follow a weekday, such as 5L")
			return true
		}
		f.mask |= 1 << 6 // the last day of the week
		return true
	}
	v, ok := f.value(word{name, w.column}, w.text)
	if !ok {
		return true
	}
	f.any = true
	f.more.lastDay |= 1 << (v % 7)
	return true
}
