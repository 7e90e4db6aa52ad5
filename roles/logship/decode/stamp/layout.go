// Package stamp reads times as they are written in logs. A layout, in the words of Go or of strptime, is compiled once; reading allocates
// nothing. Used by decode.
package stamp

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// op is one part of a layout.
type op struct {
	kind kind
	text string // of literal
}

type kind uint8

const (
	literal kind = iota
	space        // any number of blanks, at least one
	year4
	year2
	month // one or two digits
	monthName
	day // one or two digits, maybe behind a blank
	yearDay
	hour24
	hour12
	half // AM, PM
	minute
	second
	fraction // digits behind a point or a comma that may be missing
	digits   // the digits of a fraction
	offset   // Z, +01:00, +0100, +01
	zoneName // UTC, GMT, Z or letters that are skipped
	weekday
	epoch
	rfc
	auto
)

// Layout reads times. The zero value reads nothing.
type Layout struct {
	ops    []op
	unit   int64 // of epoch, in nanoseconds; 0: by magnitude
	zone   *time.Location
	noYear bool
}

// Words are the layouts that have a name.
func Words() []string {
	return []string{"auto", "rfc3339", "iso8601", "epoch", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns", "http", "syslog", "rfc1123", "ansic"}
}

// Compile reads a layout: one of Words, one with % as in strptime, or one of Go's. zone is used where the text names no offset; nil is UTC.
func Compile(layout string, zone *time.Location) (*Layout, error) {
	if zone == nil {
		zone = time.UTC
	}
	l := &Layout{zone: zone}
	named := map[string]string{
		"http": "02/Jan/2006:15:04:05 -0700", "syslog": "Jan _2 15:04:05", "rfc1123": "Mon, 02 Jan 2006 15:04:05 MST", "ansic": time.ANSIC,
	}
	if full, ok := named[layout]; ok {
		layout = full
	}
	units := map[string]int64{"epoch": 0, "epoch_s": 1e9, "epoch_ms": 1e6, "epoch_us": 1e3, "epoch_ns": 1}
	if unit, ok := units[layout]; ok {
		l.ops, l.unit = []op{{kind: epoch}}, unit
		return l, nil
	}
	var err error
	switch {
	case layout == "rfc3339" || layout == "iso8601":
		l.ops = []op{{kind: rfc}}
	case layout == "auto":
		l.ops = []op{{kind: auto}}
	case strings.Contains(layout, "%"):
		l.ops, err = strptime(layout)
	default:
		l.ops = goLayout(layout)
	}
	if err != nil {
		return nil, err
	}
	return l, l.check(layout)
}

// check refuses layouts that name no moment.
func (l *Layout) check(layout string) error {
	has := func(kinds ...kind) bool {
		return slices.ContainsFunc(l.ops, func(o op) bool { return slices.Contains(kinds, o.kind) })
	}
	if has(rfc, auto, epoch) {
		return nil
	}
	l.noYear = !has(year4, year2)
	day := has(day) && has(month, monthName) || has(yearDay)
	if !day || !has(hour24, hour12) || !has(minute) {
		return fmt.Errorf("layout %q has no day with month, hour and minute: write it as %s, 2006-01-02 15:04:05 or %%Y-%%m-%%d %%H:%%M:%%S",
			layout, strings.Join(Words(), ", "))
	}
	return nil
}

// goLayout cuts a layout of Go's package time into parts.
func goLayout(layout string) []op {
	table := []struct {
		text string
		kind kind
	}{
		{"2006", year4}, {"January", monthName}, {"Jan", monthName}, {"Monday", weekday}, {"Mon", weekday}, {"MST", zoneName},
		{"002", yearDay}, {"01", month}, {"02", day}, {"03", hour12}, {"04", minute}, {"05", second}, {"06", year2},
		{"15", hour24}, {"PM", half}, {"pm", half}, {"Z07:00", offset}, {"Z0700", offset}, {"Z07", offset},
		{"-07:00", offset}, {"-0700", offset}, {"-07", offset}, {"__2", yearDay}, {"_2006", literal}, {"_2", day},
		{"1", month}, {"2", day}, {"3", hour12}, {"4", minute}, {"5", second},
	}
	var ops []op
next:
	for layout != "" {
		if n := goFraction(layout, ops); n > 0 {
			ops, layout = append(ops, op{kind: fraction}), layout[n:]
			continue
		}
		for _, t := range table {
			if t.kind != literal && strings.HasPrefix(layout, t.text) {
				ops, layout = append(ops, op{kind: t.kind}), layout[len(t.text):]
				continue next
			}
		}
		ops = plain(ops, layout[0])
		layout = layout[1:]
	}
	return ops
}

// goFraction returns the length of .000, ,000, .999 or ,999 behind seconds.
func goFraction(layout string, ops []op) int {
	if len(ops) == 0 || ops[len(ops)-1].kind != second || layout[0] != '.' && layout[0] != ',' {
		return 0
	}
	n := 1
	for n < len(layout) && (layout[n] == '0' || layout[n] == '9') && layout[n] == layout[1] {
		n++
	}
	if n == 1 || n < len(layout) && layout[n] >= '0' && layout[n] <= '9' {
		return 0
	}
	return n
}

func plain(ops []op, c byte) []op {
	last := len(ops) - 1
	if c == ' ' {
		if last >= 0 && ops[last].kind == space {
			return ops
		}
		return append(ops, op{kind: space})
	}
	if last >= 0 && ops[last].kind == literal {
		ops[last].text += string([]byte{c})
		return ops
	}
	return append(ops, op{kind: literal, text: string([]byte{c})})
}

// strptime cuts a layout with % into parts.
func strptime(layout string) ([]op, error) {
	table := map[byte]kind{
		'Y': year4, 'y': year2, 'm': month, 'b': monthName, 'B': monthName, 'h': monthName, 'd': day, 'e': day, 'j': yearDay,
		'H': hour24, 'k': hour24, 'I': hour12, 'l': hour12, 'p': half, 'P': half, 'M': minute, 'S': second, 'f': digits, 'L': digits, 'N': digits,
		'z': offset, 'Z': zoneName, 'a': weekday, 'A': weekday, 's': epoch,
	}
	long := map[byte]string{'F': "%Y-%m-%d", 'T': "%H:%M:%S", 'R': "%H:%M", 'D': "%m/%d/%y", 'c': "%a %b %e %H:%M:%S %Y"}
	var ops []op
	for i := 0; i < len(layout); i++ {
		if layout[i] != '%' {
			ops = plain(ops, layout[i])
			continue
		}
		i++
		for i < len(layout) && (layout[i] == '-' || layout[i] == ':' || layout[i] == '3' || layout[i] == '6' || layout[i] == '9') {
			i++ // %-d, %:z, %3N
		}
		if i == len(layout) {
			return nil, fmt.Errorf("layout %q ends within a part: write %%%% for a percent sign", layout)
		}
		c := layout[i]
		if more, ok := long[c]; ok {
			parts, err := strptime(more)
			if err != nil {
				return nil, err
			}
			ops = append(ops, parts...)
			continue
		}
		k, ok := table[c]
		switch {
		case ok:
			ops = append(ops, op{kind: k})
		case c == '%':
			ops = plain(ops, '%')
		case c == 'n' || c == 't':
			ops = plain(ops, ' ')
		default:
			const parts = "%Y %y %m %b %d %e %j %H %I %p %M %S %f %z %Z %a %s %F %T %R %D"
			return nil, fmt.Errorf("layout %q has %%%c, which is not known: the parts are %s", layout, c, parts)
		}
	}
	return ops, nil
}
