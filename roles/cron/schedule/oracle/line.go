// Package oracle says which instants a schedule has, from the rules in the documentation of package schedule and from nothing of its code. It makes lines
// from structures, so that it need not parse, and decides minute by minute with the clock of the standard library. It is slow and simple.
// Used by the tests of schedule and by bench.
package oracle

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// fieldOf is one field of a line: its text and what it means.
type fieldOf struct {
	text string
	star bool
	set  [60]bool
	day  func(date) bool // for L, W and #; beside set
}

// date is what the clock shows.
type date struct {
	hour, minute        int
	day, month, weekday int
	last                int // day of the month
}

// Line is a line of five fields.
type Line struct {
	minute, hour, dom, month, dow fieldOf
}

// Text is the line as it is written.
func (l Line) Text() string {
	return strings.Join([]string{l.minute.text, l.hour.text, l.dom.text, l.month.text, l.dow.text}, " ")
}

func (l Line) wildcard() bool { return l.minute.star || l.hour.star }

func (l Line) matches(d date) bool {
	if !l.minute.set[d.minute] || !l.hour.set[d.hour] || !l.month.set[d.month] {
		return false
	}
	dom := l.dom.set[d.day] || l.dom.day != nil && l.dom.day(d)
	dow := l.dow.set[d.weekday] || l.dow.day != nil && l.dow.day(d)
	if !l.dom.star && !l.dow.star {
		return dom || dow
	}
	return dom && dow
}

// Maker makes lines; most are of the kind that people write.
type Maker struct{ *rand.Rand }

// Line makes one.
func (m Maker) Line() Line {
	l := Line{
		minute: m.field(0, 59, nil), hour: m.field(0, 23, nil), dom: m.field(1, 31, nil),
		month: m.field(1, 12, []string{"", "jan", "FEB", "March", "apr", "may", "june", "jul", "Aug", "sep", "oct", "November", "dec"}),
		dow:   m.field(0, 6, []string{"sun", "MON", "Tuesday", "wed", "thu", "fri", "sat"}),
	}
	switch m.IntN(12) {
	case 0, 1, 2, 3: // a daily job in the hours that clocks change in
		l.hour = m.single(m.IntN(5), nil)
		l.dom, l.month, l.dow = all(1, 31), all(1, 12), all(0, 6)
	case 4, 5: // many times a day
		l.dom, l.month, l.dow = all(1, 31), all(1, 12), all(0, 6)
	case 6:
		l.dom, l.month = m.special(), all(1, 12)
	case 7:
		l.dow, l.month = m.nth(), all(1, 12)
	case 8:
		l.month = all(1, 12)
	}
	return l
}

func all(low, high int) fieldOf {
	f := fieldOf{text: "*", star: true}
	for v := low; v <= high; v++ {
		f.set[v] = true
	}
	return f
}

func (m Maker) field(low, high int, names []string) fieldOf {
	if m.IntN(3) == 0 {
		return all(low, high)
	}
	var items []string
	f := fieldOf{}
	for range 1 + m.IntN(3)*m.IntN(2) {
		text := m.item(&f, low, high, names)
		items = append(items, text)
	}
	f.text = strings.Join(items, ",")
	f.star = strings.HasPrefix(f.text, "*")
	return f
}

// item adds one item to a field and returns its text.
func (m Maker) item(f *fieldOf, low, high int, names []string) string {
	name := func(v int) string {
		if names != nil && m.IntN(2) == 0 {
			return names[v]
		}
		return strconv.Itoa(v)
	}
	a, b, n := low+m.IntN(high-low+1), low+m.IntN(high-low+1), 1+m.IntN(max(1, (high-low)/2))
	if a > b {
		a, b = b, a
	}
	steps := func(from, to int) {
		for v := from; v <= to; v += n {
			f.set[low+(v-low)%(high-low+1)] = true
		}
	}
	switch m.IntN(6) {
	case 0:
		steps(low, high)
		return fmt.Sprintf("*/%d", n)
	case 1:
		steps(a, b)
		return fmt.Sprintf("%s-%s/%d", name(a), name(b), n)
	case 2:
		steps(a, high)
		return fmt.Sprintf("%s/%d", name(a), n)
	case 3:
		if high != 59 && high != 31 && b-a > 1 { // backwards, around the end; weekdays in names alone: 0 and 7 have a meaning of their own there
			n = 1
			steps(b, a+high-low+1)
			if high == 6 {
				return names[b] + "-" + names[a]
			}
			return name(b) + "-" + name(a)
		}
		fallthrough
	case 4:
		n = 1
		steps(a, b)
		if high == 6 && a > 0 && b == 6 && m.IntN(2) == 0 {
			f.set[0] = true
			return fmt.Sprintf("%d-7", a)
		}
		return name(a) + "-" + name(b)
	}
	f.set[a] = true
	if high == 6 && a == 0 && m.IntN(2) == 0 {
		return "7"
	}
	return name(a)
}

func (m Maker) single(v int, names []string) fieldOf {
	f := fieldOf{text: strconv.Itoa(v)}
	f.set[v] = true
	return f
}

// special is a day of the month that is counted from its end, or a working day.
func (m Maker) special() fieldOf {
	n := 1 + m.IntN(28)
	nearest := func(d date, target int) bool {
		if target < 1 || target > d.last {
			return false
		}
		switch weekday := ((d.weekday+target-d.day)%7 + 7) % 7; {
		case weekday == 6 && target == 1:
			target = 3
		case weekday == 6:
			target--
		case weekday == 0 && target == d.last:
			target -= 2
		case weekday == 0:
			target++
		}
		return d.day == target
	}
	switch m.IntN(4) {
	case 0:
		return fieldOf{text: "L", day: func(d date) bool { return d.day == d.last }}
	case 1:
		return fieldOf{text: fmt.Sprintf("L-%d", n), day: func(d date) bool { return d.day == d.last-n }}
	case 2:
		return fieldOf{text: "LW", day: func(d date) bool { return nearest(d, d.last) }}
	}
	return fieldOf{text: fmt.Sprintf("%dW", n), day: func(d date) bool { return nearest(d, n) }}
}

func (m Maker) nth() fieldOf {
	weekday, n := m.IntN(7), 1+m.IntN(5)
	if m.IntN(2) == 0 {
		return fieldOf{text: fmt.Sprintf("%dL", weekday), day: func(d date) bool { return d.weekday == weekday && d.day > d.last-7 }}
	}
	return fieldOf{text: fmt.Sprintf("%d#%d", weekday, n), day: func(d date) bool { return d.weekday == weekday && (d.day-1)/7 == n-1 }}
}
