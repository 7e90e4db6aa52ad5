package schedule

import (
	"fmt"
	"math"
	"math/bits"
	"time"
)

// Note says in a few words why an instant of the schedule is special: it makes up
// for a time that does not exist, or its civil time comes twice. It is "" for others.
func (s *Schedule) Note(t time.Time) string {
	if s.every > 0 || s.is(reboot) {
		return ""
	}
	u := t.Unix()
	span := s.zone.at(u)
	if u == span.start && s.lostIn(span) {
		return s.lostNote(span)
	}
	civil := u + span.off
	if span.twice <= civil && civil < span.again {
		return clockOf(civil) + " comes twice on this day, this is the second"
	}
	if span.end == math.MaxInt64 {
		return ""
	}
	if next := s.zone.after(span); next.twice <= civil && civil < next.again {
		if s.is(firstOnly) {
			return clockOf(civil) + " comes twice on this day, runs the first time only"
		}
		return clockOf(civil) + " comes twice on this day, this is the first"
	}
	return ""
}

func (s *Schedule) lostNote(span *span) string {
	end := span.start + span.off
	lost := s.civilNext(span.gap)
	note := fmt.Sprintf("%s does not exist on this day (the clock goes from %s to %s), runs at the end of the gap",
		clockOf(lost), clockOf(span.gap), clockOf(end))
	if s.civilNext(end) == end {
		note += ", as one with the run there"
	}
	return note
}

// clockOf prints the time of day, with seconds when there are any.
func clockOf(civil int64) string {
	t := time.Unix(civil, 0).UTC()
	if t.Second() != 0 {
		return t.Format("15:04:05")
	}
	return t.Format("15:04")
}

// Lints says what in the schedule may surprise in the year after from: days that
// dialects read in different ways, times that a change of the clock touches, runs
// every second. Nothing of it is an error.
func (s *Schedule) Lints(from time.Time) []string {
	var lints []string
	if s.is(reboot) {
		return nil
	}
	if s.every == 1 || bits.OnesCount64(s.second) == 60 {
		lints = append(lints, "runs every second")
	}
	if s.every > 0 {
		return lints
	}
	if lint := s.starLint(from); lint != "" {
		lints = append(lints, lint)
	}
	if s.is(sundaySeven) {
		lints = append(lints, "a weekday range that ends in 7 is refused by other crons: write it with names, such as fri-sun")
	}
	return append(lints, s.clockLints(from)...)
}

// starLint compares the two rules for a day of month and a weekday that are both
// restricted.
func (s *Schedule) starLint(from time.Time) string {
	vixie, robfig := !s.is(domStar) && !s.is(dowStar), !s.is(plainStars)
	if vixie == robfig {
		return ""
	}
	both, one := *s, *s
	both.flags &^= either
	one.flags |= either
	and, or := both.daysAYear(from), one.daysAYear(from)
	if and == or {
		return ""
	}
	other := "robfig (CronJob)"
	if s.is(either) != vixie {
		other = "vixie"
	}
	if s.is(either) {
		return fmt.Sprintf("day of month and weekday: one of them must match, which is %d days in a year; in the dialect %s both must, %d days", or, other, and)
	}
	return fmt.Sprintf("day of month and weekday: both must match, which is %d days in a year; in the dialect %s one of them must, %d days", and, other, or)
}

func (s *Schedule) daysAYear(from time.Time) int {
	year, month, _ := from.Date()
	count, m := 0, int(month)
	for range 12 {
		if s.month>>m&1 != 0 && s.years.has(year) {
			count += bits.OnesCount32(s.daysOf(year, m, dayOf(year, m)))
		}
		if m++; m > 12 {
			year, m = year+1, 1
		}
	}
	return count
}

// clockLints lists the transitions in the year after from that touch the schedule.
func (s *Schedule) clockLints(from time.Time) []string {
	if s.is(wildcard) {
		return nil // goes by the clock on the wall, as is expected of it
	}
	var lints []string
	end := from.AddDate(1, 0, 0).Unix()
	for span := s.zone.at(from.Unix()); span.end < end; {
		span = s.zone.after(span)
		civil := span.start + span.off
		date := time.Unix(civil, 0).UTC().Format(time.DateOnly)
		if lost := s.civilNext(span.gap); lost < civil {
			what := "it does not run"
			if s.is(afterGap) {
				what = "it runs at " + clockOf(civil)
			}
			lints = append(lints, fmt.Sprintf("%s does not exist on %s in %s: %s", clockOf(lost), date, s.zone.loc, what))
		}
		if double := s.civilNext(span.twice); double < span.again {
			what := "it runs twice"
			if s.is(firstOnly) {
				what = "it runs the first time only"
			}
			lints = append(lints, fmt.Sprintf("%s comes twice on %s in %s: %s", clockOf(double), date, s.zone.loc, what))
		}
	}
	return lints
}
