package stamp

import (
	"math"
	"time"
)

// parts are what was read of a time.
type parts struct {
	year, month, day, yearDay, hour, minute, second int
	nano                                            int64
	half                                            int8 // 1: AM, 2: PM
	offset                                          int
	zoned                                           bool
}

// Parse reads the time that b begins with: nanoseconds since 1970, and how many bytes it took. near, in nanoseconds since 1970, says which
// year is meant where the text has none: the one that puts the time not more than a day behind near.
func (l *Layout) Parse(b []byte, near int64) (ns int64, n int, ok bool) {
	if len(l.ops) == 1 {
		switch l.ops[0].kind {
		case epoch:
			return parseEpoch(b, l.unit)
		case rfc:
			return l.parseRFC(b)
		case auto:
			return l.parseAuto(b)
		default:
		}
	}
	var p parts
	p.year, p.month, p.day = 1970, 1, 1
	for i := range l.ops {
		o := &l.ops[i]
		if o.kind == epoch {
			end := n
			for end < len(b) && b[end]-'0' <= 9 {
				end++
			}
			var took int
			if ns, took, ok = parseEpoch(b[n:end], 1e9); !ok {
				return 0, 0, false
			}
			n += took
			continue
		}
		took := p.read(o, b[n:])
		if took < 0 {
			return 0, 0, false
		}
		n += took
		if o.kind == second && p.nano == 0 && (i+1 == len(l.ops) || l.ops[i+1].kind != fraction && l.ops[i+1].kind != literal) {
			n += p.fraction(b[n:])
		}
	}
	if ok {
		return ns + p.nano, n, true
	}
	ns, ok = l.join(&p, near)
	return ns, n, ok
}

// join makes a moment of its parts.
func (l *Layout) join(p *parts, near int64) (ns int64, ok bool) {
	if p.half != 0 {
		if p.hour < 1 || p.hour > 12 {
			return 0, false
		}
		p.hour = p.hour%12 + int(p.half-1)*12
	}
	if !l.noYear {
		return l.moment(p)
	}
	p.year = time.Unix(0, near).In(l.zone).Year() + 1
	for range 5 { // 29 February may have to go back by four years
		if ns, ok = l.moment(p); ok && ns <= near+int64(24*time.Hour) {
			return ns, true
		}
		p.year--
	}
	return 0, false
}

func (l *Layout) moment(p *parts) (ns int64, ok bool) {
	if p.yearDay > 0 {
		p.month, p.day = 1, p.yearDay
		if p.yearDay > 366 || p.yearDay == 366 && !leap(p.year) {
			return 0, false
		}
	} else if p.month < 1 || p.month > 12 || p.day < 1 || p.day > days(p.year, p.month) {
		return 0, false
	}
	if p.hour > 23 || p.minute > 59 || p.second > 60 || p.year < 1678 || p.year > 2261 {
		return 0, false
	}
	if !p.zoned && l.zone != time.UTC {
		return time.Date(p.year, time.Month(p.month), p.day, p.hour, p.minute, p.second, int(p.nano), l.zone).UnixNano(), true
	}
	sec := sinceEpoch(p.year, p.month, p.day)*86400 + int64(p.hour*3600+p.minute*60+p.second-p.offset)
	return sec*1e9 + p.nano, true
}

func leap(y int) bool { return y%4 == 0 && (y%100 != 0 || y%400 == 0) }

func days(y, m int) int {
	if m == 2 && leap(y) {
		return 29
	}
	return int([...]uint8{0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[m])
}

// sinceEpoch counts days, in years that begin in March.
func sinceEpoch(y, m, d int) int64 {
	if m <= 2 {
		y--
		m += 12
	}
	return int64(365*y + y/4 - y/100 + y/400 + (153*(m-3)+2)/5 + d - 719469)
}

// parseRFC reads RFC 3339 and its relatives of ISO 8601: T or a blank between, seconds and zone may be missing.
func (l *Layout) parseRFC(b []byte) (ns int64, n int, ok bool) {
	if len(b) < 16 || b[4] != '-' || b[7] != '-' || b[13] != ':' || b[10] != 'T' && b[10] != ' ' && b[10] != 't' {
		return 0, 0, false
	}
	var p parts
	var bad uint8
	two := func(i int) int {
		hi, lo := b[i]-'0', b[i+1]-'0'
		if hi > 9 || lo > 9 {
			bad = 1
		}
		return int(hi)*10 + int(lo)
	}
	p.year, p.month, p.day, p.hour, p.minute = two(0)*100+two(2), two(5), two(8), two(11), two(14)
	n = 16
	if len(b) >= 19 && b[16] == ':' {
		p.second = two(17)
		n = 19
		n += p.fraction(b[n:])
	}
	if bad != 0 {
		return 0, 0, false
	}
	if n < len(b) {
		at := n
		if b[at] == ' ' {
			at++ // 2006-01-02 15:04:05 +0200
		}
		if took := p.readOffset(b[at:]); took > 0 && (at == n || b[at] != 'Z' && b[at] != 'z') {
			n = at + took
		}
	}
	ns, ok = l.moment(&p)
	return ns, n, ok
}

func (l *Layout) parseAuto(b []byte) (ns int64, n int, ok bool) {
	if len(b) > 4 && b[4] == '-' {
		return l.parseRFC(b)
	}
	return parseEpoch(b, 0)
}

// parseEpoch reads a number of units since 1970, maybe with a fraction or a power of ten. Without a unit, 12 digits and more are
// milliseconds, 15 and more microseconds, 18 and more nanoseconds.
func parseEpoch(b []byte, unit int64) (ns int64, n int, ok bool) {
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		n++
	}
	var whole int64
	start := n
	for ; n < len(b) && b[n]-'0' <= 9; n++ {
		if n-start > 18 {
			return 0, 0, false
		}
		whole = whole*10 + int64(b[n]-'0')
	}
	count := n - start
	if count == 0 {
		return 0, 0, false
	}
	exact := unit
	if unit == 0 {
		unit = [...]int64{1e9, 1e6, 1e3, 1}[min(max(0, count-9)/3, 3)]
	}
	var part int64
	if n+1 < len(b) && b[n] == '.' && b[n+1]-'0' <= 9 {
		scale := unit
		for n++; n < len(b) && b[n]-'0' <= 9; n++ {
			scale /= 10
			part += int64(b[n]-'0') * scale
		}
	}
	if n+1 < len(b) && b[n]|0x20 == 'e' { // zap writes 1.7e9
		e := n + 1
		if b[e] == '+' {
			e++
		}
		power := 0
		for ; e < len(b) && b[e]-'0' <= 9 && power < 100; e++ {
			power = power*10 + int(b[e]-'0')
		}
		return parsePower(b, start, n, power, negative, exact, e)
	}
	if whole > math.MaxInt64/unit-1 {
		return 0, 0, false
	}
	ns = whole*unit + part
	if negative {
		ns = -ns
	}
	return ns, n, true
}

// parsePower reads the digits b[start:end], with one point, times ten to the power.
func parsePower(b []byte, start, end, power int, negative bool, unit int64, n int) (int64, int, bool) {
	if unit == 0 {
		unit = 1e9
	}
	var value float64
	shift := power
	seen := false
	for _, c := range b[start:end] {
		if c == '.' {
			seen = true
			continue
		}
		value = value*10 + float64(c-'0')
		if seen {
			shift--
		}
	}
	value *= math.Pow10(shift) * float64(unit)
	if negative {
		value = -value
	}
	if !(math.Abs(value) < 9e18) {
		return 0, 0, false
	}
	return int64(value), n, true
}
