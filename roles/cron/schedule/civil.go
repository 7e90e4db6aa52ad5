package schedule

import "math/bits"

const (
	horizon     = 400 // years: the calendar repeats
	allDays     = 0xfffffffe
	allWeekdays = 0x7f
	allMonths   = 0x1ffe
)

// civilNext returns the first civil time at or after c, or never.
func (s *Schedule) civilNext(c int64) int64 {
	date := floorDiv(c, day)
	clock := int(c - date*day)
	today := date
	if !s.is(daily) {
		if today = s.dayNext(date); today == never {
			return never
		}
	}
	if today == date {
		if at := s.clockNext(clock); at >= 0 {
			return date*day + int64(at)
		}
		today++
		if !s.is(daily) {
			if today = s.dayNext(today); today == never {
				return never
			}
		}
	}
	return today*day + int64(s.clockFirst())
}

// civilPrev returns the last civil time at or before c, or -never.
func (s *Schedule) civilPrev(c int64) int64 {
	date := floorDiv(c, day)
	today := s.dayPrev(date)
	if today == date {
		if at := s.clockPrev(int(c - date*day)); at >= 0 {
			return date*day + int64(at)
		}
		today = s.dayPrev(date - 1)
	}
	if today == -never {
		return -never
	}
	return today*day + int64(s.clockLast())
}

func (s *Schedule) clockFirst() int {
	return bits.TrailingZeros32(s.hour)*3600 + bits.TrailingZeros64(s.minute)*60 + bits.TrailingZeros64(s.second)
}

func (s *Schedule) clockLast() int {
	return (bits.Len32(s.hour)-1)*3600 + (bits.Len64(s.minute)-1)*60 + bits.Len64(s.second) - 1
}

// clockNext returns the first second of the day at or after clock; -1 is none.
func (s *Schedule) clockNext(clock int) int {
	hour, minute, second := clock/3600, clock/60%60, clock%60
	if s.hour>>hour&1 != 0 {
		if s.minute>>minute&1 != 0 {
			if rest := s.second >> second; rest != 0 {
				return clock + bits.TrailingZeros64(rest)
			}
		}
		if rest := s.minute >> (minute + 1); rest != 0 {
			return hour*3600 + (minute+1+bits.TrailingZeros64(rest))*60 + bits.TrailingZeros64(s.second)
		}
	}
	rest := s.hour >> (hour + 1)
	if rest == 0 {
		return -1
	}
	return (hour+1+bits.TrailingZeros32(rest))*3600 + bits.TrailingZeros64(s.minute)*60 + bits.TrailingZeros64(s.second)
}

// clockPrev returns the last second of the day at or before clock; -1 is none.
func (s *Schedule) clockPrev(clock int) int {
	hour, minute, second := clock/3600, clock/60%60, clock%60
	if s.hour>>hour&1 != 0 {
		if s.minute>>minute&1 != 0 {
			if rest := s.second & (2<<second - 1); rest != 0 {
				return clock - second + bits.Len64(rest) - 1
			}
		}
		if rest := s.minute & (1<<minute - 1); rest != 0 {
			return hour*3600 + (bits.Len64(rest)-1)*60 + bits.Len64(s.second) - 1
		}
	}
	rest := s.hour & (1<<hour - 1)
	if rest == 0 {
		return -1
	}
	return (bits.Len32(rest)-1)*3600 + (bits.Len64(s.minute)-1)*60 + bits.Len64(s.second) - 1
}

// dayNext returns the first matching day at or after date (days since
// 1970-01-01), or never. It looks at months, not at days.
func (s *Schedule) dayNext(date int64) int64 {
	if s.is(daily) {
		return date
	}
	year, month, dom := dateOf(date)
	first := date - int64(dom) + 1
	if s.month>>month&1 != 0 && s.years.has(year) {
		if rest := s.daysOf(year, month, first) >> dom; rest != 0 {
			return date + int64(bits.TrailingZeros32(rest))
		}
	}
	last := year + horizon
	for {
		rest := s.month >> (month + 1)
		if rest == 0 {
			if year, month = s.years.after(year), bits.TrailingZeros16(s.month); year > last {
				return never
			}
		} else if month += 1 + bits.TrailingZeros16(rest); !s.years.has(year) {
			month = 12
			continue
		}
		first = dayOf(year, month)
		if match := s.daysOf(year, month, first); match != 0 {
			return first + int64(bits.TrailingZeros32(match)) - 1
		}
	}
}

// dayPrev returns the last matching day at or before date, or -never.
func (s *Schedule) dayPrev(date int64) int64 {
	if s.is(daily) {
		return date
	}
	year, month, dom := dateOf(date)
	first := date - int64(dom) + 1
	if s.month>>month&1 != 0 && s.years.has(year) {
		if rest := s.daysOf(year, month, first) & (2<<dom - 1); rest != 0 {
			return first + int64(bits.Len32(rest)) - 2
		}
	}
	last := year - horizon
	for {
		rest := s.month & (1<<month - 1)
		if rest == 0 {
			if year, month = s.years.before(year), bits.Len16(s.month)-1; year < last {
				return -never
			}
		} else if month = bits.Len16(rest) - 1; !s.years.has(year) {
			month = 0
			continue
		}
		first = dayOf(year, month)
		if match := s.daysOf(year, month, first); match != 0 {
			return first + int64(bits.Len32(match)) - 2
		}
	}
}

// daysOf returns the matching days of a month that begins on day first.
func (s *Schedule) daysOf(year, month int, first int64) uint32 {
	start := int(floorMod(first+4, 7)) // 1970-01-01 was a Thursday
	length := lengthOf(year, month)
	// The weekdays of five weeks, shifted so that bit 1 is the first of the month.
	const weeks = 1 | 1<<7 | 1<<14 | 1<<21 | 1<<28 | 1<<35
	byWeekday := uint32(uint64(s.weekdays) * weeks >> start << 1)
	byDate := s.days
	if s.special != nil {
		byDate |= s.special.dates(length, start)
		byWeekday |= s.special.weekdays(length, start)
	}
	month31 := uint32(1)<<(length+1) - 2
	if s.is(either) {
		return (byDate | byWeekday) & month31
	}
	return byDate & byWeekday & month31
}

func lengthOf(year, month int) int {
	if month == 2 {
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 30 + (month+month>>3)&1
}

// dateOf takes a day apart. Years are counted from March, so that the leap day is
// the last of its year, within eras of 400 years.
func dateOf(date int64) (year, month, dom int) {
	date += 719468 // from 0000-03-01
	era := floorDiv(date, 146097)
	doe := int(date - era*146097)
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	m := (5*doy + 2) / 153
	dom = doy - (153*m+2)/5 + 1
	year = yoe + int(era)*400
	if m < 10 {
		return year, m + 3, dom
	}
	return year + 1, m - 9, dom
}

// dayOf returns the first day of a month.
func dayOf(year, month int) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	era := floorDiv(int64(year), 400)
	yoe := year - int(era)*400
	doy := (153*(month-3) + 2) / 5
	return era*146097 + int64(yoe*365+yoe/4-yoe/100+doy) - 719468
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func floorMod(a, b int64) int64 { return a - floorDiv(a, b)*b }
