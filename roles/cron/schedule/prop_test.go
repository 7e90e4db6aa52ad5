package schedule

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/robfig/cron/v3"
)

// A Schedule is one of the library, so that it can be given to it.
var _ cron.Schedule = (*Schedule)(nil)

// TestPrevIsTheInverseOfNext walks to and fro from random instants of 200 years.
func TestPrevIsTheInverseOfNext(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	names, zones := strings.Fields(zoneNames), &Zones{}
	for range 20_000 {
		loc, err := zones.Load(names[r.IntN(len(names))])
		if err != nil {
			t.Fatal(err)
		}
		text := randomSchedule(r)
		if r.IntN(3) == 0 {
			text = []string{"0", "*/20", "59", "7,8"}[r.IntN(4)] + " " + text
		}
		s, err := Parse(text, Options{Zone: loc, Zones: zones, Seconds: true, DST: DST(r.IntN(3))})
		if err != nil {
			continue
		}
		from := time.Unix(r.Int64N(200*365*day)-70*365*day, 0)
		next := s.Next(from)
		if next.IsZero() {
			t.Fatalf("%s in %s after %v: never", s, loc, from)
		}
		if !next.After(from) || !s.Prev(next).Equal(next) {
			t.Fatalf("%s in %s: Next(%v) = %v, Prev of that = %v", s, loc, from, next, s.Prev(next))
		}
		before := s.Prev(next.Add(-time.Second))
		if before.IsZero() || before.After(from) || !s.Next(before).Equal(next) || !s.Next(before.Add(-1)).Equal(before) {
			t.Fatalf("%s in %s: Next(%v) = %v, before that %v, and after that %v", s, loc, from, next, before, s.Next(before))
		}
	}
}

// TestSameAsRobfigAwayFromTransitions compares with the library itself, wherever the
// clock does not change.
func TestSameAsRobfigAwayFromTransitions(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	pick := func(options ...string) string { return options[r.IntN(len(options))] }
	library := cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)
	n := 0
	for range 6_000 {
		text := strings.Join([]string{
			pick("*", "0", "*/7", "?", "3-50/9", "5/15", "59", "0-59", "*,7"), pick("*", "0", "*/5", "1,2,30", "22-23", "7/3", "12"),
			pick("*", "*/3", "1", "31", "15,L", "?", "*/1", "1-7", "29/2", "*,3", "5,*", "30-31"), pick("*", "2", "jan", "FEB-apr", "*/5", "6/2", "Feb"),
			pick("*", "?", "0", "mon", "1-5", "*/2", "5/1", "sun,sat", "7", "*/1", "fri-mon"),
		}, " ")
		if r.IntN(3) == 0 {
			text = pick("0", "*", "*/11", "5,50") + " " + text
		}
		want, libErr := library.Parse(text)
		got, err := Parse(text, Options{Dialect: Robfig, Seconds: true, Zone: time.UTC})
		if libErr != nil || err != nil {
			// Refused by both, or by us because it never comes.
			if (libErr == nil) != (err == nil) && (err == nil || !strings.Contains(err.Error(), "never comes")) {
				t.Fatalf("%s: the library says %v, we say %v", text, libErr, err)
			}
			continue
		}
		from := time.Unix(r.Int64N(150*365*day), r.Int64N(1e9)).UTC()
		for range 5 {
			a, b := got.Next(from), want.Next(from)
			if b.IsZero() {
				break // the library looks five years ahead
			}
			if !a.Equal(b) {
				t.Fatalf("%s after %v = %v; the library says %v", text, from, a, b)
			}
			from = a
			n++
		}
	}
	if n < 10_000 {
		t.Errorf("%d instants compared; want more", n)
	}
}

// TestManyGoroutines uses one schedule, and two of one zone, from many goroutines; the race
// detector watches.
func TestManyGoroutines(t *testing.T) {
	zones := &Zones{}
	a, b := must(t, "TZ=Europe/Berlin 30 2 * * *", Options{Zones: zones}), must(t, "TZ=Europe/Berlin */7 * 1 * *", Options{Zones: zones})
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			at := time.Unix(int64(i)*30*day, 0)
			for range 500 {
				at = a.Next(b.Next(at))
				if !a.Prev(at).Equal(at) {
					t.Errorf("Prev(%v) = %v", at, a.Prev(at))
				}
			}
		})
	}
	group.Wait()
}

// TestSmall holds what a schedule takes: there may be tens of thousands.
func TestSmall(t *testing.T) {
	if size := unsafe.Sizeof(Schedule{}); size > 112 {
		t.Errorf("a schedule takes %d bytes; want at most 112", size)
	}
	zones := &Zones{}
	a := must(t, "CRON_TZ=Asia/Tokyo 0 5 * * *", Options{Zones: zones})
	b := must(t, "CRON_TZ=Asia/Tokyo 0 6 * * *", Options{Zones: zones})
	if a.zone != b.zone {
		t.Error("a zone is loaded twice")
	}
	s := must(t, "5 4 * * *", Options{})
	from := time.Now()
	if n := testing.AllocsPerRun(100, func() { from = s.Next(from) }); n > 0.1 {
		t.Errorf("Next allocates %v times", n)
	}
}

