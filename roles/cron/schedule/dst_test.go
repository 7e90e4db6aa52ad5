package schedule

import (
	_ "embed"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/robfig/cron/v3"
)

//go:embed testdata/zones.txt
var zoneNames string

// TestChangesOfTheClock lists every start from one instant up to another.
func TestChangesOfTheClock(t *testing.T) {
	const ny, lh, hav, sp = "America/New_York", "Australia/Lord_Howe", "America/Havana", "America/Sao_Paulo"
	tests := []struct{ zone, text, from, to, isc, skip, both string }{
		// Forward in New York: 02:00 is 03:00.
		{ny, "30 2 * * *", "2026-03-07T12:00-0500", "2026-03-09T12:00-0400", "08 03:00, 09 02:30", "09 02:30", "08 03:00, 09 02:30"},
		{ny, "0 3 * * *", "2026-03-08T00:00-0500", "2026-03-08T12:00-0400", "08 03:00", "08 03:00", "08 03:00"},
		{ny, "0 2 * * *", "2026-03-08T00:00-0500", "2026-03-08T12:00-0400", "08 03:00", "", "08 03:00"},
		{ny, "0,20,40 2 * * *", "2026-03-08T00:00-0500", "2026-03-08T12:00-0400", "08 03:00", "", "08 03:00"},
		{ny, "0,30 2,3 * * *", "2026-03-08T00:00-0500", "2026-03-08T12:00-0400", "08 03:00, 08 03:30", "08 03:00, 08 03:30", "08 03:00, 08 03:30"},
		{ny, "0 * * * *", "2026-03-08T00:30-0500", "2026-03-08T04:30-0400", "08 01:00, 08 03:00, 08 04:00", "08 01:00, 08 03:00, 08 04:00", "08 01:00, 08 03:00, 08 04:00"},
		{ny, "*/30 2 * * *", "2026-03-08T00:00-0500", "2026-03-09T02:10-0400", "09 02:00", "09 02:00", "08 03:00, 09 02:00"},
		{ny, "15 1-4 * * *", "2026-03-08T00:00-0500", "2026-03-08T05:00-0400", "08 01:15, 08 03:00, 08 03:15, 08 04:15", "08 01:15, 08 03:15, 08 04:15", "08 01:15, 08 03:00, 08 03:15, 08 04:15"},
		{ny, "30 2 8 3 *", "2026-03-08T00:00-0500", "2027-01-01T00:00-0500", "08 03:00", "", "08 03:00"},
		// Back in New York: 02:00 is 01:00.
		{ny, "30 1 * * *", "2026-10-31T12:00-0400", "2026-11-02T00:00-0500", "01 01:30 EDT", "01 01:30 EDT", "01 01:30 EDT, 01 01:30 EST"},
		{ny, "0 1 * * *", "2026-10-31T12:00-0400", "2026-11-02T00:00-0500", "01 01:00 EDT", "01 01:00 EDT", "01 01:00 EDT, 01 01:00 EST"},
		{ny, "0 2 * * *", "2026-10-31T12:00-0400", "2026-11-02T00:00-0500", "01 02:00 EST", "01 02:00 EST", "01 02:00 EST"},
		{ny, "59 0-2 * * *", "2026-11-01T00:00-0400", "2026-11-02T00:00-0500", "01 00:59 EDT, 01 01:59 EDT, 01 02:59 EST", "01 00:59 EDT, 01 01:59 EDT, 01 02:59 EST", "01 00:59 EDT, 01 01:59 EDT, 01 01:59 EST, 01 02:59 EST"},
		{ny, "0 * * * *", "2026-11-01T00:30-0400", "2026-11-01T02:30-0500", "01 01:00 EDT, 01 01:00 EST, 01 02:00 EST", "01 01:00 EDT, 01 02:00 EST", "01 01:00 EDT, 01 01:00 EST, 01 02:00 EST"},
		{ny, "30 1 1 11 *", "2026-11-01T01:45-0400", "2027-10-01T00:00-0400", "", "", "01 01:30 EST"},
		{ny, "@daily", "2026-10-31T12:00-0400", "2026-11-02T00:00-0500", "01 00:00, 02 00:00", "01 00:00, 02 00:00", "01 00:00, 02 00:00"},
		{"Europe/London", "30 1 * * *", "2026-03-28T12:00+0000", "2026-03-30T00:00+0000", "29 02:00", "", "29 02:00"},
		{"Europe/London", "30 1 * * *", "2026-10-24T12:00+0000", "2026-10-26T00:00+0000", "25 01:30 BST", "25 01:30 BST", "25 01:30 BST, 25 01:30 GMT"},
		// Half an hour: 02:00 is 02:30, and 02:00 is 01:30.
		{lh, "15 2 * * *", "2026-10-03T12:00+1030", "2026-10-05T00:00+1100", "04 02:30", "", "04 02:30"},
		{lh, "0 3 * * *", "2026-10-03T12:00+1030", "2026-10-05T00:00+1100", "04 03:00", "04 03:00", "04 03:00"},
		{lh, "0 0 * * *", "2026-10-03T12:00+1030", "2026-10-05T12:00+1100", "04 00:00, 05 00:00", "04 00:00, 05 00:00", "04 00:00, 05 00:00"},
		{lh, "*/15 1 * * *", "2026-04-05T00:00+1100", "2026-04-05T03:00+1030", "05 01:00, 05 01:15, 05 01:30 +11, 05 01:45 +11, 05 01:30 +1030, 05 01:45 +1030", "05 01:00, 05 01:15, 05 01:30 +11, 05 01:45 +11", "05 01:00, 05 01:15, 05 01:30 +11, 05 01:45 +11, 05 01:30 +1030, 05 01:45 +1030"},
		{lh, "45 1 * * *", "2026-04-05T00:00+1100", "2026-04-05T03:00+1030", "05 01:45 +11", "05 01:45 +11", "05 01:45 +11, 05 01:45 +1030"},
		// At midnight: 00:00 is 01:00, and 01:00 is 00:00; the day begins at 01:00.
		{hav, "15 0 * * *", "2026-03-07T12:00-0500", "2026-03-08T12:00-0400", "08 01:00", "", "08 01:00"},
		{hav, "@daily", "2026-03-07T12:00-0500", "2026-03-08T12:00-0400", "08 01:00", "", "08 01:00"},
		{hav, "30 0 * * *", "2026-10-31T12:00-0400", "2026-11-01T12:00-0500", "01 00:30 CDT", "01 00:30 CDT", "01 00:30 CDT, 01 00:30 CST"},
		{sp, "0 0 * * *", "2018-11-03T12:00-0300", "2018-11-05T12:00-0200", "04 01:00, 05 00:00", "05 00:00", "04 01:00, 05 00:00"},
		{sp, "30 23 * * *", "2018-02-17T12:00-0200", "2018-02-18T12:00-0300", "17 23:30 -02", "17 23:30 -02", "17 23:30 -02, 17 23:30 -03"},
		{sp, "0 0 * * sun", "2018-11-03T12:00-0300", "2018-11-05T12:00-0200", "04 01:00", "", "04 01:00"},
		// Two hours.
		{"Antarctica/Troll", "30 1,2 * * *", "2026-03-28T12:00+0000", "2026-03-29T12:00+0000", "29 03:00", "", "29 03:00"},
		{"Antarctica/Troll", "30 1,2 * * *", "2026-10-24T12:00+0000", "2026-10-25T12:00+0000", "25 01:30 +02, 25 02:30 +02", "25 01:30 +02, 25 02:30 +02", "25 01:30 +02, 25 02:30 +02, 25 01:30 +00, 25 02:30 +00"},
		// Corrections of the calendar: 30 December 2011 never was in Apia, 31 December 1994 never in
		// Kiritimati; Manila had one day twice in 1844, Kwajalein lost one in 1993.
		{"Pacific/Apia", "0 12 * * *", "2011-12-28T00:00-1000", "2012-01-01T00:00+1400", "28 12:00, 29 12:00, 31 12:00", "28 12:00, 29 12:00, 31 12:00", "28 12:00, 29 12:00, 31 12:00"},
		{"Pacific/Apia", "0 12 30 * *", "2011-12-28T00:00-1000", "2012-02-01T00:00+1400", "30 12:00", "30 12:00", "30 12:00"},
		{"Pacific/Apia", "0 */8 * * *", "2011-12-29T20:00-1000", "2011-12-31T09:00+1400", "31 00:00, 31 08:00", "31 00:00, 31 08:00", "31 00:00, 31 08:00"},
		{"Pacific/Kiritimati", "0 0 31 12 *", "1994-12-01T00:00-1040", "1996-01-01T12:00+1400", "31 00:00", "31 00:00", "31 00:00"},
		{"Pacific/Kwajalein", "30 6 * * *", "1993-08-19T00:00-1200", "1993-08-23T00:00+1200", "19 06:30, 20 06:30, 22 06:30", "19 06:30, 20 06:30, 22 06:30", "19 06:30, 20 06:30, 22 06:30"},
	}
	for _, tt := range tests {
		for rule, want := range map[DST]string{ISC: tt.isc, Skip: tt.skip, Both: tt.both} {
			loc, err := time.LoadLocation(tt.zone)
			if err != nil {
				t.Fatal(err)
			}
			s := must(t, tt.text, Options{Zone: loc, DST: rule})
			layout := "02 15:04"
			if strings.Contains(want+tt.both, ":30 ") || strings.Contains(want+tt.both, "T") || strings.Contains(want, " +") {
				layout = "02 15:04 MST"
			}
			var got []string
			for next := s.Next(at(t, tt.from)); !next.IsZero() && next.Before(at(t, tt.to).Add(time.Second)); next = s.Next(next) {
				got = append(got, next.Format(layout))
			}
			if !sameStarts(got, want) {
				t.Errorf("%s %s under %s = %s; want %s", tt.zone, tt.text, rule, strings.Join(got, ", "), want)
			}
		}
	}
}

