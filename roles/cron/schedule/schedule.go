package schedule

import (
	"fmt"
	"time"

	"github.com/sidecar-kit/sidecar/internal/suggest"
)

// Dialect says how a schedule is read.
type Dialect int

// The dialects.
const (
	Vixie  Dialect = iota // what cron on Linux reads, with more
	Robfig                // what CronJobs of Kubernetes are
	Quartz                // 6 or 7 fields, seconds first, 1 is Sunday
)

// String is the name that ParseDialect reads.
func (d Dialect) String() string { return choice(int(d), dialects()) }

// ParseDialect reads the name of a dialect.
func ParseDialect(name string) (Dialect, error) {
	n, err := choose("dialect", name, dialects())
	return Dialect(n), err
}

func dialects() []string { return []string{"vixie", "robfig", "quartz"} }

// DST says what happens at a change of the clock; see the package's rule 3.
type DST int

// The rules for a change of the clock.
const (
	ISC  DST = iota // lost times once, after the gap; doubled times once; wildcards as the clock says
	Skip            // lost times never, doubled times once
	Both            // lost times once, after the gap; doubled times twice
)

// String is the name that ParseDST reads.
func (d DST) String() string { return choice(int(d), rules()) }

// ParseDST reads the name of a rule.
func ParseDST(name string) (DST, error) {
	n, err := choose("dst", name, rules())
	return DST(n), err
}

func rules() []string { return []string{"isc", "skip", "both"} }

func choice(n int, names []string) string {
	if n < 0 || n >= len(names) {
		return fmt.Sprintf("unknown(%d)", n)
	}
	return names[n]
}

func choose(what, name string, names []string) (int, error) {
	for i, n := range names {
		if n == name {
			return i, nil
		}
	}
	return 0, fmt.Errorf("%s %q: must be %s, %s or %s%s", what, name, names[0], names[1], names[2], suggest.DidYouMean("", name, names))
}

// Options are what a schedule depends on besides its text.
type Options struct {
	Dialect Dialect
	DST     DST
	Zone    *time.Location // nil is time.Local; a CRON_TZ= or TZ= before the schedule wins
	Zones   *Zones         // shares zones between schedules; nil is one of its own
	Seed    string         // what H and ~ are drawn from: same seed, same time
	Seconds bool           // six fields begin with seconds; quartz: always
}

// Schedule is a set of instants. It does not change and may be used by many
// goroutines. It is a Schedule of robfig/cron, too.
type Schedule struct {
	text     string
	zone     *zone
	second   uint64 // bit n: second n
	minute   uint64
	hour     uint32
	days     uint32   // bit n: day n of the month
	special  *special // days that depend on the month
	years    *years   // nil: every year
	every    int64    // @every: seconds
	month    uint16
	weekdays uint8 // bit 0: Sunday
	flags    flags
}

type flags uint16

const (
	either      flags = 1 << iota // a day matches by day of month or by weekday
	wildcard                      // minute, hour or second begin with *
	daily                         // every day of every year matches
	reboot                        // @reboot
	afterGap                      // times lost in a gap run at its end
	firstOnly                     // times that come twice run the first time
	domStar                       // the day of month begins with *
	dowStar                       // the weekday begins with *
	plainStars                    // the same, as robfig/cron sees it: either field is all days without a step
	sundaySeven                   // a weekday range is written with 7 at its end
)

func (s *Schedule) is(f flags) bool { return s.flags&f != 0 }

// Wildcard reports whether the schedule goes by the clock on the wall rather
// than naming times: its minute, hour or second begins with *, or it is @every.
func (s *Schedule) Wildcard() bool { return s.is(wildcard) }

// Reboot reports whether the schedule is @reboot, which has no instants.
func (s *Schedule) Reboot() bool { return s.is(reboot) }

// Zone is the time zone the schedule is read in.
func (s *Schedule) Zone() *time.Location { return s.zone.loc }

// String is the schedule with single spaces and with H and ~ replaced by what
// was drawn for them. It parses to the same instants under the same options.
func (s *Schedule) String() string { return s.text }

// setRule derives what happens at transitions from the rule and the fields.
func (s *Schedule) setRule(rule DST) {
	fixed := !s.is(wildcard)
	if rule == Both || rule == ISC && fixed {
		s.flags |= afterGap
	}
	if rule == Skip || rule == ISC && fixed {
		s.flags |= firstOnly
	}
}

// setDaily notes that dates need no work, which is most schedules.
func (s *Schedule) setDaily() {
	if s.days == allDays && s.weekdays == allWeekdays && s.month == allMonths && s.special == nil && s.years == nil {
		s.flags |= daily
	}
}
