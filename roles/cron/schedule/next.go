package schedule

import (
	"math"
	"time"
)

// never stands for "no civil time".
const never = math.MaxInt64

// Next returns the first instant of the schedule strictly after t, in the zone of
// the schedule; the zero time when there is none within 400 years.
func (s *Schedule) Next(t time.Time) time.Time {
	u, ok := s.next(t.Unix() + 1)
	if !ok {
		return time.Time{}
	}
	return time.Unix(u, 0).In(s.zone.loc)
}

// Prev returns the last instant of the schedule at or before t; the zero time when
// there is none within 400 years. It takes no longer when t is far ahead.
func (s *Schedule) Prev(t time.Time) time.Time {
	u, ok := s.prev(t.Unix())
	if !ok {
		return time.Time{}
	}
	return time.Unix(u, 0).In(s.zone.loc)
}

// next returns the first instant at or after u.
func (s *Schedule) next(u int64) (int64, bool) {
	if s.every > 0 {
		return -floorDiv(-u, s.every) * s.every, true
	}
	if s.is(reboot) {
		return 0, false
	}
	span := s.zone.at(u)
	// A schedule may name nothing but times that every year's gap swallows.
	for end := u + horizon*366*day; u < end; {
		if u == span.start && s.lostIn(span) {
			return u, true
		}
		civil := s.civilNext(u + span.off)
		if civil < span.again && civil >= span.twice && s.is(firstOnly) {
			civil = s.civilNext(span.again)
		}
		if civil < span.civilEnd {
			return civil - span.off, true
		}
		if span.end == math.MaxInt64 {
			return 0, false
		}
		// The clock may go back at the end of the span, to before what was looked
		// at, but by no more than two offsets. A longer span may be left behind.
		if span.end-u > 2*maxOffset {
			if civil == never {
				return 0, false
			}
			if civil-maxOffset > span.end {
				u = civil - maxOffset
				span = s.zone.find(u)
				continue
			}
		}
		u = span.end
		span = s.zone.after(span)
	}
	return 0, false
}

// prev returns the last instant at or before u.
func (s *Schedule) prev(u int64) (int64, bool) {
	if s.every > 0 {
		return floorDiv(u, s.every) * s.every, true
	}
	if s.is(reboot) {
		return 0, false
	}
	span := s.zone.at(u)
	for end := u - horizon*366*day; u > end; {
		civil := s.civilPrev(u + span.off)
		near := civil // what the span before may still have
		if civil < span.again && civil >= span.twice && s.is(firstOnly) {
			civil = s.civilPrev(span.twice - 1)
		}
		if span.start == math.MinInt64 {
			return civil - span.off, civil > -never
		}
		if civil >= span.start+span.off {
			return civil - span.off, true
		}
		if s.lostIn(span) {
			return span.start, true
		}
		last := span.start - 1
		if u-span.start > 2*maxOffset {
			if near == -never {
				return 0, false
			}
			last = min(last, near+maxOffset)
		}
		u = last
		span = s.zone.find(u)
	}
	return 0, false
}

// lostIn reports whether the gap before a span swallowed times that are to be
// made up for at its start.
func (s *Schedule) lostIn(span *span) bool {
	if !s.is(afterGap) {
		return false
	}
	civil := span.start + span.off
	return span.gap < civil && s.civilNext(span.gap) < civil
}