// sameStarts compares lists whose wanted items may leave the zone out.
func sameStarts(got []string, want string) bool {
	if want == "" {
		return len(got) == 0
	}
	wanted := strings.Split(want, ", ")
	if len(got) != len(wanted) {
		return false
	}
	for i := range got {
		if !strings.HasPrefix(got[i], wanted[i]) {
			return false
		}
	}
	return true
}

// slow finds the instants of a schedule minute by minute, straight from the rules. It
// shares the sets of the schedule with the code under test, and nothing else.
func slow(s *Schedule, rule DST, from, to int64) []int64 {
	offset := func(u int64) int64 {
		_, off := time.Unix(u, 0).In(s.Zone()).Zone()
		return int64(off)
	}
	named := func(civil int64) bool {
		c := time.Unix(civil, 0).UTC()
		year, month, dom := c.Date()
		if s.month>>month&1 == 0 || c.Second() != 0 || s.minute>>c.Minute()&1 == 0 || s.hour>>c.Hour()&1 == 0 {
			return false
		}
		first := time.Date(year, month, 1, 0, 0, 0, 0, time.UTC).Unix() / day
		return s.daysOf(year, int(month), first)>>dom&1 != 0
	}
	var out []int64
	for u := from; u < to; u += 60 {
		civil := u + offset(u)
		runs := named(civil)
		// A civil time that came already: look for it in the three hours before.
		if runs && (rule == Skip || rule == ISC && !s.Wildcard()) {
			for back := int64(60); back <= 3*3600; back += 60 {
				if u-back+offset(u-back) == civil {
					runs = false
				}
			}
		}
		if gap := offset(u) - offset(u-1); gap > 0 && gap <= 3*3600 && (rule == Both || rule == ISC && !s.Wildcard()) {
			for lost := civil - gap; lost < civil; lost += 60 {
				runs = runs || named(lost)
			}
		}
		if runs {
			out = append(out, u)
		}
	}
	return out
}