// TestNotes has what is told of special instants.
func TestNotes(t *testing.T) {
	for _, tt := range []struct {
		text, at string
		rule     DST
		want     string
	}{
		{"30 2 * * *", "2026-03-08T03:00-0400", ISC, "02:30 does not exist on this day (the clock goes from 02:00 to 03:00), runs at the end of the gap"},
		{"0,30 2,3 * * *", "2026-03-08T03:00-0400", ISC, "02:00 does not exist on this day (the clock goes from 02:00 to 03:00), runs at the end of the gap, as one with the run there"},
		{"30 1 * * *", "2026-11-01T01:30-0400", ISC, "01:30 comes twice on this day, runs the first time only"},
		{"30 1 * * *", "2026-11-01T01:30-0400", Both, "01:30 comes twice on this day, this is the first"},
		{"30 1 * * *", "2026-11-01T01:30-0500", Both, "01:30 comes twice on this day, this is the second"},
		{"30 1 * * *", "2026-11-02T01:30-0500", ISC, ""}, {"0 * * * *", "2026-03-08T03:00-0400", ISC, ""}, {"@every 1h", "2026-03-08T03:00-0400", ISC, ""}, {"@reboot", "2026-03-08T03:00-0400", ISC, ""},
	} {
		s := must(t, "TZ=America/New_York "+tt.text, Options{DST: tt.rule})
		if got := s.Note(at(t, tt.at)); got != tt.want {
			t.Errorf("note of %s under %s at %s = %q; want %q", tt.text, tt.rule, tt.at, got, tt.want)
		}
	}
	if got := must(t, "30 2 * * *", Options{}).Note(time.Now()); got != "" {
		t.Errorf("a note in UTC: %q", got)
	}
}

func TestLints(t *testing.T) {
	if lints := must(t, "0 0 0 ? * 5-7", Options{Dialect: Quartz}).Lints(at(t, "2026-01-01")); len(lints) > 0 {
		t.Errorf("7 is Saturday in the dialect quartz: %q", lints)
	}
	for text, want := range map[string]string{
		"* * * * * * *":                    "runs every second",
		"@every 1s":                        "runs every second",
		"0 0 * * 5-7":                      "a weekday range that ends in 7 is refused by other crons: write it with names, such as fri-sun",
		"TZ=America/New_York 0 0 * * 5-7":  "a weekday range that ends in 7 is refused by other crons: write it with names, such as fri-sun",
		"TZ=America/New_York 30 2 * * *":   "02:30 does not exist on 2026-03-08 in America/New_York: it runs at 03:00",
		"TZ=America/New_York 30 1 * * *":   "01:30 comes twice on 2026-11-01 in America/New_York: it runs the first time only",
		"TZ=America/New_York 30 1 * 2 *":   "",
		"TZ=America/New_York */10 * * * *": "",
		"0 0 1-7 * */7":                    "day of month and weekday: both must match, which is 12 days in a year; in the dialect robfig (CronJob) one of them must, 124 days",
		"0 0 * * *":                        "", "@daily": "", "@reboot": "", "TZ=UTC @weekly": "", "0 0 * * 0-6": "",
	} {
		if got := strings.Join(must(t, text, Options{}).Lints(at(t, "2026-01-01")), "; "); got != want {
			t.Errorf("lints of %s = %q; want %q", text, got, want)
		}
	}
}

// FuzzParse: no text may crash or hang, what is printed reads the same, and what is
// found is an instant of the schedule.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"* * * * *", "*/5 4 1-7 jan-mar mon#2", "0 0 L-3W,15W * 5L", "H/15 H(1-5) ~ * 0~3", "CRON_TZ=Asia/Tokyo @daily", "TZ=UTC", "@every 1h", "0 0 29 2 */7",
		", , , , ,", "1-2-3/4/5 * * * *", "* * * * * * 2100/7", "22-2/3 22-2/3 * nov-feb fri-mon", "*/18446744073709551615 * * * *", "? ? ? ? ?", "@reboot", "\x00 * * * *",
	} {
		f.Add(seed, uint8(0), int64(1_790_000_000))
		f.Add(seed, uint8(7), int64(-1))
	}
	f.Fuzz(func(t *testing.T, text string, how uint8, unix int64) {
		o := Options{Dialect: Dialect(how % 3), DST: DST(how / 3 % 3), Seconds: how/9%2 == 0, Seed: "fuzz", Zone: time.UTC}
		s, err := Parse(text, o)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Column < 1 || e.Column > len(text)+1 {
				t.Fatalf("Parse(%q) = %#v", text, err)
			}
			return
		}
		again, err := Parse(s.String(), o)
		if err != nil {
			t.Fatalf("Parse(%q) prints %q, which gives %v", text, s, err)
		}
		from := time.Unix(unix%(200*365*day), 0)
		for range 3 {
			next := s.Next(from)
			if got := again.Next(from); !got.Equal(next) {
				t.Fatalf("Parse(%q).Next = %v, of what it prints (%q) %v", text, next, s, got)
			}
			if next.IsZero() {
				return
			}
			if !s.Prev(next).Equal(next) {
				t.Fatalf("Parse(%q): Prev(%v) = %v", text, next, s.Prev(next))
			}
			s.Note(next)
			from = next
		}
		s.Lints(from)
	})
}

func BenchmarkNext(b *testing.B) {
	for _, text := range []string{"* * * * *", "30 4 * * *", "0 0 1 * *", "0 0 29 2 *", "0 0 LW * *", "TZ=Europe/Berlin 0 3 * * sun"} {
		b.Run(text, func(b *testing.B) {
			s, start := must(b, text, Options{}), time.Now()
			for at := start; b.Loop(); {
				if at = s.Next(at); at.Year() > 2100 {
					at = start
				}
			}
		})
	}
}
