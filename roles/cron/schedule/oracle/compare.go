package oracle

import (
	"fmt"
	"slices"
	"time"

	"github.com/sidecar-kit/sidecar/roles/cron/schedule"
)

// Difference is a disagreement, at the instant where it begins.
type Difference struct {
	Line, Zone string
	DST        schedule.DST
	At         time.Time
	What       string
}

func (d Difference) String() string {
	return fmt.Sprintf("%q in %s, dst %s, at %s: %s", d.Line, d.Zone, d.DST, d.At.Format(time.RFC3339), d.What)
}

// Compare returns the first disagreement in a list of minutes.
func Compare(l Line, zone *time.Location, list []Moment, dst schedule.DST) (int, *Difference) {
	d := Difference{Line: l.Text(), Zone: zone.String(), DST: dst, At: list[0].At}
	s, err := schedule.Parse(l.Text(), schedule.Options{Zone: zone, DST: dst})
	if err != nil {
		if slices.ContainsFunc(list, func(m Moment) bool { return occurs(l, m, dst) }) {
			d.What = err.Error()
			return 0, &d
		}
		return 0, nil // it may really never come
	}
	if s.Wildcard() != l.wildcard() {
		d.What = fmt.Sprintf("Wildcard() = %v", s.Wildcard())
		return 0, &d
	}
	count, before := 0, time.Time{}
	next := s.Next(list[0].At.Add(-time.Second))
	for _, m := range list {
		due := occurs(l, m, dst)
		d.At = m.At.In(zone)
		switch {
		case due != next.Equal(m.At):
			d.What = fmt.Sprintf("Next = %s, want %v", next.In(zone).Format(time.RFC3339), due)
			return count, &d
		case due:
			count, before = count+1, m.At
			next = s.Next(m.At)
		}
		if m.At.Unix()/60%17 == 0 && !before.IsZero() {
			if got := s.Prev(m.At.Add(13 * time.Second)); !got.Equal(before) {
				d.What = fmt.Sprintf("Prev = %s, want %s", got.In(zone).Format(time.RFC3339), before.In(zone).Format(time.RFC3339))
				return count, &d
			}
		}
	}
	return count, nil
}

// Smallest removes fields from a line as long as it still differs.
func Smallest(l Line, d *Difference, zone *time.Location, list []Moment) *Difference {
	for _, change := range []func(*Line){
		func(l *Line) { l.dow = all(0, 6) },
		func(l *Line) { l.month = all(1, 12) },
		func(l *Line) { l.dom = all(1, 31) },
		func(l *Line) { l.hour = all(0, 23) },
		func(l *Line) { l.minute = Maker{}.single(0, nil) },
	} {
		smaller := l
		change(&smaller)
		if _, still := Compare(smaller, zone, list, d.DST); still != nil {
			l, d = smaller, still
		}
	}
	return d
}

// Agrees says whether another calculation finds the same instants.
func Agrees(l Line, next func(time.Time) time.Time, list []Moment, dst schedule.DST) bool {
	at := next(list[0].At.Add(-time.Second))
	for _, m := range list {
		due := occurs(l, m, dst)
		if due != at.Equal(m.At) {
			return false
		}
		if due {
			at = next(m.At)
		}
	}
	return true
}