// randomSchedule draws a schedule of five fields that is due often.
func randomSchedule(r *rand.Rand) string {
	pick := func(options ...string) string { return options[r.IntN(len(options))] }
	n := func(low, high int) string { return fmt.Sprint(low + r.IntN(high-low+1)) }
	minute := pick("*", "*/15", "*/7", n(0, 59), n(0, 59), "0", "30", n(0, 29)+"-"+n(30, 59)+"/5", n(0, 59)+","+n(0, 59))
	hour := pick("*", "*/2", "0", "1", "2", "3", n(0, 23), "0-4", "22-3", n(0, 23)+","+n(0, 23))
	dom := pick("*", "*", "*", "*/2", n(1, 28), "L", "1-7", "15W", n(1, 31)+","+n(1, 31))
	month := pick("*", "*", "*", "3,4,10,11", "*/3", "oct-apr")
	dow := pick("*", "*", "*", "sun", "sat,sun", "1-5", "fri-mon", "*/3", "0L", "sun#2")
	return strings.Join([]string{minute, hour, dom, month, dow}, " ")
}

// TestEveryTransitionOf2026 compares with the slow way around every transition of
// the year, in every zone, under every rule, forwards and backwards.
func TestEveryTransitionOf2026(t *testing.T) {
	r := rand.New(rand.NewPCG(2026, 1))
	zones, pairs := &Zones{}, 0
	for _, name := range strings.Fields(zoneNames) {
		loc, err := zones.Load(name)
		if err != nil {
			t.Logf("%s: %v", name, err)
			continue
		}
		cursor := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		for {
			_, next := cursor.In(loc).ZoneBounds()
			if next.IsZero() || next.Year() > 2026 {
				break
			}
			cursor = next
			from, to := next.Unix()-6*3600, next.Unix()+6*3600
			for _, rule := range []DST{ISC, Skip, Both} {
				s, err := Parse(randomSchedule(r), Options{Zone: loc, Zones: zones, DST: rule})
				if err != nil {
					continue
				}
				compare(t, s, rule, from, to)
				pairs++
			}
		}
	}
	if pairs < 500 {
		t.Errorf("%d pairs of zone and schedule; want more", pairs)
	}
}

