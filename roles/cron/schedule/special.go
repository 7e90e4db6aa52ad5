package schedule

import "math/bits"

// special are the days whose date depends on the month.
type special struct {
	last     uint32   // bit n: n days before the last day
	lastWork uint32   // the same, moved to the nearest weekday
	work     uint32   // bit n: the weekday nearest to day n
	nth      [5]uint8 // weekdays by which of the month they are, the first at 0
	lastDay  uint8    // weekdays that are the last of the month
}

// dates returns days named by the day of month. start is the weekday of day 1.
func (x *special) dates(length, start int) uint32 {
	var out uint32
	for rest := x.last; rest != 0; rest &= rest - 1 {
		if dom := length - bits.TrailingZeros32(rest); dom > 0 {
			out |= 1 << dom
		}
	}
	for rest := x.lastWork; rest != 0; rest &= rest - 1 {
		if dom := length - bits.TrailingZeros32(rest); dom > 0 {
			out |= 1 << nearestWorkday(dom, length, start)
		}
	}
	for rest := x.work; rest != 0; rest &= rest - 1 {
		if dom := bits.TrailingZeros32(rest); dom <= length {
			out |= 1 << nearestWorkday(dom, length, start)
		}
	}
	return out
}

// nearestWorkday moves a Saturday or Sunday to the nearest weekday of the same month.
func nearestWorkday(dom, length, start int) int {
	switch (start + dom - 1) % 7 {
	case 6:
		if dom == 1 {
			return 3
		}
		return dom - 1
	case 0:
		if dom == length {
			return dom - 2
		}
		return dom + 1
	}
	return dom
}

// weekdays returns days named by the day of week.
func (x *special) weekdays(length, start int) uint32 {
	var out uint32
	for i, set := range x.nth {
		for rest := set; rest != 0; rest &= rest - 1 {
			out |= 1 << (1 + (bits.TrailingZeros8(rest)-start+7)%7 + 7*i)
		}
	}
	for rest := x.lastDay; rest != 0; rest &= rest - 1 {
		end := (start + length - 1) % 7
		out |= 1 << (length - (end-bits.TrailingZeros8(rest)+7)%7)
	}
	return out
}

const (
	firstYear = 1970
	lastYear  = 2199
	noYear    = 1 << 30 // beyond every horizon
)

// years is a set of years; a nil one holds all.
type years [4]uint64

func (y *years) add(year int) { y[(year-firstYear)/64] |= 1 << ((year - firstYear) % 64) }

func (y *years) has(year int) bool {
	if y == nil {
		return true
	}
	n := year - firstYear
	return n >= 0 && n < 256 && y[n/64]>>(n%64)&1 != 0
}

// after returns the next year; far in the future when there is none.
func (y *years) after(year int) int {
	if y == nil {
		return year + 1
	}
	for year = max(year+1, firstYear); year <= lastYear; year++ {
		if y.has(year) {
			return year
		}
	}
	return noYear
}

// before returns the year before; far in the past when there is none.
func (y *years) before(year int) int {
	if y == nil {
		return year - 1
	}
	for year = min(year-1, lastYear); year >= firstYear; year-- {
		if y.has(year) {
			return year
		}
	}
	return -noYear
}
