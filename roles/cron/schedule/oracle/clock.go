package oracle

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sidecar-kit/sidecar/roles/cron/schedule"
)

// shown is the date of a clock; its time zone does not matter.
func shown(t time.Time) date {
	last := time.Date(t.Year(), t.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
	return date{t.Hour(), t.Minute(), t.Day(), int(t.Month()), int(t.Weekday()), last}
}

// Moment is one minute of a zone.
type Moment struct {
	At      time.Time
	shows   date
	moved   int    // seconds, when the clock is moved at this instant
	skipped []date // by that
	again   bool   // it showed the same before, and the clock was moved back by three hours at most
}

const threeHours = 3 * 3600

// Minutes lists what happens in a zone; false when the clock moves at a fraction of a minute, as it did a century ago.
func Minutes(zone *time.Location, from time.Time, n int) ([]Moment, bool) {
	list := make([]Moment, 0, n)
	_, offset := from.Add(-time.Minute).In(zone).Zone()
	back, backAt, before := 0, time.Time{}, offset
	for at := from; len(list) < n; at = at.Add(time.Minute) {
		local := at.In(zone)
		_, now := local.Zone()
		m := Moment{At: at, shows: shown(local), moved: now - offset}
		if now%60 != 0 || offset%60 != 0 {
			return nil, false
		}
		if start, _ := local.ZoneBounds(); m.moved != 0 && !start.Equal(at) {
			return nil, false
		}
		if m.moved > 0 && m.moved <= threeHours {
			clock := at.Add(time.Duration(offset) * time.Second).UTC() // what it would show
			for s := 0; s < m.moved; s += 60 {
				m.skipped = append(m.skipped, shown(clock.Add(time.Duration(s)*time.Second)))
			}
		}
		if m.moved < 0 && m.moved >= -threeHours {
			back, backAt, before = -m.moved, at, offset
		}
		if back > 0 && at.Sub(backAt) < time.Duration(back)*time.Second {
			_, then := at.Add(-time.Duration(back) * time.Second).In(zone).Zone()
			m.again = then == before
		}
		offset = now
		list = append(list, m)
	}
	return list, true
}

// occurs is rule 3.
func occurs(l Line, m Moment, dst schedule.DST) bool {
	fixed := !l.wildcard()
	named := l.matches(m.shows)
	if m.again && named && (dst == schedule.Skip || dst == schedule.ISC && fixed) {
		named = false
	}
	if dst == schedule.Both || dst == schedule.ISC && fixed {
		named = named || slices.ContainsFunc(m.skipped, l.matches)
	}
	return named
}

// Windows begin 30 hours before every change of the clock in a year, and at one other time.
func Windows(r *rand.Rand, zone *time.Location, year int) []time.Time {
	begin := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
	starts := []time.Time{begin.Add(time.Duration(r.IntN(363*24)) * time.Hour)}
	for at := begin; len(starts) < 12; {
		_, end := at.In(zone).ZoneBounds()
		if end.IsZero() || end.Year() > year {
			break
		}
		starts = append(starts, end.Add(-30*time.Hour))
		at = end
	}
	return starts
}