func compare(t *testing.T, s *Schedule, rule DST, from, to int64) {
	t.Helper()
	want := slow(s, rule, from, to)
	var got []int64
	for next := s.Next(time.Unix(from-1, 0)); !next.IsZero() && next.Unix() < to; next = s.Next(next) {
		got = append(got, next.Unix())
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s in %s under %s\n got %d\nwant %d", s, s.Zone(), rule, got, want)
	}
	var back []int64
	for prev := s.Prev(time.Unix(to-1, 0)); !prev.IsZero() && prev.Unix() >= from; prev = s.Prev(prev.Add(-1)) {
		back = append([]int64{prev.Unix()}, back...)
	}
	if fmt.Sprint(back) != fmt.Sprint(want) {
		t.Errorf("%s in %s under %s, backwards\n got %d\nwant %d", s, s.Zone(), rule, back, want)
	}
}

// TestRobfigAtTransitions counts where the library leaves the isc rule, in 2026.
func TestRobfigAtTransitions(t *testing.T) {
	zones := &Zones{}
	texts := []string{"0 0 * * *", "30 0 * * *", "0 1 * * *", "30 1 * * *", "0 2 * * *", "15 2 * * *", "30 2 * * *", "0 3 * * *", "0 * * * *"}
	pairs, wrong, lost, doubled := 0, 0, 0, 0
	for _, name := range strings.Fields(zoneNames) {
		loc, err := zones.Load(name)
		if err != nil {
			continue
		}
		begin := time.Date(2026, 1, 1, 0, 0, 0, 0, loc)
		if _, end := begin.ZoneBounds(); end.IsZero() || end.Year() > 2026 {
			continue
		}
		for _, text := range texts {
			ours := starts(must(t, text, Options{Zone: loc, Zones: zones}), begin)
			parsed, err := cron.ParseStandard("TZ=" + name + " " + text)
			if err != nil {
				t.Fatal(err)
			}
			theirs := starts(parsed, begin)
			pairs++
			if fmt.Sprint(ours) != fmt.Sprint(theirs) {
				wrong++
				lost += missing(ours, theirs)
				doubled += missing(theirs, ours)
			}
		}
	}
	t.Logf("robfig/cron differs from the isc rule in %d of %d pairs of zone and schedule: %d starts lost, %d too many", wrong, pairs, lost, doubled)
	if wrong < pairs/10 {
		t.Errorf("only %d of %d pairs differ: is the isc rule still applied?", wrong, pairs)
	}
}

// starts lists a year by windows of two days around transitions, where differences are.
func starts(s cron.Schedule, begin time.Time) []int64 {
	var out []int64
	for cursor := begin; ; {
		_, next := cursor.ZoneBounds()
		if next.IsZero() || next.Year() > begin.Year() {
			return out
		}
		for at := s.Next(next.Add(-36 * time.Hour)); !at.IsZero() && at.Before(next.Add(36*time.Hour)); at = s.Next(at) {
			out = append(out, at.Unix())
		}
		cursor = next
	}
}

func missing(all, from []int64) int {
	have := map[int64]bool{}
	for _, u := range from {
		have[u] = true
	}
	n := 0
	for _, u := range all {
		if !have[u] {
			n++
		}
	}
	return n
}
